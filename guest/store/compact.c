/* SPDX-License-Identifier: MIT */
/*
 * The file without the pages that are free: copied to another name, and renamed when it is on the
 * disk. Done at a start, when nobody has the old one open. That it is wanted is a file, which is
 * gone before the copy begins: what fails, or takes too long, is not tried again.
 */
#include "admin.h"
#include "env.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define MARK "compact"

static struct kv_compaction compaction;

const struct kv_compaction *kv_compaction(void)
{
	return &compaction;
}

struct names {
	char old[PATH_MAX];
	char made[PATH_MAX];
	char mark[PATH_MAX];
};

static void name_all(struct names *names, const char *folder)
{
	snprintf(names->old, sizeof(names->old), "%s/data.mdb", folder);
	snprintf(names->made, sizeof(names->made), "%s/new.mdb", folder);
	snprintf(names->mark, sizeof(names->mark), "%s/" MARK, folder);
}

static int sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* EINVAL: this file system has nothing to sync there. */
	int ret = fd < 0 || (fsync(fd) && errno != EINVAL) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return ret;
}

int kv_compact_want(const char *folder)
{
	struct names names;
	int fd;

	name_all(&names, folder);
	fd = open(names.mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	return sync_folder(folder);
}

static int open_env(MDB_env **env, const char *path, size_t map_bytes)
{
	int code = mdb_env_create(env);

	if (!code)
		code = mdb_env_set_mapsize(*env, map_bytes);
	return code ? code
		    : mdb_env_open(*env, path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS,
				   0600);
}

/* An LMDB code. */
static int copy(const struct names *names, size_t map_bytes, int fd)
{
	MDB_env *env = NULL;
	int code = open_env(&env, names->old, map_bytes);

	if (!code)
		code = mdb_env_copyfd2(env, fd, MDB_CP_COMPACT);
	mdb_env_close(env);
	return code ? code : fsync(fd) ? errno : 0;
}

static int replace(const struct names *names, size_t map_bytes)
{
	int fd = open(names->made, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int code;

	if (fd < 0)
		return errno;
	code = copy(names, map_bytes, fd);
	close(fd);
	if (!code && rename(names->made, names->old))
		code = errno;
	if (code)
		unlink(names->made);
	return code;
}

void kv_compact_if_wanted(const char *folder, size_t map_bytes)
{
	struct names names;
	int code;

	name_all(&names, folder);
	if (unlink(names.mark))
		return;
	code = sync_folder(folder) ? EIO : replace(&names, map_bytes);
	if (!code && sync_folder(folder))
		code = EIO;
	compaction.done = !code;
	compaction.error = code > 0 ? (uint64_t)code : code ? EIO : 0;
	if (code)
		fprintf(stderr, "%s: not compacted: %s\n", folder, mdb_strerror(code));
}
