/* SPDX-License-Identifier: MIT */
/* Parts of files: copied from one to another, read ahead, written to the disk. */
#include "engine/linux/io.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define COPY_BYTES (64u << 20) /* of one call: it is made on the engine's thread */

/* A regular file that may be read, or written; -EBADF, -EISDIR, -EINVAL. */
static int file_of(const struct mf_process *process, uint64_t fd, bool writes,
		   const struct mf_fd **entry)
{
	*entry = mf_fd_get(process, fd);
	if (!*entry || (*entry)->flags & O_PATH ||
	    ((*entry)->flags & O_ACCMODE) == (writes ? O_RDONLY : O_WRONLY))
		return (*entry && (*entry)->kind == MF_FD_DIR && !((*entry)->flags & O_PATH))
			       ? -EISDIR
			       : -EBADF;
	if ((*entry)->kind == MF_FD_DIR)
		return -EISDIR;
	return (*entry)->kind == MF_FD_FILE ? 0 : -EINVAL;
}

static int offset_of(struct mf_process *process, const struct mf_fd *entry, uint64_t va, off_t *at)
{
	*at = va ? 0 : (off_t)mf_file_offset(entry);
	return va && mf_guest_read(process, va, at, sizeof(*at)) ? -EFAULT : 0;
}

static int move_on(struct mf_process *process, const struct mf_fd *entry, uint64_t va, off_t at)
{
	if (va)
		return mf_guest_write(process, va, &at, sizeof(at));
	mf_file_move(process, entry, (uint64_t)at);
	return 0;
}

int64_t mf_sys_copy_file_range(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t bytes = arg[4] < COPY_BYTES ? arg[4] : COPY_BYTES;
	const struct mf_fd *in, *out;
	off_t from, to;
	ssize_t got;
	int ret;

	if (!mf_fd_get(process, arg[0]) || !mf_fd_get(process, arg[2]))
		return -EBADF;
	if ((uint32_t)arg[5])
		return -EINVAL;
	ret = file_of(process, arg[0], false, &in);
	if (!ret)
		ret = file_of(process, arg[2], true, &out);
	if (!ret && out->flags & O_APPEND)
		ret = -EBADF;
	if (!ret)
		ret = offset_of(process, in, arg[1], &from);
	if (!ret)
		ret = offset_of(process, out, arg[3], &to);
	if (ret)
		return ret;
	if (process->policy->disk)
		return -EOPNOTSUPP; /* the door knows writes, truncations and syncs */
	got = copy_file_range(in->host, &from, out->host, &to, bytes, 0);
	if (got <= 0)
		return got ? -errno : 0;
	ret = move_on(process, in, arg[1], from);
	if (!ret)
		ret = move_on(process, out, arg[3], to);
	return ret ? -EFAULT : got;
}

int64_t mf_sys_sync_file_range(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);

	if (!entry || entry->flags & O_PATH)
		return -EBADF;
	if ((int64_t)arg[1] < 0 || (int64_t)arg[2] < 0 || arg[1] + arg[2] > INT64_MAX ||
	    (uint32_t)arg[3] & ~7u)
		return -EINVAL;
	if (entry->host < 0 || !(mf_fd_ops(entry)->traits & MF_FD_HAS_HOST))
		return -ESPIPE;
	if (process->policy->disk)
		return -ENOSYS;
	return sync_file_range(entry->host, (off_t)arg[1], (off_t)arg[2], (unsigned int)arg[3])
		       ? -errno
		       : 0;
}

int64_t mf_sys_readahead(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);

	if (!entry || entry->flags & O_PATH || (entry->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (entry->kind != MF_FD_FILE)
		return -EINVAL;
	return -posix_fadvise(entry->host, (off_t)arg[1], (off_t)arg[2], POSIX_FADV_WILLNEED);
}

/* Of the file system, what the program has of it: its open files. */
static void sync_files(struct mf_process *process)
{
	uint32_t fd;

	for (fd = mf_fd_next(process, 0); fd < MF_FDS; fd = mf_fd_next(process, fd + 1)) {
		const struct mf_fd *entry = mf_fd_get(process, fd);

		if (entry->kind == MF_FD_FILE && !process->policy->disk)
			fsync(entry->host);
	}
}

int64_t mf_sys_sync(struct mf_process *process, const uint64_t arg[6])
{
	sync_files(process);
	return 0;
}

int64_t mf_sys_syncfs(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);

	if (!entry || entry->flags & O_PATH)
		return -EBADF;
	sync_files(process);
	return 0;
}
