/* SPDX-License-Identifier: MIT */
#include "env.h"
#include "table.h"
#include "upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_TABLE ".mayfly" /* the store's own; callers' tables begin with no dot */

static MDB_env *env;
static MDB_dbi head_dbi;
static size_t page_bytes;
static size_t map_pages;
static uint64_t store_epoch;
static bool is_old; /* its records have no heads, or some of them */

MDB_env *kv_env(void)
{
	return env;
}

MDB_dbi kv_head_dbi(void)
{
	return head_dbi;
}

size_t kv_page_bytes(void)
{
	return page_bytes;
}

size_t kv_map_pages(void)
{
	return map_pages;
}

uint64_t kv_epoch(void)
{
	return store_epoch;
}

int kv_errno_of(int code)
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
	if (!code && (format < KV_FORMAT_MIN || format > KV_FORMAT)) {
		fprintf(stderr, "%s: the store has format %llu, this version knows %u to %u only\n",
			folder, (unsigned long long)format, KV_FORMAT_MIN, KV_FORMAT);
		return -1;
	}
	head_dbi = dbi;
	if (!code && !is_new)
		code = get_head(txn, dbi, "epoch", &epoch);
	if (!code)
		code = put_head(txn, dbi, "format", format);
	if (!code)
		code = put_head(txn, dbi, "epoch", epoch + 1);
	store_epoch = epoch + 1;
	is_old = format < KV_FORMAT || kv_upgrade_is_open(txn, dbi);
	return code ? explain(folder, code) : 0;
}

/* One table that the head lists; what is no table of ours stays out of reach. */
static int open_table(MDB_txn *txn, const MDB_val *name)
{
	char text[MF_KV_TABLE_MAX_BYTES + 1];
	struct kv_table *table;
	MDB_dbi dbi;
	int code;

	if (!kv_is_table_name(name->mv_data, name->mv_size))
		return 0;
	memcpy(text, name->mv_data, name->mv_size);
	text[name->mv_size] = 0;
	table = kv_table_add(text);
	if (!table)
		return MDB_DBS_FULL;
	code = kv_table_open(txn, table, 0, &dbi);
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

static int open_env(const char *folder, const char *path, size_t map_bytes, unsigned int readers,
		    unsigned int flags)
{
	int code = mdb_env_create(&env);

	if (!code)
		code = mdb_env_set_mapsize(env, map_bytes);
	if (!code)
		code = mdb_env_set_maxdbs(env, KV_TABLES_MAX + 1);
	if (!code && readers)
		code = mdb_env_set_maxreaders(env, readers);
	if (!code)
		code = mdb_env_open(env, path, flags | MDB_NOTLS | (readers ? 0 : MDB_NOLOCK),
				    0600);
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
	ret = open_env(folder, made, map_bytes, 0, MDB_NOSUBDIR);
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

/*
 * LMDB's table of readers keeps the pages of open snapshots. It lies in this program's memory alone
 * (write.c): the file that LMDB makes for it is nothing that anybody may need.
 */
static void remove_lock_file(const char *folder)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/lock.mdb", folder);
	unlink(path);
}

static int open_file(const char *folder, size_t map_bytes, unsigned int readers)
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
	remove_lock_file(folder);
	if (!ret)
		ret = open_env(folder, folder, map_bytes, readers, 0);
	remove_lock_file(folder);
	return ret;
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

int kv_env_open(const char *folder, size_t map_bytes, unsigned int readers)
{
	MDB_txn *txn;
	int code;

	if (open_file(folder, map_bytes, readers))
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
	code = mdb_txn_commit(txn);
	kv_tables_settle(!code);
	if (!code && is_old)
		code = kv_upgrade(env, head_dbi, KV_FORMAT);
	return code ? explain(folder, code) : 0;
}
