/* SPDX-License-Identifier: MIT */
/* Resource limits that a program sets for itself (setrlimit(2)), and what they do. */
#include "case.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

static void set(int resource, rlim_t soft)
{
	struct rlimit limit;

	getrlimit(resource, &limit);
	limit.rlim_cur = soft;
	say("set %d to %ld: %ld", resource, (long)soft, SYS(setrlimit, resource, &limit));
}

CASE(limits_are_set_and_told, setrlimit, getrlimit, prlimit64)
{
	static const int all[] = {RLIMIT_CPU,  RLIMIT_FSIZE,   RLIMIT_DATA,   RLIMIT_STACK,
				  RLIMIT_CORE, RLIMIT_RSS,     RLIMIT_NPROC,  RLIMIT_NOFILE,
				  RLIMIT_AS,   RLIMIT_MEMLOCK, RLIMIT_LOCKS,  RLIMIT_SIGPENDING,
				  RLIMIT_NICE, RLIMIT_RTPRIO,  RLIMIT_RTTIME, RLIMIT_MSGQUEUE};
	struct rlimit limit, was;
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		SYS(getrlimit, all[i], &was);
		limit = was;
		limit.rlim_cur = limit.rlim_cur > 8 ? 8 : limit.rlim_cur;
		if (all[i] == RLIMIT_STACK || all[i] == RLIMIT_DATA || all[i] == RLIMIT_AS)
			limit.rlim_cur = was.rlim_cur;
		SHOW(SYS(setrlimit, all[i], &limit));
		SYS(prlimit64, 0, all[i], 0, &limit);
		say("%zu: %d", i, limit.rlim_cur <= 8 || limit.rlim_cur == was.rlim_cur);
	}
}

CASE(a_hard_limit_is_lowered_for_good, setrlimit, getrlimit, prlimit64)
{
	struct rlimit limit = {1 << 20, 1 << 21}, old;

	SHOW(SYS(setrlimit, RLIMIT_FSIZE, &limit));
	limit = (struct rlimit){1 << 21, 1 << 21};
	SHOW(SYS(setrlimit, RLIMIT_FSIZE, &limit));
	SHOW(SYS(prlimit64, 0, RLIMIT_FSIZE, 0, &old));
	say("%ld %ld", (long)old.rlim_cur, (long)old.rlim_max);
	limit = (struct rlimit){2, 1};
	SHOW(SYS(setrlimit, RLIMIT_FSIZE, &limit));
	SHOW(SYS(setrlimit, RLIM_NLIMITS, &limit));
	SHOW(SYS(setrlimit, -1, &limit));
	SHOW(SYS(getrlimit, RLIM_NLIMITS, &limit));
	SHOW(SYS(setrlimit, RLIMIT_FSIZE, NOWHERE));
	SHOW(SYS(getrlimit, RLIMIT_FSIZE, NOWHERE));
	SHOW(SYS(prlimit64, 0, RLIM_NLIMITS, 0, &limit));
	SHOW(SYS(prlimit64, 0, RLIMIT_FSIZE, NOWHERE, 0));
}

static volatile int came;

static void on_signal(int signo)
{
	came = signo;
}

CASE(a_file_grows_to_its_limit_and_no_further, setrlimit, write, pwrite64, ftruncate, truncate,
     fallocate)
{
	char text[100] = {0};
	int fd = open("f", O_RDWR | O_CREAT, 0600);

	signal(SIGXFSZ, on_signal);
	set(RLIMIT_FSIZE, 150);
	SHOW(SYS(write, fd, text, 100));
	SHOW(SYS(write, fd, text, 100));
	SHOW(SYS(write, fd, text, 100));
	say("signal %d", came);
	came = 0;
	SHOW(SYS(write, fd, text, 0));
	say("signal %d", came);
	SHOW(SYS(pwrite64, fd, text, 10, 145));
	SHOW(SYS(pwrite64, fd, text, 10, 150));
	say("signal %d", came);
	came = 0;
	SHOW(SYS(ftruncate, fd, 150));
	SHOW(SYS(ftruncate, fd, 151));
	say("signal %d", came);
	came = 0;
	SHOW(SYS(truncate, "f", 1000));
	say("signal %d", came);
	came = 0;
	SHOW(SYS(fallocate, fd, 0, 0, 151));
	say("signal %d", came);
	close(fd);
	fd = open("f", O_WRONLY | O_APPEND);
	SHOW(SYS(ftruncate, fd, 140));
	SHOW(SYS(write, fd, text, 100));
	SHOW(SYS(write, fd, text, 100));
}

CASE(a_program_dies_of_a_file_that_is_too_large, setrlimit, write)
{
	int fd = open("f", O_RDWR | O_CREAT, 0600);

	set(RLIMIT_FSIZE, 0);
	SHOW(SYS(write, fd, "x", 1));
	say("not reached");
}

#define MIB (1ul << 20)

CASE(data_has_a_limit, setrlimit, mmap, brk, mprotect)
{
	void *none = mmap(NULL, 64 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *own;

	set(RLIMIT_DATA, 16 * MIB);
	own = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	say("32 MiB: %d", own != MAP_FAILED);
	own = mmap(NULL, 32 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	say("32 MiB to read: %d", own != MAP_FAILED);
	own = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	say("4 MiB: %d", own != MAP_FAILED);
	say("protect %d", mprotect(none, 32 * MIB, PROT_READ | PROT_WRITE));
	say("protect less %d", mprotect(none, MIB, PROT_READ | PROT_WRITE));
	say("heap %d", sbrk((long)(32 * MIB)) != (void *)-1);
}

CASE(memory_that_is_locked_has_a_limit, setrlimit, mlock, mlockall, mmap)
{
	char *own =
		mmap(NULL, 64 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *more;

	set(RLIMIT_MEMLOCK, 32 << 10);
	SHOW(SYS(mlock, own, 32 << 10) == 0);
	SHOW(SYS(mlock, own, 16 << 10) == 0);
	say("more: %d", mlock(own + (32 << 10), 4096));
	munlock(own, 8192);
	say("again: %d", mlock(own + (32 << 10), 8192));
	more = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
	say("mapped: %d %m", more != MAP_FAILED);
	say("all: %d", mlockall(MCL_CURRENT));
	munlockall();
	set(RLIMIT_MEMLOCK, 0);
	say("none: %d %m", mlock(own, 4096));
	say("none of all: %d %m", mlockall(MCL_CURRENT));
}

static sigjmp_buf out;

static void on_fault(int signo)
{
	siglongjmp(out, signo);
}

static int __attribute__((noinline)) deeper(long bytes)
{
	volatile char here[16384];

	here[0] = here[sizeof(here) - 1] = 1;
	return bytes <= 0 ? 0 : deeper(bytes - (long)sizeof(here)) + here[0];
}

/* How the stack takes so many bytes: 0, or the signal. */
static int take(long bytes)
{
	int signo = sigsetjmp(out, 1);

	return signo ? signo : deeper(bytes) * 0;
}

CASE(the_stack_grows_to_its_limit, setrlimit)
{
	static char alternative[65536];
	stack_t stack = {.ss_sp = alternative, .ss_size = sizeof(alternative)};
	struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK};

	sigaltstack(&stack, NULL);
	sigaction(SIGSEGV, &action, NULL);
	set(RLIMIT_STACK, 1 << 20);
	say("512 KiB: %d", take(512 << 10));
	say("2 MiB: %d", take(2 << 20));
	set(RLIMIT_STACK, 4 << 20);
	say("2 MiB: %d", take(2 << 20));
	say("6 MiB: %d", take(6 << 20));
	set(RLIMIT_STACK, 32 << 20);
	say("24 MiB: %d", take(24 << 20));
	say("40 MiB: %d", take(40 << 20));
}

CASE(signals_that_wait_have_a_limit, setrlimit, rt_sigqueueinfo)
{
	union sigval value = {.sival_int = 1};
	sigset_t set_;

	sigemptyset(&set_);
	sigaddset(&set_, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set_, NULL);
	set(RLIMIT_SIGPENDING, 0);
	say("%d %m", sigqueue(getpid(), SIGRTMIN, value));
}
