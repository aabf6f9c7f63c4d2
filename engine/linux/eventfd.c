/* SPDX-License-Identifier: MIT */
/* eventfd: a counter in its description (Linux fs/eventfd.c). */
#include "engine/linux/io.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

static int64_t read_eventfd(struct mf_process *process, const struct mf_fd *entry,
			    struct mf_cursor *cursor, const struct mf_io *io)
{
	uint64_t value = entry->object ? 1 : entry->offset;

	if (cursor->left < sizeof(value))
		return -EINVAL;
	if (!entry->offset)
		return mf_fd_block(process, entry, io, POLLIN);
	mf_fd_rw(process, entry)->offset -= value;
	mf_fd_notify(process, entry, POLLOUT);
	/* As Linux: a bad address loses what was read. */
	return mf_cursor_put(cursor, &value, sizeof(value)) < sizeof(value)
		       ? -EFAULT
		       : (int64_t)sizeof(value);
}

static int64_t write_eventfd(struct mf_process *process, const struct mf_fd *entry,
			     struct mf_cursor *cursor, const struct mf_io *io)
{
	uint64_t value;

	if (cursor->left < sizeof(value))
		return -EINVAL;
	if (mf_cursor_get(cursor, &value, sizeof(value)) < sizeof(value))
		return -EFAULT;
	if (value == UINT64_MAX)
		return -EINVAL;
	if (value > UINT64_MAX - 1 - entry->offset)
		return mf_fd_block(process, entry, io, POLLOUT);
	mf_fd_rw(process, entry)->offset += value;
	mf_fd_notify(process, entry, POLLIN);
	return (int64_t)sizeof(value);
}

static short poll_eventfd(struct mf_process *process, const struct mf_fd *entry)
{
	int events = 0;

	(void)process;
	events |= entry->offset ? POLLIN : 0;
	events |= entry->offset == UINT64_MAX ? POLLERR : 0;
	events |= entry->offset < UINT64_MAX - 1 ? POLLOUT : 0;
	return (short)events;
}

const struct mf_fd_ops mf_eventfd_ops = {
	.name = "anon_inode:[eventfd]",
	.traits = MF_FD_POLLS,
	.read = read_eventfd,
	.write = write_eventfd,
	.poll = poll_eventfd,
	.seek = mf_fd_seek_nowhere,
};

static int64_t make_eventfd(struct mf_process *process, uint64_t initial, uint64_t flags)
{
	struct mf_fd entry = {.kind = MF_FD_EVENTFD, .host = -1, .offset = (uint32_t)initial};

	if (flags & ~(uint64_t)(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK))
		return -EINVAL;
	entry.object = flags & EFD_SEMAPHORE ? 1 : 0;
	entry.flags = (uint32_t)(flags & (EFD_CLOEXEC | EFD_NONBLOCK)) | O_RDWR;
	return mf_fd_install(process, &entry, 0);
}

int64_t mf_sys_eventfd(struct mf_process *process, const uint64_t arg[6])
{
	return make_eventfd(process, arg[0], 0);
}

int64_t mf_sys_eventfd2(struct mf_process *process, const uint64_t arg[6])
{
	return make_eventfd(process, arg[0], (uint32_t)arg[1]);
}
