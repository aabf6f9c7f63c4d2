/* SPDX-License-Identifier: MIT */
/* System calls about time. The vDSO answers most of them inside the guest; these are the rest. */
#include "engine/image/guest.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/sched.h"
#include "engine/linux/syscall.h"
#include "engine/linux/thread.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <sys/time.h>
#include <time.h>

#define SECOND 1000000000ull

uint64_t mf_cpu_ns(const struct mf_process *process)
{
	return process->cpu_ns + (mf_cpu_of_thread_ns() - process->entered_ns);
}

uint64_t mf_cpu_of_thread_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

/* Clocks of the engine's process and threads are none of the guest's business. */
static bool is_clock(uint64_t id)
{
	return (id <= CLOCK_BOOTTIME || id == CLOCK_TAI) && id != CLOCK_PROCESS_CPUTIME_ID &&
	       id != CLOCK_THREAD_CPUTIME_ID;
}

/*
 * Clocks of CPU time, the two with a name and those of a process or thread by its id
 * (clock_getres(2), include/linux/posix-timers.h: the id inverted, then three bits of kind). False:
 * none is meant.
 */
static bool cpu_clock(const struct mf_process *process, int32_t id, uint64_t *ns)
{
	int32_t tid = ~(id >> 3);
	int thread = mf_thread_find(process, (uint32_t)tid);

	*ns = mf_cpu_ns(process);
	if (id == CLOCK_PROCESS_CPUTIME_ID)
		return true;
	if (id == CLOCK_THREAD_CPUTIME_ID)
		thread = mf_thread_find(process, 0);
	else if (id >= 0 || (id & 3) == 3 || thread < 0)
		return false;
	else if (!(id & 4))
		return tid == 0 || tid == (int32_t)MF_GUEST_PID;
	*ns = mf_sched_cpu_ns(process, (uint32_t)thread);
	return true;
}

int64_t mf_sys_clock_gettime(struct mf_process *process, const uint64_t arg[6])
{
	struct timespec now;
	uint64_t ns;

	if (!cpu_clock(process, (int32_t)arg[0], &ns)) {
		if (!is_clock((uint32_t)arg[0]))
			return -EINVAL;
		ns = mf_vm_clock_ns(&process->vm, (clockid_t)arg[0]);
	}
	now = (struct timespec){(time_t)(ns / SECOND), (long)(ns % SECOND)};
	return mf_guest_write(process, arg[1], &now, sizeof(now));
}

int64_t mf_sys_clock_getres(struct mf_process *process, const uint64_t arg[6])
{
	struct timespec one = {.tv_nsec = 1};
	uint64_t ns;

	if (!is_clock((uint32_t)arg[0]) && !cpu_clock(process, (int32_t)arg[0], &ns))
		return -EINVAL;
	return arg[1] ? mf_guest_write(process, arg[1], &one, sizeof(one)) : 0;
}

int64_t mf_sys_gettimeofday(struct mf_process *process, const uint64_t arg[6])
{
	struct timeval now;
	struct timezone zone = {0};

	gettimeofday(&now, NULL);
	if ((arg[0] && mf_guest_write(process, arg[0], &now, sizeof(now))) ||
	    (arg[1] && mf_guest_write(process, arg[1], &zone, sizeof(zone))))
		return -EFAULT;
	return 0;
}

int64_t mf_sys_time(struct mf_process *process, const uint64_t arg[6])
{
	time_t now = time(NULL);

	if (arg[0] && mf_guest_write(process, arg[0], &now, sizeof(now)))
		return -EFAULT;
	return now;
}

int64_t mf_sys_times(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t ticks[4] = {mf_cpu_ns(process) / (SECOND / 100)}; /* user, system, children's */

	if (arg[0] && mf_guest_write(process, arg[0], ticks, sizeof(ticks)))
		return -EFAULT;
	return (int64_t)(mf_vm_now_ns(&process->vm) / (SECOND / 100));
}

/* Park until `until`; the second time round it has passed. */
static int64_t sleep_until(struct mf_process *process, uint64_t until)
{
	if (mf_vm_now_ns(&process->vm) >= until)
		return 0;
	MF_THREAD_DIRTY(process, call_until_ns) = until;
	return mf_wait_until(process, until);
}

/* Sleep for the timespec at va, in steps of MF_SYS_WAIT; 0 when it is over, -EFAULT, -EINVAL. */
static int64_t sleep_for(struct mf_process *process, uint64_t va, int clock, bool absolute)
{
	struct timespec span;
	uint64_t ns;

	if (mf_thread(process)->call_until_ns)
		return sleep_until(process, mf_thread(process)->call_until_ns);
	if (mf_pt_read(&process->vm.mem, MF_GVA(va), &span, sizeof(span)))
		return -EFAULT;
	if (span.tv_sec < 0 || span.tv_nsec < 0 || span.tv_nsec >= (long)SECOND)
		return -EINVAL;
	if ((uint64_t)span.tv_sec > UINT64_MAX / SECOND / 4)
		span.tv_sec = (time_t)(UINT64_MAX / SECOND / 4);
	ns = (uint64_t)span.tv_sec * SECOND + (uint64_t)span.tv_nsec;
	if (absolute) {
		uint64_t now = mf_vm_clock_ns(&process->vm, clock);

		ns = ns > now ? ns - now : 0;
	}
	return ns ? sleep_until(process, mf_vm_now_ns(&process->vm) + ns) : 0;
}

int64_t mf_sys_nanosleep(struct mf_process *process, const uint64_t arg[6])
{
	return sleep_for(process, arg[0], CLOCK_MONOTONIC, false);
}

int64_t mf_sys_clock_nanosleep(struct mf_process *process, const uint64_t arg[6])
{
	if (arg[0] == CLOCK_PROCESS_CPUTIME_ID || arg[0] == CLOCK_THREAD_CPUTIME_ID)
		return -EOPNOTSUPP;
	if (!is_clock(arg[0]))
		return -EINVAL;
	return sleep_for(process, arg[2], (int)arg[0], arg[1] & 1);
}
