/* SPDX-License-Identifier: MIT */
#include "engine/linux/syscall.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <linux/futex.h>
#include <time.h>

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
