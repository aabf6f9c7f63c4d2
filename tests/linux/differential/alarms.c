/* SPDX-License-Identifier: MIT */
/* Timers that send signals: alarm, setitimer, timer_create. */
#include "case.h"
#include "signals.h"

#include <sys/resource.h>
#include <sys/time.h>

static volatile int count, last_code, last_value, last_overrun, first_overrun, last_id;

static void on_timer(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)context;
	count++;
	last_code = info->si_code;
	last_value = info->si_value.sival_int;
	last_overrun = info->si_overrun;
	if (count == 1)
		first_overrun = last_overrun;
	last_id = info->si_timerid;
}

static void compute(int ms)
{
	uint64_t until = now_ms() + (uint64_t)ms;
	volatile int turns = 0;

	while (now_ms() < until)
		turns++;
}

static void sleep_ms(int ms)
{
	struct timespec span = {ms / 1000, ms % 1000 * 1000000l};

	while (nanosleep(&span, &span) && errno == EINTR) {
	}
}

CASE(alarms, alarm, pause)
{
	struct itimerval old;

	count = 0;
	handle(SIGALRM, on_timer, 0);
	SHOW(SYS(alarm, 10));
	SHOW(SYS(alarm, 5));
	SHOW(SYS(alarm, 0));
	SHOW(SYS(alarm, 0));
	SYS(alarm, 1);
	SHOW(SYS(getitimer, ITIMER_REAL, &old));
	say("%d, interval %ld %ld", old.it_value.tv_sec == 0 && old.it_value.tv_usec > 0,
	    (long)old.it_interval.tv_sec, (long)old.it_interval.tv_usec);
	SHOW(SYS(pause));
	say("count %d code %d", count, last_code);
}

CASE(intervals, setitimer, getitimer)
{
	struct itimerval every = {{0, 20000}, {0, 20000}}, bad = {{0, 1000000}, {1, 0}}, old;
	struct itimerval negative = {{0, 0}, {-1, 0}}, never = {{5, 0}, {0, 0}};
	uint64_t began;
	int seen;

	count = 0;
	handle(SIGALRM, on_timer, SA_RESTART);
	began = now_ms();
	SHOW(SYS(setitimer, ITIMER_REAL, &every, NULL));
	while ((seen = count) < 5)
		sleep_ms(41);
	say("sleeping, too often %d", seen > (int)(now_ms() - began) / 20 + 1);
	count = 0;
	began = now_ms();
	while ((seen = count) < 5)
		compute(41);
	say("computing, too often %d", seen > (int)(now_ms() - began) / 20 + 2);
	SHOW(SYS(setitimer, ITIMER_REAL, &never, &old));
	say("interval %ld, left %d", (long)old.it_interval.tv_usec,
	    old.it_value.tv_usec > 0 && old.it_value.tv_usec <= 20000);
	SHOW(SYS(getitimer, ITIMER_REAL, &old));
	say("%ld %ld", (long)old.it_interval.tv_sec, (long)old.it_value.tv_usec);
	SHOW(SYS(setitimer, ITIMER_REAL, &bad, NULL));
	SHOW(SYS(setitimer, ITIMER_REAL, &negative, NULL));
	SHOW(SYS(setitimer, 3, &every, NULL));
	SHOW(SYS(setitimer, -1, &every, NULL));
	SHOW(SYS(getitimer, 3, &old));
	SHOW(SYS(getitimer, 0, NOWHERE));
	SHOW(SYS(setitimer, 0, NOWHERE, NULL));
	SHOW(SYS(setitimer, 0, &every, NOWHERE));
	SHOW(SYS(setitimer, 0, NULL, &old));
	say("it ran: %d", old.it_value.tv_usec > 0);
}

CASE(intervals_of_cpu_time, setitimer)
{
	struct itimerval every = {{0, 20000}, {0, 20000}}, never = {{0, 0}, {0, 0}};
	int which;

	for (which = ITIMER_VIRTUAL; which <= ITIMER_PROF; which++) {
		count = 0;
		handle(which == ITIMER_VIRTUAL ? SIGVTALRM : SIGPROF, on_timer, SA_RESTART);
		SYS(setitimer, which, &every, NULL);
		sleep_ms(100);
		say("sleeping %d", count == 0);
		while (count < 3)
			compute(10);
		say("computing, code %d", last_code);
		SYS(setitimer, which, &never, NULL);
	}
}

CASE(made_timers, timer_create, timer_settime, timer_gettime, timer_delete, timer_getoverrun)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2};
	struct itimerspec once = {{0, 0}, {0, 400000000}}, every = {{0, 5000000}, {0, 5000000}};
	struct itimerspec now, bad = {{0, 0}, {0, 1000000000}}, late;
	int id = -1, other = -1;

	event.sigev_value.sival_int = 1234;
	count = 0;
	handle(SIGRTMIN + 2, on_timer, 0);
	SHOW(SYS(timer_create, CLOCK_MONOTONIC, &event, &id));
	SHOW(SYS(timer_gettime, id, &now));
	say("%ld %ld", (long)now.it_value.tv_sec, now.it_value.tv_nsec);
	SHOW(SYS(timer_settime, id, 0, &once, &now));
	SHOW(SYS(timer_gettime, id, &now));
	say("runs %d", now.it_value.tv_nsec > 0 && now.it_value.tv_nsec <= 400000000);
	while (!count)
		sleep_ms(1);
	say("count %d code %d value %d overrun %d id %d", count, last_code, last_value,
	    last_overrun, last_id == id);
	SHOW(SYS(timer_gettime, id, &now));
	say("%ld %ld", (long)now.it_value.tv_sec, now.it_value.tv_nsec);
	block(SIGRTMIN + 2);
	count = 0;
	SHOW(SYS(timer_settime, id, 0, &every, NULL));
	sleep_ms(103);
	unblock(SIGRTMIN + 2);
	say("overrun %d, told again %d", first_overrun >= 15,
	    SYS(timer_getoverrun, id) == last_overrun || count > 1);
	SHOW(SYS(timer_delete, id));
	SHOW(SYS(timer_delete, id));
	SHOW(SYS(timer_settime, id, 0, &once, NULL));
	SHOW(SYS(timer_gettime, id, &now));
	SHOW(SYS(timer_getoverrun, id));
	SHOW(SYS(timer_create, CLOCK_REALTIME, NULL, &other));
	count = 0;
	handle(SIGALRM, on_timer, 0);
	count = 0;
	clock_gettime(CLOCK_REALTIME, &late.it_value);
	late.it_value.tv_sec -= 5;
	late.it_interval = (struct timespec){0, 0};
	SHOW(SYS(timer_settime, other, TIMER_ABSTIME, &late, NULL));
	while (!count)
		sleep_ms(1);
	say("count %d, value is the id %d", count, last_value == other);
	SHOW(SYS(timer_settime, other, 0, &bad, NULL));
	SHOW(SYS(timer_settime, other, 0, NULL, NULL));
	SHOW(SYS(timer_settime, other, 0, NOWHERE, NULL));
	SHOW(SYS(timer_settime, 4711, 0, &once, NULL));
	SHOW(SYS(timer_settime, -1, 0, &once, NULL));
	event.sigev_signo = 65;
	SHOW(SYS(timer_create, CLOCK_MONOTONIC, &event, &id));
	event.sigev_notify = 17;
	SHOW(SYS(timer_create, CLOCK_MONOTONIC, &event, &id));
	SHOW(SYS(timer_create, CLOCK_MONOTONIC, NOWHERE, &id));
	SHOW(SYS(timer_create, CLOCK_MONOTONIC, NULL, NOWHERE));
	SHOW(SYS(timer_create, CLOCK_MONOTONIC_RAW, NULL, &id));
	SHOW(SYS(timer_create, 77, NULL, &id));
}

/* One that tells nobody; one for a thread; one that counts CPU time. */
CASE(kinds_of_made_timers, timer_create, timer_settime, timer_gettime)
{
	struct sigevent event = {.sigev_notify = SIGEV_NONE, .sigev_signo = SIGUSR1};
	struct itimerspec once = {{0, 0}, {0, 10000000}}, every = {{0, 10000000}, {0, 10000000}},
			  now;
	int id = -1;

	count = 0;
	handle(SIGUSR1, on_timer, 0);
	SHOW(SYS(timer_create, CLOCK_BOOTTIME, &event, &id));
	SYS(timer_settime, id, 0, &once, NULL);
	sleep_ms(15);
	SHOW(SYS(timer_gettime, id, &now));
	say("over %ld, count %d", now.it_value.tv_nsec, count);
	SYS(timer_settime, id, 0, &every, NULL);
	sleep_ms(25);
	SHOW(SYS(timer_gettime, id, &now));
	say("goes on %d, count %d", now.it_value.tv_nsec > 0 && now.it_value.tv_nsec <= 10000000,
	    count);
	event.sigev_notify = SIGEV_THREAD_ID;
	((int *)&event)[4] = (int)SYS(gettid);
	SHOW(SYS(timer_create, CLOCK_MONOTONIC, &event, &id));
	SYS(timer_settime, id, 0, &once, NULL);
	while (!count)
		sleep_ms(1);
	say("count %d code %d", count, last_code);
	((int *)&event)[4] = 1;
	SHOW(SYS(timer_create, CLOCK_MONOTONIC, &event, &id));
	event.sigev_notify = SIGEV_SIGNAL;
	SHOW(SYS(timer_create, CLOCK_PROCESS_CPUTIME_ID, &event, &id));
	count = 0;
	SYS(timer_settime, id, 0, &once, NULL);
	sleep_ms(50);
	say("sleeping %d", count);
	while (!count)
		compute(1);
	say("count %d code %d", count, last_code);
	SHOW(SYS(timer_create, CLOCK_THREAD_CPUTIME_ID, &event, &id));
	SYS(timer_settime, id, 0, &once, NULL);
	while (count < 2)
		compute(1);
	say("count %d", count);
}

/* SIGXCPU in every second from the soft limit on. */
CASE(the_limit_of_cpu_time, prlimit64)
{
	struct rlimit limit = {1, 2}, now, more = {1, 3}, odd = {3, 2};

	count = 0;
	handle(SIGXCPU, on_timer, SA_RESTART);
	SHOW(SYS(prlimit64, 0, RLIMIT_CPU, &limit, NULL));
	SHOW(SYS(prlimit64, 0, RLIMIT_CPU, NULL, &now));
	say("%d %d", (int)now.rlim_cur, (int)now.rlim_max);
	SHOW(SYS(prlimit64, 0, RLIMIT_CPU, &odd, NULL));
	if (getuid())
		SHOW(SYS(prlimit64, 0, RLIMIT_CPU, &more, NULL));
	while (!count)
		compute(1);
	say("count %d code %d", count, last_code);
}

/* Nobody handles it: the program ends. */
CASE(a_timer_that_kills, setitimer)
{
	struct itimerval soon = {{0, 0}, {0, 20000}};

	SYS(setitimer, ITIMER_REAL, &soon, NULL);
	for (;;)
		compute(10);
}
