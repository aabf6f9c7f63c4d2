/* SPDX-License-Identifier: MIT */
/* Threads that wait for each other through descriptors: each side blocks in turn. */
#include "case.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/timerfd.h>
#include <time.h>

static char big[300000];

static void sleep_ms(long ms)
{
	struct timespec span = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&span, NULL);
}

/* What a helper does, after a while: the main thread is waiting by then. */
struct helper {
	pthread_t thread;
	int fd;
	int other;
	size_t bytes;
	long result;
};

static void start(struct helper *helper, void *(*run)(void *), int fd)
{
	helper->fd = fd;
	pthread_create(&helper->thread, NULL, run, helper);
}

static long finish(struct helper *helper)
{
	pthread_join(helper->thread, NULL);
	return helper->result;
}

static void *write_one(void *arg)
{
	struct helper *helper = arg;

	sleep_ms(20);
	helper->result = SYS(write, helper->fd, "x", 1);
	return NULL;
}

static void *write_much(void *arg)
{
	struct helper *helper = arg;

	helper->result = SYS(write, helper->fd, big, helper->bytes);
	return NULL;
}

static void *add_one(void *arg)
{
	struct helper *helper = arg;
	uint64_t one = 1;

	sleep_ms(20);
	helper->result = SYS(write, helper->fd, &one, 8);
	return NULL;
}

static void *close_it(void *arg)
{
	struct helper *helper = arg;

	sleep_ms(20);
	helper->result = SYS(close, helper->fd);
	return NULL;
}

CASE(a_reader_waits_for_a_writer, pipe, read, write)
{
	struct helper helper;
	char byte;
	int p[2];

	SYS(pipe, p);
	start(&helper, write_one, p[1]);
	SHOW(SYS(read, p[0], &byte, 1));
	SHOW(finish(&helper));
	start(&helper, close_it, p[1]);
	SHOW(SYS(read, p[0], &byte, 1));
	finish(&helper);
}

CASE(a_writer_waits_for_room, read, write)
{
	struct helper helper = {.bytes = sizeof(big)};
	static char part[7001];
	size_t total = 0, i, wrong = 0;
	long got;
	int p[2];

	for (i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 251);
	SYS(pipe, p);
	start(&helper, write_much, p[1]);
	while (total < sizeof(big) && (got = SYS(read, p[0], part, sizeof(part))) > 0) {
		wrong += memcmp(part, big + total, (size_t)got) != 0;
		total += (size_t)got;
	}
	SHOW(total);
	SHOW(wrong);
	SHOW(finish(&helper));
}

CASE(a_writer_whose_reader_leaves, write, close)
{
	struct helper helper = {.bytes = 100000};
	int p[2];

	signal(SIGPIPE, SIG_IGN);
	SYS(pipe, p);
	start(&helper, write_much, p[1]);
	sleep_ms(20);
	SYS(close, p[0]);
	SHOW(finish(&helper));
	SYS(pipe, p);
	SYS(fcntl, p[1], F_SETFL, O_NONBLOCK);
	while (SYS(write, p[1], big, 4096) > 0)
		;
	SYS(fcntl, p[1], F_SETFL, 0);
	start(&helper, close_it, p[0]);
	SHOW(SYS(write, p[1], "x", 1));
	finish(&helper);
}

static void on_signal(int signo)
{
	(void)signo;
}

static pthread_t main_thread;
static volatile bool interrupted;

/* Again and again: on a busy machine the first one may come before the call. */
static void *interrupt_main(void *arg)
{
	(void)arg;
	do {
		sleep_ms(30);
		pthread_kill(main_thread, SIGUSR1);
	} while (!interrupted);
	return NULL;
}

#define SHOW_INTERRUPTED(call)                     \
	do {                                       \
		interrupted = false;               \
		start(&helper, interrupt_main, 0); \
		SHOW(call);                        \
		interrupted = true;                \
		finish(&helper);                   \
	} while (0)

CASE(a_signal_ends_waiting, read, write, poll)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct helper helper;
	struct pollfd pollfd = {.events = POLLIN};
	char byte;
	int p[2];

	main_thread = pthread_self();
	sigaction(SIGUSR1, &action, NULL);
	SYS(pipe, p);
	SHOW_INTERRUPTED(SYS(read, p[0], &byte, 1));
	SHOW_INTERRUPTED(SYS(write, p[1], big, 200000));
	SHOW_INTERRUPTED(SYS(write, p[1], big, 200000));
	pollfd.fd = p[1];
	pollfd.events = POLLOUT;
	SHOW_INTERRUPTED(SYS(poll, &pollfd, 1, 5000));
}

CASE(counters_wait_both_ways, eventfd2, read, write)
{
	struct helper helper;
	uint64_t value = UINT64_MAX - 1;
	int fd = (int)SYS(eventfd2, 0, 0);

	start(&helper, add_one, fd);
	SHOW(SYS(read, fd, &value, 8));
	SHOW(value);
	finish(&helper);
	value = UINT64_MAX - 1;
	SYS(write, fd, &value, 8);
	start(&helper, add_one, fd);
	sleep_ms(50);
	SHOW(SYS(read, fd, &value, 8));
	SHOW(finish(&helper));
	SHOW(SYS(read, fd, &value, 8));
	SHOW(value);
}

static void *take_one(void *arg)
{
	struct helper *helper = arg;
	uint64_t value;

	helper->result = SYS(read, helper->fd, &value, 8);
	return NULL;
}

CASE(a_semaphore_lets_each_through, eventfd2)
{
	struct helper helpers[4];
	uint64_t four = 4;
	int i, fd = (int)SYS(eventfd2, 0, EFD_SEMAPHORE);

	for (i = 0; i < 4; i++)
		start(&helpers[i], take_one, fd);
	sleep_ms(20);
	SHOW(SYS(write, fd, &four, 8));
	for (i = 0; i < 4; i++)
		SHOW(finish(&helpers[i]));
}

CASE(others_end_the_waiting_of_poll, poll, select)
{
	struct helper helper;
	struct pollfd list[3];
	struct timeval span = {10, 0};
	fd_set set;
	int p[2], fd = (int)SYS(eventfd2, 0, 0);
	char byte;

	SYS(pipe, p);
	list[0] = (struct pollfd){p[0], POLLIN, 0};
	list[1] = (struct pollfd){fd, POLLIN, 0};
	list[2] = (struct pollfd){-1, POLLIN, 0};
	start(&helper, write_one, p[1]);
	SHOW(SYS(poll, list, 3, 10000));
	finish(&helper);
	SHOW(list[0].revents);
	SYS(read, p[0], &byte, 1);
	start(&helper, add_one, fd);
	SHOW(SYS(poll, list, 3, -1));
	finish(&helper);
	SHOW(list[1].revents);
	FD_ZERO(&set);
	FD_SET(p[0], &set);
	start(&helper, close_it, p[1]);
	SHOW(SYS(select, 100, &set, NULL, NULL, &span));
	finish(&helper);
	SHOW(span.tv_sec == 9);
}

static void *add_to_epoll(void *arg)
{
	struct helper *helper = arg;
	struct epoll_event event = {.events = EPOLLIN};

	sleep_ms(20);
	helper->result = SYS(epoll_ctl, helper->other, EPOLL_CTL_ADD, helper->fd, &event);
	return NULL;
}

CASE(others_end_the_waiting_of_epoll, epoll_wait, epoll_ctl)
{
	struct helper helper;
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int p[2], epoll = (int)SYS(epoll_create1, 0), fd = (int)SYS(eventfd2, 1, 0);

	SYS(pipe, p);
	SYS(epoll_ctl, epoll, EPOLL_CTL_ADD, p[0], &event);
	start(&helper, write_one, p[1]);
	SHOW(SYS(epoll_wait, epoll, &event, 1, -1));
	finish(&helper);
	start(&helper, write_one, p[1]);
	SHOW(SYS(epoll_wait, epoll, &event, 1, 10000));
	finish(&helper);
	helper.other = epoll;
	start(&helper, add_to_epoll, fd);
	SHOW(SYS(epoll_wait, epoll, &event, 1, 10000));
	finish(&helper);
	SYS(close, fd);
	start(&helper, close_it, p[1]);
	SHOW(SYS(epoll_wait, epoll, &event, 1, 10000));
	SHOW(event.events);
	finish(&helper);
}

static void *wait_once(void *arg)
{
	struct helper *helper = arg;
	struct epoll_event event;

	helper->result = SYS(epoll_wait, helper->fd, &event, 1, 300);
	return NULL;
}

CASE(one_edge_ends_one_waiting, epoll_wait)
{
	struct helper helpers[3];
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int i, epoll = (int)SYS(epoll_create1, 0), fd = (int)SYS(eventfd2, 0, 0);
	uint64_t one = 1;
	long total = 0;

	SYS(epoll_ctl, epoll, EPOLL_CTL_ADD, fd, &event);
	for (i = 0; i < 3; i++)
		start(&helpers[i], wait_once, epoll);
	sleep_ms(30);
	SYS(write, fd, &one, 8);
	for (i = 0; i < 3; i++)
		total += finish(&helpers[i]);
	SHOW(total);
}

static void *set_timer(void *arg)
{
	struct helper *helper = arg;
	struct itimerspec soon = {{0, 0}, {0, 10000000}};

	sleep_ms(20);
	helper->result = SYS(timerfd_settime, helper->fd, 0, &soon, NULL);
	return NULL;
}

CASE(a_timer_set_while_it_is_waited_for, timerfd_settime, epoll_wait, read)
{
	struct helper helper;
	struct epoll_event event = {.events = EPOLLIN};
	struct itimerspec late = {{0, 0}, {1000, 0}};
	uint64_t value;
	int epoll = (int)SYS(epoll_create1, 0);
	int fd = (int)SYS(timerfd_create, CLOCK_MONOTONIC, 0);

	start(&helper, set_timer, fd);
	SHOW(SYS(read, fd, &value, 8));
	finish(&helper);
	SYS(timerfd_settime, fd, 0, &late, NULL);
	SYS(epoll_ctl, epoll, EPOLL_CTL_ADD, fd, &event);
	start(&helper, set_timer, fd);
	SHOW(SYS(epoll_wait, epoll, &event, 1, 10000));
	finish(&helper);
}

static void *echo(void *arg)
{
	struct helper *helper = arg;
	char byte;

	while (SYS(read, helper->fd, &byte, 1) == 1)
		SYS(write, helper->other, &byte, 1);
	return NULL;
}

CASE(to_and_fro, read, write)
{
	struct helper helper;
	int there[2], back[2], i, rounds = 0;
	char byte = 'b';

	SYS(pipe, there);
	SYS(pipe, back);
	helper.other = back[1];
	start(&helper, echo, there[0]);
	for (i = 0; i < 200; i++)
		rounds += SYS(write, there[1], &byte, 1) == 1 && SYS(read, back[0], &byte, 1) == 1;
	SHOW(rounds);
	SYS(close, there[1]);
	finish(&helper);
}
