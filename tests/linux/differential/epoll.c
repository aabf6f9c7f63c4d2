/* SPDX-License-Identifier: MIT */
/* epoll in detail: level and edge, once and nested, what is refused, what closing does. */
#include "case.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <time.h>

static int make(void)
{
	return (int)SYS(epoll_create1, 0);
}

/* Add or change: the data is the descriptor. */
static long control(int epoll, int op, int fd, unsigned int events)
{
	struct epoll_event event = {.events = events,
				    .data.u64 = 0x100000000ull + (unsigned int)fd};

	return SYS(epoll_ctl, epoll, op, fd, &event);
}

#define ADD(epoll, fd, events) SHOW(control(epoll, EPOLL_CTL_ADD, fd, events))
#define MOD(epoll, fd, events) SHOW(control(epoll, EPOLL_CTL_MOD, fd, events))
#define DEL(epoll, fd)         SHOW(control(epoll, EPOLL_CTL_DEL, fd, 0))

/* What is ready now, at most `max` of it. */
static void look(const char *what, int epoll, int max)
{
	struct epoll_event events[16];
	long count, i;

	errno = 0;
	count = SYS(epoll_wait, epoll, events, max, 0);
	say("%s: %ld%s", what, count, count < 0 ? " failed" : "");
	for (i = 0; i < count; i++)
		say("  %x of %llx", events[i].events, (unsigned long long)events[i].data.u64);
}

static void put(int fd, uint64_t value)
{
	SYS(write, fd, &value, 8);
}

static void take(int fd)
{
	uint64_t value;

	SYS(read, fd, &value, 8);
}

static int counter(unsigned int value)
{
	return (int)SYS(eventfd2, value, EFD_NONBLOCK);
}

CASE(what_epoll_refuses, epoll_create, epoll_create1, epoll_ctl, epoll_wait)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll, fd, file, p[2];

	SHOW(SYS(epoll_create, 0));
	SHOW(SYS(epoll_create, -1));
	SHOW(SYS(epoll_create, 1));
	SHOW(SYS(epoll_create1, EPOLL_CLOEXEC));
	SHOW(SYS(fcntl, 4, F_GETFD));
	SHOW(SYS(fcntl, 4, F_GETFL));
	SHOW(SYS(epoll_create1, 1));
	epoll = make();
	fd = counter(0);
	file = (int)SYS(open, "file", O_RDWR | O_CREAT, 0644);
	SYS(pipe2, p, O_NONBLOCK);
	ADD(epoll, file, EPOLLIN);
	ADD(epoll, (int)syscall(SYS_open, ".", O_RDONLY), EPOLLIN);
	ADD(epoll, (int)syscall(SYS_open, "/dev/null", O_RDONLY), EPOLLIN);
	ADD(epoll, epoll, EPOLLIN);
	ADD(epoll, 1000, EPOLLIN);
	ADD(1000, fd, EPOLLIN);
	ADD(fd, p[0], EPOLLIN);
	ADD(fd, file, EPOLLIN);
	MOD(epoll, fd, EPOLLIN);
	DEL(epoll, fd);
	ADD(epoll, fd, EPOLLIN);
	ADD(epoll, fd, EPOLLOUT);
	SHOW(SYS(epoll_ctl, epoll, 7, fd, &event));
	SHOW(SYS(epoll_ctl, epoll, EPOLL_CTL_ADD, p[0], NOWHERE));
	SHOW(SYS(epoll_ctl, epoll, EPOLL_CTL_ADD, p[0], NULL));
	SHOW(SYS(epoll_ctl, epoll, EPOLL_CTL_DEL, fd, NULL));
	SHOW(SYS(epoll_wait, epoll, &event, 0, 0));
	SHOW(SYS(epoll_wait, epoll, &event, -1, 0));
	SHOW(SYS(epoll_wait, epoll, &event, 0x7fffffff, 0));
	SHOW(SYS(epoll_wait, fd, &event, 1, 0));
	SHOW(SYS(epoll_wait, 1000, &event, 1, 0));
	SHOW(SYS(epoll_wait, epoll, NOWHERE, 1, 0));
	ADD(epoll, p[1], EPOLLOUT);
	SHOW(SYS(epoll_wait, epoll, NOWHERE, 1, 0));
	look("after a bad address", epoll, 16);
	SHOW(SYS(read, epoll, &event, sizeof(event)));
	SHOW(SYS(write, epoll, &event, sizeof(event)));
	SHOW(SYS(lseek, epoll, 0, SEEK_SET));
}

CASE(level_triggered, epoll_ctl, epoll_wait)
{
	int epoll = make(), fd = counter(0);

	ADD(epoll, fd, EPOLLIN);
	look("0", epoll, 16);
	put(fd, 2);
	look("2", epoll, 16);
	look("2 again", epoll, 16);
	take(fd);
	look("taken", epoll, 16);
	MOD(epoll, fd, EPOLLIN | EPOLLOUT);
	look("out", epoll, 16);
	MOD(epoll, fd, 0);
	look("nothing wanted", epoll, 16);
	put(fd, 1);
	look("nothing wanted, 1", epoll, 16);
	MOD(epoll, fd, EPOLLIN);
	look("in", epoll, 16);
	DEL(epoll, fd);
	look("removed", epoll, 16);
}

CASE(edge_triggered, epoll_ctl, epoll_wait)
{
	int epoll = make(), fd = counter(1), p[2];
	char text[10];

	ADD(epoll, fd, EPOLLIN | EPOLLET);
	look("ready when added", epoll, 16);
	look("no edge", epoll, 16);
	put(fd, 1);
	look("written again", epoll, 16);
	look("no edge", epoll, 16);
	take(fd);
	look("taken", epoll, 16);
	put(fd, 1);
	take(fd);
	look("put and taken", epoll, 16);
	put(fd, 1);
	MOD(epoll, fd, EPOLLIN | EPOLLET);
	look("changed", epoll, 16);
	MOD(epoll, fd, EPOLLIN | EPOLLET);
	look("changed again", epoll, 16);
	MOD(epoll, fd, EPOLLIN | EPOLLOUT | EPOLLET);
	look("in and out", epoll, 16);
	take(fd);
	look("taken: room", epoll, 16);
	SYS(pipe2, p, O_NONBLOCK);
	ADD(epoll, p[0], EPOLLIN | EPOLLET);
	ADD(epoll, p[1], EPOLLIN | EPOLLOUT | EPOLLET);
	look("a pipe", epoll, 16);
	SYS(write, p[1], "abc", 3);
	look("written", epoll, 16);
	SYS(write, p[1], "def", 3);
	look("written again", epoll, 16);
	SYS(read, p[0], text, 2);
	look("read a little", epoll, 16);
	SYS(read, p[0], text, 9);
	look("read all", epoll, 16);
	SYS(close, p[1]);
	look("closed", epoll, 16);
	look("no edge", epoll, 16);
}

CASE(room_in_a_pipe_is_an_edge, epoll_ctl, epoll_wait)
{
	static char page[4096];
	int epoll = make(), p[2];

	SYS(pipe2, p, O_NONBLOCK);
	ADD(epoll, p[1], EPOLLOUT | EPOLLET);
	look("empty", epoll, 16);
	while (SYS(write, p[1], page, 4096) > 0)
		;
	look("full", epoll, 16);
	SYS(read, p[0], page, 4095);
	look("almost a page", epoll, 16);
	SYS(read, p[0], page, 1);
	look("a page", epoll, 16);
	SYS(read, p[0], page, 4096);
	look("another", epoll, 16);
	SYS(close, p[0]);
	look("no reader", epoll, 16);
}

CASE(once, epoll_ctl, epoll_wait)
{
	int epoll = make(), fd = counter(1);

	ADD(epoll, fd, EPOLLIN | EPOLLONESHOT);
	look("first", epoll, 16);
	look("second", epoll, 16);
	put(fd, 1);
	look("written", epoll, 16);
	MOD(epoll, fd, EPOLLIN | EPOLLONESHOT);
	look("armed", epoll, 16);
	look("once", epoll, 16);
	MOD(epoll, fd, EPOLLIN | EPOLLONESHOT | EPOLLET);
	look("with edges", epoll, 16);
	put(fd, 1);
	look("no more", epoll, 16);
}

CASE(exclusive, epoll_ctl)
{
	int epoll = make(), other = make(), fd = counter(1);

	ADD(epoll, fd, EPOLLIN | EPOLLEXCLUSIVE);
	look("exclusive", epoll, 16);
	MOD(epoll, fd, EPOLLIN);
	DEL(epoll, fd);
	ADD(epoll, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT);
	ADD(epoll, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLPRI);
	ADD(epoll, other, EPOLLIN | EPOLLEXCLUSIVE);
	ADD(epoll, fd, EPOLLIN);
	MOD(epoll, fd, EPOLLIN | EPOLLEXCLUSIVE);
	ADD(epoll, counter(0), EPOLLIN | EPOLLEXCLUSIVE | EPOLLET | EPOLLOUT);
	look("both", epoll, 16);
}

CASE(turns, epoll_wait)
{
	int epoll = make(), i, fds[5];

	for (i = 0; i < 5; i++) {
		fds[i] = counter(1);
		control(epoll, EPOLL_CTL_ADD, fds[i], EPOLLIN);
	}
	for (i = 0; i < 5; i++)
		look("two of five", epoll, 2);
	take(fds[2]);
	look("all but one", epoll, 16);
	DEL(epoll, fds[0]);
	look("all but two", epoll, 16);
	put(fds[2], 1);
	look("one is back", epoll, 16);
}

CASE(closing, close, dup, epoll_wait)
{
	int epoll = make(), fd = counter(1), again;

	ADD(epoll, fd, EPOLLIN);
	again = (int)SHOW(SYS(dup, fd));
	ADD(epoll, again, EPOLLIN);
	look("two numbers", epoll, 16);
	SHOW(SYS(close, fd));
	look("one is closed", epoll, 16);
	DEL(epoll, fd);
	SHOW(SYS(dup2, again, fd));
	DEL(epoll, fd);
	DEL(epoll, fd);
	look("one is removed", epoll, 16);
	SHOW(SYS(close, fd));
	SHOW(SYS(close, again));
	look("closed", epoll, 16);
	again = counter(1);
	look("another with its number", epoll, 16);
	ADD(epoll, again, EPOLLIN);
	SHOW(SYS(dup2, 0, again));
	look("replaced", epoll, 16);
	fd = (int)SYS(dup, epoll);
	again = counter(3);
	ADD(fd, again, EPOLLIN);
	SHOW(SYS(close, epoll));
	look("a copy of the epoll", fd, 16);
}

CASE(nested, epoll_ctl, epoll_wait, poll, select)
{
	int inner = make(), outer = make(), fd = counter(0);
	struct pollfd pollfd = {inner, POLLIN | POLLOUT, 0};
	struct timeval now = {0, 0};
	fd_set set;

	ADD(inner, fd, EPOLLIN);
	ADD(outer, inner, EPOLLIN);
	look("nothing", outer, 16);
	SHOW(SYS(poll, &pollfd, 1, 0));
	put(fd, 1);
	look("outer", outer, 16);
	look("outer again", outer, 16);
	SHOW(SYS(poll, &pollfd, 1, 0));
	SHOW(pollfd.revents);
	FD_ZERO(&set);
	FD_SET(outer, &set);
	SHOW(SYS(select, outer + 1, &set, NULL, NULL, &now));
	look("inner", inner, 16);
	take(fd);
	look("outer, taken", outer, 16);
	look("inner, taken", inner, 16);
	SHOW(SYS(poll, &pollfd, 1, 0));
	MOD(outer, inner, EPOLLIN | EPOLLET);
	put(fd, 1);
	look("an edge", outer, 16);
	look("no edge", outer, 16);
	put(fd, 1);
	look("another edge", outer, 16);
	SHOW(SYS(close, fd));
	look("closed", outer, 16);
}

CASE(loops, epoll_ctl)
{
	int e[8], i;

	for (i = 0; i < 8; i++)
		e[i] = make();
	ADD(e[0], e[1], EPOLLIN);
	ADD(e[1], e[0], EPOLLIN);
	ADD(e[1], e[2], EPOLLIN);
	ADD(e[2], e[0], EPOLLIN);
	ADD(e[0], e[2], EPOLLIN);
	DEL(e[0], e[1]);
	DEL(e[0], e[2]);
	DEL(e[1], e[2]);
	for (i = 0; i < 3; i++)
		ADD(e[i], e[i + 1], EPOLLIN);
	ADD(e[3], e[0], EPOLLIN);
}

CASE(waiting_ends, epoll_wait, epoll_pwait, epoll_pwait2, poll)
{
	struct epoll_event event;
	struct timespec span = {0, 20000000}, wrong = {0, 1000000000}, zero = {0, 0};
	struct pollfd pollfd = {-1, POLLIN, 0};
	struct timespec before, after;
	int epoll = make(), fd = counter(0);

	ADD(epoll, fd, EPOLLIN);
	clock_gettime(CLOCK_MONOTONIC, &before);
	SHOW(SYS(epoll_wait, epoll, &event, 1, 20));
	SHOW(SYS(epoll_pwait, epoll, &event, 1, 20, NULL, 8L));
	SHOW(SYS(epoll_pwait2, epoll, &event, 1, &span, NULL, 8L));
	pollfd.fd = fd;
	SHOW(SYS(poll, &pollfd, 1, 20));
	SHOW(SYS(poll, NULL, 0, 20));
	clock_gettime(CLOCK_MONOTONIC, &after);
	after.tv_sec -= before.tv_sec;
	SHOW(after.tv_sec * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= 100);
	SHOW(SYS(epoll_pwait2, epoll, &event, 1, &wrong, NULL, 8L));
	SHOW(SYS(epoll_pwait2, epoll, &event, 1, &zero, NULL, 8L));
	SHOW(SYS(epoll_pwait2, epoll, &event, 1, NOWHERE, NULL, 8L));
	SHOW(SYS(epoll_pwait, epoll, &event, 1, 0, &span, 4L));
	put(fd, 1);
	SHOW(SYS(epoll_wait, epoll, &event, 1, -1));
	SHOW(SYS(epoll_pwait2, epoll, &event, 1, NULL, NULL, 0));
}

CASE(many_descriptors, epoll_ctl, epoll_wait, poll)
{
	static struct pollfd list[1000];
	static struct epoll_event events[1000];
	int epoll = make(), i, count = 0;

	for (i = 0; i < 900; i++) {
		list[i].fd = counter(i % 3 == 0);
		list[i].events = POLLIN;
		count += control(epoll, EPOLL_CTL_ADD, list[i].fd, EPOLLIN) == 0;
	}
	SHOW(count);
	SHOW(SYS(poll, list, 900, 0));
	SHOW(SYS(poll, list, 1025, 0));
	SHOW(SYS(epoll_wait, epoll, events, 1000, 0));
	SHOW(SYS(epoll_wait, epoll, events, 100, 0));
	for (i = 0; i < 900; i += 2)
		SYS(close, list[i].fd);
	SHOW(SYS(epoll_wait, epoll, events, 1000, 0));
	SHOW(SYS(poll, list, 900, 0));
	SHOW(list[0].revents);
	SHOW(list[3].revents);
}
