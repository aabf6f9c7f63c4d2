/* SPDX-License-Identifier: MIT */
/* poll, ppoll, select and pselect6: what is said of each kind of descriptor, and what is refused.
 */
#include "case.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

static void show_list(const struct pollfd *list, int count)
{
	int i;

	for (i = 0; i < count; i++)
		say("  %d: %x", i, (unsigned int)list[i].revents);
}

CASE(what_poll_says, poll, ppoll)
{
	int p[2], file = (int)SYS(open, "file", O_RDWR | O_CREAT, 0644);
	int dir = (int)SYS(open, ".", O_RDONLY), null = (int)SYS(open, "/dev/null", O_RDWR);
	struct pollfd list[8] = {{-1, POLLIN, 7}, {1000, POLLIN, 7}};
	struct timespec zero = {0, 0}, wrong = {0, -1}, negative = {-1, 0};
	int i;

	SYS(pipe2, p, 0);
	list[2] = (struct pollfd){file, POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLWRNORM, 7};
	list[3] = (struct pollfd){dir, POLLIN | POLLOUT | POLLRDHUP, 7};
	list[4] = (struct pollfd){null, POLLIN | POLLOUT, 7};
	list[5] = (struct pollfd){p[0], POLLIN | POLLRDNORM, 7};
	list[6] = (struct pollfd){p[1], POLLOUT | POLLWRNORM | POLLWRBAND, 7};
	list[7] = (struct pollfd){p[1], 0, 7};
	SHOW(SYS(poll, list, 8, 0));
	show_list(list, 8);
	SYS(close, p[0]);
	SHOW(SYS(poll, list, 8, -1));
	show_list(list, 8);
	SHOW(SYS(ppoll, list, 8, &zero, NULL, 8L));
	SHOW(SYS(ppoll, list, 8, NULL, NULL, 8L));
	SHOW(SYS(ppoll, list, 8, &wrong, NULL, 8L));
	SHOW(SYS(ppoll, list, 8, &negative, NULL, 8L));
	SHOW(SYS(ppoll, list, 8, NOWHERE, NULL, 8L));
	SHOW(SYS(ppoll, list, 8, &zero, &zero, 4));
	SHOW(SYS(ppoll, list, 8, &zero, NOWHERE, 8));
	SHOW(SYS(poll, NOWHERE, 1, 0));
	SHOW(SYS(poll, NOWHERE, 0, 0));
	SHOW(SYS(poll, list, 1024 + 1, 0));
	SHOW(SYS(poll, list, -1, 0));
	for (i = 0; i < 8; i++)
		list[i].fd = -1;
	SHOW(SYS(poll, list, 8, 10));
}

static void show_sets(const fd_set *in, const fd_set *out, const fd_set *ex, int count)
{
	int i;

	for (i = 0; i < count; i++)
		if (FD_ISSET(i, in) || FD_ISSET(i, out) || FD_ISSET(i, ex))
			say("  %d:%s%s%s", i, FD_ISSET(i, in) ? " in" : "",
			    FD_ISSET(i, out) ? " out" : "", FD_ISSET(i, ex) ? " ex" : "");
}

CASE(what_select_says, select, pselect6)
{
	struct timeval zero = {0, 0}, wrong = {0, -1}, late = {0, 1500000}, some = {0, 20000};
	struct timespec span = {0, 20000000};
	fd_set in, out, ex;
	int p[2], i;

	SYS(pipe2, p, 0);
	SHOW(SYS(dup2, p[0], 20));
	SHOW(SYS(dup2, p[1], 21));
	SHOW(SYS(open, "file", O_RDWR | O_CREAT, 0644));
	FD_ZERO(&in);
	for (i = 20; i < 22; i++)
		FD_SET(i, &in);
	FD_SET(5, &in);
	out = ex = in;
	SHOW(SYS(select, 22, &in, &out, &ex, &zero));
	show_sets(&in, &out, &ex, 30);
	SYS(write, 21, "x", 1);
	FD_ZERO(&in);
	FD_SET(20, &in);
	SHOW(SYS(select, 22, &in, NULL, NULL, NULL));
	SHOW(SYS(select, 20, &in, NULL, NULL, &zero));
	show_sets(&in, &in, &in, 30);
	FD_SET(25, &in);
	SHOW(SYS(select, 30, &in, NULL, NULL, &zero));
	SHOW(SYS(select, 25, &in, NULL, NULL, &late));
	SHOW(SYS(select, -1, &in, NULL, NULL, &zero));
	SHOW(SYS(select, 30, NOWHERE, NULL, NULL, &zero));
	SHOW(SYS(select, 22, &in, NULL, NULL, &wrong));
	SHOW(SYS(select, 22, &in, NULL, NULL, NOWHERE));
	SHOW(SYS(select, 0, NULL, NULL, NULL, &some));
	say("left: %ld %ld", (long)some.tv_sec, (long)some.tv_usec);
	SHOW(SYS(pselect6, 0, NULL, NULL, NULL, &span, NULL));
	say("left: %ld %ld", (long)span.tv_sec, span.tv_nsec);
	SHOW(SYS(pselect6, 0, NULL, NULL, NULL, &span, NOWHERE));
}

CASE(select_beyond_the_usual_set, select)
{
	static unsigned char in[512], before[512];
	struct timeval zero = {0, 0};
	int p[2], ends;

	SYS(pipe2, p, 0);
	SYS(write, p[1], "x", 1);
	SHOW(SYS(dup2, p[0], 1023));
	memset(in, 0xff, sizeof(in));
	memset(in, 0, 128);
	in[127] = 0x80;
	memcpy(before, in, sizeof(in));
	SHOW(SYS(select, 1024, in, NULL, NULL, &zero));
	SHOW(memcmp(in, before, sizeof(in)));
	memset(in, 0, sizeof(in));
	in[127] = 0x80;
	SHOW(SYS(select, 4096, in, NULL, NULL, &zero));
	for (ends = 511; ends && !in[ends]; ends--)
		;
	SHOW(ends);
}

static int handled;

static void on_signal(int signo)
{
	handled = signo;
}

CASE(masks_while_waiting, ppoll, pselect6, epoll_pwait, epoll_pwait2)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct timespec span = {5, 0};
	struct epoll_event event;
	sigset_t blocked, none, now;
	struct {
		const void *mask;
		size_t bytes;
	} mask = {&none, 8};
	int epoll = (int)SYS(epoll_create1, 0);

	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	raise(SIGUSR1);
	SHOW(handled);
	SHOW(SYS(ppoll, NULL, 0, &span, &none, 8L));
	SHOW(handled == SIGUSR1);
	handled = 0;
	raise(SIGUSR1);
	span = (struct timespec){5, 0};
	SHOW(SYS(pselect6, 0, NULL, NULL, NULL, &span, &mask));
	SHOW(handled == SIGUSR1);
	handled = 0;
	raise(SIGUSR1);
	SHOW(SYS(epoll_pwait, epoll, &event, 1, 5000, &none, 8L));
	SHOW(handled == SIGUSR1);
	handled = 0;
	raise(SIGUSR1);
	SHOW(SYS(epoll_pwait, epoll, &event, 1, 10, &blocked, 8L));
	SHOW(handled);
	SHOW(SYS(epoll_pwait2, epoll, &event, 1, &span, &none, 8L));
	SHOW(handled == SIGUSR1);
	sigprocmask(SIG_BLOCK, NULL, &now);
	SHOW(sigismember(&now, SIGUSR1));
}
