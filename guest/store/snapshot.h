/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of what is on the disk: LMDB's read transactions, one for all transactions that see the
 * same commit. LMDB keeps their pages as long as they are open.
 */
#ifndef MF_GUEST_STORE_SNAPSHOT_H
#define MF_GUEST_STORE_SNAPSHOT_H

#include <lmdb.h>

#include "bytes.h"

struct kv_snapshot {
	struct kv_snapshot *next;
	MDB_txn *txn;
	uint64_t version; /* the last commit that it has */
	size_t txn_id;    /* LMDB's number of it */
	unsigned int users;
};

/* The newest; put it when done. A negative errno. */
int kv_snapshot_get(struct kv_snapshot **out);
/* The one with this number, of no later version, which somebody is pinned to. -EAGAIN: there is
 * none.
 */
int kv_snapshot_get_pinned(struct kv_snapshot **out, size_t txn_id, uint64_t version);
void kv_snapshot_put(struct kv_snapshot *snapshot);

/* The oldest version that any open one has; UINT64_MAX: there is none. */
uint64_t kv_snapshot_oldest(unsigned int *open);

/* The value in it, as it stands there (struct kv_record and on). -ENOENT. */
int kv_snapshot_find(const struct kv_snapshot *snapshot, const char *table, struct kv_bytes key,
		     struct kv_bytes *record);

/* Of a store that begins empty for each VM nothing is seen, whatever there is. */
static inline bool kv_snapshot_is_hidden(void)
{
	return ((const struct mf_abi_store_control *)MF_STORE_CONTROL_VA)->empty;
}

#endif
