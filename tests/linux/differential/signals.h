/* SPDX-License-Identifier: MIT */
/* What the cases about signals share. */
#ifndef MF_TESTS_LINUX_DIFFERENTIAL_SIGNALS_H
#define MF_TESTS_LINUX_DIFFERENTIAL_SIGNALS_H

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* Numbers that differ between here and there are told as what they are. */
const char *pid_name(int pid);

void handle(int signo, void (*handler)(int, siginfo_t *, void *), int flags);
void handle_blocking(int signo, void (*handler)(int, siginfo_t *, void *), int flags,
		     uint64_t mask);
void block(int signo);
void unblock(int signo);
uint64_t pending(void);
uint64_t mask_now(void);
uint64_t now_ms(void);

/* "ok 12" or the name of errno. */
const char *result(long ret);

#define BIT(signo)   (1ull << ((signo)-1))
#define RIP(context) (((ucontext_t *)(context))->uc_mcontext.gregs[REG_RIP])

#endif
