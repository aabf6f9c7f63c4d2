/* SPDX-License-Identifier: MIT */
/* System calls about descriptors and what they refer to, other than reading, writing and names. */
#include "engine/linux/disk.h"
#include "engine/linux/io.h"
#include "engine/linux/filelock.h"
#include "engine/linux/memfd.h"
#include "engine/linux/pipe.h"
#include "engine/linux/rlimit.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLOSE_RANGE_CLOEXEC_ (1u << 2)

static int64_t result(long ret)
{
	return ret < 0 ? -errno : ret;
}

/* A regular file, or NULL with the errno that Linux has for anything else. */
static const struct mf_fd *regular(const struct mf_process *process, uint64_t fd, int other,
				   int64_t *ret)
{
	const struct mf_fd *entry = mf_fd_get(process, fd);

	*ret = entry ? other : -EBADF;
	return entry && entry->kind == MF_FD_FILE ? entry : NULL;
}

int64_t mf_sys_lseek(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);
	int64_t ret;

	if (!entry || entry->flags & O_PATH)
		return -EBADF;
	if (!mf_fd_ops(entry)->seek)
		return -ESPIPE;
	ret = mf_fd_ops(entry)->seek(process, entry, (int64_t)arg[1], (uint32_t)arg[2]);
	if (ret >= 0 && mf_fd_ops(entry)->traits & MF_FD_SEEKS && (uint64_t)ret != entry->offset)
		mf_fd_rw(process, entry)->offset = (uint64_t)ret;
	return ret;
}

int64_t mf_sys_close(struct mf_process *process, const uint64_t arg[6])
{
	return mf_fd_close(process, arg[0]);
}

int64_t mf_sys_close_range(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t first = (uint32_t)arg[0];
	uint32_t last = (uint32_t)arg[1];
	uint32_t flags = (uint32_t)arg[2];
	uint32_t fd;

	/* CLOSE_RANGE_UNSHARE (2) means nothing to a program of one process. */
	if (first > last || flags & ~(CLOSE_RANGE_CLOEXEC_ | 2u))
		return -EINVAL;
	for (fd = mf_fd_next(process, first); fd <= last && fd < MF_FDS;
	     fd = mf_fd_next(process, fd + 1)) {
		if (flags & CLOSE_RANGE_CLOEXEC_)
			mf_fd_set_cloexec(process, fd, true);
		else
			mf_fd_close(process, fd);
	}
	return 0;
}

int64_t mf_sys_dup(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);

	return entry ? mf_fd_share(process, entry, 0, false) : -EBADF;
}

int64_t mf_sys_dup2(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);

	if (!entry)
		return -EBADF;
	if ((uint32_t)arg[0] == (uint32_t)arg[1])
		return (int64_t)(uint32_t)arg[1];
	return mf_fd_share_at(process, entry, arg[1], false);
}

int64_t mf_sys_dup3(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);

	if (arg[2] & ~(uint64_t)O_CLOEXEC || (uint32_t)arg[0] == (uint32_t)arg[1])
		return -EINVAL;
	return entry ? mf_fd_share_at(process, entry, arg[1], arg[2] & O_CLOEXEC) : -EBADF;
}

/* Flags of a file that the host has to know: those that the description cannot just keep. */
static int set_host_flags(const struct mf_fd *entry, uint32_t mask, uint32_t value)
{
	int now = fcntl(entry->host, F_GETFL);

	if (now < 0)
		return -errno;
	if (!(((uint32_t)now ^ value) & mask))
		return 0;
	return fcntl(entry->host, F_SETFL, ((uint32_t)now & ~mask) | (value & mask)) ? -errno : 0;
}

static int64_t set_flags(struct mf_process *process, const struct mf_fd *entry, uint64_t flags)
{
	bool is_own = entry->kind == MF_FD_FILE && !mf_fd_host_is_shared(process, entry);
	uint32_t settable = O_APPEND | O_NONBLOCK | (entry->kind == MF_FD_PIPE ? O_DIRECT : 0) |
			    (is_own ? O_DIRECT | O_NOATIME : 0);
	uint32_t others = (O_DIRECT | O_NOATIME | O_ASYNC) & ~settable;
	uint32_t value = (uint32_t)flags;
	int ret = 0;

	/* Access mode and creation flags are ignored, as Linux does; the rest can only stay. */
	if ((value ^ entry->flags) & others)
		return -EINVAL;
	if (is_own)
		ret = set_host_flags(entry,
				     O_DIRECT | O_NOATIME |
					     (entry->marks & MF_FD_IS_STREAM ? O_APPEND : 0),
				     value);
	if (ret)
		return ret;
	mf_fd_rw(process, entry)->flags = (entry->flags & ~settable) | (value & settable);
	return 0;
}

/* What may be done with a descriptor that only names a file. */
static bool of_path(int command)
{
	return command == F_DUPFD || command == F_DUPFD_CLOEXEC || command == F_GETFD ||
	       command == F_SETFD || command == F_GETFL;
}

int64_t mf_sys_fcntl(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);

	if (!entry || (entry->flags & O_PATH && !of_path((int)arg[1])))
		return -EBADF;
	switch ((int)arg[1]) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		if ((uint32_t)arg[2] >= mf_fd_limit(process))
			return -EINVAL;
		return mf_fd_share(process, entry, (uint32_t)arg[2], arg[1] == F_DUPFD_CLOEXEC);
	case F_GETFD:
		return mf_fd_cloexec(process, arg[0]) ? FD_CLOEXEC : 0;
	case F_SETFD:
		mf_fd_set_cloexec(process, arg[0], arg[2] & FD_CLOEXEC);
		return 0;
	case F_GETFL:
		return entry->flags;
	case F_SETFL:
		return set_flags(process, entry, arg[2]);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return mf_lock_fcntl(process, entry, (int)arg[1], arg[2]);
	case F_ADD_SEALS:
	case F_GET_SEALS:
		return entry->kind == MF_FD_FILE
			       ? result(fcntl(entry->host, (int)arg[1], (int)arg[2]))
			       : -EINVAL;
	case F_GETOWN:
	case F_GETSIG:
		return 0; /* nobody: O_ASYNC cannot be set */
	case F_GETPIPE_SZ:
		return entry->kind == MF_FD_PIPE ? mf_pipe_size(process, entry) : -EBADF;
	case F_SETPIPE_SZ:
		return entry->kind == MF_FD_PIPE ? mf_pipe_resize(process, entry, arg[2]) : -EBADF;
	default:
		return -EINVAL;
	}
}

static int64_t set_nonblock(struct mf_process *process, const struct mf_fd *entry, uint64_t from)
{
	struct mf_fd *to;
	int on;

	if (mf_guest_read(process, from, &on, sizeof(on)))
		return -EFAULT;
	to = mf_fd_rw(process, entry);
	to->flags = on ? to->flags | O_NONBLOCK : to->flags & ~(uint32_t)O_NONBLOCK;
	return 0;
}

int64_t mf_sys_ioctl(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);

	if (!entry || entry->flags & O_PATH)
		return -EBADF;
	switch ((uint32_t)arg[1]) {
	case FIONBIO:
		return set_nonblock(process, entry, arg[2]);
	case FIOCLEX:
	case FIONCLEX:
		mf_fd_set_cloexec(process, arg[0], (uint32_t)arg[1] == FIOCLEX);
		return 0;
	default:
		if (!mf_fd_ops(entry)->ioctl)
			return -ENOTTY;
		return mf_fd_ops(entry)->ioctl(process, entry, (uint32_t)arg[1], arg[2]);
	}
}

/* What the disk answers: its thread is at it, or the result. */
static int64_t parked(int result_of_disk)
{
	return result_of_disk == -EINPROGRESS ? MF_SYS_WAIT : result_of_disk;
}

int64_t mf_sys_ftruncate(struct mf_process *process, const uint64_t arg[6])
{
	int64_t ret;
	const struct mf_fd *entry = regular(process, arg[0], -EINVAL, &ret);

	if (!entry)
		return ret;
	if ((int64_t)arg[1] > 0)
		ret = mf_limit_file_size(process, arg[1]);
	if ((int64_t)arg[1] > 0 && ret)
		return ret;
	if (process->policy->disk)
		return parked(mf_disk_truncate(process, entry->host, arg[1]));
	ret = (int64_t)arg[1] > 0 ? mf_memfd_grow(process, entry, arg[1]) : 0;
	if (!ret)
		ret = result(ftruncate(entry->host, (off_t)arg[1]));
	mf_memfd_settle(process, entry);
	return ret;
}

static int64_t sync_file(struct mf_process *process, uint64_t fd, bool data_only)
{
	const struct mf_fd *entry = mf_fd_get(process, fd);

	if (!entry)
		return -EBADF;
	if (entry->kind != MF_FD_FILE && entry->kind != MF_FD_DIR)
		return -EINVAL;
	if (process->policy->disk)
		return parked(mf_disk_sync(process, entry->host, data_only));
	return result(data_only ? fdatasync(entry->host) : fsync(entry->host));
}

int64_t mf_sys_fsync(struct mf_process *process, const uint64_t arg[6])
{
	return sync_file(process, arg[0], false);
}

int64_t mf_sys_fdatasync(struct mf_process *process, const uint64_t arg[6])
{
	return sync_file(process, arg[0], true);
}

int64_t mf_sys_fallocate(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);
	int64_t ret;

	if (!entry || entry->flags & O_PATH)
		return -EBADF;
	if ((int64_t)arg[2] < 0 || (int64_t)arg[3] <= 0)
		return -EINVAL;
	if (entry->kind != MF_FD_FILE && (entry->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (entry->kind == MF_FD_PIPE)
		return -ESPIPE;
	if (entry->kind != MF_FD_FILE)
		return -ENODEV;
	if (process->policy->disk)
		return -EOPNOTSUPP; /* the door knows writes, truncations and syncs */
	if (__builtin_add_overflow((int64_t)arg[2], (int64_t)arg[3], &ret))
		return -EFBIG;
	ret = arg[1] & FALLOC_FL_KEEP_SIZE ? 0 : mf_limit_file_size(process, arg[2] + arg[3]);
	if (!ret)
		ret = mf_memfd_grow(process, entry, arg[2] + arg[3]);
	if (!ret)
		ret = result(fallocate(entry->host, (int)arg[1], (off_t)arg[2], (off_t)arg[3]));
	mf_memfd_settle(process, entry);
	return ret;
}

int64_t mf_sys_fadvise64(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);

	if (!entry)
		return -EBADF;
	if (entry->kind == MF_FD_PIPE)
		return -ESPIPE;
	if (entry->kind != MF_FD_FILE)
		return (int)arg[3] < 0 || (int)arg[3] > POSIX_FADV_NOREUSE ? -EINVAL : 0;
	return -posix_fadvise(entry->host, (off_t)arg[1], (off_t)arg[2], (int)arg[3]);
}
