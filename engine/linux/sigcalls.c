/* SPDX-License-Identifier: MIT */
/* System calls about signals. */
#include "engine/image/guest.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/credentials.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/signal.h"
#include "engine/linux/syscall.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define SET_BYTES  8
#define INFO_BYTES 128 /* siginfo_t */

/* SA_*: what Linux keeps of them (include/linux/signal.h, UAPI_SA_FLAGS). */
#define ACTION_FLAGS                                                                     \
	((uint32_t)(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | \
		    SA_NODEFER | SA_RESETHAND) |                                         \
	 0x04000800u /* SA_RESTORER, SA_EXPOSE_TAGBITS */)

int64_t mf_sys_rt_sigaction(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_linux *lx = mf_linux(process);
	struct mf_sigaction action;
	struct mf_sigaction old;
	int signo = (int)arg[0];

	if (arg[3] != SET_BYTES)
		return -EINVAL;
	if (arg[1] && mf_guest_read(process, arg[1], &action, sizeof(action)))
		return -EFAULT;
	if (signo < 1 || signo >= (int)MF_SIGNALS ||
	    (arg[1] && MF_SIGBIT(signo) & MF_SIGNALS_FIXED))
		return -EINVAL;
	old = lx->sigactions[signo];
	if (arg[1]) {
		action.flags &= ACTION_FLAGS;
		action.mask &= ~MF_SIGNALS_FIXED;
		MF_DIRTY(process, sigactions[signo]) = action;
		if (mf_signal_ignored(process, signo))
			mf_signal_flush(process, MF_SIGBIT(signo));
	}
	return arg[2] ? mf_guest_write(process, arg[2], &old, sizeof(old)) : 0;
}

int64_t mf_sys_rt_sigprocmask(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t old = mf_thread(process)->sigmask;
	uint64_t set;

	if (arg[3] != SET_BYTES)
		return -EINVAL;
	if (arg[1]) {
		if (mf_guest_read(process, arg[1], &set, sizeof(set)))
			return -EFAULT;
		switch ((int)arg[0]) {
		case SIG_BLOCK:
			mf_signal_set_mask(process, old | set);
			break;
		case SIG_UNBLOCK:
			mf_signal_set_mask(process, old & ~set);
			break;
		case SIG_SETMASK:
			mf_signal_set_mask(process, set);
			break;
		default:
			return -EINVAL;
		}
	}
	return arg[2] ? mf_guest_write(process, arg[2], &old, sizeof(old)) : 0;
}

int64_t mf_sys_rt_sigpending(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t set = mf_signal_pending(process) & mf_thread(process)->sigmask;

	if (arg[1] > SET_BYTES)
		return -EINVAL;
	return mf_guest_write(process, arg[0], &set, arg[1]);
}

int64_t mf_sys_sigaltstack(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_thread *thread = mf_thread(process);
	uint32_t disarm = thread->altstack_flags & (1u << 31); /* SS_AUTODISARM */
	struct mf_altstack new;
	struct mf_altstack old = {
		.sp = thread->altstack_sp,
		.bytes = thread->altstack_size,
	};
	int ret = 0;

	if (!thread->altstack_size)
		old.flags = SS_DISABLE;
	else if (!disarm && mf_signal_on_altstack(process, mf_vm_regs(&process->vm)->rsp))
		old.flags = SS_ONSTACK;
	old.flags |= (int32_t)disarm;
	if (arg[0]) {
		if (mf_guest_read(process, arg[0], &new, sizeof(new)))
			return -EFAULT;
		ret = mf_signal_set_altstack(process, &new);
	}
	return !ret && arg[1] ? mf_guest_write(process, arg[1], &old, sizeof(old)) : ret;
}

static struct mf_siginfo sent_by_us(const struct mf_process *process, int signo, int code)
{
	return (struct mf_siginfo){.signo = signo,
				   .code = code,
				   .sent = {.pid = MF_GUEST_PID, .uid = mf_uid(process)}};
}

/* A process is its own group; another one there is not. */
static bool is_us(const struct mf_process *process, int pid)
{
	return pid == (int)MF_GUEST_PID || pid == 0 || pid == -(int)MF_GUEST_PID ||
	       (pid > 0 && mf_signal_find_thread(process, pid) != MF_TO_PROCESS);
}

int64_t mf_sys_kill(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_siginfo info = sent_by_us(process, (int)arg[1], SI_USER);

	if (!is_us(process, (int)arg[0]))
		return -ESRCH;
	if ((uint32_t)arg[1] >= MF_SIGNALS)
		return -EINVAL;
	return info.signo ? mf_signal_send(process, MF_TO_PROCESS, &info) : 0;
}

static int64_t send_to_thread(struct mf_process *process, int pid, int tid,
			      const struct mf_siginfo *info)
{
	uint32_t thread = mf_signal_find_thread(process, tid);

	if (tid <= 0 || pid <= 0)
		return -EINVAL;
	if (thread == MF_TO_PROCESS || pid != (int)MF_GUEST_PID)
		return -ESRCH;
	if ((uint32_t)info->signo >= MF_SIGNALS)
		return -EINVAL;
	return info->signo ? mf_signal_send(process, thread, info) : 0;
}

int64_t mf_sys_tkill(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_siginfo info = sent_by_us(process, (int)arg[1], SI_TKILL);

	return send_to_thread(process, MF_GUEST_PID, (int)arg[0], &info);
}

int64_t mf_sys_tgkill(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_siginfo info = sent_by_us(process, (int)arg[2], SI_TKILL);

	return send_to_thread(process, (int)arg[0], (int)arg[1], &info);
}

int64_t mf_sys_rt_sigqueueinfo(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_siginfo info;

	if (mf_guest_read(process, arg[2], &info, sizeof(info)))
		return -EFAULT;
	info.signo = (int)arg[1];
	if (!is_us(process, (int)arg[0]) || (int)arg[0] <= 0)
		return info.code >= 0 || info.code == SI_TKILL ? -EPERM : -ESRCH;
	if ((uint32_t)arg[1] >= MF_SIGNALS)
		return -EINVAL;
	return info.signo ? mf_signal_send(process, MF_TO_PROCESS, &info) : 0;
}

int64_t mf_sys_rt_tgsigqueueinfo(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_siginfo info;

	if (mf_guest_read(process, arg[3], &info, sizeof(info)))
		return -EFAULT;
	if ((int)arg[0] <= 0 || (int)arg[1] <= 0)
		return -EINVAL;
	info.signo = (int)arg[2];
	if ((info.code >= 0 || info.code == SI_TKILL) &&
	    (int)arg[1] != (int)mf_thread(process)->tid && (int)arg[0] != (int)MF_GUEST_PID)
		return -EPERM;
	return send_to_thread(process, (int)arg[0], (int)arg[1], &info);
}

static int put_info(struct mf_process *process, uint64_t va, const struct mf_siginfo *info)
{
	uint8_t bytes[INFO_BYTES] = {0};

	memcpy(bytes, info, sizeof(*info));
	return mf_guest_write(process, va, bytes, sizeof(bytes));
}

static int read_span(struct mf_process *process, uint64_t va, uint64_t *ns)
{
	int64_t span[2];

	*ns = MF_FOREVER;
	if (!va)
		return 0;
	if (mf_guest_read(process, va, span, sizeof(span)))
		return -EFAULT;
	if (span[0] < 0 || span[1] < 0 || span[1] >= 1000000000)
		return -EINVAL;
	if ((uint64_t)span[0] < MF_FOREVER / 1000000000u / 4)
		*ns = (uint64_t)span[0] * 1000000000u + (uint64_t)span[1];
	return 0;
}

int64_t mf_sys_rt_sigtimedwait(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_siginfo info;
	uint64_t set, ns, until;
	int signo;
	int ret;

	if (arg[3] != SET_BYTES)
		return -EINVAL;
	if (mf_guest_read(process, arg[0], &set, sizeof(set)))
		return -EFAULT;
	ret = read_span(process, arg[2], &ns);
	if (ret)
		return ret;
	signo = mf_signal_take(process, set & ~MF_SIGNALS_FIXED, &info);
	if (signo)
		return arg[1] && put_info(process, arg[1], &info) ? -EFAULT : signo;
	if (!ns)
		return -EAGAIN;
	until = mf_wait_deadline(process, ns);
	if (until != MF_FOREVER && mf_vm_now_ns(&process->vm) >= until)
		return -EAGAIN;
	return mf_wait_object(process, MF_WAIT_SIGNAL, until);
}

int64_t mf_sys_rt_sigsuspend(struct mf_process *process, const uint64_t arg[6])
{
	int ret;

	if (arg[1] != SET_BYTES)
		return -EINVAL;
	ret = mf_signal_mask_for_call(process, arg[0], arg[1]);
	if (!ret && !arg[0])
		ret = -EFAULT;
	return ret ? ret : mf_wait_until(process, MF_FOREVER);
}

int64_t mf_sys_pause(struct mf_process *process, const uint64_t arg[6])
{
	return mf_wait_until(process, MF_FOREVER);
}
