/* SPDX-License-Identifier: MIT */
/* The process: who it is, its memory, its time, its end. */
#include "case.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>

CASE(identity, getpid, gettid, getppid, getuid, geteuid, getgid, getegid, getgroups,
     set_tid_address)
{
	gid_t groups[64];
	int tid = 0;

	SHOW(SYS(getpid) > 0);
	SHOW(SYS(getpid) == SYS(gettid));
	SHOW(SYS(getppid) >= 0);
	SHOW(SYS(getuid));
	SHOW(SYS(geteuid));
	SHOW(SYS(getgid));
	SHOW(SYS(getegid));
	SHOW(SYS(getgroups, 0, NULL));
	SHOW(SYS(getgroups, 64, groups));
	SHOW(SYS(getgroups, -1, groups));
	SHOW(SYS(set_tid_address, &tid) == SYS(gettid));
}

CASE(machine, uname, sysinfo, getcpu, sched_yield)
{
	struct utsname name;
	struct sysinfo info;
	unsigned int cpu = 99, node = 99;

	SHOW(SYS(uname, &name));
	say("%s %s", name.sysname, name.machine);
	SHOW(SYS(uname, NOWHERE));
	SHOW(SYS(sysinfo, &info));
	SHOW(info.totalram > 0 && info.freeram <= info.totalram && info.mem_unit > 0);
	SHOW(info.procs > 0);
	SHOW(info.uptime > 0);
	SHOW(SYS(sysinfo, NOWHERE));
	SHOW(SYS(getcpu, &cpu, &node, NULL));
	SHOW(cpu < 99 && node < 99);
	SHOW(SYS(getcpu, NULL, NULL, NULL));
	SHOW(SYS(getcpu, NOWHERE, NULL, NULL));
	SHOW(SYS(sched_yield));
}

CASE(random_bytes, getrandom)
{
	char a[300] = "", b[300] = "";

	SHOW(SYS(getrandom, a, 300, 0));
	SHOW(SYS(getrandom, b, 300, GRND_NONBLOCK));
	SHOW(!memcmp(a, b, 300));
	SHOW(SYS(getrandom, a, 10, GRND_RANDOM));
	SHOW(SYS(getrandom, a, 10, 0x80));
	SHOW(SYS(getrandom, a, 10, GRND_RANDOM | 4));
	SHOW(SYS(getrandom, NOWHERE, 10, 0));
	SHOW(SYS(getrandom, a, 0, 0));
}

CASE(clocks, clock_gettime, clock_getres, gettimeofday, time)
{
	static const int ids[] = {CLOCK_REALTIME,           CLOCK_MONOTONIC,
				  CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
				  CLOCK_MONOTONIC_RAW,      CLOCK_REALTIME_COARSE,
				  CLOCK_MONOTONIC_COARSE,   CLOCK_BOOTTIME};
	struct timespec a, b, c;
	struct timeval tv;
	struct timezone tz;
	long now;
	size_t i;

	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		say("clock %d", ids[i]);
		SHOW(SYS(clock_gettime, ids[i], &a));
		SHOW(SYS(clock_gettime, ids[i], &b));
		SHOW(b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
		SHOW(SYS(clock_getres, ids[i], &c));
		SHOW(c.tv_sec == 0 && c.tv_nsec > 0);
	}
	SHOW(SYS(clock_gettime, 99, &a));
	SHOW(SYS(clock_gettime, CLOCK_REALTIME, NOWHERE));
	SHOW(SYS(clock_getres, 99, &a));
	SHOW(SYS(clock_getres, CLOCK_REALTIME, NULL));
	SHOW(SYS(clock_getres, CLOCK_REALTIME, NOWHERE));
	SHOW(SYS(gettimeofday, &tv, &tz));
	SHOW(tv.tv_usec < 1000000);
	SHOW(SYS(gettimeofday, NULL, NULL));
	SHOW(SYS(gettimeofday, NOWHERE, NULL));
	now = SYS(time, NULL);
	SHOW(now - tv.tv_sec <= 2);
	SHOW(SYS(time, NOWHERE));
}

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

CASE(sleeping, nanosleep, clock_nanosleep)
{
	struct timespec span = {0, 20000000}, left = {7, 7}, at;
	long began = milliseconds();

	SHOW(SYS(nanosleep, &span, NULL));
	SHOW(milliseconds() - began >= 20);
	SHOW(SYS(nanosleep, &span, &left));
	SHOW(left.tv_sec);
	began = milliseconds();
	SHOW(SYS(clock_nanosleep, CLOCK_MONOTONIC, 0, &span, NULL));
	SHOW(milliseconds() - began >= 20);
	SYS(clock_gettime, CLOCK_MONOTONIC, &at);
	at.tv_nsec += 20000000;
	at.tv_sec += at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	began = milliseconds();
	SHOW(SYS(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL));
	SHOW(milliseconds() - began >= 19);
	SHOW(SYS(clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &span, NULL));
	SHOW(SYS(clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &span, NULL));
	SHOW(SYS(clock_nanosleep, 99, 0, &span, NULL));
	SHOW(SYS(nanosleep, NOWHERE, NULL));
	span.tv_nsec = 1000000000;
	SHOW(SYS(nanosleep, &span, NULL));
	span.tv_nsec = -1;
	SHOW(SYS(nanosleep, &span, NULL));
	span = (struct timespec){-1, 0};
	SHOW(SYS(nanosleep, &span, NULL));
}

CASE(break_moves, brk)
{
	char *start = (char *)SYS(brk, 0);

	SHOW((char *)SYS(brk, start + 10000) - start);
	memset(start, 1, 10000);
	SHOW((char *)SYS(brk, start + 5000) - start);
	SHOW((char *)SYS(brk, start + 20000) - start);
	SHOW(start[8200]);
	SHOW((char *)SYS(brk, 16) - start);
	SHOW((char *)SYS(brk, start) - start);
}

CASE(unmapping, munmap, mprotect)
{
	char *at = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	SHOW(SYS(munmap, at + 4096, 4096));
	SHOW(SYS(munmap, at + 4096, 4096));
	SHOW(SYS(munmap, at + 1, 4096));
	SHOW(SYS(munmap, at, 0));
	SHOW(SYS(munmap, -4096l, 4096));
	SHOW(SYS(mprotect, at, 4096, PROT_READ));
	SHOW(SYS(mprotect, at, 3 * 4096, PROT_READ));
	SHOW(SYS(mprotect, at + 1, 4096, PROT_READ));
	SHOW(SYS(mprotect, at, 0, PROT_READ));
	SHOW(SYS(mprotect, at, 4096, 0x1000));
	SHOW(SYS(mprotect, at, 4096, PROT_READ | PROT_WRITE));
	at[0] = 7;
	SHOW(at[0]);
	SHOW(SYS(munmap, at, 4 * 4096));
	SHOW(SYS(getcpu, at, NULL, NULL));
}

CASE(writing_to_what_is_read_only_ends_it, mprotect)
{
	char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	at[0] = 1;
	SHOW(SYS(mprotect, at, 4096, PROT_READ));
	say("it holds %d", at[0]);
	*(volatile char *)at = 2;
	say("written");
}

CASE(signal_masks, rt_sigprocmask, rt_sigpending)
{
	uint64_t set = 1ul << (SIGUSR1 - 1), old = 77;

	SHOW(SYS(rt_sigprocmask, SIG_BLOCK, &set, &old, 8));
	SHOW(old);
	SHOW(SYS(rt_sigpending, &old, 8));
	SHOW(old);
	SHOW(SYS(kill, getpid(), SIGUSR1));
	SHOW(SYS(rt_sigpending, &old, 8));
	SHOW(old);
	set = ~0ul;
	SHOW(SYS(rt_sigprocmask, SIG_SETMASK, &set, NULL, 8));
	SHOW(SYS(rt_sigprocmask, SIG_SETMASK, NULL, &old, 8));
	SHOW(old == ~(1ul << (SIGKILL - 1) | 1ul << (SIGSTOP - 1)));
	SHOW(SYS(rt_sigprocmask, 7, &set, NULL, 8));
	SHOW(SYS(rt_sigprocmask, 7, NULL, NULL, 8));
	SHOW(SYS(rt_sigprocmask, SIG_BLOCK, &set, NULL, 4));
	SHOW(SYS(rt_sigprocmask, SIG_BLOCK, NOWHERE, NULL, 8));
	SHOW(SYS(rt_sigpending, NOWHERE, 8));
	SHOW(SYS(rt_sigpending, &old, 9));
}

CASE(the_end, exit)
{
	say("ending");
	SYS(exit, 0x1234);
}

CASE(the_end_of_the_group, exit_group)
{
	SYS(exit_group, 7);
}
