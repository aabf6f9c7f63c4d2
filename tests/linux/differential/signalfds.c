/* SPDX-License-Identifier: MIT */
/* Signals that are read from a descriptor. */
#include "case.h"
#include "signals.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/time.h>

static void show(const char *what, const struct signalfd_siginfo *info)
{
	say("%s: %u errno %d code %d pid %s uid %d int %d overrun %u", what, info->ssi_signo,
	    info->ssi_errno, info->ssi_code, pid_name((int)info->ssi_pid),
	    info->ssi_uid == getuid(), info->ssi_int, info->ssi_overrun);
}

static short ready(int fd)
{
	struct pollfd one = {fd, POLLIN | POLLOUT, 0};

	poll(&one, 1, 0);
	return one.revents;
}

CASE(reading_signals, signalfd4, read, poll)
{
	uint64_t set = BIT(SIGUSR1) | BIT(SIGRTMIN + 1), other = BIT(SIGUSR2);
	struct signalfd_siginfo info[4];
	union sigval value = {.sival_int = 5};
	long fd;

	sigprocmask(SIG_BLOCK, (sigset_t *)&set, NULL);
	block(SIGUSR2);
	fd = SYS(signalfd4, -1, &set, 8, SFD_NONBLOCK);
	say("%d flags %x", fd >= 0, fcntl((int)fd, F_GETFL) & 0xfff);
	SHOW(SYS(read, fd, info, sizeof(info)));
	say("ready %x", ready((int)fd));
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	sigqueue(getpid(), SIGRTMIN + 1, value);
	value.sival_int = 6;
	sigqueue(getpid(), SIGRTMIN + 1, value);
	raise(SIGRTMIN + 1);
	say("ready %x", ready((int)fd));
	SHOW(SYS(read, fd, info, 127));
	SHOW(SYS(read, fd, info, 300));
	show("first", &info[0]);
	show("second", &info[1]);
	SHOW(SYS(read, fd, info, sizeof(info)));
	show("third", &info[0]);
	show("fourth", &info[1]);
	SHOW(SYS(read, fd, info, sizeof(info)));
	SHOW(SYS(signalfd4, fd, &other, 8, 0) == fd);
	say("ready %x", ready((int)fd));
	SHOW(SYS(read, fd, NOWHERE, sizeof(info)));
	SHOW(SYS(read, fd, info, sizeof(info)));
	SHOW(SYS(write, fd, info, sizeof(info)));
	SHOW(SYS(lseek, fd, 5, SEEK_SET));
	SHOW(SYS(signalfd4, 1, &set, 8, 0));
	SHOW(SYS(signalfd4, 99, &set, 8, 0));
	SHOW(SYS(signalfd4, -1, &set, 4, 0));
	SHOW(SYS(signalfd4, -1, NOWHERE, 8, 0));
	SHOW(SYS(signalfd4, -1, &set, 8, 1));
}

CASE(waiting_for_a_signal_to_read, signalfd, signalfd4, read, epoll_wait)
{
	struct itimerval soon = {{0, 0}, {0, 20000}};
	uint64_t set = BIT(SIGALRM);
	struct signalfd_siginfo info;
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	struct pollfd one;
	int epoll = epoll_create1(0);
	long fd = SYS(signalfd, -1, &set, 8);

	block(SIGALRM);
	one = (struct pollfd){(int)fd, POLLIN, 0};
	setitimer(ITIMER_REAL, &soon, NULL);
	SHOW(SYS(read, fd, &info, sizeof(info)));
	say("%u code %d", info.ssi_signo, info.ssi_code);
	setitimer(ITIMER_REAL, &soon, NULL);
	SHOW(SYS(poll, &one, 1, 1000));
	SHOW(SYS(read, fd, &info, sizeof(info)));
	SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, (int)fd, &event));
	setitimer(ITIMER_REAL, &soon, NULL);
	SHOW(SYS(epoll_wait, epoll, &event, 1, 1000));
	SHOW(SYS(epoll_wait, epoll, &event, 1, 0));
	raise(SIGALRM);
	SHOW(SYS(epoll_wait, epoll, &event, 1, 0));
	SHOW(SYS(read, fd, &info, sizeof(info)));
	SHOW(SYS(read, fd, &info, 1));
	fd = SYS(signalfd4, -1, &set, 8, SFD_CLOEXEC);
	SHOW(fcntl((int)fd, F_GETFD));
}
