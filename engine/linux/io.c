/* SPDX-License-Identifier: MIT */
/* Reading and writing: what the calls have in common. The rest is the kinds' (struct mf_fd_ops). */
#include "engine/linux/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>

/* What a call returns that moved `done` bytes and then met `error` (0: the end, or a bad address).
 */
int64_t mf_io_outcome(const struct mf_cursor *cursor, uint64_t done, int64_t error, bool fault)
{
	if (done)
		return (int64_t)done;
	return error ? error : fault && cursor->left ? -EFAULT : 0;
}

int64_t mf_io_read(struct mf_process *process, const struct mf_fd *entry, struct mf_cursor *cursor,
		   const struct mf_io *io)
{
	const struct mf_fd_ops *ops = mf_fd_ops(entry);

	if ((entry->flags & O_ACCMODE) == O_WRONLY || entry->flags & O_PATH)
		return -EBADF;
	if (io->at != MF_OWN_OFFSET && !(ops->traits & MF_FD_SEEKS))
		return -ESPIPE;
	return ops->read ? ops->read(process, entry, cursor, io) : -EINVAL;
}

int64_t mf_io_write(struct mf_process *process, const struct mf_fd *entry, struct mf_cursor *cursor,
		    const struct mf_io *io)
{
	const struct mf_fd_ops *ops = mf_fd_ops(entry);

	if ((entry->flags & O_ACCMODE) == O_RDONLY || entry->flags & O_PATH)
		return -EBADF;
	if (io->at != MF_OWN_OFFSET && !(ops->traits & MF_FD_SEEKS))
		return -ESPIPE;
	return ops->write ? ops->write(process, entry, cursor, io) : -EINVAL;
}

static int64_t move(struct mf_process *process, const struct mf_fd *entry, struct mf_cursor *cursor,
		    int64_t at, uint32_t flags)
{
	struct mf_io io = {.at = at, .flags = entry->flags | flags};

	return cursor->prot == MF_WRITE ? mf_io_read(process, entry, cursor, &io)
					: mf_io_write(process, entry, cursor, &io);
}

/* One buffer: read, write, pread64, pwrite64. */
static int64_t move_one(struct mf_process *process, const uint64_t arg[6], int prot, int64_t at)
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);
	struct mf_cursor cursor;
	struct mf_guest_iov one;

	if (!entry || entry->flags & O_PATH)
		return -EBADF;
	if (at < MF_OWN_OFFSET)
		return -EINVAL;
	if (arg[2] > INT64_MAX)
		return -EFAULT; /* a buffer that long is nobody's */
	mf_cursor_one(&cursor, process, &one, arg[1], arg[2], prot);
	return move(process, entry, &cursor, at, 0);
}

/* A list of buffers: readv, writev, preadv, pwritev. */
static int64_t move_list(struct mf_process *process, const uint64_t arg[6], int prot, int64_t at,
			 uint32_t flags)
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);
	struct mf_guest_iov iov[MF_IOVS];
	struct mf_cursor cursor;
	int ret;

	if (!entry || entry->flags & O_PATH)
		return -EBADF;
	if (at < MF_OWN_OFFSET)
		return -EINVAL;
	ret = mf_cursor_list(&cursor, process, iov, arg[1], arg[2], prot);
	if (ret)
		return ret;
	return move(process, entry, &cursor, at, flags);
}

/* An offset that the program gave: negative ones are no offset, -1 above all. */
static int64_t given(uint64_t offset)
{
	return (int64_t)offset < 0 ? INT64_MIN : (int64_t)offset;
}

int64_t mf_sys_read(struct mf_process *process, const uint64_t arg[6])
{
	return move_one(process, arg, MF_WRITE, MF_OWN_OFFSET);
}

int64_t mf_sys_write(struct mf_process *process, const uint64_t arg[6])
{
	return move_one(process, arg, MF_READ, MF_OWN_OFFSET);
}

int64_t mf_sys_readv(struct mf_process *process, const uint64_t arg[6])
{
	return move_list(process, arg, MF_WRITE, MF_OWN_OFFSET, 0);
}

int64_t mf_sys_writev(struct mf_process *process, const uint64_t arg[6])
{
	return move_list(process, arg, MF_READ, MF_OWN_OFFSET, 0);
}

int64_t mf_sys_pread64(struct mf_process *process, const uint64_t arg[6])
{
	return move_one(process, arg, MF_WRITE, given(arg[3]));
}

int64_t mf_sys_pwrite64(struct mf_process *process, const uint64_t arg[6])
{
	return move_one(process, arg, MF_READ, given(arg[3]));
}

int64_t mf_sys_preadv(struct mf_process *process, const uint64_t arg[6])
{
	return move_list(process, arg, MF_WRITE, given(arg[3]), 0);
}

int64_t mf_sys_pwritev(struct mf_process *process, const uint64_t arg[6])
{
	return move_list(process, arg, MF_READ, given(arg[3]), 0);
}

/* What the flags of one call add to the description's. -EOPNOTSUPP, as Linux: unknown ones. */
static int64_t of_rwf(uint64_t rwf, uint32_t *flags)
{
	if (rwf & ~(uint64_t)(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND))
		return -EOPNOTSUPP;
	*flags = (rwf & RWF_APPEND ? O_APPEND : 0) | (rwf & (RWF_DSYNC | RWF_SYNC) ? O_DSYNC : 0) |
		 (rwf & RWF_NOWAIT ? O_NONBLOCK : 0);
	return 0;
}

/* An offset of -1 is the description's own. */
static int64_t move_list_2(struct mf_process *process, const uint64_t arg[6], int prot)
{
	int64_t at = (int64_t)arg[3] == -1 ? MF_OWN_OFFSET : given(arg[3]);
	uint32_t flags = 0;
	int64_t ret = of_rwf((uint32_t)arg[5], &flags);

	return ret ? ret : move_list(process, arg, prot, at, flags);
}

int64_t mf_sys_preadv2(struct mf_process *process, const uint64_t arg[6])
{
	return move_list_2(process, arg, MF_WRITE);
}

int64_t mf_sys_pwritev2(struct mf_process *process, const uint64_t arg[6])
{
	return move_list_2(process, arg, MF_READ);
}
