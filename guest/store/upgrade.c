/* SPDX-License-Identifier: MIT */
#include "upgrade.h"
#include "table.h"

#include <errno.h>
#include <stdlib.h>

#define PART_BYTES (4u << 20) /* of values, a commit */
#define PLACE_KEY  "upgrade"  /* in the head: the last full key that was done */

struct place {
	size_t bytes;
	uint8_t at[KV_NAME_MAX];
};

static MDB_val text_value(const char *text)
{
	return (MDB_val){strlen(text), (void *)text};
}

static int load_place(MDB_txn *txn, MDB_dbi head, struct place *place)
{
	MDB_val key = text_value(PLACE_KEY);
	MDB_val value;
	int code = mdb_get(txn, head, &key, &value);

	place->bytes = 0;
	if (code == MDB_NOTFOUND)
		return 0;
	if (!code && value.mv_size > sizeof(place->at))
		return MDB_CORRUPTED;
	if (!code) {
		memcpy(place->at, value.mv_data, value.mv_size);
		place->bytes = value.mv_size;
	}
	return code;
}

static int keep_place(MDB_txn *txn, MDB_dbi head, const char *table, const MDB_val *key)
{
	MDB_val name = text_value(PLACE_KEY);
	struct kv_name full;
	MDB_val value;

	kv_name_set(&full, table, (struct kv_bytes){key->mv_data, key->mv_size});
	value = (MDB_val){full.bytes, full.at};
	return mdb_put(txn, head, &name, &value, 0);
}

/* The same value behind a head. */
static int give_head(MDB_txn *txn, MDB_dbi dbi, const MDB_val *key, const MDB_val *old)
{
	uint8_t name[MF_KV_KEY_MAX_BYTES];
	MDB_val copy = {key->mv_size, name};
	MDB_val value = {sizeof(struct kv_record) + old->mv_size, NULL};
	struct kv_record *record = malloc(value.mv_size);
	int code;

	if (!record || key->mv_size > sizeof(name)) {
		free(record);
		return record ? MDB_CORRUPTED : ENOMEM;
	}
	memcpy(name, key->mv_data, key->mv_size);
	record->word = 0;
	memcpy(record->data, old->mv_data, old->mv_size);
	value.mv_data = record;
	code = mdb_put(txn, dbi, &copy, &value, 0);
	free(record);
	return code;
}

/* Records of a table behind `after`, until the part is full: *left says what is left of it. */
static int do_table(MDB_txn *txn, MDB_dbi head, struct kv_table *table, struct kv_bytes after,
		    size_t *left)
{
	uint8_t last[MF_KV_KEY_MAX_BYTES];
	MDB_cursor *cursor;
	MDB_val key = {after.bytes, last};
	MDB_val value;
	int code = mdb_cursor_open(txn, table->dbi, &cursor);

	if (code)
		return code;
	memcpy(last, after.data, after.bytes);
	code = mdb_cursor_get(cursor, &key, &value, after.bytes ? MDB_SET_RANGE : MDB_FIRST);
	if (!code && kv_same((struct kv_bytes){key.mv_data, key.mv_size}, after))
		code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	while (!code && *left) {
		*left -= *left < value.mv_size + 64 ? *left : value.mv_size + 64;
		memcpy(last, key.mv_data, key.mv_size);
		key.mv_data = last;
		code = give_head(txn, table->dbi, &key, &value);
		if (!code)
			code = keep_place(txn, head, table->name, &key);
		/* The write may have moved what the cursor is at. */
		if (!code)
			code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
		if (!code)
			code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return code == MDB_NOTFOUND ? 0 : code;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct kv_table *const *)a)->name, (*(struct kv_table *const *)b)->name);
}

static unsigned int sort_tables(struct kv_table *sorted[KV_TABLES_MAX])
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < kv_table_count(); i++)
		if (kv_table_is_open(kv_table_at(i)))
			sorted[count++] = kv_table_at(i);
	qsort(sorted, count, sizeof(*sorted), by_name);
	return count;
}

/* A part. *left: 0 when there is more. */
static int do_part(MDB_txn *txn, MDB_dbi head, const struct place *place, size_t *left)
{
	struct kv_bytes full = {place->at, place->bytes};
	struct kv_table *sorted[KV_TABLES_MAX];
	unsigned int count = sort_tables(sorted);
	int code = 0;

	for (unsigned int i = 0; i < count && *left && !code; i++) {
		int order = full.bytes ? strcmp(sorted[i]->name, kv_table_of(full)) : 1;

		if (order >= 0)
			code = do_table(txn, head, sorted[i],
					order ? (struct kv_bytes){"", 0} : kv_key_of(full), left);
	}
	return code;
}

/* From the first part on no program that knows format 1 alone may touch it. */
static int set_format(MDB_txn *txn, MDB_dbi head, uint64_t format)
{
	MDB_val key = text_value("format");
	MDB_val value = {sizeof(format), &format};

	return mdb_put(txn, head, &key, &value, 0);
}

static int forget_place(MDB_txn *txn, MDB_dbi head)
{
	MDB_val key = text_value(PLACE_KEY);
	int code = mdb_del(txn, head, &key, NULL);

	return code == MDB_NOTFOUND ? 0 : code;
}

bool kv_upgrade_is_open(MDB_txn *txn, MDB_dbi head)
{
	MDB_val key = text_value(PLACE_KEY);
	MDB_val value;

	return !mdb_get(txn, head, &key, &value);
}

int kv_upgrade(MDB_env *env, MDB_dbi head, unsigned int format)
{
	size_t left = 0;
	int code = 0;

	while (!code && !left) {
		struct place place;
		MDB_txn *txn;

		left = PART_BYTES;
		code = mdb_txn_begin(env, NULL, 0, &txn);
		if (code)
			return code;
		code = load_place(txn, head, &place);
		if (!code)
			code = do_part(txn, head, &place, &left);
		if (!code)
			code = set_format(txn, head, format);
		if (!code && left)
			code = forget_place(txn, head);
		if (code)
			mdb_txn_abort(txn);
		else
			code = mdb_txn_commit(txn);
	}
	return code;
}
