/* SPDX-License-Identifier: MIT */
/* Calls that a signal finds waiting: which end with EINTR, and which are made again. */
#include "case.h"
#include "signals.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/time.h>

#define TICK_MS 120 /* a busy machine is not to lose one */

static int ticks, pipe_ends[2];

/* The second time, whoever reads is given something. */
static void on_tick(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)info;
	(void)context;
	if (++ticks == 2 && write(pipe_ends[1], "x", 1) != 1)
		_exit(98);
}

static void tick(int flags)
{
	struct itimerval every = {{0, TICK_MS * 1000}, {0, TICK_MS * 1000}};

	ticks = 0;
	handle(SIGALRM, on_tick, flags);
	setitimer(ITIMER_REAL, &every, NULL);
}

static void stop(void)
{
	struct itimerval never = {{0, 0}, {0, 0}};

	setitimer(ITIMER_REAL, &never, NULL);
}

/* What the ticks did to a call. Behind one that they ended there may be more before the timer is
 * stopped: how many tells how busy the machine is. */
static const char *effect(long got, int error)
{
	int met = ticks;

	stop();
	if (got < 0 && error == EINTR)
		return met ? "interrupted" : "EINTR without a tick";
	return met > 1 ? "made again" : met ? "one tick" : "no tick";
}

#define INTERRUPTED(what)                                                                     \
	do {                                                                                  \
		static const int flags[] = {0, SA_RESTART};                                   \
		int with;                                                                     \
		for (with = 0; with < 2; with++) {                                            \
			long got;                                                             \
			int error;                                                            \
			if (pipe(pipe_ends))                                                  \
				_exit(97);                                                    \
			tick(flags[with]);                                                    \
			errno = 0;                                                            \
			got = (what);                                                         \
			error = errno;                                                        \
			printf("%s%s: %s, ", #what, with ? ", SA_RESTART" : "", result(got)); \
			printf("%s\n", effect(got, error));                                   \
			close(pipe_ends[0]);                                                  \
			close(pipe_ends[1]);                                                  \
		}                                                                             \
	} while (0)

CASE(reading_and_writing, read, write)
{
	char byte;
	static char much[65536 + 4096];

	INTERRUPTED(SYS(read, pipe_ends[0], &byte, 1));
	INTERRUPTED(SYS(write, pipe_ends[1], much, sizeof(much)));
}

CASE(sleeping, nanosleep, clock_nanosleep)
{
	struct timespec span = {0, 900000000}, rest = {-1, -1}, until;

	INTERRUPTED(SYS(nanosleep, &span, NULL));
	handle(SIGALRM, on_tick, SA_RESTART);
	pipe_ends[1] = open("/dev/null", O_WRONLY);
	tick(SA_RESTART);
	SHOW(SYS(nanosleep, &span, &rest));
	stop();
	say("rest %d %d", rest.tv_sec == 0, rest.tv_nsec > 0 && rest.tv_nsec < 850000000);
	tick(0);
	SHOW(SYS(clock_nanosleep, CLOCK_REALTIME, 0, &span, &rest));
	stop();
	say("rest %d %d", rest.tv_sec == 0, rest.tv_nsec > 0 && rest.tv_nsec < 850000000);
	tick(0);
	SHOW(SYS(nanosleep, &span, NOWHERE));
	stop();
	rest = (struct timespec){-1, -1};
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	tick(0);
	SHOW(SYS(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &until, &rest));
	stop();
	say("rest %ld %ld", (long)rest.tv_sec, rest.tv_nsec);
}

CASE(waiting_for_descriptors, poll, ppoll, select, pselect6)
{
	struct timespec span = {0, 900000000};
	struct timeval time = {0, 900000};
	struct pollfd fd;
	fd_set set;

	INTERRUPTED((fd = (struct pollfd){pipe_ends[0], POLLIN, 0}, SYS(poll, &fd, 1, -1)));
	INTERRUPTED((fd = (struct pollfd){pipe_ends[0], POLLIN, 0}, SYS(poll, &fd, 1, 900)));
	INTERRUPTED((span.tv_nsec = 900000000, fd = (struct pollfd){pipe_ends[0], POLLIN, 0},
		     SYS(ppoll, &fd, 1, &span, NULL, 8)));
	say("left %d", span.tv_nsec > 0 && span.tv_nsec < 850000000);
	FD_ZERO(&set);
	INTERRUPTED((FD_SET(pipe_ends[0], &set), time.tv_usec = 900000,
		     SYS(select, pipe_ends[0] + 1, &set, NULL, NULL, &time)));
	say("left %d", time.tv_usec > 0 && time.tv_usec < 850000);
	INTERRUPTED((span.tv_nsec = 900000000, FD_SET(pipe_ends[0], &set),
		     SYS(pselect6, pipe_ends[0] + 1, &set, NULL, NULL, &span, NULL)));
	say("left %d", span.tv_nsec > 0 && span.tv_nsec < 850000000);
}

CASE(waiting_for_signals_alone, pause, rt_sigsuspend, rt_sigtimedwait)
{
	struct timespec span = {1, 0};
	uint64_t none = 0, other = BIT(SIGUSR2);
	siginfo_t info;

	INTERRUPTED(SYS(pause));
	INTERRUPTED(SYS(rt_sigsuspend, &none, 8));
	INTERRUPTED(SYS(rt_sigtimedwait, &other, &info, &span, 8));
	INTERRUPTED(SYS(rt_sigtimedwait, &other, &info, NULL, 8));
}

static void tell(int signo, siginfo_t *info, void *context)
{
	uint64_t mask;

	(void)info;
	memcpy(&mask, &((ucontext_t *)context)->uc_sigmask, 8);
	printf("SIG%s, mask in it %llx, behind it %llx\n", sigabbrev_np(signo),
	       (unsigned long long)mask_now(), (unsigned long long)mask);
}

/* A mask for the time of a call: what it lets through ends the call, and the old one comes back. */
CASE(masks_of_calls, ppoll, pselect6, rt_sigsuspend)
{
	struct timespec soon = {0, 10000000}, none = {0, 0};
	uint64_t all_but = ~BIT(SIGUSR1), nothing = 0;
	struct {
		const void *mask;
		size_t bytes;
	} pair = {&all_but, 8};
	struct pollfd fd;

	if (pipe(pipe_ends))
		return;
	fd = (struct pollfd){pipe_ends[1], POLLOUT, 0};
	handle(SIGUSR1, tell, SA_RESTART);
	handle(SIGUSR2, tell, SA_RESTART);
	block(SIGUSR1);
	block(SIGUSR2);
	raise(SIGUSR1);
	SHOW(SYS(ppoll, NULL, 0, &soon, &all_but, 8));
	say("mask %llx pending %llx", (unsigned long long)mask_now(),
	    (unsigned long long)pending());
	raise(SIGUSR1);
	raise(SIGUSR2);
	SHOW(SYS(ppoll, NULL, 0, &soon, &nothing, 8));
	say("mask %llx pending %llx", (unsigned long long)mask_now(),
	    (unsigned long long)pending());
	raise(SIGUSR1);
	SHOW(SYS(ppoll, &fd, 1, &soon, &all_but, 8));
	say("pending %llx", (unsigned long long)pending());
	SHOW(SYS(pselect6, 0, NULL, NULL, NULL, &soon, &pair));
	say("mask %llx pending %llx", (unsigned long long)mask_now(),
	    (unsigned long long)pending());
	raise(SIGUSR2);
	SHOW(SYS(ppoll, NULL, 0, &soon, &all_but, 8));
	SHOW(SYS(ppoll, NULL, 0, &none, &nothing, 8));
	SHOW(SYS(ppoll, NULL, 0, &none, NOWHERE, 8));
	SHOW(SYS(ppoll, NULL, 0, &none, &nothing, 4));
	raise(SIGUSR1);
	SHOW(SYS(rt_sigsuspend, &nothing, 8));
	say("mask %llx pending %llx", (unsigned long long)mask_now(),
	    (unsigned long long)pending());
}

/* What is ignored does not disturb. */
CASE(ignored_signals_disturb_nobody, nanosleep)
{
	struct timespec span = {0, 80000000}, rest = {7, 7};
	struct itimerval every = {{0, 10000}, {0, 10000}};

	signal(SIGALRM, SIG_IGN);
	setitimer(ITIMER_REAL, &every, NULL);
	SHOW(SYS(nanosleep, &span, &rest));
	say("rest %ld", (long)rest.tv_sec);
	block(SIGALRM);
	handle(SIGALRM, on_tick, 0);
	SHOW(SYS(nanosleep, &span, &rest));
	say("pending %llx", (unsigned long long)pending());
	stop();
}
