/* SPDX-License-Identifier: MIT */
/* What a transaction is: for who begins and ends them, and for the files that are about reading. */
#ifndef MF_GUEST_STORE_TXN_OWN_H
#define MF_GUEST_STORE_TXN_OWN_H

#include "commit.h"
#include "snapshot.h"
#include "tree.h"
#include "txn.h"

/* Keys from one on and before another, that were read. */
struct kv_span {
	struct kv_span *next;
	size_t begin_bytes;
	size_t end_bytes;
	uint8_t at[]; /* both */
};

struct kv_reads {
	bool kept; /* they are remembered */
	struct kv_tree keys;
	struct kv_span *spans;
	size_t bytes;
};

/* A write that can be taken back: what the key had before; NULL: nothing. */
struct kv_undo {
	struct kv_node *node;
	struct kv_item *item;
};

struct kv_txn {
	struct kv_snapshot *snapshot; /* what is on the disk */
	uint64_t version;             /* what is seen, of what is not there yet, too */
	uint64_t now_ms;
	bool lost;             /* its memory gave out: nothing of it may be committed */
	struct kv_tree writes; /* of struct kv_item */
	size_t bytes;          /* of all values in it */
	struct kv_reads reads;
	struct kv_undo *undo;
	size_t undo_count;
	size_t undo_room;
	unsigned int marks;
};

enum kv_txn_kind {
	KV_TXN_KEPT, /* of several calls: what it reads is remembered */
	KV_TXN_READ, /* of one call that does not write: what everybody may see */
	KV_TXN_HEAD, /* of one call that may: after all that is being committed */
};

int kv_txn_begin(struct kv_txn **out, enum kv_txn_kind kind);
/* KV_TXN_KEPT, of the snapshot with this number, which its request is pinned to, and what was
 * written since up to the version. -EAGAIN: there is none. */
int kv_txn_begin_pinned(struct kv_txn **out, size_t txn_id, uint64_t version);
void kv_txn_drop(struct kv_txn *txn); /* NULL is fine */

/* Is it in conflict with what was committed since it began? */
bool kv_txn_conflicts(const struct kv_txn *txn);

static inline bool kv_txn_wrote(const struct kv_txn *txn)
{
	return txn->writes.count != 0;
}

/* kv_scan() that comes by what has expired, too. */
int kv_scan_all(struct kv_txn *txn, const char *table, const struct kv_range *range, kv_scan_fn *fn,
		void *arg);

/* Takes the item. */
int kv_put_item(struct kv_txn *txn, const char *table, struct kv_bytes key, struct kv_item *item);

struct kv_read_stats {
	uint64_t hits;
	uint64_t misses;
	uint64_t expired; /* misses for that */
};
const struct kv_read_stats *kv_read_stats(void);

bool kv_is_name(const char *table, struct kv_bytes key);

/* Memory of all transactions' writes and reads together. */
size_t kv_txn_bytes(void);

/* reads.c: remember. -ENOMEM. */
int kv_reads_add(struct kv_reads *reads, struct kv_bytes full);
int kv_reads_add_range(struct kv_reads *reads, struct kv_bytes begin, struct kv_bytes end);
bool kv_reads_conflict(const struct kv_reads *reads, uint64_t version);
void kv_reads_clear(struct kv_reads *reads);

/* Does it still see what it saw at first? */
static inline bool kv_txn_is_intact(const struct kv_txn *txn)
{
	return txn->version == txn->snapshot->version ||
	       kv_recent_forgotten() <= txn->snapshot->version;
}

#endif
