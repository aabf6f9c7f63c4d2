/* SPDX-License-Identifier: MIT */
#include "apply.h"
#include "env.h"
#include "table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Pages that puts leave to deletes, to commits and to the start: LMDB needs new pages for them,
 * too. A part of the map, within bounds. */
#define RESERVE_PART 16u
#define RESERVE_MIN  8u
#define RESERVE_MAX  64u
#define WRITE_PAGES  6u  /* at most, that a write takes beside those of its value */
#define COMMIT_PAGES 16u /* likewise a commit */

size_t kv_reserve_pages(void)
{
	size_t part = kv_map_pages() / RESERVE_PART;

	return part < RESERVE_MIN ? RESERVE_MIN : part > RESERVE_MAX ? RESERVE_MAX : part;
}

size_t kv_pages_of(const struct kv_sealed *sealed)
{
	size_t pages = COMMIT_PAGES;

	for (size_t i = 0; i < sealed->count; i++)
		pages += WRITE_PAGES + sealed->writes[i].item->bytes / kv_page_bytes();
	return pages;
}

/* Whether so many single pages could be taken now, asked of who knows: they are, and given back. */
static int probe(MDB_txn *parent, size_t pages)
{
	MDB_txn *txn;
	int code = mdb_txn_begin(kv_env(), parent, 0, &txn);

	if (code)
		return code;
	for (size_t i = 0; i < pages && !code; i++) {
		MDB_val key = {sizeof(i), &i};
		MDB_val value = {kv_page_bytes() * 3 / 4, NULL}; /* a page of its own */

		code = mdb_put(txn, kv_head_dbi(), &key, &value, MDB_RESERVE);
	}
	mdb_txn_abort(txn);
	return code;
}

static int write_one(MDB_txn *txn, const struct kv_write *write, struct kv_table *table)
{
	struct kv_bytes name = kv_key_of(kv_node_key(write->node));
	MDB_val key = {name.bytes, (void *)name.data};
	MDB_val value = {write->item->bytes, (void *)&write->item->record};
	MDB_dbi dbi;
	int code;

	if (!table)
		return 0; /* nobody has put anything there: nothing to delete */
	code = kv_table_open(txn, table, write->item->deleted ? 0 : MDB_CREATE, &dbi);
	if (!code && write->item->deleted)
		code = mdb_del(txn, dbi, &key, NULL);
	else if (!code)
		return mdb_put(txn, dbi, &key, &value, 0);
	return code == MDB_NOTFOUND ? 0 : code;
}

/* *grows: something was put. */
static int write_all(MDB_txn *txn, const struct kv_sealed *sealed, bool *grows)
{
	struct kv_table *table = NULL;
	const char *name = "";
	int code = 0;

	for (size_t i = 0; i < sealed->count && !code; i++) {
		const struct kv_write *write = &sealed->writes[i];
		const char *own = kv_table_of(kv_node_key(write->node));

		if (strcmp(own, name))
			table = kv_table_find(own);
		name = own;
		*grows |= !write->item->deleted;
		code = write_one(txn, write, table);
	}
	return code;
}

/* After a failed write of its head page LMDB does not trust its own state: begin anew. */
static void end_if_untrusted(int code)
{
	if (code != EIO && code != MDB_PANIC && code != MDB_CORRUPTED && code != MDB_PAGE_NOTFOUND)
		return;
	fprintf(stderr, "the store cannot be written: %s\n", mdb_strerror(code));
	exit(1);
}

static int write_batch(MDB_txn *txn, struct kv_batch *batch)
{
	const struct kv_sealed *sealed = batch->first;
	bool grows = false;
	int code = 0;

	for (size_t i = 0; i < batch->count && !code; i++, sealed = sealed->next) {
		code = write_all(txn, sealed, &grows);
		batch->version = sealed->version;
	}
	if (!code && grows && batch->first->alone)
		code = probe(txn, kv_reserve_pages());
	return code;
}

/* The tables' pages, as they will be. */
static size_t count_pages(MDB_txn *txn)
{
	size_t pages = 0;

	for (unsigned int i = 0; i < kv_table_count(); i++) {
		const struct kv_table *table = kv_table_at(i);
		MDB_stat stat;

		if (table->open && !mdb_stat(txn, table->dbi, &stat))
			pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
	}
	return pages;
}

static void look_at_size(struct kv_batch *batch)
{
	MDB_envinfo info;

	mdb_env_info(kv_env(), &info);
	batch->last_page = info.me_last_pgno;
}

void kv_apply(struct kv_batch *batch)
{
	MDB_txn *txn;
	int code = mdb_txn_begin(kv_env(), NULL, 0, &txn);

	if (!code) {
		code = write_batch(txn, batch);
		batch->kept_pages = code ? 0 : count_pages(txn);
		__atomic_store_n(&batch->txn_id, mdb_txn_id(txn), __ATOMIC_RELEASE);
		if (code)
			mdb_txn_abort(txn);
		else
			code = mdb_txn_commit(txn);
		kv_tables_settle(!code);
	}
	end_if_untrusted(code);
	look_at_size(batch);
	batch->status = kv_errno_of(code);
}
