/* SPDX-License-Identifier: MIT */
#include "engine/linux/process.h"
#include "engine/image/vm_clock.h"
#include "engine/image/watchdog.h"
#include "engine/linux/alarm.h"
#include "engine/linux/disk.h"
#include "engine/linux/fast.h"
#include "engine/linux/filemap.h"
#include "engine/linux/futex.h"
#include "engine/linux/hosts.h"
#include "engine/linux/filelock.h"
#include "engine/linux/memory.h"
#include "engine/linux/patch.h"
#include "engine/linux/renew.h"
#include "engine/linux/sched.h"
#include "engine/linux/signal.h"
#include "engine/linux/syscall.h"
#include "engine/linux/trace.h"
#include "engine/linux/watch.h"

#include <mayfly/abi/call.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void ended(struct mf_process *process, struct mf_exit *exit)
{
	const struct mf_linux *lx = mf_linux(process);

	exit->kind = lx->exit_signal ? MF_EXIT_SIGNALED : MF_EXIT_EXITED;
	exit->status = lx->exit_signal ? (int)lx->exit_signal : lx->exit_status;
	if (lx->exit_signal && !exit->text[0])
		snprintf(exit->text, sizeof(exit->text), "%s", strsignal((int)lx->exit_signal));
}

/* The call in progress is over. */
static void end_call(struct mf_process *process)
{
	const struct mf_thread *thread = mf_thread(process);

	if (thread->call_pending)
		MF_THREAD_DIRTY(process, call_pending) = 0;
	if (thread->call_until_ns)
		MF_THREAD_DIRTY(process, call_until_ns) = 0;
	if (thread->call_done)
		MF_THREAD_DIRTY(process, call_done) = 0;
}

/* A call that waits is made again, unless a signal ends it. */
static void wait_or_end(struct mf_process *process)
{
	if (mf_signal_due(process) && !mf_disk_waits(process)) {
		mf_signal_interrupt(process);
		mf_futex_leave(process);
		end_call(process);
		return;
	}
	MF_THREAD_DIRTY(process, call_pending) = 1;
	mf_sched_park(process);
}

/* The call in the registers, for the first time or again. False: the program has ended. */
static bool linux_call(struct mf_process *process, struct mf_exit *exit)
{
	const struct kvm_regs *regs = mf_vm_regs(&process->vm);
	uint64_t arg[6] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
	uint64_t number = regs->rax;
	int64_t result;

	process->syscalls++;
	result = mf_syscall_dispatch(process, number, arg);
	if (process->policy->trace)
		mf_trace_call(process, number, arg, result);
	if (result == MF_SYS_WAIT) {
		wait_or_end(process);
		return true;
	}
	if (result == MF_SYS_GONE)
		return true;
	end_call(process);
	result = mf_signal_call_over(process, number, result);
	if (result == MF_SYS_EXIT) {
		ended(process, exit);
		return false;
	}
	if (result != MF_SYS_LOADED)
		mf_vm_answer(&process->vm, result);
	return true;
}

/* MF_CALL_CHANNEL_WAIT. False: it runs on, at once or behind the others. */
static bool parks_at_channel(struct mf_process *process)
{
	const struct kvm_regs *regs = mf_vm_regs(&process->vm);

	if (!process->policy->channel_parks)
		return true;
	if (regs->rsi)
		mf_futex_wake(process, regs->rsi, 1);
	if (!regs->rdi)
		return mf_sched_park_at_channel(process);
	process->turn.over = true;
	return false;
}

static bool mayfly_call(struct mf_process *process, struct mf_exit *exit)
{
	const struct kvm_regs *regs = mf_vm_regs(&process->vm);
	uint64_t number = regs->rax;

	switch (number) {
	case MF_CALL_READY:
		exit->kind = MF_EXIT_READY;
		break;
	case MF_CALL_RESPOND:
		exit->kind = MF_EXIT_RESPOND;
		break;
	case MF_CALL_LOG:
		exit->kind = MF_EXIT_LOG;
		break;
	case MF_CALL_RETURN:
		exit->kind = MF_EXIT_RETURN;
		break;
	case MF_CALL_CHANNEL_WAIT:
	case MF_CALL_CHANNEL_WAKE:
		if (!process->policy->windows[0].bytes) {
			mf_vm_answer(&process->vm, -ENXIO);
			return true;
		}
		exit->kind = number == MF_CALL_CHANNEL_WAIT && parks_at_channel(process)
				     ? MF_EXIT_CHANNEL_WAIT
				     : MF_EXIT_CHANNEL_WAKE;
		break;
	case MF_CALL_FETCH:
		if (!process->policy->fetches) {
			mf_vm_answer(&process->vm, -ENOTCONN);
			return true;
		}
		exit->kind = MF_EXIT_FETCH;
		break;
	default:
		mf_vm_answer(&process->vm, -ENOSYS);
		return true;
	}
	exit->arg[0] = regs->rdi;
	exit->arg[1] = regs->rsi;
	exit->arg[2] = regs->rdx;
	return false;
}

static bool on_call(struct mf_process *process, struct mf_exit *exit)
{
	if (mf_vm_regs(&process->vm)->rax >= MF_CALL_BASE)
		return mayfly_call(process, exit);
	return linux_call(process, exit);
}

/* True when the program may go on. */
static bool on_fault(struct mf_process *process, const struct mf_vm_exit *vm_exit,
		     struct mf_exit *exit)
{
	enum mf_touch touch = MF_TOUCH_OK;
	int signo;

	if (vm_exit->vector == 14) {
		touch = mf_memory_fault(process, vm_exit->address, vm_exit->error_code);
		if (!touch)
			return true;
		if (mf_linux(process)->exited) {
			snprintf(exit->text, sizeof(exit->text), "out of memory at address 0x%llx",
				 (unsigned long long)vm_exit->address);
			ended(process, exit);
			return false;
		}
	}
	if (mf_fast_bail(process, vm_exit))
		return true;
	if (mf_signal_fault(process, vm_exit, touch) != MF_SYS_EXIT)
		return true;
	signo = (int)mf_linux(process)->exit_signal;
	snprintf(exit->text, sizeof(exit->text),
		 "%s at rip 0x%llx, address 0x%llx (vector %u, error 0x%llx)", strsignal(signo),
		 (unsigned long long)vm_exit->rip, (unsigned long long)vm_exit->address,
		 vm_exit->vector, (unsigned long long)vm_exit->error_code);
	if (process->policy->trace)
		mf_trace_signal(process, signo, vm_exit);
	ended(process, exit);
	return false;
}

static void on_crash(const struct mf_vm_exit *vm_exit, struct mf_exit *exit)
{
	exit->kind = MF_EXIT_CRASHED;
	exit->status = vm_exit->reason == -EFAULT ? SIGBUS : SIGILL;
	snprintf(exit->text, sizeof(exit->text), "%s at rip 0x%llx",
		 mf_vm_crash_name(vm_exit->reason), (unsigned long long)vm_exit->rip);
}

/* True when the program may go on: it was only another thread's turn. */
static bool on_kick(struct mf_process *process, struct mf_exit *exit)
{
	uint32_t kicks = mf_vm_take_kicks(&process->vm);

	if (kicks)
		mf_sched_turn_over(process);
	exit->kind = MF_EXIT_KICKED;
	exit->kicks = kicks & ~(uint32_t)MF_KICK_TURN;
	return !exit->kicks;
}

/* What the thread has to do before it is in ring 3 again: it may wait then. False: the program has
 * ended. */
static bool go_back(struct mf_process *process, struct mf_exit *exit)
{
	if (mf_thread(process)->call_pending && !linux_call(process, exit))
		return false;
	if (!mf_sched_runs(process) || !mf_signal_due(process) || !mf_fast_settle(process) ||
	    mf_signal_deliver(process) != MF_SYS_EXIT)
		return true;
	ended(process, exit);
	return false;
}

/* Signals of timers that have run out. False: the program has died of one. */
static bool expire(struct mf_process *process, struct mf_exit *exit)
{
	if (mf_alarm_expire(process))
		return true;
	if (process->out_of_cpu)
		snprintf(exit->text, sizeof(exit->text), "its CPU time is used up (--cpu-time)");
	ended(process, exit);
	return false;
}

/* See to it that ring 3 is left when a timer has run out; soon, if a signal could not be delivered
 * where the vCPU stands. */
static void arm_alarms(struct mf_process *process)
{
	uint64_t next = mf_signal_due(process) ? mf_vm_now_ns(&process->vm)
					       : mf_alarm_next_ns(process, true);

	if (next != UINT64_MAX)
		mf_watch_turn(&process->vm, next);
}

/* From ring 3 and back. True when the program may go on. */
static bool enter(struct mf_process *process, struct mf_exit *exit)
{
	struct mf_vm_exit vm_exit;

	mf_sched_arm(process);
	arm_alarms(process);
	mf_fast_publish(process);
	mf_vm_run(&process->vm, &vm_exit);
	if (!mf_fast_make_up(process, exit))
		return false;
	switch (vm_exit.kind) {
	case MF_VM_CALL:
		return on_call(process, exit);
	case MF_VM_FAULT:
		return on_fault(process, &vm_exit, exit);
	case MF_VM_KICKED:
		return on_kick(process, exit);
	default:
		/* Behind the end of a mapped file: the next try is a fault that says where. */
		if (vm_exit.reason == -EFAULT && mf_filemap_cut(process))
			return true;
		on_crash(&vm_exit, exit);
		return false;
	}
}

/* Something came out of a connection that the role has to know of. */
static bool has_news(struct mf_process *process, struct mf_exit *exit)
{
	if (!process->connection_news)
		return false;
	exit->kind = MF_EXIT_CONNECTION;
	exit->news = process->connection_news;
	process->connection_news = 0;
	return true;
}

/* A program that does nothing but call is stopped here, not inside KVM_RUN. */
static bool may_go_on(struct mf_process *process, struct mf_exit *exit)
{
	return !__atomic_load_n(&process->vm.kicked, __ATOMIC_RELAXED) || on_kick(process, exit);
}

static void run(struct mf_process *process, struct mf_exit *exit)
{
	bool go_on = true;

	while (go_on && expire(process, exit) && mf_sched_next(process, exit) &&
	       go_back(process, exit) && !has_news(process, exit))
		go_on = (!mf_sched_runs(process) || enter(process, exit)) &&
			!has_news(process, exit) && may_go_on(process, exit);
}

void mf_process_run(struct mf_process *process, struct mf_exit *exit)
{
	process->entered_ns = mf_cpu_of_thread_ns();
	*exit = (struct mf_exit){.wait_fd = -1};
	if (process->renew)
		mf_vm_clock_begin(&process->vm);
	if (process->renew && mf_renew(process)) {
		*exit = (struct mf_exit){.kind = MF_EXIT_CRASHED,
					 .status = SIGKILL,
					 .wait_fd = -1,
					 .text = "the host gives no random bytes"};
		return;
	}
	process->renew = false;
	mf_sched_begin(process);
	run(process, exit);
	process->cpu_ns += mf_cpu_of_thread_ns() - process->entered_ns;
}

/* On hardware KVM a system call costs little, and the program's text stays as it is. */
static bool wants_patches(const struct mf_process *process)
{
	const struct mf_policy *policy = process->policy;

	return !policy->no_patch &&
	       (policy->patch || process->vm.kvm.kvm->traits.family == MF_FAMILY_SOFTWARE);
}

int mf_process_freeze(struct mf_process *process, struct mf_image *image, struct mf_error *err)
{
	uint64_t now = mf_vm_clock_stop_ns(&process->vm); /* what follows takes none of its time */
	int ret;

	mf_filemap_settle(process);
	ret = mf_fd_check_freeze(process, err);
	if (!ret)
		ret = mf_filemap_check_freeze(process, err);
	if (ret) {
		mf_process_finish(process);
		return ret;
	}
	mf_lock_drop_all(process); /* as with fork(2): the locks are not the child's */
	mf_memory_settle(process);
	if (wants_patches(process))
		mf_patch_program(process);
	mf_fd_settle(process);
	mf_watch_host_close(process);
	mf_hosts_finish(process);
	mf_sched_forget_cpu(process);
	mf_sched_forget_hosts(process);
	/* Host descriptors of regular files stay open: the image owns them from now on. */
	ret = mf_image_freeze(&process->vm, image, err);
	if (!ret)
		image->frozen_ns = now;
	return ret;
}

void mf_process_image_finish(struct mf_image *image)
{
	if (image->backing.map)
		mf_fd_close_image(image);
	mf_image_finish(image);
}

int mf_process_fork(struct mf_process *process, struct mf_image *image,
		    const struct mf_policy *policy, struct mf_error *err)
{
	struct mf_mem *mem = &process->vm.mem;
	uint64_t cap;
	int ret;

	*process = (struct mf_process){.policy = policy, .renew = true};
	ret = mf_vm_fork(&process->vm, image, err);
	process->vm.mem.touch = mf_memory_touch_mem;
	if (ret || !policy->private_pages)
		return ret;
	process->vm.private_pages = policy->private_pages;
	cap = mf_mem_arena(mem)->frames_used + policy->private_pages;
	if (cap < mem->frames_cap)
		mem->frames_cap = cap;
	return 0;
}

int mf_process_reset(struct mf_process *process)
{
	if (!(process->vm.skip_steps & MF_STEP_DESCRIPTORS))
		mf_fd_close_own(process);
	mf_watch_host_close(process);
	mf_hosts_finish(process);
	process->output_bytes = 0;
	process->cpu_ns = 0;
	process->cpu_from_ns = 0;
	process->out_of_cpu = false;
	process->turn = (struct mf_turn){0};
	process->renew = true;
	process->connection_news = 0;
	process->channel_parked = process->channel_news = false;
	return mf_vm_reset(&process->vm);
}

bool mf_process_news(struct mf_process *process)
{
	__atomic_store_n(&process->channel_news, true, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&process->channel_parked, __ATOMIC_SEQ_CST);
}

bool mf_process_can_run(const struct mf_process *process)
{
	return mf_thread_set_next(&mf_linux(process)->runnable, -1) >= 0;
}

void mf_process_finish(struct mf_process *process)
{
	/* What was begun is done before the memory that it writes from is gone. */
	if (process->policy && process->policy->disk)
		mf_disk_drain(process->policy->disk);
	mf_watch_host_close(process);
	mf_hosts_finish(process);
	if (process->vm.mem.base)
		mf_fd_close_own(process);
	mf_vm_finish(&process->vm);
}
