/* SPDX-License-Identifier: MIT */
/*
 * A served program with a handler, an alternative stack, a mask and a waiting signal at its ready
 * point. Requests tell what there is, change all of it, or go back to frames that no kernel made.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <mayfly/sdk.h>

#define BIT(signo) (1ull << ((signo)-1))

static char first_stack[32768], second_stack[32768];
static char text[1024];
static volatile int taken;
static uint64_t seed;

static uint64_t chance(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void take(int signo)
{
	(void)signo;
	taken++;
}

/* Everything about signals that a program can ask for, and that its handler is still called. */
static void tell(void)
{
	struct sigaction action;
	struct itimerval left[3];
	struct itimerspec made;
	uint64_t mask = 0, pending = 0, handlers = 0, flags = 0;
	int timers = 0, i;
	stack_t stack;

	for (i = 1; i < 32; i++) {
		if (i == SIGKILL || i == SIGSTOP || sigaction(i, NULL, &action))
			continue;
		handlers |= action.sa_handler != SIG_DFL ? BIT(i) : 0;
		flags += (uint64_t)action.sa_flags * (uint64_t)i;
	}
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8);
	syscall(SYS_rt_sigpending, &pending, 8);
	for (i = 0; i < 3; i++)
		getitimer(i, &left[i]);
	for (i = 0; i < 200; i++)
		timers += !syscall(SYS_timer_gettime, i, &made);
	sigaltstack(NULL, &stack);
	raise(SIGUSR1);
	snprintf(text, sizeof(text),
		 "handlers %llx flags %llx mask %llx pending %llx stack %d %zu %d timers %d left "
		 "%ld %ld "
		 "%ld taken %d fd %d",
		 (unsigned long long)handlers, (unsigned long long)flags, (unsigned long long)mask,
		 (unsigned long long)pending, stack.ss_sp == first_stack, stack.ss_size,
		 stack.ss_flags, timers, (long)left[0].it_value.tv_sec,
		 (long)left[1].it_value.tv_sec, (long)left[2].it_value.tv_sec, taken,
		 fcntl(5, F_GETFD));
}

/* Change what can be changed, and leave it so. */
static void spoil(void)
{
	struct sigaction action = {.sa_handler = take};
	struct itimerval soon = {{0, 3000}, {0, 1000}}, late = {{7, 0}, {9, 0}};
	struct itimerspec often = {{0, 2000000}, {0, 1000000}};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL};
	stack_t stack = {.ss_sp = second_stack, .ss_size = sizeof(second_stack)};
	uint64_t mask = chance();
	union sigval value = {.sival_int = 1};
	int i, id;

	for (i = 1; i < 65; i++) {
		action.sa_flags = (int)(chance() & (SA_NODEFER | SA_RESTART | SA_ONSTACK));
		if (i != SIGSEGV && i != SIGKILL && i != SIGSTOP && (i < 32 || i > 34))
			sigaction(i, &action, NULL);
	}
	sigaltstack(&stack, NULL);
	for (i = 0; i < 40; i++) {
		event.sigev_signo = 35 + (int)(chance() % 20);
		if (!syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id))
			syscall(SYS_timer_settime, id, 0, &often, NULL);
	}
	setitimer(ITIMER_REAL, chance() & 1 ? &soon : &late, NULL);
	setitimer(ITIMER_VIRTUAL, &late, NULL);
	setitimer(ITIMER_PROF, &late, NULL);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
	signalfd(-1, (sigset_t *)&mask, 0);
	for (i = 0; i < 300; i++)
		sigqueue(getpid(), 35 + (int)(chance() % 30), value);
	snprintf(text, sizeof(text), "spoilt");
}

static sigjmp_buf out;
static volatile int rounds, faults;

static void on_fault(int signo)
{
	(void)signo;
	__asm__ volatile("pushfq; andl $~0x40500, (%%rsp); popfq; ldmxcsr %0; fninit"
			 :
			 : "m"((uint32_t){0x1f80})
			 : "memory", "cc");
	faults++;
	siglongjmp(out, 1);
}

/* Some words of the frame become others: anything, small, an address, or a bit turned. */
static void damage(int signo, siginfo_t *info, void *context)
{
	ucontext_t *at = context;
	uint8_t *fp = (uint8_t *)at->uc_mcontext.fpregs;
	uint64_t kind, word;
	int i;

	(void)signo;
	(void)info;
	for (i = (int)(chance() % 4); i >= 0; i--) {
		kind = chance() % 6;
		word = kind == 0   ? chance()
		       : kind == 1 ? chance() % 4096
		       : kind == 2 ? (uint64_t)first_stack + chance() % 16384
		       : kind == 3 ? 1ull << (chance() % 64)
		       : kind == 4 ? 0x7fffffe00000ull + chance() % 0x200000
				   : ~0ull << (chance() % 64);
		switch (chance() % 4) {
		case 0:
			memcpy((uint8_t *)at + chance() % (sizeof(struct sigcontext) + 40) / 8 * 8,
			       &word, 8);
			break;
		case 1:
			memcpy(fp + 512 + chance() % 8 * 8, &word, 8);
			break;
		case 2:
			memcpy(fp + chance() % 512 / 8 * 8, &word, 8);
			break;
		default:
			((uint64_t *)at->uc_mcontext.gregs)[chance() % 23] ^= word;
		}
	}
}

static void hostile(void)
{
	static const int all[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
	struct sigaction bad = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK | SA_NODEFER};
	struct sigaction action = {.sa_sigaction = damage, .sa_flags = SA_SIGINFO};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		sigaction(all[i], &bad, NULL);
	sigaction(SIGUSR1, &action, NULL);
	for (rounds = 0; rounds < 60; rounds++) {
		stack_t stack = {.ss_sp = first_stack, .ss_size = sizeof(first_stack)};
		uint64_t mask = BIT(SIGUSR2);

		if (sigsetjmp(out, 0))
			continue;
		syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
		sigaltstack(&stack, NULL);
		raise(SIGUSR1);
	}
	snprintf(text, sizeof(text), "%d faults", faults);
}

static void serve(const struct mf_request *request)
{
	struct mf_text target = mf_request_target(request);

	if (target.length > 7 && !memcmp(target.data, "/spoil?", 7)) {
		seed = strtoull(target.data + 7, NULL, 10) * 2654435761u + 1;
		spoil();
	} else if (target.length > 9 && !memcmp(target.data, "/hostile?", 9)) {
		seed = strtoull(target.data + 9, NULL, 10) * 2654435761u + 1;
		hostile();
	} else {
		tell();
	}
	mf_respond(200, "text/plain", text, strlen(text));
}

int main(void)
{
	struct sigaction action = {.sa_handler = take, .sa_flags = SA_RESTART};
	stack_t stack = {.ss_sp = first_stack, .ss_size = sizeof(first_stack)};
	const struct mf_request *request;
	uint64_t mask = BIT(SIGUSR2);

	sigaction(SIGUSR1, &action, NULL);
	sigaltstack(&stack, NULL);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
	raise(SIGUSR2);
	while ((request = mf_wait()))
		serve(request);
	return 0;
}
