/* SPDX-License-Identifier: MIT */
/* Readiness of descriptions: who knows it, who waits for it, and telling those who do. */
#include "engine/linux/fd.h"
#include "engine/linux/signal.h"
#include "engine/linux/wait.h"
#include "engine/linux/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALWAYS_READY (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)
#define EVERYTHING   (ALWAYS_READY | POLLPRI | POLLRDBAND | POLLWRBAND | POLLRDHUP)
#define ANON_INODE   1 /* all of them share one, as on Linux */

short mf_fd_poll(struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_fd_ops *ops = mf_fd_ops(entry);
	int host = ops->host ? ops->host(process, entry) : -1;
	struct pollfd pollfd = {.fd = host, .events = EVERYTHING};

	if (host >= 0)
		return poll(&pollfd, 1, 0) > 0 ? pollfd.revents : 0;
	return ops->poll ? ops->poll(process, entry) : ALWAYS_READY;
}

uint64_t mf_fd_object(const struct mf_process *process, const struct mf_fd *entry, short events)
{
	const struct mf_fd_ops *ops = mf_fd_ops(entry);

	if (ops->object)
		return ops->object(process, entry, events);
	return MF_WAIT_FD(mf_fd_index(process, entry), events & POLLOUT);
}

void mf_fd_notify(struct mf_process *process, const struct mf_fd *entry, short events)
{
	if (events & ~(POLLOUT | POLLWRNORM))
		mf_wait_wake(process, mf_fd_object(process, entry, POLLIN));
	if (events & ~(POLLIN | POLLRDNORM))
		mf_wait_wake(process, mf_fd_object(process, entry, POLLOUT));
	mf_wait_wake(process, MF_WAIT_FDS);
	mf_watch_notify(process, entry, events);
}

int64_t mf_fd_block(struct mf_process *process, const struct mf_fd *entry, const struct mf_io *io,
		    short events)
{
	const struct mf_fd_ops *ops = mf_fd_ops(entry);
	int host = ops->host ? ops->host(process, entry) : -1;

	if (io->flags & O_NONBLOCK)
		return -EAGAIN;
	if (host >= 0)
		return mf_wait_host(process, host, events);
	return mf_wait_object(process, mf_fd_object(process, entry, events), MF_FOREVER);
}

void mf_fd_stat_anon(const struct mf_process *process, struct stat *st)
{
	const struct mf_ids *ids = &mf_linux(process)->ids;

	*st = (struct stat){.st_mode = 0600,
			    .st_nlink = 1,
			    .st_blksize = MF_PAGE,
			    .st_ino = ANON_INODE,
			    .st_uid = ids->uid[MF_ID_FILES],
			    .st_gid = ids->gid[MF_ID_FILES]};
}

int64_t mf_fd_broken_pipe(struct mf_process *process)
{
	return mf_process_signal(process, SIGPIPE) == MF_SYS_EXIT ? MF_SYS_EXIT : -EPIPE;
}

int64_t mf_fd_seek_nowhere(struct mf_process *process, const struct mf_fd *entry, int64_t offset,
			   uint64_t whence)
{
	(void)process;
	(void)entry;
	(void)offset;
	(void)whence;
	return 0;
}
