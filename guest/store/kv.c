/* SPDX-License-Identifier: MIT */
#include "kv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mayfly/abi/store.h>

#define TABLES_MAX 256u
#define HEAD_TABLE ".mayfly" /* the store's own; callers' tables begin with no dot */
#define CALL_MAX   (sizeof(struct mf_abi_kv) + MF_KV_TABLE_MAX_BYTES + MF_KV_KEY_MAX_BYTES)
#define SCAN_VALUE (sizeof(uint32_t) + MF_KV_KEY_MAX_BYTES)
#define SCAN_REPLY (MF_KV_VALUE_MAX_BYTES + 4096u)
#define CAS_VALUE  (2u * MF_KV_VALUE_MAX_BYTES - 4096u)

/* Pages that puts leave to deletes, to commits and to the start: LMDB needs new pages for them,
 * too. A part of the map, within bounds. */
#define RESERVE_PART 16u
#define RESERVE_MIN  8u
#define RESERVE_MAX  64u
#define PATH_PAGES   32u /* at most, that a put takes beside those of its value */

/* A table whose handle may be used: from the commit of the transaction that opened it on. */
struct table {
	char name[MF_KV_TABLE_MAX_BYTES + 1];
	MDB_dbi dbi;
	bool fresh; /* opened by the write transaction under way */
};

static MDB_env *env;
static MDB_txn *writer;
static MDB_txn *reader;
static MDB_dbi head_dbi;
static size_t page_bytes;
static size_t map_pages;
static size_t untouched_pages; /* of the map, at the least, by this group */
static bool reading;           /* the reader holds a snapshot */
static struct table tables[TABLES_MAX];
static unsigned int table_count;

/* A call's payload, taken apart. */
struct kv {
	char table[MF_KV_TABLE_MAX_BYTES + 1];
	MDB_val key;
	MDB_val value;
	uint64_t number;
};

static int errno_of(int code)
{
	switch (code) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
	case MDB_DBS_FULL:
		return -ENOSPC;
	case MDB_BAD_VALSIZE:
		return -EINVAL;
	default:
		return code > 0 ? -code : -EIO;
	}
}

static bool is_caller_name(const char *name, size_t bytes)
{
	return bytes >= 1 && bytes <= MF_KV_TABLE_MAX_BYTES && name[0] != '.' &&
	       !memchr(name, 0, bytes);
}

/* What the caller says is checked before it is believed. `key_min`: 0 for a prefix. */
static int parse(const struct mf_storage_call *call, size_t key_min, struct kv *kv)
{
	const uint8_t *at = (const uint8_t *)call->in + sizeof(struct mf_abi_kv);
	struct mf_abi_kv head;

	if (call->in_bytes < sizeof(head))
		return -EINVAL;
	memcpy(&head, call->in, sizeof(head));
	if ((size_t)head.table_bytes + head.key_bytes + head.value_bytes !=
	    call->in_bytes - sizeof(head))
		return -EINVAL;
	if (!is_caller_name((const char *)at, head.table_bytes) || head.key_bytes < key_min ||
	    head.key_bytes > MF_KV_KEY_MAX_BYTES)
		return -EINVAL;
	memcpy(kv->table, at, head.table_bytes);
	kv->table[head.table_bytes] = 0;
	at += head.table_bytes;
	kv->key = (MDB_val){head.key_bytes, (void *)at};
	kv->value = (MDB_val){head.value_bytes, (void *)(at + head.key_bytes)};
	kv->number = head.number;
	return 0;
}

static struct table *find_table(const char *name)
{
	for (unsigned int i = 0; i < table_count; i++)
		if (!strcmp(tables[i].name, name))
			return &tables[i];
	return NULL;
}

static struct table *remember(const char *name, MDB_dbi dbi, bool fresh)
{
	struct table *table = &tables[table_count++];

	snprintf(table->name, sizeof(table->name), "%s", name);
	table->dbi = dbi;
	table->fresh = fresh;
	return table;
}

/* The table's handle in a write transaction. Made when it is not there and `make` says so; then
 * *made, and the caller remembers it once the transaction has succeeded. */
static int table_to_write(MDB_txn *txn, const char *name, bool make, MDB_dbi *dbi, bool *made)
{
	struct table *table = find_table(name);

	*made = false;
	if (table) {
		*dbi = table->dbi;
		return 0;
	}
	if (!make)
		return -ENOENT;
	if (table_count == TABLES_MAX)
		return -ENOSPC;
	*made = true;
	return errno_of(mdb_dbi_open(txn, name, MDB_CREATE, dbi));
}

/* Handles that a transaction opened are gone with it, or stay. */
static void settle_tables(bool committed)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < table_count; i++) {
		if (tables[i].fresh && !committed)
			continue;
		tables[i].fresh = false;
		tables[kept++] = tables[i];
	}
	table_count = kept;
}

/* The latest committed state. Without LMDB's lock file nobody may hold a snapshot over a commit:
 * begin_group and commit see to it. */
static int snapshot(void)
{
	int code = 0;

	if (reading)
		return 0;
	code = reader ? mdb_txn_renew(reader) : mdb_txn_begin(env, NULL, MDB_RDONLY, &reader);
	reading = !code;
	return errno_of(code);
}

static void drop_snapshot(void)
{
	if (reading)
		mdb_txn_reset(reader);
	reading = false;
}

/* Every table that is committed has its handle: they were all opened at the start, and later ones
 * by the transaction that made them. */
static int open_to_read(const struct kv *kv, MDB_dbi *dbi)
{
	const struct table *table = find_table(kv->table);

	if (!table || table->fresh)
		return -ENOENT;
	*dbi = table->dbi;
	return snapshot();
}

static int give(struct mf_storage_call *call, const MDB_val *value)
{
	if (value->mv_size > call->out_room)
		return -EOVERFLOW;
	memcpy(call->out, value->mv_data, value->mv_size);
	call->out_bytes = value->mv_size;
	return 0;
}

static int kv_get(struct mf_storage_call *call, void *arg)
{
	struct kv kv;
	MDB_dbi dbi;
	MDB_val value;
	int ret = parse(call, 1, &kv);

	(void)arg;
	if (!ret)
		ret = open_to_read(&kv, &dbi);
	if (!ret)
		ret = errno_of(mdb_get(reader, dbi, &kv.key, &value));
	return ret ? ret : give(call, &value);
}

/* ---- scan ---- */

static bool append(struct mf_storage_call *call, size_t room, const MDB_val *key,
		   const MDB_val *value)
{
	struct mf_abi_kv_entry entry = {(uint32_t)key->mv_size, (uint32_t)value->mv_size};
	uint8_t *to = (uint8_t *)call->out + call->out_bytes;

	if (room - call->out_bytes < sizeof(entry) + key->mv_size + value->mv_size)
		return false;
	memcpy(to, &entry, sizeof(entry));
	memcpy(to + sizeof(entry), key->mv_data, key->mv_size);
	memcpy(to + sizeof(entry) + key->mv_size, value->mv_data, value->mv_size);
	call->out_bytes += sizeof(entry) + key->mv_size + value->mv_size;
	return true;
}

static bool same(const MDB_val *a, const MDB_val *b)
{
	return a->mv_size == b->mv_size && !memcmp(a->mv_data, b->mv_data, a->mv_size);
}

static bool begins_with(const MDB_val *key, const MDB_val *prefix)
{
	return key->mv_size >= prefix->mv_size &&
	       !memcmp(key->mv_data, prefix->mv_data, prefix->mv_size);
}

/* The order of keys. */
static bool is_before(const MDB_val *a, const MDB_val *b)
{
	size_t both = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
	int order = memcmp(a->mv_data, b->mv_data, both);

	return order ? order < 0 : a->mv_size < b->mv_size;
}

/* The first record of the scan: behind `after`, or at the prefix when that comes later. */
static int scan_start(MDB_cursor *cursor, const MDB_val *prefix, const MDB_val *after, MDB_val *key,
		      MDB_val *value)
{
	int code;

	*key = is_before(prefix, after) ? *after : *prefix;
	code = mdb_cursor_get(cursor, key, value, key->mv_size ? MDB_SET_RANGE : MDB_FIRST);
	if (!code && after->mv_size && same(key, after))
		code = mdb_cursor_get(cursor, key, value, MDB_NEXT);
	return code;
}

static int scan(struct mf_storage_call *call, MDB_cursor *cursor, const struct kv *kv, size_t room,
		const MDB_val *after)
{
	uint64_t left = kv->number < MF_KV_SCAN_MAX ? kv->number : MF_KV_SCAN_MAX;
	MDB_val key;
	MDB_val value;
	int code = scan_start(cursor, &kv->key, after, &key, &value);

	for (; !code && left && begins_with(&key, &kv->key); left--) {
		if (!append(call, room, &key, &value))
			return call->out_bytes ? 0 : -ENOBUFS;
		code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	return code == MDB_NOTFOUND ? 0 : errno_of(code);
}

static int kv_scan(struct mf_storage_call *call, void *arg)
{
	MDB_cursor *cursor;
	uint32_t fits;
	MDB_val after;
	struct kv kv;
	MDB_dbi dbi;
	int ret = parse(call, 0, &kv);

	(void)arg;
	if (!ret && (kv.value.mv_size < sizeof(fits) || kv.value.mv_size > SCAN_VALUE))
		ret = -EINVAL;
	if (ret)
		return ret;
	memcpy(&fits, kv.value.mv_data, sizeof(fits));
	after = (MDB_val){kv.value.mv_size - sizeof(fits),
			  (uint8_t *)kv.value.mv_data + sizeof(fits)};
	ret = open_to_read(&kv, &dbi);
	if (ret)
		return ret == -ENOENT ? 0 : ret; /* no table: no records */
	ret = errno_of(mdb_cursor_open(reader, dbi, &cursor));
	if (ret)
		return ret;
	ret = scan(call, cursor, &kv, fits < call->out_room ? fits : call->out_room, &after);
	mdb_cursor_close(cursor);
	return ret;
}

/* ---- writes: each a transaction within the group's, so that one that fails takes no other along.
 */

typedef int kv_write_fn(struct mf_storage_call *call, MDB_txn *txn, MDB_dbi dbi, struct kv *kv);

static size_t reserve_pages(void)
{
	size_t part = map_pages / RESERVE_PART;

	return part < RESERVE_MIN ? RESERVE_MIN : part > RESERVE_MAX ? RESERVE_MAX : part;
}

/* Whether so many single pages could be taken now, asked of who knows: they are, and given back. */
static int probe(MDB_txn *parent, size_t pages)
{
	MDB_txn *txn;
	int code = mdb_txn_begin(env, parent, 0, &txn);

	if (code)
		return code;
	for (size_t i = 0; i < pages && !code; i++) {
		MDB_val key = {sizeof(i), &i};
		MDB_val value = {page_bytes * 3 / 4, NULL}; /* a page of its own */

		code = mdb_put(txn, head_dbi, &key, &value, MDB_RESERVE);
	}
	mdb_txn_abort(txn);
	return code;
}

/* After a call that may have grown the store: is the reserve still there? Looked for only where the
 * map may be near its end. */
static int keep_reserve(MDB_txn *txn, const struct kv *kv)
{
	size_t most = kv->value.mv_size / page_bytes + PATH_PAGES;

	if (untouched_pages >= most + reserve_pages()) {
		untouched_pages -= most;
		return 0;
	}
	untouched_pages = 0;
	return errno_of(probe(txn, reserve_pages()));
}

/* A call that fails makes no table: that would be a way to use them all up. */
static int write_in(struct mf_storage_call *call, kv_write_fn *fn, MDB_txn *txn, struct kv *kv,
		    bool grows)
{
	MDB_dbi dbi;
	bool made;
	int ret = table_to_write(txn, kv->table, grows, &dbi, &made);

	if (!ret)
		ret = fn(call, txn, dbi, kv);
	if (!ret && grows)
		ret = keep_reserve(txn, kv);
	if (ret) {
		mdb_txn_abort(txn);
		return ret;
	}
	ret = errno_of(mdb_txn_commit(txn));
	if (!ret && made)
		remember(kv->table, dbi, true);
	return ret;
}

static int write_one(struct mf_storage_call *call, kv_write_fn *fn, bool grows)
{
	struct kv kv;
	MDB_txn *txn;
	int ret = parse(call, 1, &kv);

	if (!ret)
		ret = errno_of(mdb_txn_begin(env, writer, 0, &txn));
	return ret ? ret : write_in(call, fn, txn, &kv, grows);
}

static int put(struct mf_storage_call *call, MDB_txn *txn, MDB_dbi dbi, struct kv *kv)
{
	(void)call;
	if (kv->value.mv_size > MF_KV_VALUE_MAX_BYTES)
		return -EINVAL;
	return errno_of(mdb_put(txn, dbi, &kv->key, &kv->value, 0));
}

static int delete (struct mf_storage_call *call, MDB_txn *txn, MDB_dbi dbi, struct kv *kv)
{
	(void)call;
	return errno_of(mdb_del(txn, dbi, &kv->key, NULL));
}

static int cas(struct mf_storage_call *call, MDB_txn *txn, MDB_dbi dbi, struct kv *kv)
{
	bool absent = kv->number == MF_KV_ABSENT;
	MDB_val expected = {absent ? 0 : kv->number, kv->value.mv_data};
	MDB_val now;
	int code;

	if (expected.mv_size > kv->value.mv_size)
		return -EINVAL;
	kv->value.mv_size -= expected.mv_size;
	kv->value.mv_data = (uint8_t *)kv->value.mv_data + expected.mv_size;
	code = mdb_get(txn, dbi, &kv->key, &now);
	if (code && code != MDB_NOTFOUND)
		return errno_of(code);
	if (code)
		return absent ? put(call, txn, dbi, kv) : -ENOENT;
	if (!absent && same(&now, &expected))
		return put(call, txn, dbi, kv);
	give(call, &now);
	return -EAGAIN;
}

static int add(struct mf_storage_call *call, MDB_txn *txn, MDB_dbi dbi, struct kv *kv)
{
	uint64_t sum = 0;
	MDB_val now;
	int code = mdb_get(txn, dbi, &kv->key, &now);

	if (kv->value.mv_size || (!code && now.mv_size != sizeof(sum)))
		return -EINVAL;
	if (code && code != MDB_NOTFOUND)
		return errno_of(code);
	if (!code)
		memcpy(&sum, now.mv_data, sizeof(sum));
	sum += kv->number;
	now = (MDB_val){sizeof(sum), &sum};
	code = mdb_put(txn, dbi, &kv->key, &now, 0);
	return code ? errno_of(code) : give(call, &now);
}

static int kv_put(struct mf_storage_call *call, void *arg)
{
	(void)arg;
	return write_one(call, put, true);
}

static int kv_delete(struct mf_storage_call *call, void *arg)
{
	(void)arg;
	return write_one(call, delete, false);
}

static int kv_cas(struct mf_storage_call *call, void *arg)
{
	(void)arg;
	return write_one(call, cas, true);
}

static int kv_add(struct mf_storage_call *call, void *arg)
{
	(void)arg;
	return write_one(call, add, true);
}

static int group_begin(void *arg)
{
	MDB_envinfo info;

	(void)arg;
	mdb_env_info(env, &info);
	untouched_pages = map_pages > info.me_last_pgno ? map_pages - info.me_last_pgno - 1 : 0;
	return errno_of(mdb_txn_begin(env, NULL, 0, &writer));
}

/* After a failed write of its head page LMDB does not trust its own state: begin anew. */
static int group_commit(void *arg)
{
	int code;

	(void)arg;
	drop_snapshot();
	code = mdb_txn_commit(writer);
	writer = NULL;
	settle_tables(!code);
	if (code == EIO || code == MDB_PANIC || code == MDB_CORRUPTED ||
	    code == MDB_PAGE_NOTFOUND) {
		fprintf(stderr, "the store cannot be written: %s\n", mdb_strerror(code));
		exit(1);
	}
	return errno_of(code);
}

const struct mf_storage_group kv_group = {.begin = group_begin, .commit = group_commit};

static int declare(void)
{
	static const struct mf_storage_function functions[] = {
		{MF_KV_GET, "kv.get", CALL_MAX, MF_KV_VALUE_MAX_BYTES, false, kv_get, NULL},
		{MF_KV_PUT, "kv.put", CALL_MAX + MF_KV_VALUE_MAX_BYTES, 0, true, kv_put, NULL},
		{MF_KV_DELETE, "kv.delete", CALL_MAX, 0, true, kv_delete, NULL},
		{MF_KV_SCAN, "kv.scan", CALL_MAX + SCAN_VALUE, SCAN_REPLY, false, kv_scan, NULL},
		{MF_KV_CAS, "kv.cas", CALL_MAX + CAS_VALUE, MF_KV_VALUE_MAX_BYTES, true, kv_cas,
		 NULL},
		{MF_KV_ADD, "kv.add", CALL_MAX, sizeof(int64_t), true, kv_add, NULL},
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (mf_storage_declare(&functions[i]))
			return -1;
	return 0;
}

/* ---- opening ---- */

static int fail(const char *folder, const char *what)
{
	fprintf(stderr, "%s: %s\n", folder, what);
	return -1;
}

/* What to do about a store that cannot be opened. */
static int explain(const char *folder, int code)
{
	switch (code) {
	case MDB_INVALID:
		return fail(folder, "data.mdb is no LMDB database");
	case MDB_VERSION_MISMATCH:
		return fail(folder, "data.mdb is of another version of LMDB");
	case MDB_MAP_FULL:
		return fail(folder, "there is no room to begin in; raise --store-size");
	case ENOMEM:
		return fail(folder, "not enough memory to open data.mdb; raise --store-memory");
	case ENODEV:
		return fail(folder,
			    "that much of data.mdb cannot be mapped; lower --store-size, or "
			    "put the store on a file system that knows shared mappings");
	default:
		fprintf(stderr, "%s: cannot open data.mdb: %s\n", folder, mdb_strerror(code));
		return -1;
	}
}

static int get_head(MDB_txn *txn, MDB_dbi dbi, const char *name, uint64_t *value)
{
	MDB_val key = {strlen(name), (void *)name};
	MDB_val data;
	int code = mdb_get(txn, dbi, &key, &data);

	if (!code && data.mv_size == sizeof(*value))
		memcpy(value, data.mv_data, sizeof(*value));
	return code;
}

static int put_head(MDB_txn *txn, MDB_dbi dbi, const char *name, uint64_t value)
{
	MDB_val key = {strlen(name), (void *)name};
	MDB_val data = {sizeof(value), &value};

	return mdb_put(txn, dbi, &key, &data, 0);
}

/* Is there anything in an environment that has no head of ours? */
static bool is_empty(MDB_txn *txn)
{
	MDB_dbi main_dbi;
	MDB_stat stat;

	return !mdb_dbi_open(txn, NULL, 0, &main_dbi) && !mdb_stat(txn, main_dbi, &stat) &&
	       !stat.ms_entries;
}

/* Check the format, count the epoch up. */
static int open_head(const char *folder, MDB_txn *txn)
{
	uint64_t format = KV_FORMAT;
	uint64_t epoch = 0;
	bool is_new = is_empty(txn);
	MDB_dbi dbi;
	int code = mdb_dbi_open(txn, HEAD_TABLE, is_new ? MDB_CREATE : 0, &dbi);

	if (code == MDB_NOTFOUND || code == MDB_INCOMPATIBLE)
		return fail(folder, "this is an LMDB database, but no store of Mayfly's");
	if (!code && !is_new)
		code = get_head(txn, dbi, "format", &format);
	if (!code && format != KV_FORMAT) {
		fprintf(stderr, "%s: the store has format %llu, this version knows %u only\n",
			folder, (unsigned long long)format, KV_FORMAT);
		return -1;
	}
	head_dbi = dbi;
	if (!code && !is_new)
		code = get_head(txn, dbi, "epoch", &epoch);
	if (!code)
		code = put_head(txn, dbi, "format", KV_FORMAT);
	if (!code)
		code = put_head(txn, dbi, "epoch", epoch + 1);
	return code ? explain(folder, code) : 0;
}

/* One table that the head lists; what is no table of ours stays out of reach. */
static int open_table(MDB_txn *txn, const MDB_val *name)
{
	char text[MF_KV_TABLE_MAX_BYTES + 1];
	MDB_dbi dbi;
	int code;

	if (!is_caller_name(name->mv_data, name->mv_size))
		return 0;
	if (table_count == TABLES_MAX)
		return MDB_DBS_FULL;
	memcpy(text, name->mv_data, name->mv_size);
	text[name->mv_size] = 0;
	code = mdb_dbi_open(txn, text, 0, &dbi);
	if (!code)
		remember(text, dbi, true);
	return code == MDB_INCOMPATIBLE ? 0 : code;
}

static int open_tables(const char *folder, MDB_txn *txn)
{
	MDB_cursor *cursor;
	MDB_dbi main_dbi;
	MDB_val name;
	int code = mdb_dbi_open(txn, NULL, 0, &main_dbi);

	if (!code)
		code = mdb_cursor_open(txn, main_dbi, &cursor);
	if (code)
		return explain(folder, code);
	while (!code && !(code = mdb_cursor_get(cursor, &name, NULL, MDB_NEXT)))
		code = open_table(txn, &name);
	mdb_cursor_close(cursor);
	return code == MDB_NOTFOUND ? 0 : explain(folder, code);
}

static int open_env(const char *folder, const char *path, size_t map_bytes, unsigned int flags)
{
	int code = mdb_env_create(&env);

	if (!code)
		code = mdb_env_set_mapsize(env, map_bytes);
	if (!code)
		code = mdb_env_set_maxdbs(env, TABLES_MAX + 1);
	/* One process, one thread, and the engine holds the folder's lock. */
	if (!code)
		code = mdb_env_open(env, path, flags | MDB_NOLOCK | MDB_NOTLS, 0600);
	return code ? explain(folder, code) : 0;
}

/*
 * A file that was cut looks like any other until a page behind its end is wanted, which is the end
 * of this program: say first what may be the matter. Free pages at the end may never have been
 * written, so it is no reason to refuse.
 */
static void look_for_a_cut(const char *folder)
{
	MDB_envinfo info;
	struct stat st;
	mdb_filehandle_t fd;

	mdb_env_info(env, &info);
	if (mdb_env_get_fd(env, &fd) || fstat(fd, &st) ||
	    (uint64_t)st.st_size >= (info.me_last_pgno + 1) * page_bytes)
		return;
	fprintf(stderr,
		"%s: data.mdb ends %llu bytes before its last page; was it cut, or not copied "
		"whole?\n",
		folder, (info.me_last_pgno + 1) * page_bytes - (unsigned long long)st.st_size);
}

/* ---- making ---- */

/* The first transaction: a head and nothing else. */
static int write_head(const char *folder)
{
	MDB_txn *txn;
	MDB_dbi dbi;
	int code = mdb_txn_begin(env, NULL, 0, &txn);

	if (code)
		return explain(folder, code);
	code = mdb_dbi_open(txn, HEAD_TABLE, MDB_CREATE, &dbi);
	if (!code)
		code = put_head(txn, dbi, "format", KV_FORMAT);
	if (!code)
		code = put_head(txn, dbi, "epoch", 0);
	if (!code)
		code = mdb_txn_commit(txn);
	else
		mdb_txn_abort(txn);
	return code ? explain(folder, code) : 0;
}

/*
 * LMDB syncs a new file's first pages with its first transaction: a crash before that can leave
 * something that is no database, for ever. So a store is made under another name and gets its own
 * when it is on the disk.
 */
static int make(const char *folder, const char *path, size_t map_bytes)
{
	char made[PATH_MAX];
	int ret;

	snprintf(made, sizeof(made), "%s/new.mdb", folder);
	if (unlink(made) && errno != ENOENT)
		return fail(made, strerror(errno));
	ret = open_env(folder, made, map_bytes, MDB_NOSUBDIR);
	if (!ret)
		ret = write_head(folder);
	mdb_env_close(env);
	env = NULL;
	if (!ret && rename(made, path))
		ret = fail(made, strerror(errno));
	if (ret)
		unlink(made); /* a part of a store is none */
	return ret;
}

/* The file's name is the folder's data. Whoever made it may have died before he came to this. */
static int sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* EINVAL: this file system has nothing to sync there. */
	int ret = fd < 0 || (fsync(fd) && errno != EINVAL) ? fail(folder, strerror(errno)) : 0;

	if (fd >= 0)
		close(fd);
	return ret;
}

static int open_file(const char *folder, size_t map_bytes)
{
	char path[PATH_MAX];
	struct stat st;
	int ret = 0;

	if (snprintf(path, sizeof(path), "%s/data.mdb", folder) >= (int)sizeof(path))
		return fail(folder, strerror(ENAMETOOLONG));
	/* An empty one is LMDB's way of saying the same. */
	if (stat(path, &st) ? errno == ENOENT : S_ISREG(st.st_mode) && !st.st_size)
		ret = make(folder, path, map_bytes);
	if (!ret)
		ret = sync_folder(folder);
	return ret ? ret : open_env(folder, folder, map_bytes, 0);
}

static void learn_sizes(void)
{
	MDB_envinfo info;
	MDB_stat stat;

	mdb_env_info(env, &info);
	mdb_env_stat(env, &stat);
	page_bytes = stat.ms_psize;
	map_pages = info.me_mapsize / page_bytes;
}

/* What every put will want of memory (LMDB gives each transaction a list of 2 MiB): too little of
 * it is found at the start. */
static int rehearse(MDB_txn *txn)
{
	MDB_txn *call;
	MDB_txn *probe;
	int code = mdb_txn_begin(env, txn, 0, &call);

	if (code)
		return code;
	code = mdb_txn_begin(env, call, 0, &probe);
	if (!code)
		mdb_txn_abort(probe);
	mdb_txn_abort(call);
	return code;
}

int kv_open(const char *folder, size_t map_bytes)
{
	MDB_txn *txn;
	int code;

	if (open_file(folder, map_bytes))
		return -1;
	learn_sizes();
	look_for_a_cut(folder);
	/* After a head page that could not be written LMDB puts the old one back, unsynced; the
	 * disk may have the other. Until that is settled no page that it refers to may be written.
	 */
	code = mdb_env_sync(env, 1);
	if (!code)
		code = mdb_txn_begin(env, NULL, 0, &txn);
	if (code)
		return explain(folder, code);
	if (open_head(folder, txn) || open_tables(folder, txn)) {
		mdb_txn_abort(txn);
		return -1;
	}
	code = rehearse(txn);
	if (code)
		mdb_txn_abort(txn);
	else
		code = mdb_txn_commit(txn);
	settle_tables(!code);
	if (code)
		return explain(folder, code);
	return declare() ? fail(folder, "cannot declare the store's functions") : 0;
}
