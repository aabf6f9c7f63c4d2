/* SPDX-License-Identifier: MIT */
/* timerfd: settings, counting, waiting for it in every way. */
#include "case.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

#define MS 1000000L

static long set(int fd, int flags, long value_ms, long interval_ms)
{
	struct itimerspec new = {{interval_ms / 1000, interval_ms % 1000 * MS},
				 {value_ms / 1000, value_ms % 1000 * MS}};

	return SYS(timerfd_settime, fd, flags, &new, NULL);
}

static void show_setting(int fd)
{
	struct itimerspec now;

	SHOW(SYS(timerfd_gettime, fd, &now));
	say("interval %ld.%09ld, runs: %d", (long)now.it_interval.tv_sec, now.it_interval.tv_nsec,
	    now.it_value.tv_sec || now.it_value.tv_nsec);
}

static void sleep_ms(long ms)
{
	struct timespec span = {ms / 1000, ms % 1000 * MS};

	nanosleep(&span, NULL);
}

CASE(what_timers_refuse, timerfd_create, timerfd_settime, timerfd_gettime)
{
	struct itimerspec wrong = {{0, 0}, {0, 1000000000}}, negative = {{0, 0}, {-1, 0}};
	struct itimerspec fine = {{0, 0}, {100, 0}};
	uint64_t value;
	int fd;

	SHOW(SYS(timerfd_create, 2, 0));
	SHOW(SYS(timerfd_create, 100, 0));
	SHOW(SYS(timerfd_create, CLOCK_MONOTONIC, 1));
	SHOW(SYS(timerfd_create, CLOCK_BOOTTIME, 0));
	fd = (int)SHOW(SYS(timerfd_create, CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
	SHOW(SYS(fcntl, fd, F_GETFL));
	SHOW(SYS(fcntl, fd, F_GETFD));
	SHOW(SYS(timerfd_settime, fd, 0, &wrong, NULL));
	SHOW(SYS(timerfd_settime, fd, 0, &negative, NULL));
	SHOW(SYS(timerfd_settime, fd, 4, &fine, NULL));
	SHOW(SYS(timerfd_settime, fd, 0, NOWHERE, NULL));
	SHOW(SYS(timerfd_settime, fd, 0, &fine, NOWHERE));
	show_setting(fd);
	SHOW(SYS(timerfd_settime, 0, 0, &fine, NULL));
	SHOW(SYS(timerfd_settime, 1000, 0, &fine, NULL));
	SHOW(SYS(timerfd_gettime, fd, NOWHERE));
	SHOW(SYS(timerfd_gettime, 0, &fine));
	SHOW(SYS(read, fd, &value, 7));
	SHOW(SYS(read, fd, &value, 8));
	SHOW(SYS(write, fd, &value, 8));
	SHOW(SYS(lseek, fd, 0, SEEK_SET));
}

CASE(a_timer_runs_out_once, timerfd_create, timerfd_settime, timerfd_gettime)
{
	uint64_t value = 0;
	int fd = (int)SYS(timerfd_create, CLOCK_MONOTONIC, 0);
	struct pollfd pollfd = {fd, POLLIN | POLLOUT, 0};

	show_setting(fd);
	SHOW(set(fd, 0, 400, 0)); /* not over before it is looked at, on a busy machine */
	show_setting(fd);
	SHOW(SYS(poll, &pollfd, 1, 0));
	SHOW(SYS(poll, &pollfd, 1, 5000));
	SHOW(pollfd.revents);
	show_setting(fd);
	SHOW(SYS(read, fd, &value, 8));
	SHOW(value);
	SHOW(SYS(poll, &pollfd, 1, 10));
	SHOW(set(fd, 0, 20, 0));
	SHOW(SYS(read, fd, &value, 8));
	SHOW(value);
	SHOW(set(fd, 0, 1, 0));
	sleep_ms(10);
	SHOW(set(fd, 0, 0, 0));
	SHOW(SYS(poll, &pollfd, 1, 10));
	SHOW(set(fd, TFD_TIMER_ABSTIME, 1, 0));
	SHOW(SYS(read, fd, &value, 8));
	SHOW(value);
}

CASE(an_interval_counts, timerfd_settime, read)
{
	uint64_t value = 0;
	struct itimerspec old, new = {{0, 0}, {0, 0}};
	int fd = (int)SYS(timerfd_create, CLOCK_REALTIME, TFD_NONBLOCK);

	SHOW(set(fd, 0, 1, 10000));
	sleep_ms(10);
	SHOW(SYS(read, fd, &value, 8));
	SHOW(value);
	SHOW(SYS(read, fd, &value, 8));
	show_setting(fd);
	SHOW(set(fd, 0, 1, 1));
	sleep_ms(50);
	SHOW(SYS(read, fd, &value, 8));
	SHOW(value >= 40);
	sleep_ms(5);
	SHOW(SYS(timerfd_settime, fd, 0, &new, &old));
	SHOW(old.it_interval.tv_nsec);
	SHOW(SYS(read, fd, &value, 8));
	/* The year 1970, every half year: they are counted. */
	SHOW(set(fd, TFD_TIMER_ABSTIME, 1, 365L * 86400 * 500));
	SHOW(SYS(read, fd, &value, 8));
	SHOW(value > 100 && value < 1000);
}

CASE(timers_and_epoll, epoll_wait, timerfd_settime)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 5};
	uint64_t value = 0;
	int epoll = (int)SYS(epoll_create1, 0);
	int fd = (int)SYS(timerfd_create, CLOCK_MONOTONIC, TFD_NONBLOCK);
	int level = (int)SYS(timerfd_create, CLOCK_BOOTTIME, TFD_NONBLOCK);

	SHOW(SYS(epoll_ctl, epoll, EPOLL_CTL_ADD, fd, &event));
	SHOW(SYS(epoll_wait, epoll, &event, 1, 10));
	set(fd, 0, 20, 10);
	SHOW(SYS(epoll_wait, epoll, &event, 1, 5000));
	SHOW(event.events);
	sleep_ms(30);
	SHOW(SYS(epoll_wait, epoll, &event, 1, 30));
	SHOW(SYS(read, fd, &value, 8));
	SHOW(value >= 3);
	SHOW(SYS(epoll_wait, epoll, &event, 1, 5000));
	set(fd, 0, 0, 0);
	event.events = EPOLLIN;
	SHOW(SYS(epoll_ctl, epoll, EPOLL_CTL_ADD, level, &event));
	set(level, 0, 20, 0);
	SHOW(SYS(epoll_wait, epoll, &event, 1, 5000));
	SHOW(SYS(epoll_wait, epoll, &event, 1, 10));
	SHOW(SYS(read, level, &value, 8));
	SHOW(SYS(epoll_wait, epoll, &event, 1, 10));
}
