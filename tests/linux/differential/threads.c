/* SPDX-License-Identifier: MIT */
/* Threads: how they are made and how they end; what an ordinary user may say about scheduling. */
#include "case.h"
#include "thread.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/select.h>

static long raw_clone(unsigned long flags, void *stack, void *tls)
{
	static int parent, child;

	return syscall(SYS_clone, flags, stack, &parent, &child, tls);
}

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

/* Flags that Linux does not take; none of these may make a thread. */
CASE(clone_refuses, clone, clone3)
{
	struct clone_args args[2] = {{0}, {0}};
	char *at = (char *)&args[0];

	TELL("thread without handlers", raw_clone(CLONE_VM | CLONE_THREAD, NULL, NULL));
	TELL("handlers without memory", raw_clone(CLONE_SIGHAND | CLONE_THREAD, NULL, NULL));
	TELL("thread in a namespace", raw_clone(THREAD | CLONE_NEWPID, NULL, NULL));
	TELL("thread with pidfd", raw_clone(THREAD | CLONE_PIDFD | CLONE_DETACHED, NULL, NULL));
	TELL("kernel's tls", raw_clone(THREAD | CLONE_SETTLS, NULL, (void *)(1ul << 63)));
	TELL("struct too short", syscall(SYS_clone3, args, 8));
	TELL("struct too long", syscall(SYS_clone3, args, 1ul << 20));
	TELL("struct nowhere", syscall(SYS_clone3, 8, sizeof(args[0])));
	args[0].flags = THREAD | CLONE_DETACHED;
	TELL("detached", syscall(SYS_clone3, args, sizeof(args[0])));
	args[0].flags = THREAD;
	args[0].exit_signal = 17;
	TELL("a thread's exit signal", syscall(SYS_clone3, args, sizeof(args[0])));
	args[0].exit_signal = 0;
	args[0].stack = (unsigned long)at;
	TELL("stack without size", syscall(SYS_clone3, args, sizeof(args[0])));
	args[0].stack = 0;
	args[0].stack_size = 4096;
	TELL("size without stack", syscall(SYS_clone3, args, sizeof(args[0])));
	args[0].stack_size = 0;
	args[0].flags = THREAD | (1ull << 60);
	TELL("no such flag", syscall(SYS_clone3, args, sizeof(args[0])));
	args[0].flags = THREAD;
	at[sizeof(args[0]) + 3] = 1;
	TELL("more than is known", syscall(SYS_clone3, args, sizeof(args[0]) + 8));
	TELL("fewer threads than one", (long)gettid() - getpid());
}

/* A thread made by the system call alone, without the C library's knowledge. */
static atomic_int bare_ran;

__attribute__((noinline, noreturn)) static void bare_body(void)
{
	atomic_fetch_add(&bare_ran, 1);
	for (;;)
		__asm__ volatile("syscall" ::"a"(SYS_exit), "D"(0) : "rcx", "r11", "memory");
}

CASE(a_bare_thread, clone, exit, futex)
{
	static _Alignas(16) char stack[16384];
	static int parent_tid, child_tid;
	long flags = THREAD | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
	register void *top __asm__("rsi") = stack + sizeof(stack) - 128;
	register int *child __asm__("r10") = &child_tid;
	long ret;

	child_tid = -1;
	__asm__ volatile("xor %%r8d, %%r8d\n"
			 "syscall\n"
			 "test %%eax, %%eax\n"
			 "jnz 1f\n"
			 "call *%%rbx\n"
			 "1:"
			 : "=a"(ret)
			 : "0"(SYS_clone), "D"(flags), "r"(top), "d"(&parent_tid), "r"(child),
			   "b"(bare_body)
			 : "rcx", "r8", "r11", "memory");
	/* It may have run to its end by now: the call is made all the same. */
	do
		SYS(futex, &child_tid, FUTEX_WAIT, ret, NULL, NULL, 0);
	while (__atomic_load_n(&child_tid, __ATOMIC_ACQUIRE));
	say("made: %d, told: %d, ran: %d", ret > getpid(), parent_tid == ret,
	    atomic_load(&bare_ran));
}

CASE(scheduling, sched_getscheduler, sched_getparam, sched_setscheduler, sched_setparam,
     sched_get_priority_max, sched_get_priority_min, sched_setaffinity, sched_getaffinity,
     getpriority, setpriority, membarrier, sched_yield)
{
	struct sched_param none = {0}, one = {1};
	unsigned long mask[16] = {0};

	TELL("policy", sched_getscheduler(0));
	TELL("of a negative id", sched_getscheduler(-1));
	TELL("priority", sched_getparam(0, &one));
	say("%d", one.sched_priority);
	one.sched_priority = 1;
	TELL("other with a priority", sched_setscheduler(0, SCHED_OTHER, &one));
	TELL("round robin without", sched_setscheduler(0, SCHED_RR, &none));
	TELL("no such policy", sched_setscheduler(0, 42, &none));
	TELL("a negative one", sched_setscheduler(0, -1, &none));
	TELL("batch", sched_setscheduler(0, SCHED_BATCH, &none));
	TELL("policy", sched_getscheduler(gettid()));
	TELL("no parameter", syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, NULL));
	TELL("parameter nowhere", syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, 8));
	TELL("same policy, other priority", sched_setparam(0, &one));
	TELL("highest", sched_get_priority_max(SCHED_FIFO));
	TELL("lowest", sched_get_priority_min(SCHED_RR));
	TELL("of others", sched_get_priority_max(SCHED_OTHER));
	TELL("of none", sched_get_priority_max(99));
	TELL("no processor", syscall(SYS_sched_setaffinity, 0, sizeof(mask), mask));
	TELL("mask nowhere", syscall(SYS_sched_setaffinity, 0, 8, 8));
	TELL("short mask", syscall(SYS_sched_getaffinity, 0, 4, mask));
	TELL("odd mask", syscall(SYS_sched_getaffinity, 0, 9, mask));
	TELL("of nobody", syscall(SYS_sched_getaffinity, 4194305, 128, mask));
	mask[0] = 1;
	TELL("the first processor", syscall(SYS_sched_setaffinity, 0, sizeof(mask), mask));
	TELL("nice", getpriority(PRIO_PROCESS, 0));
	TELL("nicer", setpriority(PRIO_PROCESS, 0, 3));
	TELL("nice", getpriority(PRIO_PROCESS, (id_t)gettid()));
	TELL("no such kind", setpriority(9, 0, 3));
	TELL("of nobody", setpriority(PRIO_PROCESS, 4194305, 3));
	TELL("barrier, flags", syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 77, 0));
	TELL("barrier, unregistered",
	     syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	TELL("register", syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	TELL("barrier", syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	TELL("no such barrier", syscall(SYS_membarrier, 1 << 30, 0, 0));
	TELL("rest", sched_yield());
}

/* Write into the second pipe when everybody sleeps. */
static void *write_later(void *arg)
{
	usleep(5000);
	return (void *)(long)(write(*(int *)arg, "x", 1) - 1);
}

/* Waits for the second of two pipes, in each of the four ways. */
CASE(waits_that_another_thread_ends, poll, ppoll, select, pselect6)
{
	static const struct timespec none = {0, 0}, long_enough = {5, 0}, bad = {0, -1};
	int way, a[2], b[2];

	if (pipe(a) || pipe(b))
		return;
	for (way = 0; way < 4; way++) {
		struct pollfd fds[2] = {{.fd = a[0], .events = POLLIN},
					{.fd = b[0], .events = POLLIN}};
		struct timeval five = {5, 0};
		struct timespec left = long_enough;
		pthread_t other = begin_thread(write_later, &b[1]);
		fd_set set;
		char byte;

		FD_ZERO(&set);
		FD_SET(a[0], &set);
		FD_SET(b[0], &set);
		switch (way) {
		case 0:
			SHOW(SYS(poll, fds, 2, 5000));
			break;
		case 1:
			SHOW(SYS(ppoll, fds, 2, &left, NULL, 0));
			break;
		case 2:
			SHOW(SYS(select, b[0] + 1, &set, NULL, NULL, &five));
			break;
		default:
			SHOW(SYS(pselect6, b[0] + 1, &set, NULL, NULL, &left, NULL));
		}
		if (way < 2)
			say("%x %x", fds[0].revents, fds[1].revents);
		else
			say("%d %d", FD_ISSET(a[0], &set) != 0, FD_ISSET(b[0], &set) != 0);
		say("the other: %ld", end_thread(other));
		SHOW(read(b[0], &byte, 1));
	}
	SHOW(SYS(ppoll, NULL, 0, &none, NULL, 0));
	SHOW(SYS(ppoll, NULL, 0, &bad, NULL, 0));
	SHOW(SYS(ppoll, NOWHERE, 1, &none, NULL, 0));
	SHOW(SYS(ppoll, NULL, 0, NOWHERE, NULL, 0));
	SHOW(SYS(pselect6, 0, NULL, NULL, NULL, &none, NULL));
	SHOW(SYS(pselect6, 0, NULL, NULL, NULL, &bad, NULL));
	SHOW(SYS(pselect6, -1, NULL, NULL, NULL, &none, NULL));
	SHOW(SYS(pselect6, 1, NOWHERE, NULL, NULL, &none, NULL));
}

/* Two take turns while all that they do is to ask for the time, which the vDSO cannot tell. */
static atomic_int turn_of, turns_taken;

static void *ask_for_time(void *arg)
{
	int own = arg != NULL;
	struct timespec used;
	long failed = 0;

	while (atomic_load(&turns_taken) < 20) {
		failed += clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) != 0;
		if (atomic_load(&turn_of) != own)
			continue;
		atomic_fetch_add(&turns_taken, 1);
		atomic_store(&turn_of, !own);
	}
	return (void *)failed;
}

CASE(turns_end_inside_the_vdso, clock_gettime)
{
	pthread_t other = begin_thread(ask_for_time, &turn_of);

	TELL("one", (long)ask_for_time(NULL));
	TELL("the other", end_thread(other));
	say("turns: %d", atomic_load(&turns_taken) >= 20);
}
