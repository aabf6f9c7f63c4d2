/* SPDX-License-Identifier: MIT */
/* What a signal does to the thread on the vCPU: handlers, ends, calls that it interrupts. */
#include "engine/linux/signal.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/syscall.h"
#include "engine/linux/trace.h"
#include "engine/linux/wait.h"

#include <asm/unistd_64.h>
#include <errno.h>
#include <signal.h>

#define SYSCALL_BYTES 2 /* 0f 05 */

/* The handler's mask, and the end of what the call that was interrupted had in place of one. */
static void handler_runs(struct mf_process *process, const struct mf_sigaction *action, int signo)
{
	uint64_t mask = mf_thread(process)->sigmask | action->mask;

	if (mf_thread(process)->mask_kept)
		MF_THREAD_DIRTY(process, mask_kept) = 0;
	if (!(action->flags & SA_NODEFER))
		mask |= MF_SIGBIT(signo);
	mf_signal_set_mask(process, mask);
}

/* The stack cannot take the frame: of a SIGSEGV, that is the end (kernel/signal.c, force_sigsegv).
 */
static int64_t no_frame(struct mf_process *process, int signo)
{
	if (signo == SIGSEGV)
		MF_DIRTY(process, sigactions[SIGSEGV].handler) = MF_SIG_DFL;
	return mf_signal_force(process, &(struct mf_siginfo){.signo = SIGSEGV, .code = SI_KERNEL});
}

static int64_t run_handler(struct mf_process *process, const struct mf_siginfo *info)
{
	struct mf_sigaction action = mf_linux(process)->sigactions[info->signo];
	const struct mf_thread *thread = mf_thread(process);
	uint64_t before = thread->mask_kept ? thread->sigmask_kept : thread->sigmask;

	if (action.flags & SA_RESETHAND)
		MF_DIRTY(process, sigactions[info->signo].handler) = MF_SIG_DFL;
	if (process->policy->trace)
		mf_trace_delivery(process, info);
	if (mf_signal_frame(process, &action, info, before))
		return no_frame(process, info->signo);
	handler_runs(process, &action, info->signo);
	return 0;
}

static int64_t act(struct mf_process *process, const struct mf_siginfo *info)
{
	uint64_t handler = mf_linux(process)->sigactions[info->signo].handler;

	if (mf_signal_ignored(process, info->signo))
		return 0;
	if (handler != MF_SIG_DFL)
		return run_handler(process, info);
	/* The default action became the one while it waited. */
	return mf_signal_send(process, mf_linux(process)->current % MF_THREADS, info);
}

int64_t mf_signal_deliver(struct mf_process *process)
{
	struct mf_siginfo info;
	uint64_t set;
	int64_t ret = 0;

	while (!ret && (set = mf_signal_due_set(process)) && mf_signal_take(process, set, &info)) {
		ret = act(process, &info);
		if (ret == -EPERM) /* it would stop the program: open-ends.md */
			ret = 0;
	}
	return ret == MF_SYS_EXIT ? ret : 0;
}

/* Calls that end when a handler has run, whatever SA_RESTART says (signal(7)). */
static bool never_again(uint64_t number)
{
	switch (number) {
	case __NR_pause:
	case __NR_rt_sigsuspend:
	case __NR_rt_sigtimedwait:
	case __NR_nanosleep:
	case __NR_clock_nanosleep:
	case __NR_poll:
	case __NR_ppoll:
	case __NR_select:
	case __NR_pselect6:
	case __NR_epoll_wait:
	case __NR_epoll_pwait:
	case __NR_epoll_pwait2:
	case __NR_semop:
	case __NR_semtimedop:
	case __NR_msgrcv:
	case __NR_msgsnd:
	case __NR_io_getevents:
		return true;
	default:
		return false;
	}
}

/* With a time limit it ends, too: time would begin anew. So does one that has done a part. */
static bool is_made_again(const struct mf_process *process, uint64_t number)
{
	uint64_t set = mf_signal_due_set(process);
	int signo = set ? __builtin_ctzll(set) + 1 : 0;

	return signo && mf_linux(process)->sigactions[signo].flags & SA_RESTART &&
	       !never_again(number) && !mf_thread(process)->call_until_ns &&
	       !mf_thread(process)->call_done;
}

/* Tell a call that sleeps how much was left. */
static int64_t tell_rest(struct mf_process *process, uint64_t va, uint64_t unit_ns)
{
	uint64_t until = mf_thread(process)->call_until_ns;
	uint64_t now = mf_vm_now_ns(&process->vm);
	uint64_t left = until > now ? until - now : 0;
	uint64_t span[2] = {left / 1000000000u, left % 1000000000u / unit_ns};

	if (va && until && until != MF_FOREVER && mf_guest_write(process, va, span, sizeof(span)))
		return -EFAULT;
	return -EINTR;
}

/* What a call returns that has done a part. */
static int64_t call_done(struct mf_process *process, uint64_t number, uint64_t second)
{
	if (number == __NR_sendmmsg || number == __NR_recvmmsg)
		return mf_socket_messages_done(process, second);
	return (int64_t)mf_thread(process)->call_done;
}

static int64_t interrupted(struct mf_process *process, const struct kvm_regs *regs)
{
	if (mf_thread(process)->call_done)
		return call_done(process, regs->rax, regs->rsi);
	switch (regs->rax) {
	case __NR_nanosleep:
		return tell_rest(process, regs->rsi, 1);
	case __NR_clock_nanosleep:
		return regs->rsi & 1 ? -EINTR : tell_rest(process, regs->r10, 1);
	/* These do not mind where it cannot be written (fs/select.c, poll_select_finish). */
	case __NR_select:
		tell_rest(process, regs->r8, 1000);
		return -EINTR;
	case __NR_pselect6:
		tell_rest(process, regs->r8, 1);
		return -EINTR;
	case __NR_ppoll:
		tell_rest(process, regs->rdx, 1);
		return -EINTR;
	default:
		return -EINTR;
	}
}

/* Does a SYSCALL stand before where the thread would go on? */
static bool has_syscall(const struct mf_process *process, uint64_t rip)
{
	uint8_t code[SYSCALL_BYTES];

	return !mf_pt_read(&process->vm.mem, MF_GVA(rip - SYSCALL_BYTES), code, sizeof(code)) &&
	       code[0] == 0x0f && code[1] == 0x05;
}

void mf_signal_interrupt(struct mf_process *process)
{
	const struct kvm_regs *regs = mf_vm_regs(&process->vm);
	uint64_t arg[6] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
	uint64_t number = regs->rax;
	int64_t result = -EINTR;

	if (!mf_vm_settle(&process->vm))
		return;
	if (is_made_again(process, number) && has_syscall(process, regs->rip)) {
		mf_vm_regs_rw(&process->vm)->rip -= SYSCALL_BYTES;
	} else {
		result = interrupted(process, regs);
		mf_vm_answer(&process->vm, result);
		if (process->policy->trace)
			mf_trace_call(process, number, arg, result);
	}
	MF_THREAD_DIRTY(process, call_pending) = 0;
	MF_THREAD_DIRTY(process, call_until_ns) = 0;
	MF_THREAD_DIRTY(process, call_done) = 0;
}

int mf_signal_mask_for_call(struct mf_process *process, uint64_t va, uint64_t bytes)
{
	uint64_t mask;

	if (!va || mf_thread(process)->mask_kept)
		return 0;
	if (bytes != 8)
		return -EINVAL;
	if (mf_guest_read(process, va, &mask, sizeof(mask)))
		return -EFAULT;
	MF_THREAD_DIRTY(process, sigmask_kept) = mf_thread(process)->sigmask;
	MF_THREAD_DIRTY(process, mask_kept) = 1;
	mf_signal_set_mask(process, mask);
	return 0;
}

int64_t mf_signal_call_over(struct mf_process *process, uint64_t number, int64_t result)
{
	if (!mf_thread(process)->mask_kept)
		return result;
	/* Time is up, or there was none, and a signal is there: it is what ended the call
	 * (fs/select.c). Its frame has the mask that comes back. */
	if (!result && (number == __NR_ppoll || number == __NR_pselect6) && mf_signal_due(process))
		return -EINTR;
	MF_THREAD_DIRTY(process, mask_kept) = 0;
	mf_signal_set_mask(process, mf_thread(process)->sigmask_kept);
	return result;
}
