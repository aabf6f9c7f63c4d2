/* SPDX-License-Identifier: MIT */
#include "tests/store/durability/replay_reader.h"
#include "tests/store/durability/replay_model.h"

#include <lmdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEAD_TABLE ".mayfly"
#define VALUE_HEAD 8u /* bytes before each value (format 2) */

static int open_env(const char *file, size_t map_bytes, unsigned int flags, MDB_env **env)
{
	int code = mdb_env_create(env);

	if (!code)
		code = mdb_env_set_mapsize(*env, map_bytes);
	if (!code)
		code = mdb_env_set_maxdbs(*env, 300);
	if (!code)
		code = mdb_env_open(*env, file, flags | MDB_NOSUBDIR | MDB_NOLOCK, 0600);
	return code;
}

static void add_head(const MDB_val *key, const MDB_val *value, struct contents *contents)
{
	if (key->mv_size == 5 && !memcmp(key->mv_data, "epoch", 5) && value->mv_size == 8)
		memcpy(&contents->epoch, value->mv_data, 8);
}

static void add_record(const char *table, const MDB_val *key, const MDB_val *value,
		       struct contents *contents)
{
	contents->records++;
	contents->sum +=
		model_weight(table, key->mv_data, key->mv_size, value->mv_data, value->mv_size);
	contents->torn +=
		!model_is_whole(table, key->mv_data, key->mv_size, value->mv_data, value->mv_size);
}

static int read_table(MDB_txn *txn, const char *table, struct contents *contents,
		      reader_record_fn *fn)
{
	MDB_cursor *cursor;
	MDB_val key;
	MDB_val value;
	MDB_dbi dbi;
	int code = mdb_dbi_open(txn, table, 0, &dbi);

	if (!code)
		code = mdb_cursor_open(txn, dbi, &cursor);
	if (code)
		return code;
	while (!code && !(code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))) {
		bool is_head = !strcmp(table, HEAD_TABLE);

		if (!is_head && value.mv_size < VALUE_HEAD)
			code = MDB_CORRUPTED;
		else if (!is_head)
			value = (MDB_val){value.mv_size - VALUE_HEAD,
					  (char *)value.mv_data + VALUE_HEAD};
		if (code)
			break;
		if (fn)
			fn(table, key.mv_data, key.mv_size, value.mv_data, value.mv_size);
		else if (is_head)
			add_head(&key, &value, contents);
		else
			add_record(table, &key, &value, contents);
	}
	mdb_cursor_close(cursor);
	return code == MDB_NOTFOUND ? 0 : code;
}

static int read_tables(MDB_txn *txn, struct contents *contents, reader_record_fn *fn)
{
	MDB_cursor *cursor;
	MDB_val name;
	MDB_dbi dbi;
	char table[256];
	int code = mdb_dbi_open(txn, NULL, 0, &dbi);

	if (!code)
		code = mdb_cursor_open(txn, dbi, &cursor);
	if (code)
		return code;
	while (!code && !(code = mdb_cursor_get(cursor, &name, NULL, MDB_NEXT))) {
		snprintf(table, sizeof(table), "%.*s", (int)name.mv_size, (char *)name.mv_data);
		code = read_table(txn, table, contents, fn);
	}
	mdb_cursor_close(cursor);
	return code == MDB_NOTFOUND ? 0 : code;
}

static const char *read_all(const char *file, size_t map_bytes, struct contents *contents,
			    reader_record_fn *fn)
{
	MDB_env *env = NULL;
	MDB_txn *txn = NULL;
	int code = open_env(file, map_bytes, MDB_RDONLY, &env);

	*contents = (struct contents){0};
	if (!code)
		code = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (!code)
		code = read_tables(txn, contents, fn);
	if (txn)
		mdb_txn_abort(txn);
	mdb_env_close(env);
	return code ? mdb_strerror(code) : NULL;
}

const char *reader_read(const char *file, size_t map_bytes, struct contents *contents)
{
	return read_all(file, map_bytes, contents, NULL);
}

const char *reader_each(const char *file, size_t map_bytes, reader_record_fn *fn)
{
	struct contents contents;

	return read_all(file, map_bytes, &contents, fn);
}

const char *reader_copy(const char *file, size_t map_bytes, struct contents *contents)
{
	int to = memfd_create("copy", MFD_CLOEXEC);
	MDB_env *env = NULL;
	const char *why;
	char path[64];
	int code = open_env(file, map_bytes, MDB_RDONLY, &env);

	if (!code)
		code = mdb_env_copyfd2(env, to, MDB_CP_COMPACT);
	mdb_env_close(env);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", to);
	why = code ? mdb_strerror(code) : reader_read(path, map_bytes, contents);
	close(to);
	return why;
}

const char *reader_write(const char *file, size_t map_bytes)
{
	MDB_env *env = NULL;
	MDB_txn *txn = NULL;
	MDB_val key = {4, (void *)"more"};
	MDB_val value = {4, (void *)"more"};
	MDB_dbi dbi;
	int code = open_env(file, map_bytes, MDB_NOSYNC, &env);

	for (int i = 0; !code && i < 3; i++) {
		code = mdb_txn_begin(env, NULL, 0, &txn);
		if (!code)
			code = mdb_dbi_open(txn, HEAD_TABLE, 0, &dbi);
		if (!code)
			code = mdb_put(txn, dbi, &key, &value, 0);
		if (!code)
			code = mdb_txn_commit(txn);
	}
	mdb_env_close(env);
	return code ? mdb_strerror(code) : NULL;
}
