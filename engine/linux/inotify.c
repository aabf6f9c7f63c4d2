/* SPDX-License-Identifier: MIT */
/*
 * Watching files: the host's inotify, to which the program names only files that it may read.
 * A description of it cannot be put back or shared, so that only a program that is never frozen has
 * it; the others are told what a kernel without it says, and look for themselves.
 */
#include "engine/linux/files.h"
#include "engine/linux/io.h"
#include "engine/linux/system.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define EVENTS_BYTES 16384u

/* Whole events, as many as fit into what the program gives. */
static int64_t read_inotify(struct mf_process *process, const struct mf_fd *entry,
			    struct mf_cursor *cursor, const struct mf_io *io)
{
	size_t room = cursor->left < EVENTS_BYTES ? cursor->left : EVENTS_BYTES;
	char events[EVENTS_BYTES];
	ssize_t got = TEMP_FAILURE_RETRY(read(entry->host, events, room));

	if (got < 0)
		return errno == EAGAIN ? mf_fd_block(process, entry, io, POLLIN) : -errno;
	return mf_cursor_put(cursor, events, (size_t)got) == (size_t)got ? got : -EFAULT;
}

static int host_of(const struct mf_process *process, const struct mf_fd *entry)
{
	(void)process;
	return entry->host;
}

static int64_t ioctl_inotify(struct mf_process *process, const struct mf_fd *entry,
			     uint32_t request, uint64_t arg)
{
	int bytes;

	if (request != FIONREAD)
		return -ENOTTY;
	if (ioctl(entry->host, FIONREAD, &bytes))
		return -errno;
	return mf_guest_write(process, arg, &bytes, sizeof(bytes));
}

static int stat_inotify(struct mf_process *process, const struct mf_fd *entry, struct stat *st)
{
	(void)entry;
	mf_fd_stat_anon(process, st);
	return 0;
}

static int freeze_inotify(const struct mf_process *process, const struct mf_fd *entry,
			  struct mf_error *err)
{
	(void)process;
	(void)entry;
	return mf_error_set(err, -EBUSY, "the program watches files, which forks cannot share");
}

const struct mf_fd_ops mf_inotify_ops = {
	.name = "anon_inode:inotify",
	.traits = MF_FD_HAS_HOST | MF_FD_POLLS,
	.read = read_inotify,
	.host = host_of,
	.stat = stat_inotify,
	.ioctl = ioctl_inotify,
	.seek = mf_fd_seek_nowhere,
	.freeze = freeze_inotify,
};

static bool may_be_frozen(const struct mf_process *process)
{
	return process->vm.mem.memfd >= 0 || process->vm.mem.backing;
}

static int64_t make(struct mf_process *process, uint32_t flags)
{
	struct mf_fd entry = {.kind = MF_FD_INOTIFY, .flags = flags & (O_NONBLOCK | O_CLOEXEC)};
	int64_t fd;

	if (may_be_frozen(process) || !process->policy->permit)
		return -ENOSYS;
	if (flags & ~(uint32_t)(IN_CLOEXEC | IN_NONBLOCK))
		return -EINVAL;
	entry.host = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (entry.host < 0)
		return errno == EPERM ? -ENOSYS : -errno; /* the engine may open no file at all */
	fd = mf_fd_install(process, &entry, 0);
	if (fd < 0)
		close(entry.host);
	return fd;
}

int64_t mf_sys_inotify_init(struct mf_process *process, const uint64_t arg[6])
{
	(void)arg;
	return make(process, 0);
}

int64_t mf_sys_inotify_init1(struct mf_process *process, const uint64_t arg[6])
{
	return make(process, (uint32_t)arg[0]);
}

/* One of these, or NULL with -ENOSYS, -EBADF or -EINVAL. */
static const struct mf_fd *get(const struct mf_process *process, uint64_t fd, int *ret)
{
	const struct mf_fd *entry = mf_fd_get(process, fd);

	*ret = may_be_frozen(process)         ? -ENOSYS
	       : !entry                       ? -EBADF
	       : entry->kind != MF_FD_INOTIFY ? -EINVAL
					      : 0;
	return *ret ? NULL : entry;
}

/* The file by its name: a descriptor that leads there and nowhere else. What the engine makes up
 * never changes for a watcher. */
static int open_watched(struct mf_process *process, uint64_t va, uint32_t mask)
{
	struct mf_system_node node;
	struct mf_name name;
	int ret = mf_name_get(process, (uint64_t)AT_FDCWD, va, &name);

	if (!ret)
		ret = mf_system_follow(process, &name, !(mask & IN_DONT_FOLLOW));
	if (ret)
		return ret;
	if (mf_system_find(process, name.text, &node))
		return -EACCES;
	return mf_name_open(process, &name, MF_PERMIT_READ,
			    O_PATH | (mask & IN_DONT_FOLLOW ? O_NOFOLLOW : 0), 0);
}

int64_t mf_sys_inotify_add_watch(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t mask = (uint32_t)arg[2];
	char link[40];
	int ret, host;
	const struct mf_fd *entry = get(process, arg[0], &ret);

	if (!entry)
		return ret;
	if (!(mask & (IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR |
		      IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_MASK_CREATE | IN_MASK_ADD | IN_ISDIR |
		      IN_ONESHOT)))
		return -EINVAL;
	host = open_watched(process, arg[1], mask);
	if (host < 0)
		return host;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", host);
	ret = inotify_add_watch(entry->host, link, mask & ~(uint32_t)IN_DONT_FOLLOW);
	ret = ret < 0 ? -errno : ret;
	close(host);
	return ret;
}

int64_t mf_sys_inotify_rm_watch(struct mf_process *process, const uint64_t arg[6])
{
	int ret;
	const struct mf_fd *entry = get(process, arg[0], &ret);

	if (!entry)
		return ret;
	return inotify_rm_watch(entry->host, (int)arg[1]) ? -errno : 0;
}
