/* SPDX-License-Identifier: MIT */
#include "engine/linux/rlimit.h"
#include "engine/linux/thread.h"
#include "engine/image/guest.h"
#include "engine/image/layout.h"
#include "engine/linux/futex.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/sched.h"
#include "engine/linux/signal.h"
#include "engine/linux/syscall.h"

#include <errno.h>
#include <linux/sched.h>
#include <stddef.h>
#include <string.h>

#define TID_MAX 4194304u /* Linux' PID_MAX_LIMIT */

/* A thread shares all of this; with some of it, it would be something between thread and process.
 */
#define THREAD_FLAGS \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define NEW_NAMESPACES                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET)

void mf_thread_first(struct mf_process *process, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct mf_thread thread = {.tid = MF_GUEST_PID, .state = MF_THREAD_RUNNABLE};

	strncpy(thread.name, slash ? slash + 1 : path, sizeof(thread.name) - 1);
	MF_DIRTY(process, threads[0]) = thread;
	MF_DIRTY(process, threads_high) = 1;
	MF_DIRTY(process, thread_count) = 1;
	MF_DIRTY(process, runnable.bits[0]) = 1;
}

int mf_thread_find(const struct mf_process *process, uint64_t tid)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	if (!tid)
		return (int)lx->current;
	for (i = 0; i < lx->threads_high; i++) {
		if (lx->threads[i].tid == tid && lx->threads[i].state != MF_THREAD_FREE)
			return (int)i;
	}
	return -1;
}

static uint32_t limit_of(const struct mf_process *process)
{
	return (uint32_t)mf_limit_soft(process, RLIMIT_NPROC);
}

/* A slot for another thread, or -1. */
static int free_slot(const struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	if (lx->thread_count >= limit_of(process))
		return -1;
	for (i = 0; i < lx->threads_high; i++) {
		if (lx->threads[i].state == MF_THREAD_FREE)
			return (int)i;
	}
	return i < MF_THREADS ? (int)i : -1;
}

static uint32_t new_tid(struct mf_process *process)
{
	uint32_t tid = mf_linux(process)->last_tid;

	do
		tid = tid > MF_GUEST_PID && tid < TID_MAX ? tid + 1 : MF_GUEST_PID + 1;
	while (mf_thread_find(process, tid) >= 0);
	MF_DIRTY(process, last_tid) = tid;
	return tid;
}

/* Those of the thread that makes the call, but for what the new one gets of its own. */
static struct mf_thread inherit(struct mf_process *process, const struct clone_args *args)
{
	const struct kvm_sync_regs *sync = &process->vm.kvm.run->s.regs;
	const struct mf_thread *parent = mf_thread(process);
	struct mf_thread child = {
		.tid = new_tid(process),
		.policy = parent->policy,
		.nice = parent->nice,
		.sigmask = parent->sigmask,
		.context = {sync->regs, sync->sregs.fs.base, sync->sregs.gs.base},
	};

	memcpy(child.name, parent->name, sizeof(child.name));
	child.context.regs.rax = 0;
	if (args->stack)
		child.context.regs.rsp = args->stack + args->stack_size;
	if (args->flags & CLONE_SETTLS)
		child.context.fs_base = args->tls;
	if (args->flags & CLONE_CHILD_CLEARTID)
		child.clear_child_tid = args->child_tid;
	return child;
}

/* As on Linux, an address that cannot be written is the program's own affair. */
static void tell_tid(struct mf_process *process, const struct clone_args *args, uint32_t tid)
{
	if (args->flags & CLONE_PARENT_SETTID)
		mf_guest_write(process, args->parent_tid, &tid, sizeof(tid));
	if (args->flags & CLONE_CHILD_SETTID)
		mf_guest_write(process, args->child_tid, &tid, sizeof(tid));
}

static int64_t new_thread(struct mf_process *process, const struct clone_args *args)
{
	int slot = free_slot(process);
	struct mf_thread child;
	uint32_t i = (uint32_t)slot;

	if (slot < 0)
		return -EAGAIN;
	if (!mf_vm_settle(&process->vm) ||
	    mf_kvm_vm_get_xsave(&process->vm.kvm, &MF_DIRTY(process, xsaves[i])))
		return -ENOMEM;
	child = inherit(process, args);
	MF_DIRTY(process, threads[i]) = child;
	if (i >= mf_linux(process)->threads_high)
		MF_DIRTY(process, threads_high) = i + 1;
	tell_tid(process, args, child.tid);
	mf_sched_add(process, i);
	return child.tid;
}

/* What Linux says of flags that do not go together (kernel/fork.c, copy_process), and what is not
 * here. */
static int check_flags(uint64_t flags)
{
	if ((flags & CLONE_THREAD && !(flags & CLONE_SIGHAND)) ||
	    (flags & CLONE_SIGHAND && !(flags & CLONE_VM)) ||
	    (flags & CLONE_FS && flags & (CLONE_NEWNS | CLONE_NEWUSER)) ||
	    (flags & CLONE_THREAD && flags & (CLONE_NEWUSER | CLONE_NEWPID | CLONE_PIDFD)))
		return -EINVAL;
	/* Another process, or namespaces. */
	if (!(flags & CLONE_THREAD) || flags & NEW_NAMESPACES)
		return -EPERM;
	if ((flags & THREAD_FLAGS) != THREAD_FLAGS || flags & CLONE_VFORK)
		return -ENOSYS;
	return 0;
}

static int64_t clone_thread(struct mf_process *process, const struct clone_args *args)
{
	int ret = check_flags(args->flags);

	if (!ret && args->flags & CLONE_SETTLS && args->tls >= MF_USER_TOP)
		ret = -EPERM;
	return ret ? ret : new_thread(process, args);
}

int64_t mf_sys_clone(struct mf_process *process, const uint64_t arg[6])
{
	struct clone_args args = {
		.flags = (uint32_t)arg[0] & ~(uint64_t)CSIGNAL,
		.exit_signal = arg[0] & CSIGNAL,
		.stack = arg[1],
		.parent_tid = arg[2],
		.child_tid = arg[3],
		.tls = arg[4],
	};

	return clone_thread(process, &args);
}

/* The caller's struct, which may be shorter or longer than ours; a longer one has zeroes there. */
static int read_args(struct mf_process *process, uint64_t at, uint64_t bytes,
		     struct clone_args *args)
{
	uint8_t more[MF_PAGE];
	uint64_t i;

	if (bytes > MF_PAGE)
		return -E2BIG;
	if (bytes < CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	if (mf_guest_read(process, at, more, bytes))
		return -EFAULT;
	for (i = sizeof(*args); i < bytes; i++) {
		if (more[i])
			return -E2BIG;
	}
	*args = (struct clone_args){0};
	memcpy(args, more, bytes < sizeof(*args) ? bytes : sizeof(*args));
	return 0;
}

static int check_args(const struct clone_args *args)
{
	uint64_t known = 0xffffffffull | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP;

	if (args->flags & ~known || args->flags & (CLONE_DETACHED | CSIGNAL) ||
	    args->exit_signal > CSIGNAL)
		return -EINVAL;
	if (args->flags & (CLONE_THREAD | CLONE_PARENT) && args->exit_signal)
		return -EINVAL;
	if (args->flags & CLONE_SIGHAND && args->flags & CLONE_CLEAR_SIGHAND)
		return -EINVAL;
	if (!args->stack != !args->stack_size || args->stack > MF_USER_TOP ||
	    args->stack_size > MF_USER_TOP - args->stack)
		return -EINVAL;
	if (!args->set_tid != !args->set_tid_size)
		return -EINVAL;
	return args->set_tid_size ? -EPERM : 0;
}

int64_t mf_sys_clone3(struct mf_process *process, const uint64_t arg[6])
{
	struct clone_args args;
	int ret = read_args(process, arg[0], arg[1], &args);

	if (!ret)
		ret = check_args(&args);
	return ret ? ret : clone_thread(process, &args);
}

int64_t mf_sys_exit_group(struct mf_process *process, const uint64_t arg[6])
{
	MF_DIRTY(process, exited) = 1;
	MF_DIRTY(process, exit_status) = (int32_t)(arg[0] & 0xff);
	return MF_SYS_EXIT;
}

/* Whoever joins it waits for this word (CLONE_CHILD_CLEARTID). */
static void clear_tid(struct mf_process *process)
{
	uint64_t at = mf_thread(process)->clear_child_tid;
	uint32_t zero = 0;

	if (at && !mf_guest_write(process, at, &zero, sizeof(zero)))
		mf_futex_wake(process, at, 1);
}

/* The program's status is what its first thread said, however long the others live. */
int64_t mf_sys_exit(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t status[6] = {(uint32_t)lx->exit_status};

	if (mf_thread(process)->tid == MF_GUEST_PID)
		status[0] = MF_DIRTY(process, exit_status) = (int32_t)(arg[0] & 0xff);
	if (lx->thread_count == 1)
		return mf_sys_exit_group(process, status);
	mf_robust_exit(process);
	clear_tid(process);
	mf_signal_thread_ends(process);
	mf_sched_remove(process);
	return MF_SYS_GONE;
}

int64_t mf_sys_gettid(struct mf_process *process, const uint64_t arg[6])
{
	return mf_thread(process)->tid;
}

int64_t mf_sys_set_tid_address(struct mf_process *process, const uint64_t arg[6])
{
	MF_THREAD_DIRTY(process, clear_child_tid) = arg[0];
	return mf_thread(process)->tid;
}
