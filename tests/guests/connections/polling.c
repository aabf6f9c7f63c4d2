/* SPDX-License-Identifier: MIT */
/* poll(), select() and epoll over a listener and connections. */
#include "connections.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

static char text[256];
static int epoll;

static const char *names_of(uint32_t events)
{
	static char line[128];
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {{EPOLLIN, " IN"},         {EPOLLRDNORM, " RDNORM"}, {EPOLLOUT, " OUT"},
		     {EPOLLWRNORM, " WRNORM"}, {EPOLLRDHUP, " RDHUP"},   {EPOLLHUP, " HUP"},
		     {EPOLLERR, " ERR"},       {EPOLLPRI, " PRI"}};
	unsigned int i;

	*line = 0;
	for (i = 0; i < 8; i++)
		if (events & names[i].bit)
			strcat(line, names[i].name);
	return line;
}

/* What is ready now: data and events, in order. */
static void show_ready(const char *what, int max)
{
	struct epoll_event events[8];
	int count = epoll_wait(epoll, events, max, 0);
	int i;

	say("%s: %d", what, count);
	for (i = 0; i < count; i++)
		say("  %llu:%s", (unsigned long long)events[i].data.u64,
		    names_of(events[i].events));
}

static int watch(int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	return epoll_ctl(epoll, op, fd, &event);
}

#define ALL (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI)

CASE(poll_in_every_state)
{
	ACCEPTED;
	show_poll("listener", listener);
	client("1 open");
	await(listener, POLLIN);
	show_poll("listener with a client", listener);
	show_poll("fresh", fd);
	client("0 send ab");
	await(fd, POLLIN);
	show_poll("bytes", fd);
	read(fd, text, 1);
	show_poll("one byte", fd);
	read(fd, text, 1);
	show_poll("none", fd);
	client("0 shut");
	await(fd, POLLRDHUP);
	show_poll("half closed", fd);
	SHOW(shutdown(fd, SHUT_WR));
	await(fd, POLLHUP);
	show_poll("closed", fd);
	show_poll("unconnected", socket(domain, SOCK_STREAM, 0));
}

CASE(poll_asks_for_some)
{
	struct pollfd list[4];
	struct timespec none = {0};
	int i;

	ACCEPTED;
	client("0 send ab");
	client("0 shut");
	await(fd, POLLRDHUP);
	await_bytes(fd, 2);
	for (i = 0; i < 4; i++)
		list[i] = (struct pollfd){.fd = fd};
	list[0].events = POLLIN;
	list[1].events = POLLRDHUP;
	list[2].events = POLLPRI;
	list[3].fd = 500;
	SHOW(poll(list, 4, 0));
	say("%x %x %x %x", list[0].revents, list[1].revents, list[2].revents, list[3].revents);
	list[3].fd = -1;
	SHOW(ppoll(list, 4, &none, NULL));
	say("%x %x %x %x", list[0].revents, list[1].revents, list[2].revents, list[3].revents);
	SHOW(poll(NOWHERE, 1, 0));
	SHOW(poll(list, 0, 0));
	SHOW(poll(list + 2, 1, 10));
}

static void show_select(const char *what, int a, int b)
{
	struct timeval none = {0};
	fd_set in, out, other;
	int count;

	FD_ZERO(&in);
	FD_SET(a, &in);
	FD_SET(b, &in);
	out = other = in;
	count = select((a > b ? a : b) + 1, &in, &out, &other, &none);
	say("%s: %d, in %d %d out %d %d other %d %d", what, count, FD_ISSET(a, &in),
	    FD_ISSET(b, &in), FD_ISSET(a, &out), FD_ISSET(b, &out), FD_ISSET(a, &other),
	    FD_ISSET(b, &other));
}

CASE(select_in_every_state)
{
	INTERNET_ONLY;
	ACCEPTED;
	show_select("fresh", listener, fd);
	client("1 open");
	client("0 send ab");
	await(fd, POLLIN);
	await(listener, POLLIN);
	show_select("client and bytes", listener, fd);
	read(fd, text, 2);
	client("0 shut");
	await(fd, POLLRDHUP);
	show_select("half closed", listener, fd);
	client("0 reset");
	await(fd, POLLHUP);
	show_select("reset", listener, fd);
}

CASE(epoll_by_level)
{
	ACCEPTED;
	SHOW(epoll = epoll_create1(EPOLL_CLOEXEC));
	SHOW(watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP, 5));
	SHOW(watch(EPOLL_CTL_ADD, listener, EPOLLIN, 6));
	show_ready("nothing", 8);
	client("0 send ab");
	await(fd, POLLIN);
	show_ready("bytes", 8);
	show_ready("still", 8);
	read(fd, text, 1);
	show_ready("one", 8);
	read(fd, text, 1);
	show_ready("none", 8);
	client("1 open");
	await(listener, POLLIN);
	show_ready("a client", 8);
	client("0 send ab");
	await(fd, POLLIN);
	show_ready("both", 8);
	show_ready("one of them", 1);
	show_ready("the other", 1);
	take();
	show_ready("accepted", 8);
	client("0 shut");
	await(fd, POLLRDHUP);
	show_ready("half closed", 8);
	read(fd, text, 10);
	show_ready("read", 8);
	SHOW(watch(EPOLL_CTL_MOD, fd, EPOLLOUT, 7));
	show_ready("for writing", 8);
	SHOW(shutdown(fd, SHUT_WR));
	await(fd, POLLHUP);
	show_ready("closed", 8);
	SHOW(watch(EPOLL_CTL_MOD, fd, 0, 8));
	show_ready("for nothing", 8);
}

CASE(epoll_by_edge)
{
	ACCEPTED;
	epoll = epoll_create1(0);
	SHOW(watch(EPOLL_CTL_ADD, fd, ALL | EPOLLET, 5));
	show_ready("at first", 8);
	show_ready("no news", 8);
	client("0 send ab");
	await(fd, POLLIN);
	show_ready("bytes", 8);
	show_ready("no news", 8);
	read(fd, text, 1);
	show_ready("one read", 8);
	client("0 send cd");
	await_bytes(fd, 3);
	show_ready("more bytes", 8);
	read(fd, text, 10);
	show_ready("all read", 8);
	SHOW(watch(EPOLL_CTL_MOD, fd, ALL | EPOLLET, 6));
	show_ready("changed", 8);
	client("0 shut");
	await(fd, POLLRDHUP);
	show_ready("half closed", 8);
	show_ready("no news", 8);
	SHOW(shutdown(fd, SHUT_WR));
	await(fd, POLLHUP);
	show_ready("closed", 8);
	show_ready("no news", 8);
}

CASE(epoll_by_edge_of_a_listener)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int twin = epoll_create1(0); /* tells when there is news */

	ACCEPTED;
	epoll = epoll_create1(0);
	client("1 open");
	await(listener, POLLIN);
	SHOW(watch(EPOLL_CTL_ADD, listener, EPOLLIN | EPOLLET, 5));
	show_ready("one waits", 8);
	show_ready("no news", 8);
	epoll_ctl(twin, EPOLL_CTL_ADD, listener, &event);
	epoll_wait(twin, &event, 1, 0);
	client("2 open");
	SHOW(epoll_wait(twin, &event, 1, 5000));
	show_ready("another one", 8);
	take();
	show_ready("one accepted", 8);
	take();
	show_ready("both accepted", 8);
	say("%d", fd >= 0);
}

CASE(epoll_once)
{
	ACCEPTED;
	epoll = epoll_create1(0);
	SHOW(watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT, 5));
	client("0 send ab");
	await(fd, POLLIN);
	show_ready("bytes", 8);
	show_ready("told", 8);
	client("0 send cd");
	await_bytes(fd, 4);
	show_ready("more bytes", 8);
	SHOW(watch(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT, 6));
	show_ready("armed", 8);
	show_ready("told", 8);
	SHOW(watch(EPOLL_CTL_MOD, fd, EPOLLOUT | EPOLLONESHOT | EPOLLET, 7));
	show_ready("armed for writing", 8);
	client("0 shut");
	await(fd, POLLRDHUP);
	show_ready("half closed", 8);
	SHOW(watch(EPOLL_CTL_MOD, fd, EPOLLRDHUP | EPOLLONESHOT, 8));
	show_ready("armed for the end", 8);
}

CASE(epoll_after_a_reset)
{
	INTERNET_ONLY;
	ACCEPTED;
	epoll = epoll_create1(0);
	SHOW(watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 5));
	show_ready("fresh", 8);
	client("0 reset");
	await(fd, POLLHUP);
	show_ready("reset", 8);
	show_ready("no news", 8);
	SHOW(watch(EPOLL_CTL_MOD, fd, 0, 6));
	show_ready("for nothing", 8);
	SHOW(read(fd, text, 1));
	show_ready("its error was told", 8);
}

CASE(epoll_calls_that_fail)
{
	struct epoll_event event = {.events = EPOLLIN};

	ACCEPTED;
	epoll = epoll_create1(0);
	SHOW(watch(EPOLL_CTL_MOD, fd, EPOLLIN, 1));
	SHOW(watch(EPOLL_CTL_DEL, fd, EPOLLIN, 1));
	SHOW(watch(EPOLL_CTL_ADD, fd, EPOLLIN, 1));
	SHOW(watch(EPOLL_CTL_ADD, fd, EPOLLIN, 1));
	SHOW(watch(9, fd, EPOLLIN, 1));
	SHOW(watch(EPOLL_CTL_ADD, 500, EPOLLIN, 1));
	SHOW(watch(EPOLL_CTL_ADD, epoll, EPOLLIN, 1));
	SHOW(epoll_ctl(fd, EPOLL_CTL_ADD, listener, &event));
	SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, NULL));
	SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, NOWHERE));
	SHOW(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, NULL));
	SHOW(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL));
	SHOW(watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE, 1));
	SHOW(watch(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLEXCLUSIVE, 1));
	SHOW(watch(EPOLL_CTL_MOD, fd, EPOLLIN, 1));
	SHOW(watch(EPOLL_CTL_DEL, fd, 0, 1));
	SHOW(watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 1));
	SHOW(epoll_wait(epoll, &event, 0, 0));
	SHOW(epoll_wait(epoll, &event, -1, 0));
	SHOW(epoll_wait(fd, &event, 1, 0));
	SHOW(epoll_wait(epoll, NOWHERE, 1, 0));
	SHOW(epoll_wait(epoll, &event, 1, 10));
	SHOW(epoll_pwait(epoll, &event, 1, 0, NULL));
	SHOW(watch(EPOLL_CTL_ADD, listener, EPOLLIN, 1));
	client("1 open");
	await(listener, POLLIN);
	SHOW(epoll_wait(epoll, NOWHERE, 1, 0));
	SHOW(epoll_wait(epoll, &event, 1, 0));
}

CASE(epoll_order)
{
	int fds[4], i;

	epoll = epoll_create1(0);
	fds[0] = take();
	for (i = 1; i < 4; i++) {
		client("%d open", i);
		fds[i] = take();
	}
	for (i = 3; i >= 0; i--)
		watch(EPOLL_CTL_ADD, fds[i], EPOLLIN, (uint64_t)i);
	for (i = 0; i < 4; i++) {
		client("%d send x", (i * 3 + 2) % 4);
		await(fds[(i * 3 + 2) % 4], POLLIN);
	}
	show_ready("all", 8);
	show_ready("two", 2);
	show_ready("two", 2);
	show_ready("three", 3);
	show_ready("three", 3);
	read(fds[1], text, 1);
	show_ready("without 1", 8);
	client("1 send x");
	await(fds[1], POLLIN);
	show_ready("with 1", 8);
	watch(EPOLL_CTL_MOD, fds[2], EPOLLIN, 22);
	show_ready("2 changed", 8);
	watch(EPOLL_CTL_DEL, fds[2], 0, 0);
	watch(EPOLL_CTL_ADD, fds[2], EPOLLIN, 2);
	show_ready("2 anew", 8);
}

CASE(epoll_forgets_what_is_closed)
{
	int other;

	ACCEPTED;
	epoll = epoll_create1(0);
	client("0 send ab");
	await(fd, POLLIN);
	watch(EPOLL_CTL_ADD, fd, EPOLLIN, 5);
	other = dup(fd);
	SHOW(close(fd));
	show_ready("a duplicate is open", 8);
	SHOW(watch(EPOLL_CTL_DEL, fd, 0, 0));
	SHOW(watch(EPOLL_CTL_MOD, other, EPOLLOUT, 0));
	SHOW(close(other));
	show_ready("none is open", 8);
	client("1 open");
	other = take();
	say("same number: %d", other == fd);
	show_ready("another one", 8);
	SHOW(watch(EPOLL_CTL_ADD, other, EPOLLOUT, 9));
	show_ready("watched", 8);
}

CASE(epoll_within_epoll)
{
	int outer = epoll_create1(0), inner = epoll_create1(0);

	ACCEPTED;
	epoll = inner;
	watch(EPOLL_CTL_ADD, fd, EPOLLIN, 1);
	epoll = outer;
	SHOW(watch(EPOLL_CTL_ADD, inner, EPOLLIN, 2));
	show_ready("nothing", 8);
	client("0 send ab");
	await(fd, POLLIN);
	show_ready("the outer one", 8);
	show_poll("the inner one", inner);
	epoll = inner;
	show_ready("the inner one", 8);
	read(fd, text, 10);
	epoll = outer;
	show_ready("read", 8);
}

CASE(epoll_waits)
{
	struct epoll_event event;
	sigset_t none;

	ACCEPTED;
	epoll = epoll_create1(0);
	watch(EPOLL_CTL_ADD, fd, EPOLLIN, 1);
	watch(EPOLL_CTL_ADD, listener, EPOLLIN, 2);
	SHOW(epoll_wait(epoll, &event, 1, 10));
	client("0 send ab");
	SHOW(epoll_wait(epoll, &event, 1, 5000));
	say("%llu", (unsigned long long)event.data.u64);
	read(fd, text, 10);
	client("1 open");
	SHOW(epoll_wait(epoll, &event, 1, -1));
	say("%llu", (unsigned long long)event.data.u64);
	take();
	sigemptyset(&none);
	client("0 send ab");
	SHOW(epoll_pwait(epoll, &event, 1, -1, &none));
	say("%llu", (unsigned long long)event.data.u64);
}

CASE(a_full_connection_is_watched)
{
	static char much[1 << 20];

	ACCEPTED;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	epoll = epoll_create1(0);
	watch(EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 1);
	show_ready("room", 8);
	fill(fd, much, sizeof(much));
	show_ready("full", 8);
	client("0 drain");
	await(fd, POLLOUT);
	show_ready("room", 8);
	show_ready("no news", 8);
	_exit(0);
}
