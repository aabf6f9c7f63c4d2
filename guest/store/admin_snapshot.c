/* SPDX-License-Identifier: MIT */
/*
 * Snapshots that are read over several calls, for backups and dumps. LMDB keeps their pages, so the
 * file grows by what is written meanwhile: they are not held for ever.
 */
#include "admin.h"
#include "call.h"
#include "env.h"
#include "table.h"

#include <errno.h>
#include <mayfly/sdk.h>
#include <stdlib.h>

#define SNAPSHOTS_MAX 4u
#define LARGE_BYTES   MF_ADMIN_RECORD_MAX_BYTES /* larger records go in parts */
#define PART_BYTES    (1u << 20)
#define BLOCK_BYTES   (256u << 10) /* a block is closed behind them; one record may have more */

struct held {
	uint64_t id; /* 0: none */
	MDB_txn *txn;
	MDB_cursor *names;
	MDB_cursor *records; /* of `table`; NULL: none is begun */
	char table[MF_KV_TABLE_MAX_BYTES + 1];
	bool fresh;     /* no block of it was given */
	bool more;      /* the cursor is at a record that was not given */
	uint64_t given; /* bytes of that record, in parts */
	uint64_t opened_ns;
	uint64_t used_ns;
};

static struct held all[SNAPSHOTS_MAX];
static uint64_t last_id;

static void let_go(struct held *held)
{
	if (held->records)
		mdb_cursor_close(held->records);
	if (held->names)
		mdb_cursor_close(held->names);
	if (held->txn)
		mdb_txn_abort(held->txn);
	*held = (struct held){0};
}

void kv_snapshots_expire(bool everything)
{
	uint64_t now = 0;

	for (unsigned int i = 0; i < SNAPSHOTS_MAX; i++) {
		struct held *held = &all[i];

		if (!held->id)
			continue;
		now = now ? now : mf_clock_ns();
		if (everything || now - held->used_ns > MF_ADMIN_IDLE_MS * 1000000ull ||
		    now - held->opened_ns > MF_ADMIN_HELD_MS * 1000000ull)
			let_go(held);
	}
}

/* The table's handle in this snapshot; -EAGAIN: the commit that made it is just becoming known. */
static int handle_of(const struct held *held, const MDB_val *name, MDB_dbi *dbi)
{
	char text[MF_KV_TABLE_MAX_BYTES + 1];
	const struct kv_table *table;
	MDB_stat stat;

	memcpy(text, name->mv_data, name->mv_size);
	text[name->mv_size] = 0;
	table = kv_table_find(text);
	if (!kv_table_is_open(table) || mdb_stat(held->txn, table->dbi, &stat))
		return -EAGAIN;
	*dbi = table->dbi;
	return 0;
}

/* Step to the next name of a table. */
static int next_name(struct held *held, MDB_val *name)
{
	int code;

	do
		code = mdb_cursor_get(held->names, name, NULL, MDB_NEXT);
	while (!code && !kv_is_table_name(name->mv_data, name->mv_size));
	return code;
}

static int see_all_tables(struct held *held)
{
	MDB_val name;
	MDB_dbi dbi;
	int ret = 0;

	while (!ret && !next_name(held, &name))
		ret = handle_of(held, &name, &dbi);
	mdb_cursor_close(held->names);
	held->names = NULL;
	return ret;
}

static int open_names(struct held *held)
{
	MDB_dbi main_dbi;
	int code = mdb_dbi_open(held->txn, NULL, 0, &main_dbi);

	return code ? code : mdb_cursor_open(held->txn, main_dbi, &held->names);
}

static int begin(struct held *held)
{
	int ret = kv_errno_of(mdb_txn_begin(kv_env(), NULL, MDB_RDONLY, &held->txn));

	if (!ret)
		ret = kv_errno_of(open_names(held));
	if (!ret)
		ret = see_all_tables(held);
	return ret ? ret : kv_errno_of(open_names(held));
}

static int open_snapshot(struct mf_storage_call *call)
{
	struct mf_abi_admin_snapshot reply = {.format = KV_FORMAT, .epoch = kv_epoch()};
	struct held *held = all;
	int ret;

	while (held < all + SNAPSHOTS_MAX && held->id)
		held++;
	if (held == all + SNAPSHOTS_MAX)
		return -EBUSY;
	ret = begin(held);
	if (ret) {
		let_go(held);
		return ret;
	}
	held->id = ++last_id;
	held->opened_ns = held->used_ns = mf_clock_ns();
	reply.id = held->id;
	reply.txn_id = mdb_txn_id(held->txn);
	return kv_give(call, &reply, sizeof(reply));
}

static struct held *find(const struct mf_storage_call *call)
{
	uint64_t id;

	if (call->in_bytes != sizeof(id))
		return NULL;
	memcpy(&id, call->in, sizeof(id));
	for (unsigned int i = 0; i < SNAPSHOTS_MAX; i++)
		if (id && all[i].id == id)
			return &all[i];
	return NULL;
}

/* ---- blocks ---- */

static int begin_table(struct held *held)
{
	MDB_val name;
	MDB_val key;
	MDB_val value;
	MDB_dbi dbi;
	int code = next_name(held, &name);
	int ret;

	if (code)
		return kv_errno_of(code); /* -ENOENT: that was all */
	ret = handle_of(held, &name, &dbi);
	if (ret)
		return ret;
	memcpy(held->table, name.mv_data, name.mv_size);
	held->table[name.mv_size] = 0;
	code = mdb_cursor_open(held->txn, dbi, &held->records);
	if (code)
		return kv_errno_of(code);
	code = mdb_cursor_get(held->records, &key, &value, MDB_FIRST);
	held->fresh = true;
	held->more = !code;
	return code == MDB_NOTFOUND ? 0 : kv_errno_of(code);
}

static int give_record(struct mf_storage_call *call, const MDB_val *key, const MDB_val *value)
{
	struct mf_abi_kv_entry entry = {(uint32_t)key->mv_size, (uint32_t)value->mv_size};

	kv_give(call, &entry, sizeof(entry));
	kv_give(call, key->mv_data, key->mv_size);
	return kv_give(call, value->mv_data, value->mv_size);
}

/* The next part of a large record, alone in its block. */
static int give_part(struct mf_storage_call *call, struct held *held, const MDB_val *key,
		     const MDB_val *value)
{
	struct mf_abi_admin_part part = {held->given, value->mv_size};
	size_t left = value->mv_size - held->given;
	MDB_val piece = {left < PART_BYTES ? left : PART_BYTES,
			 (uint8_t *)value->mv_data + held->given};
	MDB_val skipped;
	MDB_val name = *key;
	int code = kv_give(call, &part, sizeof(part));

	if (!code)
		code = give_record(call, key, &piece);
	if (code)
		return code;
	held->given += piece.mv_size;
	if (held->given < value->mv_size)
		return 0;
	held->given = 0;
	code = mdb_cursor_get(held->records, &name, &skipped, MDB_NEXT);
	held->more = !code;
	return code == MDB_NOTFOUND ? 0 : kv_errno_of(code);
}

static bool is_large(const MDB_val *value)
{
	return value->mv_size > LARGE_BYTES;
}

static int give_records(struct mf_storage_call *call, struct held *held,
			struct mf_abi_admin_block *head)
{
	uint32_t *records = &head->records;
	MDB_val value;
	MDB_val key;
	int code = mdb_cursor_get(held->records, &key, &value, MDB_GET_CURRENT);

	for (*records = 0; !code; ++*records) {
		size_t bytes = sizeof(struct mf_abi_kv_entry) + key.mv_size + value.mv_size;

		if (key.mv_size > MF_KV_KEY_MAX_BYTES || value.mv_size < sizeof(struct kv_record))
			return -EIO;
		if (*records && (is_large(&value) || call->out_bytes + bytes > BLOCK_BYTES))
			return 0;
		if (is_large(&value)) {
			head->flags = MF_ADMIN_PART;
			head->records = 1;
			return give_part(call, held, &key, &value);
		}
		code = give_record(call, &key, &value);
		if (!code)
			code = mdb_cursor_get(held->records, &key, &value, MDB_NEXT);
	}
	held->more = false;
	return code == MDB_NOTFOUND ? 0 : kv_errno_of(code);
}

static int give_block(struct mf_storage_call *call, struct held *held)
{
	struct mf_abi_admin_block head = {.table_bytes = (uint16_t)strlen(held->table)};
	int ret = kv_give(call, &head, sizeof(head));

	if (!ret)
		ret = kv_give(call, held->table, head.table_bytes);
	if (!ret && held->more)
		ret = give_records(call, held, &head);
	memcpy(call->out, &head, sizeof(head));
	held->fresh = false;
	return ret;
}

static int read_snapshot(struct mf_storage_call *call)
{
	struct held *held = find(call);
	int ret = 0;

	if (!held)
		return -ESTALE;
	held->used_ns = mf_clock_ns();
	if (held->records && !held->fresh && !held->more) {
		mdb_cursor_close(held->records);
		held->records = NULL;
	}
	if (!held->records)
		ret = begin_table(held);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	return give_block(call, held);
}

static int close_snapshot(struct mf_storage_call *call)
{
	struct held *held = find(call);

	if (!held)
		return -ESTALE;
	let_go(held);
	return 0;
}

int kv_snapshots_declare(void)
{
	int ret = kv_admin_declare(MF_ADMIN_OPEN, 0, sizeof(struct mf_abi_admin_snapshot),
				   open_snapshot);

	if (!ret)
		ret = kv_admin_declare(MF_ADMIN_READ, sizeof(uint64_t), MF_ADMIN_BLOCK_MAX_BYTES,
				       read_snapshot);
	return ret ? ret : kv_admin_declare(MF_ADMIN_CLOSE, sizeof(uint64_t), 0, close_snapshot);
}
