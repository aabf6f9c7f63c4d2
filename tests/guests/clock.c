/* SPDX-License-Identifier: MIT */
/*
 * The program of clock_test: frozen with timers that run, and threads that sleep. argv[1] is a
 * time in ms: when they run out. A request is told what time it is by its image, by all ways to
 * ask, and what of that has happened.
 */
#include <mayfly/sdk.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

#define MS       1000000ll
#define READINGS 1000

static int64_t begun, frozen; /* the times before and behind the setting of all */
static int64_t span;          /* until all run out */
static int soon, of_day;      /* timerfds: by the monotonic clock, and at a time of day */
static timer_t timer;         /* SIGEV_NONE */
static volatile int slept;    /* threads that have */
static volatile int rung;     /* SIGALRM */
static int ends[2];
static char text[256];

static int64_t ns_of(struct timespec time)
{
	return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static struct timespec of_ns(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return ns_of(now);
}

static int64_t asked_ns(clockid_t clock)
{
	struct timespec now;

	syscall(SYS_clock_gettime, clock, &now);
	return ns_of(now);
}

static void *sleep_for(void *arg)
{
	struct timespec time = of_ns(span);

	nanosleep(&time, NULL);
	__atomic_add_fetch(&slept, 1, __ATOMIC_SEQ_CST);
	return arg;
}

static void *sleep_until(void *arg)
{
	struct timespec time = of_ns(begun + span);

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
	__atomic_add_fetch(&slept, 1, __ATOMIC_SEQ_CST);
	return arg;
}

static void *poll_for(void *arg)
{
	struct pollfd fd = {.fd = ends[0], .events = POLLIN};

	poll(&fd, 1, (int)(span / MS));
	__atomic_add_fetch(&slept, 1, __ATOMIC_SEQ_CST);
	return arg;
}

static void *wait_at_a_condition(void *arg)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct timespec time = of_ns(begun + span);
	pthread_condattr_t attr;
	pthread_cond_t never;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&never, &attr);
	pthread_mutex_lock(&lock);
	pthread_cond_timedwait(&never, &lock, &time);
	__atomic_add_fetch(&slept, 1, __ATOMIC_SEQ_CST);
	return arg;
}

#define SLEEPERS 4
static void *(*const sleepers[SLEEPERS])(void *) = {sleep_for, sleep_until, poll_for,
						    wait_at_a_condition};

static void on_alarm(int signo)
{
	rung += signo == SIGALRM;
}

static int timer_in(clockid_t clock, int64_t ns, int flags)
{
	struct itimerspec at = {.it_value = of_ns(ns)};
	int fd = timerfd_create(clock, TFD_NONBLOCK);

	timerfd_settime(fd, flags, &at, NULL);
	return fd;
}

static void set_all(void)
{
	struct itimerval alarm = {
		{0}, {.tv_sec = span / 1000000000, .tv_usec = span % 1000000000 / 1000}};
	struct sigevent silent = {.sigev_notify = SIGEV_NONE};
	struct itimerspec at = {.it_value = of_ns(span)};
	int i;

	signal(SIGALRM, on_alarm);
	if (pipe(ends))
		abort();
	begun = now_ns(CLOCK_MONOTONIC);
	for (i = 0; i < SLEEPERS; i++) {
		pthread_t thread;

		pthread_create(&thread, NULL, sleepers[i], NULL);
		pthread_detach(thread);
	}
	usleep(1000); /* they sleep */
	timer_create(CLOCK_MONOTONIC, &silent, &timer);
	timer_settime(timer, 0, &at, NULL);
	setitimer(ITIMER_REAL, &alarm, NULL);
	soon = timer_in(CLOCK_MONOTONIC, span, 0);
	of_day = timer_in(CLOCK_REALTIME, now_ns(CLOCK_REALTIME) + 1, TFD_TIMER_ABSTIME);
	frozen = now_ns(CLOCK_MONOTONIC);
}

static int is_due(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};

	return poll(&one, 1, 0);
}

/* What is left of a timer, in ns: by the descriptor and by its id, the least and the most. */
static void lefts(int64_t *least, int64_t *most)
{
	struct itimerspec a, b;
	struct itimerval c;
	int64_t all[3];
	int i;

	timerfd_gettime(soon, &a);
	timer_gettime(timer, &b);
	getitimer(ITIMER_REAL, &c);
	all[0] = ns_of(a.it_value);
	all[1] = ns_of(b.it_value);
	all[2] = c.it_value.tv_sec * 1000000000ll + c.it_value.tv_usec * 1000ll;
	*least = *most = all[0];
	for (i = 1; i < 3; i++) {
		*least = all[i] < *least ? all[i] : *least;
		*most = all[i] > *most ? all[i] : *most;
	}
}

/* Since the freeze, and at the end of all readings; the greatest step back, the time of day, what
 * is left of timers, what has happened, what else says how late it is, how long the setting took.
 */
static void look(void)
{
	struct sysinfo info;
	int64_t since = now_ns(CLOCK_MONOTONIC) - frozen;
	int64_t called = asked_ns(CLOCK_MONOTONIC) - frozen;
	int64_t last = called, back = since - called, left, most;
	int i;

	for (i = 0; i < READINGS; i++) {
		static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_BOOTTIME,
						   CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE};
		int64_t now = (i % 16 ? now_ns : asked_ns)(clocks[i / 16 % 4]) - frozen;

		back = last - now > back ? last - now : back;
		last = now;
	}
	sysinfo(&info);
	lefts(&left, &most);
	snprintf(text, sizeof(text), "%lld %lld %lld %lld %lld %lld %d %d %d %d %lld %lld %lld",
		 (long long)since, (long long)last, (long long)back,
		 (long long)now_ns(CLOCK_REALTIME), (long long)left, (long long)most, is_due(soon),
		 is_due(of_day), slept, rung,
		 (long long)(info.uptime - (last + frozen) / 1000000000),
		 (long long)(times(NULL) / 100 - (last + frozen) / 1000000000),
		 (long long)(frozen - begun));
}

/* Wait until all of it has happened. */
static void wait_for_all(void)
{
	struct pollfd timers = {.fd = soon, .events = POLLIN};
	struct timespec nap = {.tv_nsec = 1000000};

	while (poll(&timers, 1, -1) != 1 || slept < SLEEPERS || !rung)
		nanosleep(&nap, NULL);
	look();
}

int main(int argc, char **argv)
{
	const struct mf_request *request;

	span = (argc > 1 ? atoll(argv[1]) : 0) * MS;
	set_all();
	while ((request = mf_wait())) {
		if (!strncmp(mf_request_target(request).data, "/all", 4))
			wait_for_all();
		else
			look();
		mf_respond(200, "text/plain", text, strlen(text));
	}
	return 0;
}
