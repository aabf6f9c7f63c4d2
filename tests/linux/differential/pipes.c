/* SPDX-License-Identifier: MIT */
/* Pipes and event counters in detail: how they fill, what is ready when, what is refused. */
#include "case.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

static char big[1 << 20];

static void ready(const char *what, int fd)
{
	struct pollfd pollfd = {fd, POLLIN | POLLOUT | POLLPRI, 0};
	long count = SYS(poll, &pollfd, 1, 0);

	say("%s: %ld, %x", what, count, (unsigned int)pollfd.revents);
}

/* Write pieces of a size until there is no room: how many bytes went in. */
static long fill(int fd, size_t bytes)
{
	long total = 0, got;

	while ((got = SYS(write, fd, big, bytes)) > 0)
		total += got;
	return total;
}

static long drain(int fd, size_t bytes)
{
	long total = 0, got;

	while ((got = SYS(read, fd, big, bytes)) > 0)
		total += got;
	return total;
}

CASE(how_a_pipe_fills, write, read, poll)
{
	static const int sizes[] = {333,  1000, 3000,  4095,  4096,  4097,
				    5000, 8192, 12345, 65536, 200000};
	size_t i;
	int p[2];

	SYS(pipe2, p, O_NONBLOCK);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		say("pieces of %d: %ld", sizes[i], fill(p[1], (size_t)sizes[i]));
		ready("full, in", p[0]);
		ready("full, out", p[1]);
		SHOW(SYS(read, p[0], big, 100));
		ready("a little read, out", p[1]);
		SHOW(SYS(read, p[0], big, 5000));
		ready("a page read, out", p[1]);
		SHOW(SYS(write, p[1], big, (size_t)sizes[i]));
		say("left: %ld", drain(p[0], 7777));
		ready("empty, in", p[0]);
	}
}

CASE(the_size_of_a_pipe, fcntl, ioctl)
{
	int p[2], bytes = 0;

	SYS(pipe2, p, O_NONBLOCK);
	SHOW(SYS(fcntl, p[0], F_GETPIPE_SZ));
	SHOW(SYS(fcntl, p[1], F_SETPIPE_SZ, 0));
	SHOW(SYS(fcntl, p[1], F_SETPIPE_SZ, 1));
	SHOW(SYS(fcntl, p[1], F_SETPIPE_SZ, 4097));
	SHOW(SYS(fcntl, p[0], F_SETPIPE_SZ, 1 << 20));
	SHOW(SYS(fcntl, p[0], F_SETPIPE_SZ, (1 << 20) + 1));
	SHOW(SYS(fcntl, p[0], F_SETPIPE_SZ, 0x80000001u));
	SHOW(SYS(write, p[1], big, 100000));
	SHOW(SYS(ioctl, p[0], FIONREAD, &bytes));
	SHOW(bytes);
	SHOW(SYS(ioctl, p[1], FIONREAD, NOWHERE));
	SHOW(SYS(fcntl, p[0], F_SETPIPE_SZ, 4096));
	SHOW(SYS(fcntl, p[0], F_SETPIPE_SZ, 131072));
	say("what is in it: %ld", drain(p[0], 4096));
	SHOW(SYS(fcntl, 1000, F_GETPIPE_SZ));
	p[0] = (int)SYS(eventfd2, 0, 0);
	SHOW(SYS(fcntl, p[0], F_GETPIPE_SZ));
}

CASE(packets, pipe2, write, read, fcntl)
{
	int p[2];

	SHOW(SYS(pipe2, p, O_DIRECT | O_NONBLOCK));
	SHOW(SYS(fcntl, p[0], F_GETFL));
	SHOW(SYS(fcntl, p[1], F_GETFL));
	SHOW(SYS(write, p[1], "abc", 3));
	SHOW(SYS(write, p[1], "defg", 4));
	SHOW(SYS(write, p[1], big, 10000));
	SHOW(SYS(read, p[0], big, 2));
	SHOW(SYS(read, p[0], big, 100));
	SHOW(SYS(read, p[0], big, 20000));
	SHOW(SYS(read, p[0], big, 20000));
	SHOW(SYS(read, p[0], big, 20000));
	SHOW(SYS(read, p[0], big, 20000));
	SHOW(SYS(fcntl, p[1], F_SETFL, O_NONBLOCK));
	SHOW(SYS(write, p[1], "abc", 3));
	SHOW(SYS(write, p[1], "def", 3));
	SHOW(SYS(read, p[0], big, 20000));
	SHOW(SYS(fcntl, p[1], F_SETFL, O_DIRECT));
	SHOW(SYS(fcntl, p[1], F_GETFL));
}

CASE(the_ends_of_a_pipe, pipe2, close, read, write, lseek, pread64, pwrite64)
{
	int p[2];

	signal(SIGPIPE, SIG_IGN);
	SYS(pipe2, p, O_NONBLOCK);
	SHOW(SYS(read, p[1], big, 1));
	SHOW(SYS(write, p[0], big, 1));
	SHOW(SYS(read, p[0], NULL, 0));
	SHOW(SYS(write, p[1], NULL, 0));
	SHOW(SYS(lseek, p[0], 0, SEEK_SET));
	SHOW(SYS(pread64, p[0], big, 1, 0));
	SHOW(SYS(pwrite64, p[1], big, 1, 0));
	SHOW(SYS(write, p[1], NOWHERE, 10));
	SHOW(SYS(write, p[1], "kept", 4));
	SHOW(SYS(read, p[0], NOWHERE, 10));
	SHOW(SYS(read, p[0], big, 10));
	SHOW(SYS(write, p[1], "last", 4));
	SHOW(SYS(dup2, p[1], 50));
	SHOW(SYS(close, p[1]));
	SHOW(SYS(write, 50, " words", 6));
	SHOW(SYS(close, 50));
	ready("no writer, bytes", p[0]);
	SHOW(SYS(read, p[0], big, 100));
	ready("no writer", p[0]);
	SHOW(SYS(read, p[0], big, 100));
	SYS(pipe2, p, O_NONBLOCK);
	SHOW(SYS(close, p[0]));
	ready("no reader", p[1]);
	SHOW(SYS(write, p[1], "x", 1));
	SHOW(SYS(write, p[1], "x", 0));
}

CASE(pipes_in_pieces, readv, writev, preadv2, pwritev2)
{
	struct iovec iov[3] = {{"one", 3}, {big, 0}, {" two", 4}};
	char a[2], b[10];
	struct iovec to[2] = {{a, 2}, {b, 10}};
	int p[2];

	SYS(pipe2, p, O_NONBLOCK);
	SHOW(SYS(writev, p[1], iov, 3));
	SHOW(SYS(readv, p[0], to, 2));
	show_bytes("a", a, 2);
	show_bytes("b", b, 5);
	SHOW(SYS(pwritev2, p[1], iov, 3, -1L, 0, 0));
	SHOW(SYS(pwritev2, p[1], iov, 3, 0, 0, 0));
	SHOW(SYS(pwritev2, p[1], iov, 3, -1L, 0, 0x4000));
	SHOW(SYS(preadv2, p[0], to, 2, -1L, 0, 0));
	SHOW(SYS(preadv2, p[0], to, 2, 0, 0, 0));
	SHOW(SYS(preadv2, p[0], to, 2, -2L, 0, 0));
	SHOW(SYS(preadv2, p[0], to, 2, -1L, 0, 0x4000));
}

CASE(files_at_offsets_with_flags, preadv2, pwritev2)
{
	struct iovec iov[2] = {{"one", 3}, {" two", 4}};
	char text[20] = "";
	struct iovec to = {text, sizeof(text)};
	int fd = (int)SYS(open, "file", O_RDWR | O_CREAT, 0644);

	SHOW(SYS(pwritev2, fd, iov, 2, 2, 0, 0));
	SHOW(SYS(pwritev2, fd, iov, 2, -1L, 0, RWF_DSYNC));
	SHOW(SYS(pwritev2, fd, iov, 1, 0, 0, RWF_APPEND));
	SHOW(SYS(lseek, fd, 0, SEEK_CUR));
	SHOW(SYS(preadv2, fd, &to, 1, -1L, 0, RWF_HIPRI));
	SHOW(SYS(preadv2, fd, &to, 1, 0, 0, 0));
	show_bytes("text", text, 12);
	SHOW(SYS(preadv2, fd, &to, 1, 0, 0, RWF_APPEND));
}

CASE(event_counters, eventfd2, eventfd, read, write, poll, lseek)
{
	uint64_t value = 0;
	int fd = (int)SHOW(SYS(eventfd2, 3, EFD_NONBLOCK));
	int n;

	ready("3", fd);
	SHOW(SYS(read, fd, &value, 8));
	SHOW(value);
	ready("0", fd);
	SHOW(SYS(read, fd, &value, 8));
	SHOW(SYS(read, fd, &value, 7));
	SHOW(SYS(read, fd, big, 100));
	value = UINT64_MAX;
	SHOW(SYS(write, fd, &value, 8));
	value = UINT64_MAX - 1;
	SHOW(SYS(write, fd, &value, 8));
	ready("as much as there can be", fd);
	value = 1;
	SHOW(SYS(write, fd, &value, 8));
	SHOW(SYS(write, fd, &value, 4));
	SHOW(SYS(write, fd, NOWHERE, 8));
	SHOW(SYS(read, fd, NOWHERE, 8));
	ready("after a bad read", fd);
	SHOW(SYS(lseek, fd, 5, SEEK_SET));
	SHOW(SYS(pread64, fd, &value, 8, 0));
	SHOW(SYS(ioctl, fd, FIONREAD, &n));
	SHOW(SYS(fcntl, fd, F_GETFL));
	SHOW(SYS(eventfd2, 0, 0x100));
	fd = (int)SHOW(SYS(eventfd, 1));
	SHOW(SYS(fcntl, fd, F_GETFL));
	SHOW(SYS(fcntl, fd, F_GETFD));
}

CASE(event_counters_as_semaphores, eventfd2, read)
{
	uint64_t value = 0;
	int fd = (int)SHOW(SYS(eventfd2, 2, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC));

	SHOW(SYS(fcntl, fd, F_GETFD));
	SHOW(SYS(read, fd, &value, 8));
	SHOW(value);
	SHOW(SYS(read, fd, &value, 8));
	SHOW(SYS(read, fd, &value, 8));
	value = 3;
	SHOW(SYS(write, fd, &value, 8));
	SHOW(SYS(read, fd, &value, 8));
	SHOW(value);
	ready("2", fd);
}
