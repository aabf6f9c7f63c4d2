/* SPDX-License-Identifier: MIT */
#include "snapshot.h"
#include "commit.h"
#include "env.h"
#include "place.h"
#include "table.h"

#include <errno.h>
#include <stdlib.h>

#define SPARE_MAX 16u /* closed ones that keep their place among LMDB's readers */

static struct kv_snapshot *open_list; /* the newest first */
static struct kv_snapshot *spare_list;
static unsigned int spares;

static int renew(struct kv_snapshot *snapshot)
{
	int code = snapshot->txn ? mdb_txn_renew(snapshot->txn)
				 : mdb_txn_begin(kv_env(), NULL, MDB_RDONLY, &snapshot->txn);

	if (code)
		return kv_errno_of(code);
	snapshot->txn_id = mdb_txn_id(snapshot->txn);
	snapshot->version = kv_commit_version(snapshot->txn_id);
	return 0;
}

static struct kv_snapshot *take_spare(void)
{
	struct kv_snapshot *snapshot = spare_list;

	if (!snapshot)
		return calloc(1, sizeof(*snapshot));
	spare_list = snapshot->next;
	spares--;
	return snapshot;
}

static void shut(struct kv_snapshot *snapshot)
{
	if (snapshot->txn && spares < SPARE_MAX) {
		mdb_txn_reset(snapshot->txn);
		snapshot->next = spare_list;
		spare_list = snapshot;
		spares++;
		return;
	}
	if (snapshot->txn)
		mdb_txn_abort(snapshot->txn);
	free(snapshot);
}

int kv_snapshot_get(struct kv_snapshot **out)
{
	struct kv_snapshot *snapshot = open_list;
	int ret;

	/* A commit that failed made a version, though nothing else. */
	if (snapshot && snapshot->txn_id == kv_commit_txn_id() &&
	    snapshot->version == kv_commit_version(snapshot->txn_id)) {
		snapshot->users++;
		*out = snapshot;
		return 0;
	}
	snapshot = take_spare();
	if (!snapshot)
		return -ENOMEM;
	ret = renew(snapshot);
	if (ret) {
		shut(snapshot);
		return ret;
	}
	snapshot->users = 1;
	snapshot->next = open_list;
	open_list = snapshot;
	*out = snapshot;
	return 0;
}

int kv_snapshot_get_pinned(struct kv_snapshot **out, size_t txn_id, uint64_t version)
{
	struct kv_snapshot *snapshot = open_list;

	while (snapshot && (snapshot->txn_id != txn_id || snapshot->version > version))
		snapshot = snapshot->next;
	if (!snapshot)
		return -EAGAIN;
	snapshot->users++;
	*out = snapshot;
	return 0;
}

/* Commits that fail make versions of one commit of LMDB's. The next one that is open; UINT64_MAX:
 * this is the newest. */
static uint64_t next_version(const struct kv_snapshot *snapshot)
{
	uint64_t next = UINT64_MAX;

	for (const struct kv_snapshot *at = open_list; at != snapshot; at = at->next)
		if (at->txn_id == snapshot->txn_id)
			next = at->version;
	return next;
}

/* The newest stays open for whoever comes next, until there is a newer one; one that requests read
 * in place until they are over. */
static bool is_wanted(const struct kv_snapshot *snapshot)
{
	uint64_t next = next_version(snapshot);

	return snapshot->users || (next == UINT64_MAX && snapshot->txn_id == kv_commit_txn_id()) ||
	       kv_place_is_pinned(snapshot->txn_id, snapshot->version, next);
}

static void shut_unused(void)
{
	struct kv_snapshot **at = &open_list;

	while (*at) {
		struct kv_snapshot *snapshot = *at;

		if (is_wanted(snapshot)) {
			at = &snapshot->next;
			continue;
		}
		*at = snapshot->next;
		shut(snapshot);
	}
}

void kv_snapshot_put(struct kv_snapshot *snapshot)
{
	snapshot->users--;
}

uint64_t kv_snapshot_oldest(unsigned int *open)
{
	uint64_t oldest = UINT64_MAX;

	shut_unused();
	*open = 0;
	for (struct kv_snapshot *at = open_list; at; at = at->next) {
		oldest = at->version < oldest ? at->version : oldest;
		++*open;
	}
	return oldest;
}

int kv_snapshot_find(const struct kv_snapshot *snapshot, const char *table, struct kv_bytes key,
		     struct kv_bytes *record)
{
	const struct kv_table *known = kv_table_find(table);
	MDB_val name = {key.bytes, (void *)key.data};
	MDB_val value;
	int code;

	if (kv_snapshot_is_hidden() || !kv_table_is_open(known))
		return -ENOENT;
	code = mdb_get(snapshot->txn, known->dbi, &name, &value);
	/* A table that is younger than the snapshot has a handle that it does not know. */
	if (code == MDB_BAD_DBI || code == EINVAL)
		return -ENOENT;
	if (!code && value.mv_size < sizeof(struct kv_record))
		return -EIO;
	*record = (struct kv_bytes){value.mv_data, value.mv_size};
	return kv_errno_of(code);
}
