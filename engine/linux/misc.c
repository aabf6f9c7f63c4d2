/* SPDX-License-Identifier: MIT */
/* System calls about the process itself: identity, limits, machine, end. */
#include "engine/image/guest.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/credentials.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/sched.h"
#include "engine/linux/syscall.h"

#include <asm/prctl.h>
#include <errno.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

#define USER_LIMIT (1ull << 47)

int64_t mf_sys_arch_prctl(struct mf_process *process, const uint64_t arg[6])
{
	const struct kvm_sregs *sregs = &process->vm.kvm.run->s.regs.sregs;

	switch (arg[0]) {
	case ARCH_SET_FS:
	case ARCH_SET_GS:
		if (arg[1] >= USER_LIMIT)
			return -EPERM;
		if (arg[0] == ARCH_SET_FS)
			mf_vm_sregs_rw(&process->vm)->fs.base = arg[1];
		else
			mf_vm_sregs_rw(&process->vm)->gs.base = arg[1];
		return 0;
	case ARCH_GET_FS:
		return mf_guest_write(process, arg[1], &sregs->fs.base, 8);
	case ARCH_GET_GS:
		return mf_guest_write(process, arg[1], &sregs->gs.base, 8);
	default:
		return -EINVAL;
	}
}

int64_t mf_sys_getpid(struct mf_process *process, const uint64_t arg[6])
{
	return MF_GUEST_PID;
}

int64_t mf_sys_getppid(struct mf_process *process, const uint64_t arg[6])
{
	return 1;
}

int64_t mf_sys_getuid(struct mf_process *process, const uint64_t arg[6])
{
	return mf_uid(process);
}

int64_t mf_sys_getgid(struct mf_process *process, const uint64_t arg[6])
{
	return mf_gid(process);
}

int64_t mf_sys_umask(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t old = mf_linux(process)->umask;

	MF_DIRTY(process, umask) = arg[0] & 0777;
	return old;
}

int64_t mf_sys_getrandom(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t bytes = arg[1] < (1u << 20) ? arg[1] : 1u << 20;
	uint64_t done = 0;

	if (arg[2] & ~(uint64_t)(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE) ||
	    (arg[2] & GRND_RANDOM && arg[2] & GRND_INSECURE))
		return -EINVAL;
	while (done < bytes) {
		void *at;
		size_t span = mf_pt_span(&process->vm.mem, MF_GVA(arg[0] + done), bytes - done,
					 MF_WRITE, &at);
		ssize_t got = span ? getrandom(at, span, 0) : -1;

		if (got < 0)
			return done ? (int64_t)done : -EFAULT;
		done += (uint64_t)got;
	}
	return (int64_t)done;
}

int64_t mf_sys_getrusage(struct mf_process *process, const uint64_t arg[6])
{
	struct rusage usage = {0};
	uint64_t cpu_ns = mf_cpu_ns(process);

	if ((int)arg[0] < RUSAGE_CHILDREN || (int)arg[0] > RUSAGE_THREAD)
		return -EINVAL;
	if ((int)arg[0] == RUSAGE_THREAD)
		cpu_ns = mf_sched_cpu_ns(process, mf_linux(process)->current);
	if ((int)arg[0] == RUSAGE_CHILDREN)
		return mf_guest_write(process, arg[1], &usage, sizeof(usage)); /* none */
	usage.ru_utime.tv_sec = (time_t)(cpu_ns / 1000000000ull);
	usage.ru_utime.tv_usec = (suseconds_t)(cpu_ns % 1000000000ull / 1000);
	usage.ru_maxrss = (long)(mf_mem_arena(&process->vm.mem)->frames_used * MF_PAGE / 1024);
	return mf_guest_write(process, arg[1], &usage, sizeof(usage));
}

int64_t mf_sys_sysinfo(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_arena *arena = mf_mem_arena(&process->vm.mem);
	struct sysinfo info = {.mem_unit = MF_PAGE,
			       .procs = (uint16_t)mf_linux(process)->thread_count};

	info.uptime = (long)(mf_vm_clock_ns(&process->vm, CLOCK_BOOTTIME) / 1000000000ull);
	info.totalram = arena->frames_limit;
	info.freeram = arena->frames_limit - arena->frames_used;
	return mf_guest_write(process, arg[0], &info, sizeof(info));
}

static int64_t set_name(struct mf_process *process, uint64_t va)
{
	char name[16] = "";
	int64_t ret = mf_guest_string(process, va, name, 15);

	if (ret == -EFAULT)
		return ret;
	memset(name + strnlen(name, 15), 0, 16 - strnlen(name, 15));
	memcpy(MF_THREAD_DIRTY(process, name), name, 16);
	return 0;
}

static int64_t set_told(struct mf_process *process, uint32_t what, bool value)
{
	uint32_t told = mf_linux(process)->told;

	if (!(told & what) == value)
		MF_DIRTY(process, told) = value ? told | what : told & ~what;
	return 0;
}

static int64_t get_told(const struct mf_process *process, uint32_t what)
{
	return mf_linux(process)->told & what ? 1 : 0;
}

static int64_t put_int(struct mf_process *process, uint64_t va, int value)
{
	return mf_guest_write(process, va, &value, sizeof(value)) ? -EFAULT : 0;
}

static int64_t set_death_signal(struct mf_process *process, uint64_t signo)
{
	uint32_t told = mf_linux(process)->told & ((1u << MF_TOLD_DEATH_SIGNAL_SHIFT) - 1);

	if (signo >= MF_SIGNALS)
		return -EINVAL;
	MF_DIRTY(process, told) = told | (uint32_t)signo << MF_TOLD_DEATH_SIGNAL_SHIFT;
	return 0;
}

#define CAP_LAST 40u /* CAP_CHECKPOINT_RESTORE */

static int64_t ambient(const uint64_t arg[6])
{
	if (arg[3] || arg[4])
		return -EINVAL;
	if (arg[1] == PR_CAP_AMBIENT_CLEAR_ALL)
		return arg[2] ? -EINVAL : 0;
	if (arg[2] > CAP_LAST)
		return -EINVAL;
	if (arg[1] == PR_CAP_AMBIENT_IS_SET || arg[1] == PR_CAP_AMBIENT_LOWER)
		return 0;
	return arg[1] == PR_CAP_AMBIENT_RAISE ? -EPERM : -EINVAL;
}

/* There are no capabilities; and what can only be as it is. */
static int64_t set_nothing(const uint64_t arg[6])
{
	switch (arg[0]) {
	case PR_CAP_AMBIENT:
		return ambient(arg);
	case PR_CAPBSET_READ:
		return arg[1] > CAP_LAST ? -EINVAL : 0;
	case PR_CAPBSET_DROP:
	case PR_SET_SECUREBITS:
		return -EPERM;
	case PR_SET_TSC: /* reading it cannot be made a fault */
		return arg[1] == PR_TSC_ENABLE ? 0 : -EINVAL;
	case PR_GET_TIMING:
		return PR_TIMING_STATISTICAL;
	case PR_SET_TIMING:
		return arg[1] == PR_TIMING_STATISTICAL ? 0 : -EINVAL;
	case PR_TASK_PERF_EVENTS_DISABLE: /* there are none */
	case PR_TASK_PERF_EVENTS_ENABLE:
		return 0;
	default:
		return -EINVAL;
	}
}

/* Calls that set something: prctl(2). */
static int64_t set_option(struct mf_process *process, const uint64_t arg[6])
{
	bool no_more = !arg[2] && !arg[3] && !arg[4];

	switch (arg[0]) {
	case PR_SET_NAME:
		return set_name(process, arg[1]);
	case PR_SET_PDEATHSIG:
		return set_death_signal(process, arg[1]);
	case PR_SET_DUMPABLE:
		return arg[1] > 1 ? -EINVAL : set_told(process, MF_TOLD_NOT_DUMPABLE, !arg[1]);
	case PR_SET_KEEPCAPS:
		return arg[1] > 1 ? -EINVAL : set_told(process, MF_TOLD_KEEPS_CAPS, arg[1]);
	case PR_SET_CHILD_SUBREAPER:
		return set_told(process, MF_TOLD_IS_SUBREAPER, arg[1]);
	case PR_SET_NO_NEW_PRIVS: /* there are none to gain */
		return arg[1] != 1 || !no_more ? -EINVAL
					       : set_told(process, MF_TOLD_NO_NEW_PRIVS, true);
	case PR_SET_THP_DISABLE:
		return no_more ? set_told(process, MF_TOLD_NO_HUGE_PAGES, arg[1]) : -EINVAL;
	default:
		return set_nothing(arg);
	}
}

int64_t mf_sys_prctl(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t told = mf_linux(process)->told;
	bool alone = !arg[1] && !arg[2] && !arg[3] && !arg[4];

	switch (arg[0]) {
	case PR_GET_NAME:
		return mf_guest_write(process, arg[1], mf_thread(process)->name, 16);
	case PR_GET_PDEATHSIG:
		return put_int(process, arg[1], (int)(told >> MF_TOLD_DEATH_SIGNAL_SHIFT));
	case PR_GET_DUMPABLE:
		return !get_told(process, MF_TOLD_NOT_DUMPABLE);
	case PR_GET_KEEPCAPS:
		return get_told(process, MF_TOLD_KEEPS_CAPS);
	case PR_GET_CHILD_SUBREAPER:
		return put_int(process, arg[1], (int)get_told(process, MF_TOLD_IS_SUBREAPER));
	case PR_GET_NO_NEW_PRIVS:
		return alone ? get_told(process, MF_TOLD_NO_NEW_PRIVS) : -EINVAL;
	case PR_GET_THP_DISABLE:
		return alone ? get_told(process, MF_TOLD_NO_HUGE_PAGES) : -EINVAL;
	case PR_GET_TSC:
		return put_int(process, arg[1], PR_TSC_ENABLE);
	case PR_GET_SECCOMP:
		return 0;
	case PR_GET_SECUREBITS:
		return get_told(process, MF_TOLD_KEEPS_CAPS) ? SECBIT_KEEP_CAPS : 0;
	default:
		return set_option(process, arg);
	}
}
