/* SPDX-License-Identifier: MIT */
/* Standard input, output and error: the engine's own, or what the role makes of them. */
#include "engine/linux/io.h"
#include "engine/image/guest.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define TERMIOS_BYTES 36u /* the kernel's struct termios */
#define LOOK_AGAIN_NS 2000000ull

static bool is_ready(int host, short events)
{
	struct pollfd pollfd = {.fd = host, .events = events};

	return poll(&pollfd, 1, 0) > 0;
}

/* What the program may do with a file or with nothing is as it would be outside. Not when what it
 * prints is counted: that goes through one place. */
static struct mf_fd of_host(const struct mf_process *process, int host, int fd, uint32_t flags)
{
	struct mf_fd entry = {.kind = MF_FD_STDIO, .host = fd, .flags = flags};
	struct stat st;

	if (process->policy->output_limit || fstat(host, &st))
		return entry;
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) {
		entry.kind = MF_FD_CHAR;
		entry.host = MF_CHAR_NULL;
	} else if (S_ISREG(st.st_mode)) {
		/* The program may close it; the engine's own stays open. */
		host = fcntl(host, F_DUPFD_CLOEXEC, 3);
		if (host >= 0)
			entry = (struct mf_fd){.kind = MF_FD_FILE,
					       .marks = MF_FD_IS_STREAM,
					       .host = host,
					       .flags = flags};
	}
	return entry;
}

struct mf_fd mf_stdio_entry(const struct mf_process *process, int fd)
{
	struct mf_fd entry = {.kind = MF_FD_STDIO, .host = fd, .flags = fd ? O_WRONLY : O_RDONLY};
	int host = mf_fd_host(process, &entry);
	int flags = host >= 0 && process->policy->stdio_is_host ? fcntl(host, F_GETFL) : -1;

	return flags < 0 ? entry
			 : of_host(process, host, fd, (uint32_t)flags & (O_ACCMODE | O_APPEND));
}

/* The host descriptor that decides, or -1: always ready. */
static int host_of(const struct mf_process *process, const struct mf_fd *entry)
{
	if (entry->host && !process->policy->stdio_is_host)
		return -1;
	return mf_fd_host(process, entry);
}

/* What is there now; end of file without a host descriptor. */
static int64_t read_stdio(struct mf_process *process, const struct mf_fd *entry,
			  struct mf_cursor *cursor, const struct mf_io *io)
{
	int host = mf_fd_host(process, entry);
	struct iovec pieces[MF_PIECES];
	ssize_t got;
	int count;

	if (host < 0 || !cursor->left)
		return 0;
	if (!is_ready(host, POLLIN))
		return mf_fd_block(process, entry, io, POLLIN);
	if (!mf_cursor_pieces(cursor, pieces, &count))
		return -EFAULT;
	got = TEMP_FAILURE_RETRY(readv(host, pieces, count));
	if (got < 0)
		return errno == EAGAIN ? mf_fd_block(process, entry, io, POLLIN) : -errno;
	mf_cursor_advance(cursor, pieces, (size_t)got);
	return got;
}

/* Bytes that this run may still print. */
static uint64_t output_budget(const struct mf_process *process)
{
	uint64_t limit = process->policy->output_limit;

	if (!limit)
		return UINT64_MAX;
	return limit > process->output_bytes ? limit - process->output_bytes : 0;
}

/* Hand one piece to the role: bytes taken, or -ENOSPC over the limit, or its errno. */
static int64_t print_piece(struct mf_process *process, int fd, const struct iovec *piece)
{
	const struct mf_policy *policy = process->policy;
	uint64_t budget = output_budget(process);
	size_t bytes = piece->iov_len < budget ? piece->iov_len : budget;
	ssize_t got = (ssize_t)bytes;

	if (!bytes)
		return -ENOSPC;
	if (policy->output)
		got = policy->output(policy->output_cookie, fd, piece->iov_base, bytes);
	if (got > 0)
		process->output_bytes += (uint64_t)got;
	return got;
}

static int64_t write_stdio(struct mf_process *process, const struct mf_fd *entry,
			   struct mf_cursor *cursor, const struct mf_io *io)
{
	struct iovec pieces[MF_PIECES];
	uint64_t done = 0;
	int64_t got = 1;
	int count, i;

	while (got > 0 && !(done && process->vm.kicked) &&
	       mf_cursor_pieces(cursor, pieces, &count)) {
		for (i = 0; i < count && got > 0; i++) {
			got = print_piece(process, entry->host, &pieces[i]);
			if (got <= 0)
				break;
			mf_cursor_advance(cursor, &pieces[i], (size_t)got);
			done += (uint64_t)got;
			if ((size_t)got < pieces[i].iov_len)
				return (int64_t)done;
		}
	}
	if (done || got >= 0)
		return mf_io_outcome(cursor, done, 0, true);
	if (got == -EAGAIN && io->flags & O_NONBLOCK)
		return got;
	if (got == -EAGAIN)
		return mf_wait_host(process, entry->host, POLLOUT);
	return got == -EPIPE ? mf_fd_broken_pipe(process) : got;
}

/* Ask the host about a terminal, if the standard descriptors are the host's. */
static int64_t ask_terminal(struct mf_process *process, const struct mf_fd *entry,
			    unsigned long request, uint64_t to, size_t bytes)
{
	int host = mf_fd_host(process, entry);
	char answer[64] = {0};

	if (!process->policy->stdio_is_host || host < 0)
		return -ENOTTY;
	if (ioctl(host, request, answer))
		return errno == EPERM ? -ENOTTY : -errno;
	return mf_guest_write(process, to, answer, bytes);
}

/* The other way: a program on the caller's own terminal may set its mode, as it natively could. */
static int64_t set_terminal(struct mf_process *process, const struct mf_fd *entry,
			    unsigned long request, uint64_t from)
{
	int host = mf_fd_host(process, entry);
	char mode[64] = {0};

	if (!process->policy->stdio_is_host || host < 0 || !isatty(host))
		return -ENOTTY;
	if (mf_guest_read(process, from, mode, TERMIOS_BYTES))
		return -EFAULT;
	return ioctl(host, request, mode) ? -errno : 0;
}

/* Is it the terminal of the caller's session? Then the program may have it as /dev/tty. */
static bool is_controlling(const struct mf_process *process, int host)
{
	pid_t session;

	return process->policy->stdio_is_host && host >= 0 && !ioctl(host, TIOCGSID, &session);
}

bool mf_stdio_terminal(const struct mf_process *process, int flags, struct mf_fd *entry)
{
	static const int order[] = {0, 2, 1};
	size_t i;

	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		int host, had, want = flags & O_ACCMODE;

		*entry = (struct mf_fd){
			.kind = MF_FD_STDIO, .host = order[i], .flags = (uint32_t)flags};
		host = mf_fd_host(process, entry);
		had = host >= 0 ? fcntl(host, F_GETFL) & O_ACCMODE : -1;
		if ((had == O_RDWR || had == want) && is_controlling(process, host))
			return true;
	}
	return false;
}

/* The program is all of its session, and in front. */
static int64_t ask_group(struct mf_process *process, int host, uint32_t request, uint64_t arg)
{
	int32_t group = MF_GUEST_PID;

	if (!is_controlling(process, host))
		return -ENOTTY;
	if (request != TIOCSPGRP)
		return mf_guest_write(process, arg, &group, sizeof(group));
	if (mf_guest_read(process, arg, &group, sizeof(group)))
		return -EFAULT;
	return group == MF_GUEST_PID ? 0 : group < 0 ? -EINVAL : -ESRCH;
}

/* What takes a number: throwing away what waits, stopping and going on. */
static int64_t tell_terminal(struct mf_process *process, int host, uint32_t request, uint64_t arg)
{
	if (!process->policy->stdio_is_host || host < 0 || !isatty(host))
		return -ENOTTY;
	return ioctl(host, request, (unsigned long)(int)arg) ? -errno : 0;
}

/* tcdrain(): until the terminal has taken all. */
static int64_t drain_terminal(struct mf_process *process, int host, uint64_t arg)
{
	int bytes;

	if (!process->policy->stdio_is_host || host < 0 || !isatty(host) || !(int)arg)
		return -ENOTTY;
	if (ioctl(host, TIOCOUTQ, &bytes))
		return -errno;
	return bytes ? mf_wait_until(process, mf_vm_now_ns(&process->vm) + LOOK_AGAIN_NS) : 0;
}

static int64_t set_window(struct mf_process *process, int host, uint64_t from)
{
	struct winsize size;

	if (!process->policy->stdio_is_host || host < 0 || !isatty(host))
		return -ENOTTY;
	if (mf_guest_read(process, from, &size, sizeof(size)))
		return -EFAULT;
	return ioctl(host, TIOCSWINSZ, &size) ? -errno : 0;
}

static int64_t ioctl_stdio(struct mf_process *process, const struct mf_fd *entry, uint32_t request,
			   uint64_t arg)
{
	int host = mf_fd_host(process, entry);
	int bytes;

	switch (request) {
	case TCGETS:
		return ask_terminal(process, entry, TCGETS, arg, TERMIOS_BYTES);
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		return set_terminal(process, entry, request, arg);
	case TIOCGWINSZ:
		return ask_terminal(process, entry, TIOCGWINSZ, arg, sizeof(struct winsize));
	case TIOCSWINSZ:
		return set_window(process, host, arg);
	case TIOCGPGRP:
	case TIOCSPGRP:
	case TIOCGSID:
		return ask_group(process, host, request, arg);
	case TCFLSH:
	case TCXONC:
		return tell_terminal(process, host, request, arg);
	case TCSBRK:
		return drain_terminal(process, host, arg);
	case TIOCOUTQ:
		return ask_terminal(process, entry, TIOCOUTQ, arg, sizeof(int));
	case FIONREAD:
		if (host < 0 || !process->policy->stdio_is_host)
			return -ENOTTY;
		if (ioctl(host, FIONREAD, &bytes))
			return -errno;
		return mf_guest_write(process, arg, &bytes, sizeof(bytes));
	default:
		return -ENOTTY;
	}
}

/* Where it is not the host's to be asked about, it is as good as /dev/null. */
static int stat_stdio(struct mf_process *process, const struct mf_fd *entry, struct stat *st)
{
	int host = mf_fd_host(process, entry);

	if (host < 0 || !process->policy->stdio_is_host)
		mf_char_stat(st, MF_CHAR_NULL);
	else if (fstat(host, st))
		return -errno;
	return 0;
}

const struct mf_fd_ops mf_stdio_ops = {
	.name = "/dev/null",
	.traits = MF_FD_POLLS,
	.read = read_stdio,
	.write = write_stdio,
	.host = host_of,
	.ioctl = ioctl_stdio,
	.stat = stat_stdio,
};
