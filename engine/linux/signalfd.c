/* SPDX-License-Identifier: MIT */
/* signalfd: a descriptor that reads what waits for the thread that reads (Linux fs/signalfd.c). */
#include "engine/linux/signalfd.h"
#include "engine/linux/io.h"
#include "engine/linux/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#define SET_BYTES 8

/* Codes that the kernel gives for a signal of that number alone (siginfo_layout). */
static bool is_kernels_own(int32_t code)
{
	return code > SI_USER && code < SI_KERNEL;
}

static struct signalfd_siginfo tell(const struct mf_siginfo *info)
{
	struct signalfd_siginfo told = {
		.ssi_signo = (uint32_t)info->signo,
		.ssi_errno = info->error,
		.ssi_code = info->code,
	};

	if (is_kernels_own(info->code)) {
		told.ssi_addr = info->address;
	} else if (info->code == SI_TIMER) {
		told.ssi_tid = (uint32_t)info->timer.id;
		told.ssi_overrun = (uint32_t)info->timer.overrun;
		told.ssi_ptr = info->timer.value;
		told.ssi_int = (int32_t)info->timer.value;
	} else {
		told.ssi_pid = (uint32_t)info->sent.pid;
		told.ssi_uid = info->sent.uid;
		told.ssi_ptr = info->code < 0 ? info->sent.value : 0;
		told.ssi_int = (int32_t)told.ssi_ptr;
	}
	return told;
}

static int64_t read_signalfd(struct mf_process *process, const struct mf_fd *entry,
			     struct mf_cursor *cursor, const struct mf_io *io)
{
	struct mf_siginfo info;
	int64_t done = 0;

	if (cursor->left < sizeof(struct signalfd_siginfo))
		return -EINVAL;
	while (cursor->left >= sizeof(struct signalfd_siginfo) &&
	       mf_signal_take(process, entry->offset, &info)) {
		struct signalfd_siginfo told = tell(&info);

		/* As Linux: a bad address loses what was read. */
		if (mf_cursor_put(cursor, &told, sizeof(told)) < sizeof(told))
			return done ? done : -EFAULT;
		done += (int64_t)sizeof(told);
	}
	return done ? done : mf_fd_block(process, entry, io, POLLIN);
}

static short poll_signalfd(struct mf_process *process, const struct mf_fd *entry)
{
	return mf_signal_pending(process) & entry->offset ? POLLIN : 0;
}

static void close_signalfd(struct mf_process *process, const struct mf_fd *entry)
{
	(void)entry;
	MF_DIRTY(process, signalfds)--;
}

const struct mf_fd_ops mf_signalfd_ops = {
	.name = "anon_inode:[signalfd]",
	.traits = MF_FD_POLLS,
	.read = read_signalfd,
	.poll = poll_signalfd,
	.seek = mf_fd_seek_nowhere,
	.close = close_signalfd,
};

void mf_signalfd_notify(struct mf_process *process, int signo)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t left = lx->signalfds;
	uint32_t i;

	for (i = 0; left && i < lx->fds_high; i++) {
		const struct mf_fd *entry = mf_fd_at(process, i);

		if (!entry || !entry->users || entry->kind != MF_FD_SIGNALFD)
			continue;
		left--;
		if (entry->offset & MF_SIGBIT(signo))
			mf_fd_notify(process, entry, POLLIN);
	}
}

static int64_t make(struct mf_process *process, uint64_t set, uint32_t flags)
{
	struct mf_fd entry = {
		.kind = MF_FD_SIGNALFD, .host = -1, .offset = set, .flags = flags | O_RDWR};
	int64_t fd = mf_fd_install(process, &entry, 0);

	if (fd >= 0)
		MF_DIRTY(process, signalfds)++;
	return fd;
}

static int64_t change(struct mf_process *process, int64_t fd, uint64_t set)
{
	const struct mf_fd *entry = mf_fd_get(process, (uint64_t)fd);

	if (!entry || entry->flags & O_PATH)
		return -EBADF;
	if (entry->kind != MF_FD_SIGNALFD)
		return -EINVAL;
	mf_fd_rw(process, entry)->offset = set;
	if (mf_signal_pending(process) & set)
		mf_fd_notify(process, entry, POLLIN);
	return fd;
}

static int64_t make_or_change(struct mf_process *process, const uint64_t arg[6], uint32_t flags)
{
	uint64_t set;

	if (arg[2] != SET_BYTES)
		return -EINVAL;
	if (mf_guest_read(process, arg[1], &set, sizeof(set)))
		return -EFAULT;
	if (flags & ~(uint32_t)(SFD_CLOEXEC | SFD_NONBLOCK))
		return -EINVAL;
	set &= ~MF_SIGNALS_FIXED;
	return (int32_t)arg[0] == -1 ? make(process, set, flags)
				     : change(process, (int32_t)arg[0], set);
}

int64_t mf_sys_signalfd(struct mf_process *process, const uint64_t arg[6])
{
	return make_or_change(process, arg, 0);
}

int64_t mf_sys_signalfd4(struct mf_process *process, const uint64_t arg[6])
{
	return make_or_change(process, arg, (uint32_t)arg[3]);
}
