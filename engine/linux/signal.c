/* SPDX-License-Identifier: MIT */
#include "engine/linux/signal.h"
#include "engine/image/guest.h"
#include "engine/linux/syscall.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <time.h>

int mf_signal_of_vector(unsigned int vector)
{
	switch (vector) {
	case 0:  /* #DE */
	case 16: /* #MF */
	case 19: /* #XM */
		return SIGFPE;
	case 1: /* #DB */
	case 3: /* #BP */
		return SIGTRAP;
	case 6: /* #UD */
		return SIGILL;
	case 11: /* #NP */
	case 12: /* #SS */
	case 17: /* #AC */
		return SIGBUS;
	default:
		return SIGSEGV;
	}
}

static bool ignored_by_default(int signo)
{
	return signo == SIGCHLD || signo == SIGURG || signo == SIGWINCH || signo == SIGCONT;
}

int64_t mf_process_signal(struct mf_process *process, int signo)
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t handler = lx->sigactions[signo].handler;

	if (signo != SIGKILL && signo != SIGSTOP) {
		if (handler == 1 || (handler == 0 && ignored_by_default(signo)))
			return 0;
		if (mf_thread(process)->sigmask >> (signo - 1) & 1) {
			MF_DIRTY(process, sigpending) |= 1ull << (signo - 1);
			return 0;
		}
	}
	MF_DIRTY(process, exited) = 1;
	MF_DIRTY(process, exit_signal) = (uint32_t)signo;
	return MF_SYS_EXIT;
}

/* No handler runs yet: nothing is ever due. */
bool mf_signal_due(const struct mf_process *process)
{
	return false;
}

void mf_signal_interrupt(struct mf_process *process)
{
}

int64_t mf_signal_deliver(struct mf_process *process)
{
	return 0;
}

int mf_signal_mask_for_call(struct mf_process *process, uint64_t va, uint64_t bytes)
{
	return va && bytes != 8 ? -EINVAL : 0;
}

int64_t mf_sys_rt_sigaction(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_sigaction action;
	const struct mf_linux *lx = mf_linux(process);

	if (!arg[0] || arg[0] >= MF_SIGNALS || arg[3] != 8)
		return -EINVAL;
	if (arg[1] && (arg[0] == SIGKILL || arg[0] == SIGSTOP))
		return -EINVAL;
	if (arg[2] &&
	    mf_pt_write(&process->vm.mem, MF_GVA(arg[2]), &lx->sigactions[arg[0]], sizeof(action)))
		return -EFAULT;
	if (!arg[1])
		return 0;
	if (mf_pt_read(&process->vm.mem, MF_GVA(arg[1]), &action, sizeof(action)))
		return -EFAULT;
	MF_DIRTY(process, sigactions[arg[0]]) = action;
	return 0;
}

/* Signals that waited for the mask to let them through. */
static int64_t deliver_unblocked(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t ready = lx->sigpending & ~mf_thread(process)->sigmask;
	int64_t ret = 0;

	while (ready && !ret) {
		int bit = __builtin_ctzll(ready);

		ready &= ready - 1;
		MF_DIRTY(process, sigpending) &= ~(1ull << bit);
		ret = mf_process_signal(process, bit + 1);
	}
	return ret;
}

int64_t mf_sys_rt_sigprocmask(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t mask = mf_thread(process)->sigmask;
	uint64_t set;

	if (arg[3] != 8)
		return -EINVAL;
	if (arg[2] && mf_pt_write(&process->vm.mem, MF_GVA(arg[2]), &mask, 8))
		return -EFAULT;
	if (!arg[1])
		return 0;
	if (mf_pt_read(&process->vm.mem, MF_GVA(arg[1]), &set, 8))
		return -EFAULT;
	switch (arg[0]) {
	case SIG_BLOCK:
		mask |= set;
		break;
	case SIG_UNBLOCK:
		mask &= ~set;
		break;
	case SIG_SETMASK:
		mask = set;
		break;
	default:
		return -EINVAL;
	}
	mask &= ~(1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1));
	MF_THREAD_DIRTY(process, sigmask) = mask;
	return deliver_unblocked(process);
}

int64_t mf_sys_rt_sigpending(struct mf_process *process, const uint64_t arg[6])
{
	if (arg[1] != 8)
		return -EINVAL;
	return mf_pt_write(&process->vm.mem, MF_GVA(arg[0]), &mf_linux(process)->sigpending, 8);
}

/* stack_t as x86-64 has it. */
struct altstack {
	uint64_t sp;
	int32_t flags;
	int32_t pad;
	uint64_t size;
};

int64_t mf_sys_sigaltstack(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_thread *thread = mf_thread(process);
	struct altstack old = {thread->altstack_sp, thread->altstack_size ? 0 : SS_DISABLE, 0,
			       thread->altstack_size};
	struct altstack new;

	if (arg[0] && mf_pt_read(&process->vm.mem, MF_GVA(arg[0]), &new, sizeof(new)))
		return -EFAULT;
	if (arg[1] && mf_pt_write(&process->vm.mem, MF_GVA(arg[1]), &old, sizeof(old)))
		return -EFAULT;
	if (!arg[0])
		return 0;
	if (new.flags & ~SS_DISABLE)
		return -EINVAL;
	if (!(new.flags &SS_DISABLE) && new.size < 2048)
		return -ENOMEM;
	MF_THREAD_DIRTY(process, altstack_sp) = new.flags &SS_DISABLE ? 0 : new.sp;
	MF_THREAD_DIRTY(process, altstack_size) = new.flags &SS_DISABLE ? 0 : new.size;
	return 0;
}

static int64_t send(struct mf_process *process, uint64_t pid, uint64_t signo)
{
	if ((int)pid != (int)MF_GUEST_PID && (int)pid != 0 && (int)pid != -(int)MF_GUEST_PID)
		return -ESRCH;
	if (signo >= MF_SIGNALS)
		return -EINVAL;
	return signo ? mf_process_signal(process, (int)signo) : 0;
}

int64_t mf_sys_kill(struct mf_process *process, const uint64_t arg[6])
{
	return send(process, arg[0], arg[1]);
}

int64_t mf_sys_tkill(struct mf_process *process, const uint64_t arg[6])
{
	return send(process, arg[0], arg[1]);
}

int64_t mf_sys_tgkill(struct mf_process *process, const uint64_t arg[6])
{
	return (int)arg[0] == (int)MF_GUEST_PID ? send(process, arg[1], arg[2]) : -ESRCH;
}

/* A wait without anyone to end it: until its time, or the deadline, as on Linux. */
static int64_t wait_in_vain(struct mf_process *process, const uint64_t arg[6])
{
	bool absolute = (arg[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
	int64_t ret;

	if (arg[3]) {
		ret = mf_sleep(process, arg[3],
			       arg[1] & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC,
			       absolute);
		return ret ? ret : -ETIMEDOUT;
	}
	return mf_wait_until(process, MF_FOREVER);
}

/* One thread: nobody waits, and nobody would wake a waiter. */
int64_t mf_sys_futex(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t value;

	if (mf_pt_read(&process->vm.mem, MF_GVA(arg[0]), &value, 4))
		return -EFAULT;
	switch (arg[1] & FUTEX_CMD_MASK) {
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
		return 0;
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		if (value != (uint32_t)arg[2])
			return -EAGAIN;
		return wait_in_vain(process, arg);
	default:
		return -ENOSYS;
	}
}
