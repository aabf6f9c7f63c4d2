/* SPDX-License-Identifier: MIT */
/* Which call it is; and those that need to know nothing of descriptors. */
#include <linux/futex.h>
#include <sys/syscall.h>

#include "guest/fast/fast.h"

struct mf_fast_fd *fast_find(uint64_t fd, enum mf_fast_kind kind)
{
	uint32_t i;

	for (i = 0; i < MF_FAST_FDS; i++)
		if (area->fds[i].kind == kind && area->fds[i].fd == (int32_t)fd && (int32_t)fd >= 0)
			return &area->fds[i];
	return NULL;
}

struct mf_fast_entry *fast_entry(void)
{
	return area->log_count < MF_FAST_LOG ? &mf_fast_area.log[area->log_count] : NULL;
}

void fast_logged(struct mf_fast_entry *entry, uint32_t number, int64_t result, uint64_t a,
		 uint64_t b, uint64_t c, uint64_t d)
{
	entry->number = number;
	entry->result = result;
	entry->arg[0] = a;
	entry->arg[1] = b;
	entry->arg[2] = c;
	entry->arg[3] = d;
	area->log_count++;
}

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
		return area->uid;
	case SYS_geteuid:
		return area->euid;
	case SYS_getgid:
		return area->gid;
	case SYS_getegid:
		return area->egid;
	case SYS_sched_yield:
		return area->others ? MF_FAST_NOT_HERE : 0;
	case SYS_futex:
		return futex(call);
	default:
		return MF_FAST_NOT_HERE;
	}
}

static int64_t on_descriptor(const struct call *call)
{
	switch (call->rax) {
	case SYS_read:
		return fast_read(call);
	case SYS_write:
		return fast_write(call);
	case SYS_close:
		return fast_close(call);
	case SYS_poll:
		return fast_poll_list(call);
	case SYS_ioctl:
		return fast_ioctl(call);
	case SYS_readv:
		return fast_readv(call);
	case SYS_writev:
		return fast_writev(call);
	case SYS_accept:
	case SYS_accept4:
		return fast_accept(call);
	case SYS_sendto:
		return fast_sendto(call);
	case SYS_recvfrom:
		return fast_recvfrom(call);
	case SYS_sendmsg:
		return fast_sendmsg(call);
	case SYS_recvmsg:
		return fast_recvmsg(call);
	case SYS_getsockname:
	case SYS_getpeername:
		return fast_name(call);
	case SYS_shutdown:
		return fast_shutdown(call);
	case SYS_setsockopt:
		return fast_setsockopt(call);
	case SYS_fcntl:
		return fast_fcntl(call);
	case SYS_epoll_ctl:
		return fast_epoll_ctl(call);
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		return fast_epoll_wait(call);
	default:
		return MF_FAST_NOT_HERE;
	}
}

/* From entry.S; also its name for what is not answered here. */
int64_t mf_fast_call(const struct call *call);

int64_t mf_fast_call(const struct call *call)
{
	int64_t result = constant(call);

	if (result == MF_FAST_NOT_HERE && area->active)
		result = on_descriptor(call);
	return result;
}
