/* SPDX-License-Identifier: MIT */
/* Sending, waiting, masks, order, and what a handler is told. */
#include "case.h"
#include "signals.h"

#include <sys/resource.h>

static int order[64];
static int count;

static void note(int signo, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	if (count < 64)
		order[count++] = signo;
}

static void show_order(const char *what)
{
	int i;

	printf("%s:", what);
	for (i = 0; i < count; i++)
		printf(" %d", order[i]);
	puts("");
	count = 0;
}

static void tell(int signo, siginfo_t *info, void *context)
{
	const ucontext_t *at = context;

	printf("%d: signo %d errno %d code %d pid %s uid %d value %d mask %llx flags %lx\n", signo,
	       info->si_signo, info->si_errno, info->si_code, pid_name(info->si_pid),
	       info->si_uid == getuid(), info->si_value.sival_int,
	       (unsigned long long)*(const uint64_t *)&at->uc_sigmask, at->uc_flags);
}

CASE(who_sent_a_signal, kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, rt_sigaction)
{
	union sigval value = {.sival_int = 4711};
	siginfo_t info = {.si_code = SI_QUEUE, .si_errno = 3};
	int i;

	for (i = 0; i < 4; i++)
		handle(i < 2 ? SIGUSR1 + i * 2 : SIGRTMIN + i, tell, 0);
	kill(getpid(), SIGUSR1);
	raise(SIGUSR2);
	syscall(SYS_tkill, syscall(SYS_gettid), SIGUSR1);
	sigqueue(getpid(), SIGRTMIN + 2, value);
	info.si_value.sival_int = 9;
	info.si_pid = getpid();
	info.si_uid = getuid();
	printf("%s\n", result(syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN + 3, &info)));
	printf("%s\n", result(syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid),
				      SIGRTMIN + 3, &info)));
	info.si_code = -60;
	printf("%s\n", result(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info)));
}

/* Standard signals once, real-time ones as often as sent and in that order; lower numbers first. */
CASE(the_order_of_signals, rt_sigqueueinfo, rt_sigpending, rt_sigprocmask)
{
	union sigval value = {.sival_int = 1};
	int i;

	for (i = 0; i < 3; i++) {
		handle_blocking(SIGRTMIN + i, note, 0, ~0ull);
		block(SIGRTMIN + i);
	}
	handle_blocking(SIGUSR1, note, 0, ~0ull);
	handle_blocking(SIGHUP, note, 0, ~0ull);
	block(SIGUSR1);
	block(SIGHUP);
	for (i = 0; i < 9; i++)
		sigqueue(getpid(), SIGRTMIN + (7 * i) % 3, value);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGHUP);
	raise(SIGHUP); /* to the thread: another queue */
	printf("pending %llx\n", (unsigned long long)pending());
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	show_order("with everything blocked in the handler");
	printf("pending %llx\n", (unsigned long long)pending());
}

static int depth, deepest;

static void nest(int signo, siginfo_t *info, void *context)
{
	note(signo, info, context);
	if (++depth > deepest)
		deepest = depth;
	if (count < 6)
		raise(signo == SIGUSR1 ? SIGUSR2 : SIGUSR1);
	note(-signo, info, context);
	depth--;
}

CASE(handlers_in_handlers, tgkill, rt_sigaction)
{
	handle(SIGUSR1, nest, 0);
	handle(SIGUSR2, nest, 0);
	raise(SIGUSR1);
	show_order("two handlers");
	handle(SIGUSR1, nest, SA_NODEFER);
	handle(SIGUSR2, nest, SA_NODEFER);
	raise(SIGUSR1);
	show_order("SA_NODEFER");
	printf("depth %d mask %llx\n", deepest, (unsigned long long)mask_now());
	deepest = 0;
	handle_blocking(SIGUSR1, nest, 0, BIT(SIGUSR2));
	handle_blocking(SIGUSR2, nest, 0, BIT(SIGUSR1));
	raise(SIGUSR1);
	show_order("each blocks the other");
	printf("depth %d mask %llx\n", deepest, (unsigned long long)mask_now());
}

CASE(actions_and_errors, rt_sigaction, rt_sigprocmask, rt_sigpending, kill, tkill, tgkill,
     rt_sigqueueinfo, rt_tgsigqueueinfo)
{
	struct sigaction old;
	struct {
		uint64_t handler, flags, restorer, mask;
	} raw = {0};
	siginfo_t bad = {0};

	handle(SIGUSR1, note, (int)SA_RESETHAND);
	raise(SIGUSR1);
	sigaction(SIGUSR1, NULL, &old);
	printf("after SA_RESETHAND: default %d flags %x\n", old.sa_handler == SIG_DFL,
	       old.sa_flags);
	show_order("once");
	printf("%s %s %s\n", result(syscall(SYS_rt_sigaction, SIGKILL, &raw, NULL, 8)), "SIGKILL",
	       "set");
	printf("%s\n", result(syscall(SYS_rt_sigaction, SIGKILL, NULL, &raw, 8)));
	printf("%s\n", result(syscall(SYS_rt_sigaction, 0, NULL, &raw, 8)));
	printf("%s\n", result(syscall(SYS_rt_sigaction, 65, NULL, &raw, 8)));
	printf("%s\n", result(syscall(SYS_rt_sigaction, 64, NULL, &raw, 8)));
	printf("%s\n", result(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &raw, 4)));
	printf("%s\n", result(syscall(SYS_rt_sigaction, SIGUSR1, (void *)8, NULL, 8)));
	printf("%s\n", result(syscall(SYS_rt_sigaction, SIGUSR1, NULL, (void *)8, 8)));
	raw.handler = 1;
	raw.flags = ~0ull;
	raw.mask = ~0ull;
	syscall(SYS_rt_sigaction, SIGUSR1, &raw, NULL, 8);
	syscall(SYS_rt_sigaction, SIGUSR1, NULL, &raw, 8);
	printf("flags %llx mask %llx\n", (unsigned long long)raw.flags,
	       (unsigned long long)raw.mask);
	printf("%s\n", result(syscall(SYS_rt_sigprocmask, 7, &raw, NULL, 8)));
	printf("%s\n", result(syscall(SYS_rt_sigprocmask, 7, NULL, &raw, 8)));
	printf("%s\n", result(syscall(SYS_rt_sigprocmask, SIG_BLOCK, (void *)8, NULL, 8)));
	printf("%s\n", result(syscall(SYS_rt_sigpending, &raw, 16)));
	printf("%s\n", result(syscall(SYS_rt_sigpending, (void *)8, 8)));
	printf("%s\n", result(kill(getpid(), 65)));
	printf("%s\n", result(kill(getpid(), -1)));
	printf("%s\n", result(kill(getpid(), 0)));
	printf("%s\n", result(kill(0x3fffffff, SIGUSR1)));
	printf("%s\n", result(syscall(SYS_tkill, 0, SIGUSR1)));
	printf("%s\n", result(syscall(SYS_tkill, 0x3fffffff, SIGUSR1)));
	printf("%s\n", result(syscall(SYS_tgkill, -1, 1, SIGUSR1)));
	printf("%s\n", result(syscall(SYS_tgkill, getpid(), 0x3fffffff, 0)));
	printf("%s\n", result(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 99)));
	printf("%s\n", result(syscall(SYS_rt_sigqueueinfo, 0x3fffffff, SIGUSR1, &bad)));
	printf("%s\n", result(syscall(SYS_rt_sigqueueinfo, getpid(), 77, &bad)));
	printf("%s\n", result(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, (void *)8)));
	printf("%s\n", result(syscall(SYS_rt_tgsigqueueinfo, getpid(), 0, SIGUSR1, &bad)));
}

/* Ignored signals are thrown away, blocked ones are kept until the mask lets them through. */
CASE(ignored_and_blocked_signals, rt_sigaction, rt_sigpending)
{
	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1);
	printf("ignored: %llx\n", (unsigned long long)pending());
	block(SIGUSR1);
	raise(SIGUSR1);
	printf("ignored and blocked: %llx\n", (unsigned long long)pending());
	handle(SIGUSR1, note, 0);
	unblock(SIGUSR1);
	show_order("handled when it came through");
	block(SIGUSR1);
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_IGN);
	printf("ignored while it waited: %llx\n", (unsigned long long)pending());
	raise(SIGUSR1);
	unblock(SIGUSR1);
	block(SIGUSR1);
	printf("let through to nobody: %llx\n", (unsigned long long)pending());
	unblock(SIGUSR1);
	raise(SIGCHLD);
	raise(SIGURG);
	raise(SIGWINCH);
	raise(SIGCONT);
	block(SIGCHLD);
	raise(SIGCHLD);
	printf("SIGCHLD blocked: %llx\n", (unsigned long long)pending());
	unblock(SIGCHLD);
	block(SIGCONT);
	block(SIGTSTP);
	raise(SIGCONT);
	raise(SIGTSTP);
	printf("a stop takes SIGCONT away: %llx\n", (unsigned long long)pending());
	raise(SIGCONT);
	printf("and the other way: %llx\n", (unsigned long long)pending());
}

CASE(waiting_for_signals, rt_sigtimedwait, rt_sigsuspend)
{
	struct timespec no_time = {0}, some = {0, 30000000}, bad = {0, 1000000000};
	union sigval value = {.sival_int = 77};
	siginfo_t info;
	sigset_t set;
	uint64_t began;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	printf("%s\n", result(sigtimedwait(&set, &info, &no_time)));
	began = now_ms();
	printf("%s\n", result(sigtimedwait(&set, &info, &some)));
	printf("waited %d\n", now_ms() - began >= 30);
	printf("%s\n", result(sigtimedwait(&set, &info, &bad)));
	printf("%s\n", result(syscall(SYS_rt_sigtimedwait, (void *)8, &info, &no_time, 8)));
	printf("%s\n", result(syscall(SYS_rt_sigtimedwait, &set, &info, &no_time, 4)));
	sigqueue(getpid(), SIGRTMIN + 1, value);
	value.sival_int = 78;
	sigqueue(getpid(), SIGRTMIN + 1, value);
	kill(getpid(), SIGUSR1);
	memset(&info, 0xff, sizeof(info));
	printf("%s", result(sigtimedwait(&set, &info, &some)));
	printf(" code %d pid %s\n", info.si_code, pid_name(info.si_pid));
	printf("%s", result(sigwaitinfo(&set, &info)));
	printf(" code %d value %d\n", info.si_code, info.si_value.sival_int);
	printf("pending %d\n", pending() == BIT(SIGRTMIN + 1));
	printf("%s", result(sigwaitinfo(&set, &info)));
	printf(" code %d value %d\n", info.si_code, info.si_value.sival_int);
	printf("pending %llx\n", (unsigned long long)pending());
	handle(SIGUSR2, note, SA_RESTART);
	block(SIGUSR2);
	raise(SIGUSR2);
	sigfillset(&set);
	sigdelset(&set, SIGUSR2);
	printf("sigsuspend: %s", result(sigsuspend(&set)));
	printf(" mask %llx\n", (unsigned long long)mask_now());
	show_order("in sigsuspend");
	printf("%s\n", result(syscall(SYS_rt_sigsuspend, &set, 4)));
	printf("%s\n", result(syscall(SYS_rt_sigsuspend, (void *)8, 8)));
}
