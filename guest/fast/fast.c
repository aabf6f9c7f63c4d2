/* SPDX-License-Identifier: MIT */
/* Which call it is. */
#include <linux/futex.h>
#include <sys/syscall.h>

#include "guest/fast/fast.h"

/* Nobody sleeps: nobody is woken. Whether the word is there does not matter to a private futex. */
static int64_t futex(const struct call *call)
{
	if ((uint32_t)call->rsi != (FUTEX_WAKE | FUTEX_PRIVATE_FLAG) || call->rdi % 4 ||
	    call->rdi >= USER_TOP || area->sleepers)
		return MF_FAST_NOT_HERE;
	return 0;
}

static int64_t constant(const struct call *call)
{
	switch (call->rax) {
	case SYS_getpid:
		return area->pid;
	case SYS_gettid:
		return area->tid;
	case SYS_getuid:
	case SYS_geteuid:
		return area->uid;
	case SYS_getgid:
	case SYS_getegid:
		return area->gid;
	case SYS_sched_yield:
		return area->others ? MF_FAST_NOT_HERE : 0;
	case SYS_futex:
		return futex(call);
	default:
		return MF_FAST_NOT_HERE;
	}
}

/* Called by entry.S. */
int64_t mf_fast_call(const struct call *call);

int64_t mf_fast_call(const struct call *call)
{
	return constant(call);
}
