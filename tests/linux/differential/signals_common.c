/* SPDX-License-Identifier: MIT */
#include "signals.h"

/* Cases about signals print in pieces. */
__attribute__((constructor)) static void print_lines(void)
{
	setvbuf(stdout, NULL, _IOLBF, 1 << 14);
}

const char *pid_name(int pid)
{
	return pid == getpid() ? "self" : pid ? "other" : "0";
}

void handle_blocking(int signo, void (*handler)(int, siginfo_t *, void *), int flags, uint64_t mask)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

	sigemptyset(&action.sa_mask);
	memcpy(&action.sa_mask, &mask, sizeof(mask));
	if (sigaction(signo, &action, NULL))
		perror("sigaction");
}

void handle(int signo, void (*handler)(int, siginfo_t *, void *), int flags)
{
	handle_blocking(signo, handler, flags, 0);
}

static void change(int how, int signo)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	sigprocmask(how, &set, NULL);
}

void block(int signo)
{
	change(SIG_BLOCK, signo);
}

void unblock(int signo)
{
	change(SIG_UNBLOCK, signo);
}

uint64_t pending(void)
{
	uint64_t set = 0;

	syscall(SYS_rt_sigpending, &set, 8);
	return set;
}

uint64_t mask_now(void)
{
	uint64_t set = 0;

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &set, 8);
	return set;
}

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

const char *result(long ret)
{
	static char text[32];

	if (ret == -1)
		return strerrorname_np(errno);
	snprintf(text, sizeof(text), "%ld", ret);
	return text;
}
