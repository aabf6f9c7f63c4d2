/* SPDX-License-Identifier: MIT */
#include "admin.h"
#include "call.h"
#include "commit.h"
#include "env.h"
#include "session.h"
#include "table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define STAT_REPLY   8192u
#define TABLES_REPLY (KV_TABLES_MAX * (sizeof(struct mf_abi_admin_table) + MF_KV_TABLE_MAX_BYTES))

typedef int admin_fn(struct mf_storage_call *call);

static const char *store_folder;
static bool begins_anew; /* as soon as nobody waits */

/* May this call be an administrative one? */
static bool may(const struct mf_storage_call *call)
{
	const struct mf_abi_store_control *control = (const void *)MF_STORE_CONTROL_VA;

	return control->admin == call->channel + 1;
}

static int enter(struct mf_storage_call *call, void *arg)
{
	return may(call) ? ((admin_fn *)arg)(call) : -EPERM;
}

int kv_admin_declare(uint32_t number, size_t in_max, size_t out_max, admin_fn *call)
{
	const struct mf_storage_function function = {.number = number,
						     .in_max = in_max,
						     .out_max = out_max,
						     .call = enter,
						     .arg = (void *)call};

	return mf_storage_declare(&function);
}

/* ---- figures ---- */

static int give_pair(struct mf_storage_call *call, const char *name, uint64_t number)
{
	struct mf_abi_admin_pair pair = {.number = number, .name_bytes = (uint32_t)strlen(name)};
	int ret = kv_give(call, &pair, sizeof(pair));

	return ret ? ret : kv_give(call, name, pair.name_bytes);
}

/* Pages that wait to be used again: LMDB's own table 0 has lists of them. */
static uint64_t count_free(MDB_txn *txn)
{
	MDB_cursor *cursor;
	MDB_val key;
	MDB_val list;
	uint64_t pages = 0;

	if (mdb_cursor_open(txn, 0, &cursor))
		return 0;
	while (!mdb_cursor_get(cursor, &key, &list, MDB_NEXT)) {
		size_t count;

		memcpy(&count, list.mv_data, sizeof(count));
		pages += count;
	}
	mdb_cursor_close(cursor);
	return pages;
}

/* 0: as much as fits. */
static int give_bound(struct mf_storage_call *call)
{
	const struct mf_abi_store_control *control = (const void *)MF_STORE_CONTROL_VA;
	int ret = give_pair(call, "quota_bytes", control->quota_bytes);

	return ret ? ret : give_pair(call, "evicts", control->evicts != 0);
}

static int give_store(struct mf_storage_call *call, MDB_txn *txn)
{
	MDB_envinfo info;
	int ret;

	mdb_env_info(kv_env(), &info);
	ret = give_pair(call, "format", KV_FORMAT);
	if (!ret)
		ret = give_pair(call, "epoch", kv_epoch());
	if (!ret)
		ret = give_pair(call, "transaction", mdb_txn_id(txn));
	if (!ret)
		ret = give_pair(call, "page_bytes", kv_page_bytes());
	if (!ret)
		ret = give_pair(call, "size_limit_bytes", info.me_mapsize);
	if (!ret)
		ret = give_pair(call, "used_bytes", (info.me_last_pgno + 1) * kv_page_bytes());
	if (!ret)
		ret = give_pair(call, "free_bytes", count_free(txn) * kv_page_bytes());
	return ret ? ret : give_bound(call);
}

static int give_limits(struct mf_storage_call *call)
{
	static const struct {
		const char *name;
		uint64_t number;
	} limits[] = {
		{"table_name_limit_bytes", MF_KV_TABLE_MAX_BYTES},
		{"tables_limit", KV_TABLES_MAX - 1},
		{"key_limit_bytes", MF_KV_KEY_MAX_BYTES},
		{"value_limit_bytes", MF_KV_VALUE_MAX_BYTES},
		{"scan_limit_records", MF_KV_SCAN_MAX},
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]) && !ret; i++)
		ret = give_pair(call, limits[i].name, limits[i].number);
	return ret;
}

static int give_compaction(struct mf_storage_call *call)
{
	int ret = give_pair(call, "compactions", kv_compaction()->done);

	return ret ? ret : give_pair(call, "compaction_error", kv_compaction()->error);
}

static int with_txn(struct mf_storage_call *call,
		    int (*give)(struct mf_storage_call *call, MDB_txn *txn))
{
	MDB_txn *txn;
	int ret = kv_errno_of(mdb_txn_begin(kv_env(), NULL, MDB_RDONLY, &txn));

	if (ret)
		return ret;
	ret = give(call, txn);
	mdb_txn_abort(txn);
	return ret;
}

static int stat_store(struct mf_storage_call *call)
{
	int ret = with_txn(call, give_store);

	if (!ret)
		ret = give_limits(call);
	return ret ? ret : give_compaction(call);
}

/* ---- tables ---- */

static int give_table(struct mf_storage_call *call, MDB_txn *txn, const struct kv_table *table)
{
	struct mf_abi_admin_table entry = {.name_bytes = (uint32_t)strlen(table->name)};
	MDB_stat stat;
	int ret;

	/* A table that is younger than this snapshot is not in it. */
	if (mdb_stat(txn, table->dbi, &stat))
		return 0;
	entry.entries = stat.ms_entries;
	entry.pages = stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
	entry.depth = stat.ms_depth;
	ret = kv_give(call, &entry, sizeof(entry));
	return ret ? ret : kv_give(call, table->name, entry.name_bytes);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct kv_table *const *)a)->name,
		      (*(const struct kv_table *const *)b)->name);
}

static int give_tables(struct mf_storage_call *call, MDB_txn *txn)
{
	const struct kv_table *sorted[KV_TABLES_MAX];
	unsigned int count = 0;
	int ret = 0;

	for (unsigned int i = 0; i < kv_table_count(); i++)
		if (kv_table_is_open(kv_table_at(i)))
			sorted[count++] = kv_table_at(i);
	qsort(sorted, count, sizeof(sorted[0]), by_name);
	for (unsigned int i = 0; i < count && !ret; i++)
		ret = give_table(call, txn, sorted[i]);
	return ret;
}

static int tables(struct mf_storage_call *call)
{
	return with_txn(call, give_tables);
}

/* ---- blocks ---- */

static int take_part(struct kv_block *block)
{
	if (block->records != 1 || block->rest.bytes < sizeof(block->part))
		return -EINVAL;
	memcpy(&block->part, block->rest.data, sizeof(block->part));
	block->rest.data = (const uint8_t *)block->rest.data + sizeof(block->part);
	block->rest.bytes -= sizeof(block->part);
	return block->part.bytes > sizeof(struct kv_record) + MF_KV_VALUE_MAX_BYTES ||
			       block->part.offset >= block->part.bytes
		       ? -EINVAL
		       : 0;
}

/* A record's bytes, or a part's. */
static bool can_be(const struct kv_block *block, size_t bytes)
{
	if (block->is_part)
		return bytes && bytes <= MF_ADMIN_RECORD_MAX_BYTES &&
		       bytes <= block->part.bytes - block->part.offset;
	return bytes >= sizeof(struct kv_record) && bytes <= MF_ADMIN_RECORD_MAX_BYTES;
}

int kv_block_open(struct kv_block *block, const void *payload, size_t bytes)
{
	struct mf_abi_admin_block head;
	const char *name = (const char *)payload + sizeof(head);

	if (bytes < sizeof(head))
		return -EINVAL;
	memcpy(&head, payload, sizeof(head));
	if (head.table_bytes > bytes - sizeof(head) || !kv_is_table_name(name, head.table_bytes))
		return -EINVAL;
	memcpy(block->table, name, head.table_bytes);
	block->table[head.table_bytes] = 0;
	block->records = head.records;
	block->rest =
		(struct kv_bytes){name + head.table_bytes, bytes - sizeof(head) - head.table_bytes};
	block->is_part = head.flags == MF_ADMIN_PART;
	return block->is_part ? take_part(block) : head.flags ? -EINVAL : 0;
}

int kv_block_next(struct kv_block *block, struct kv_bytes *key, struct kv_bytes *record)
{
	const uint8_t *at = block->rest.data;
	struct mf_abi_kv_entry entry;

	if (!block->records)
		return block->rest.bytes ? -EINVAL : 0;
	if (block->rest.bytes < sizeof(entry))
		return -EINVAL;
	memcpy(&entry, at, sizeof(entry));
	if (!entry.key_bytes || entry.key_bytes > MF_KV_KEY_MAX_BYTES ||
	    !can_be(block, entry.value_bytes) ||
	    block->rest.bytes - sizeof(entry) < (size_t)entry.key_bytes + entry.value_bytes)
		return -EINVAL;
	at += sizeof(entry);
	*key = (struct kv_bytes){at, entry.key_bytes};
	*record = (struct kv_bytes){at + entry.key_bytes, entry.value_bytes};
	block->rest.data = at + entry.key_bytes + entry.value_bytes;
	block->rest.bytes -= sizeof(entry) + entry.key_bytes + entry.value_bytes;
	block->records--;
	return 1;
}

/* ---- writing ---- */

/* A large record that comes in parts; one at a time. */
static struct {
	struct kv_name name;
	uint8_t *bytes; /* NULL: none */
	uint64_t room;
	uint64_t have;
} large;

static void drop_large(void)
{
	free(large.bytes);
	large.bytes = NULL;
}

static int begin_large(const struct kv_block *block, const struct kv_name *name)
{
	drop_large();
	large.bytes = malloc(block->part.bytes);
	large.room = block->part.bytes;
	large.have = 0;
	large.name = *name;
	return large.bytes ? 0 : -ENOMEM;
}

static int put_large(const struct kv_block *block, struct kv_bytes key, struct kv_txn *txn)
{
	struct kv_value value;
	int ret = -EINVAL;

	if (large.room >= sizeof(struct kv_record)) {
		kv_value_of((struct kv_bytes){large.bytes, large.room}, 0, &value);
		ret = kv_put(txn, block->table, key, &value);
	}
	drop_large();
	return ret;
}

/* It is put with the last part. */
static int put_part(struct kv_block *block, struct kv_txn *txn)
{
	struct kv_bytes part;
	struct kv_bytes key;
	struct kv_name name;
	int ret = kv_block_next(block, &key, &part) == 1 && !block->rest.bytes ? 0 : -EINVAL;

	if (ret)
		return ret;
	kv_name_set(&name, block->table, key);
	if (!block->part.offset)
		ret = begin_large(block, &name);
	if (ret)
		return ret;
	if (!large.bytes || block->part.offset != large.have || block->part.bytes != large.room ||
	    !kv_same(kv_name_all(&name), kv_name_all(&large.name)))
		return -ESTALE;
	memcpy(large.bytes + large.have, part.data, part.bytes);
	large.have += part.bytes;
	return large.have == large.room ? put_large(block, key, txn) : 0;
}

static int put(struct mf_storage_call *call, struct kv_txn *txn)
{
	struct kv_bytes record;
	struct kv_block block;
	struct kv_value value;
	struct kv_bytes key;
	int ret;

	if (!may(call))
		return -EPERM;
	ret = kv_block_open(&block, call->in, call->in_bytes);
	if (ret || block.is_part)
		return ret ? ret : put_part(&block, txn);
	while ((ret = kv_block_next(&block, &key, &record)) > 0) {
		kv_value_of(record, 0, &value);
		ret = kv_put(txn, block.table, key, &value);
		if (ret)
			return ret;
	}
	return ret;
}

/* ---- beginning anew ---- */

static int compact(struct mf_storage_call *call)
{
	int ret = kv_compact_want(store_folder);

	begins_anew |= !ret;
	return ret;
}

/* Between two groups, when this call was answered: no other is lost by it. */
void kv_admin_turn(void)
{
	static bool answered;

	kv_snapshots_expire(false);
	if (!begins_anew)
		return;
	if (answered && !kv_commit_stats()->waiting) {
		fputs("the storage program begins anew, to compact\n", stderr);
		exit(0);
	}
	answered = true;
}

int kv_admin_open(const char *folder)
{
	static const struct kv_function putting = {
		MF_ADMIN_PUT, "admin.put", MF_ADMIN_BLOCK_MAX_BYTES, 0, true, put};
	int ret = kv_admin_declare(MF_ADMIN_STAT, 0, STAT_REPLY, stat_store);

	store_folder = folder;
	if (!ret)
		ret = kv_admin_declare(MF_ADMIN_TABLES, 0, TABLES_REPLY, tables);
	if (!ret)
		ret = kv_declare(&putting);
	if (!ret)
		ret = kv_admin_declare(MF_ADMIN_COMPACT, 0, 0, compact);
	if (!ret)
		ret = kv_snapshots_declare();
	return ret ? ret : kv_check_declare(folder);
}
