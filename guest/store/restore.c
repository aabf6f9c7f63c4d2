/* SPDX-License-Identifier: MIT */
/* A store from a backup: made under another name, as every new one, and renamed when all of it is
 * on the disk. */
#include "admin.h"
#include "env.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static MDB_env *env;
static char made[PATH_MAX];
static char final[PATH_MAX];
static const char *store_folder;

static int open_made(size_t map_bytes)
{
	int code = mdb_env_create(&env);

	if (!code)
		code = mdb_env_set_mapsize(env, map_bytes);
	if (!code)
		code = mdb_env_set_maxdbs(env, 257u);
	return code ? code : mdb_env_open(env, made, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600);
}

/* An LMDB code. */
static int put_block(MDB_txn *txn, struct kv_block *block)
{
	struct kv_bytes record;
	struct kv_bytes key;
	MDB_dbi dbi;
	int code = mdb_dbi_open(txn, block->table, MDB_CREATE, &dbi);
	int got = 0;

	while (!code && (got = kv_block_next(block, &key, &record)) > 0) {
		MDB_val name = {key.bytes, (void *)key.data};
		MDB_val value = {record.bytes, (void *)record.data};

		code = mdb_put(txn, dbi, &name, &value, MDB_APPEND);
	}
	return code ? code : got ? EINVAL : 0;
}

/* A large record under way: its place in the file's memory is made with its first part. */
static struct {
	MDB_txn *txn; /* NULL: none */
	struct kv_name name;
	uint8_t *bytes;
	uint64_t room;
	uint64_t have;
} large;

static void drop_large(void)
{
	if (large.txn)
		mdb_txn_abort(large.txn);
	large.txn = NULL;
}

/* An LMDB code. */
static int begin_large(const struct kv_block *block, struct kv_bytes key)
{
	MDB_val name = {key.bytes, (void *)key.data};
	MDB_val value = {block->part.bytes, NULL};
	MDB_dbi dbi;
	int code = mdb_txn_begin(env, NULL, 0, &large.txn);

	if (code)
		large.txn = NULL;
	if (!code)
		code = mdb_dbi_open(large.txn, block->table, MDB_CREATE, &dbi);
	if (!code)
		code = mdb_put(large.txn, dbi, &name, &value, MDB_APPEND | MDB_RESERVE);
	large.bytes = value.mv_data;
	large.room = value.mv_size;
	large.have = 0;
	if (code)
		drop_large();
	return code;
}

static int end_large(void)
{
	int code = mdb_txn_commit(large.txn);

	large.txn = NULL;
	return code;
}

/* An LMDB code, or EINVAL. */
static int put_part(struct kv_block *block)
{
	struct kv_bytes part;
	struct kv_bytes key;
	struct kv_name name;
	int code = 0;

	if (kv_block_next(block, &key, &part) != 1 || block->rest.bytes)
		return EINVAL;
	kv_name_set(&name, block->table, key);
	if (!block->part.offset) {
		drop_large();
		code = begin_large(block, key);
		large.name = name;
	}
	if (code)
		return code;
	if (!large.txn || block->part.offset != large.have || block->part.bytes != large.room ||
	    !kv_same(kv_name_all(&name), kv_name_all(&large.name)))
		return EINVAL;
	memcpy(large.bytes + large.have, part.data, part.bytes);
	large.have += part.bytes;
	return large.have == large.room ? end_large() : 0;
}

static int put(struct mf_storage_call *call)
{
	struct kv_block block;
	MDB_txn *txn;
	int ret = kv_block_open(&block, call->in, call->in_bytes);
	int code;

	if (ret)
		return ret;
	if (!env)
		return -ESTALE;
	if (block.is_part) {
		code = put_part(&block);
		return code == MDB_KEYEXIST ? -EILSEQ : kv_errno_of(code);
	}
	if (large.txn)
		return -EINVAL;
	code = mdb_txn_begin(env, NULL, 0, &txn);
	if (code)
		return kv_errno_of(code);
	code = put_block(txn, &block);
	if (code)
		mdb_txn_abort(txn);
	else
		code = mdb_txn_commit(txn);
	return code == MDB_KEYEXIST ? -EILSEQ : kv_errno_of(code);
}

static int put_head(MDB_txn *txn, const struct mf_abi_admin_snapshot *from)
{
	const struct {
		const char *name;
		uint64_t number;
	} heads[] = {{"format", from->format}, {"epoch", from->epoch}};
	MDB_dbi dbi;
	int code = mdb_dbi_open(txn, ".mayfly", MDB_CREATE, &dbi);

	for (size_t i = 0; i < 2 && !code; i++) {
		MDB_val key = {strlen(heads[i].name), (void *)heads[i].name};
		MDB_val value = {sizeof(heads[i].number), (void *)&heads[i].number};

		code = mdb_put(txn, dbi, &key, &value, 0);
	}
	return code;
}

/* All that was put is on the disk when this is. */
static int write_head(const struct mf_abi_admin_snapshot *from)
{
	MDB_txn *txn;
	int code = mdb_txn_begin(env, NULL, 0, &txn);

	if (code)
		return code;
	code = put_head(txn, from);
	if (code)
		mdb_txn_abort(txn);
	else
		code = mdb_txn_commit(txn);
	return code ? code : mdb_env_sync(env, 1);
}

static int give_name(void)
{
	int fd;
	int ret;

	if (rename(made, final))
		return -errno;
	fd = open(store_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = fd < 0 || (fsync(fd) && errno != EINVAL) ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return ret;
}

static int finish(struct mf_storage_call *call)
{
	struct mf_abi_admin_snapshot from;
	int ret;

	if (call->in_bytes != sizeof(from))
		return -EINVAL;
	memcpy(&from, call->in, sizeof(from));
	if (!env)
		return -ESTALE;
	if (large.txn)
		return -EINVAL;
	if (!from.format || from.format > KV_FORMAT)
		return -EPROTO;
	ret = kv_errno_of(write_head(&from));
	mdb_env_close(env);
	env = NULL;
	return ret ? ret : give_name();
}

int kv_restore_open(const char *folder, size_t map_bytes)
{
	int ret;

	store_folder = folder;
	if (snprintf(made, sizeof(made), "%s/new.mdb", folder) >= (int)sizeof(made) ||
	    snprintf(final, sizeof(final), "%s/data.mdb", folder) >= (int)sizeof(final))
		return -ENAMETOOLONG;
	if (unlink(made) && errno != ENOENT)
		return -errno;
	ret = kv_errno_of(open_made(map_bytes));
	if (!ret)
		ret = kv_admin_declare(MF_ADMIN_RESTORE_PUT, MF_ADMIN_BLOCK_MAX_BYTES, 0, put);
	return ret ? ret
		   : kv_admin_declare(MF_ADMIN_RESTORE_FINISH, sizeof(struct mf_abi_admin_snapshot),
				      0, finish);
}
