/* SPDX-License-Identifier: MIT */
#include "engine/linux/shm.h"
#include "engine/linux/memfd.h"
#include "engine/linux/permit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "/dev/shm/"

const char *mf_shm_name(const struct mf_process *process, const char *path)
{
	const struct mf_permit *permit = process->policy->permit;
	const char *name = path + sizeof(FOLDER) - 1;

	if (strncmp(path, FOLDER, sizeof(FOLDER) - 1) || !*name || strchr(name, '/') ||
	    (permit && mf_permit_in_volume(permit, path)))
		return NULL;
	return name;
}

static const struct mf_shm *find(const struct mf_process *process, const char *name)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < MF_SHM_NAMES; i++)
		if (lx->shm[i].name[0] && !strcmp(lx->shm[i].name, name))
			return &lx->shm[i];
	return NULL;
}

static struct mf_shm *shm_rw(struct mf_process *process, const struct mf_shm *shm)
{
	return &MF_DIRTY(process, shm[shm - mf_linux(process)->shm]);
}

/* The name for the description, which it holds from now on. */
static int add_name(struct mf_process *process, const char *name, const struct mf_fd *file)
{
	const struct mf_linux *lx = mf_linux(process);
	struct mf_shm *shm;
	uint32_t i;

	if (strlen(name) >= sizeof(lx->shm[0].name))
		return -ENAMETOOLONG;
	for (i = 0; i < MF_SHM_NAMES && lx->shm[i].name[0]; i++)
		;
	if (i == MF_SHM_NAMES)
		return -ENOSPC;
	shm = shm_rw(process, &lx->shm[i]);
	strcpy(shm->name, name);
	shm->file = mf_fd_index(process, file);
	mf_fd_hold(process, file);
	return 0;
}

static void remove_name(struct mf_process *process, const struct mf_shm *shm)
{
	const struct mf_fd *file = mf_fd_at(process, shm->file);

	*shm_rw(process, shm) = (struct mf_shm){.file = 0};
	mf_fd_drop(process, file);
}

/* A file of its own, under that name. */
static int create(struct mf_process *process, const char *name, mode_t mode)
{
	int64_t fd = mf_memfd_make(process, 0);
	const struct mf_fd *file;
	int ret;

	if (fd < 0)
		return (int)fd;
	file = mf_fd_get(process, (uint64_t)fd);
	fchmod(file->host, mode); /* told by fstat, where the confinement lets it */
	ret = add_name(process, name, file);
	mf_fd_close(process, (uint64_t)fd);
	return ret;
}

/* Another description of a file that has a name. */
static int64_t open_file(struct mf_process *process, const struct mf_fd *file, int flags)
{
	struct mf_fd entry = {.kind = MF_FD_FILE,
			      .marks = MF_FD_IS_MEMFD | MF_FD_IS_SHM,
			      .flags = (uint32_t)flags &
				       ~(uint32_t)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC),
			      .object = mf_fd_index(process, file)};
	int64_t fd;

	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	entry.host = fcntl(file->host, F_DUPFD_CLOEXEC, 3);
	if (entry.host < 0)
		return -errno;
	fd = mf_fd_install(process, &entry, 0);
	if (fd < 0) {
		close(entry.host);
		return fd;
	}
	mf_fd_hold(process, file);
	if (flags & O_TRUNC && !(flags & O_PATH) && !ftruncate(entry.host, 0))
		mf_memfd_settle(process, file);
	return fd;
}

int64_t mf_shm_open(struct mf_process *process, const char *name, int flags, mode_t mode)
{
	const struct mf_shm *shm = find(process, name);
	bool creates = flags & O_CREAT && !(flags & O_PATH);
	bool fresh = !shm;
	int64_t fd;
	int ret = 0;

	if (shm && creates && flags & O_EXCL)
		return -EEXIST;
	if (!shm && !creates)
		return -ENOENT;
	if (!shm)
		ret = create(process, name, mode);
	if (ret)
		return ret;
	shm = find(process, name);
	fd = open_file(process, mf_fd_at(process, shm->file), flags);
	if (fd < 0 && fresh)
		remove_name(process, shm);
	return fd;
}

int mf_shm_host(const struct mf_process *process, const char *name)
{
	const struct mf_shm *shm = find(process, name);

	return shm ? mf_fd_at(process, shm->file)->host : -ENOENT;
}

int mf_shm_unlink(struct mf_process *process, const char *name)
{
	const struct mf_shm *shm = find(process, name);

	if (!shm)
		return -ENOENT;
	remove_name(process, shm);
	return 0;
}

int mf_shm_link(struct mf_process *process, const char *from, const char *to)
{
	const struct mf_shm *shm = find(process, from);

	if (!shm)
		return -ENOENT;
	return find(process, to) ? -EEXIST : add_name(process, to, mf_fd_at(process, shm->file));
}

int mf_shm_rename(struct mf_process *process, const char *from, const char *to, uint32_t flags)
{
	const struct mf_shm *shm = find(process, from);
	const struct mf_shm *other = find(process, to);
	uint32_t file;

	if (!shm || (!other && flags & RENAME_EXCHANGE))
		return -ENOENT;
	if (other && flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (strlen(to) >= sizeof(shm->name))
		return -ENAMETOOLONG;
	if (flags & RENAME_EXCHANGE) {
		file = shm->file;
		shm_rw(process, shm)->file = other->file;
		shm_rw(process, other)->file = file;
		return 0;
	}
	if (other == shm || (other && other->file == shm->file))
		return 0; /* two names of one file stay (rename(2)) */
	if (other)
		remove_name(process, other);
	strcpy(shm_rw(process, shm)->name, to);
	return 0;
}

const char *mf_shm_next(const struct mf_process *process, uint32_t from, uint32_t *at)
{
	for (*at = from; *at < MF_SHM_NAMES; ++*at)
		if (mf_linux(process)->shm[*at].name[0])
			return mf_linux(process)->shm[*at].name;
	return NULL;
}

const char *mf_shm_of(const struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < MF_SHM_NAMES && entry->marks & MF_FD_IS_SHM; i++)
		if (lx->shm[i].name[0] && lx->shm[i].file == entry->object)
			return lx->shm[i].name;
	return NULL;
}
