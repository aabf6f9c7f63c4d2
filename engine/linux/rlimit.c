/* SPDX-License-Identifier: MIT */
#include "engine/linux/rlimit.h"
#include "engine/image/guest.h"
#include "engine/linux/alarm.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/signal.h"
#include "engine/linux/syscall.h"
#include "engine/linux/thread.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>

_Static_assert(RLIM_NLIMITS == MF_LIMITS, "as many as Linux has");
_Static_assert(RLIM_INFINITY == UINT64_MAX, "no limit is the largest");

#define STACK_USUAL (8ull << 20)

void mf_limit_init(struct mf_process *process)
{
	uint64_t memory = mf_mem_arena(&process->vm.mem)->frames_limit * MF_PAGE;
	uint32_t i;

	for (i = 0; i < MF_LIMITS; i++)
		MF_DIRTY(process, limits[i]) = (struct mf_limit){RLIM_INFINITY, RLIM_INFINITY};
	MF_DIRTY(process, limits[RLIMIT_STACK].soft) = STACK_USUAL;
	MF_DIRTY(process, limits[RLIMIT_CORE]) = (struct mf_limit){0, 0};
	MF_DIRTY(process, limits[RLIMIT_DATA]) = (struct mf_limit){memory, memory};
	MF_DIRTY(process, limits[RLIMIT_RSS]) = (struct mf_limit){memory, memory};
	MF_DIRTY(process, limits[RLIMIT_SIGPENDING]) =
		(struct mf_limit){MF_SIGQUEUE_MAX, MF_SIGQUEUE_MAX};
}

/* What the program may have at most, whatever it has set; RLIM_INFINITY: nothing says. */
static uint64_t given(const struct mf_process *process, uint64_t resource)
{
	switch (resource) {
	case RLIMIT_NOFILE:
		return mf_fd_hard_limit(process);
	case RLIMIT_NPROC:
		return process->policy->threads && process->policy->threads < MF_THREADS
			       ? process->policy->threads
			       : MF_THREADS;
	default:
		return RLIM_INFINITY;
	}
}

bool mf_limit_get(const struct mf_process *process, uint64_t resource, struct rlimit *limit)
{
	uint64_t most;

	if (resource >= MF_LIMITS)
		return false;
	if (resource == RLIMIT_CPU) {
		mf_alarm_cpu_limit(process, limit);
		return true;
	}
	most = given(process, resource);
	limit->rlim_cur = mf_linux(process)->limits[resource].soft;
	limit->rlim_max = mf_linux(process)->limits[resource].hard;
	limit->rlim_cur = limit->rlim_cur < most ? limit->rlim_cur : most;
	limit->rlim_max = limit->rlim_max < most ? limit->rlim_max : most;
	return true;
}

uint64_t mf_limit_soft(const struct mf_process *process, uint64_t resource)
{
	uint64_t most = given(process, resource);
	uint64_t soft = mf_linux(process)->limits[resource].soft;

	return soft < most ? soft : most;
}

/* As without privilege: a hard limit can be lowered. */
static int set_limit(struct mf_process *process, uint64_t resource, const struct rlimit *limit)
{
	struct rlimit now;

	if (!mf_limit_get(process, resource, &now) || limit->rlim_cur > limit->rlim_max)
		return -EINVAL;
	if (resource == RLIMIT_CPU)
		return mf_alarm_set_cpu_limit(process, limit);
	if (limit->rlim_max > now.rlim_max)
		return -EPERM;
	MF_DIRTY(process, limits[resource]) = (struct mf_limit){limit->rlim_cur, limit->rlim_max};
	return 0;
}

int64_t mf_sys_getrlimit(struct mf_process *process, const uint64_t arg[6])
{
	struct rlimit limit;

	if (!mf_limit_get(process, (uint32_t)arg[0], &limit))
		return -EINVAL;
	return mf_guest_write(process, arg[1], &limit, sizeof(limit));
}

int64_t mf_sys_setrlimit(struct mf_process *process, const uint64_t arg[6])
{
	struct rlimit limit;

	if (mf_guest_read(process, arg[1], &limit, sizeof(limit)))
		return -EFAULT;
	return set_limit(process, (uint32_t)arg[0], &limit);
}

int64_t mf_sys_prlimit64(struct mf_process *process, const uint64_t arg[6])
{
	struct rlimit limit;
	struct rlimit new;
	int ret = 0;

	if (arg[2] && mf_guest_read(process, arg[2], &new, sizeof(new)))
		return -EFAULT;
	if ((int32_t)arg[0] && (int32_t)arg[0] != MF_GUEST_PID)
		return -ESRCH;
	if (!mf_limit_get(process, (uint32_t)arg[1], &limit))
		return -EINVAL;
	if (arg[2])
		ret = set_limit(process, (uint32_t)arg[1], &new);
	return ret || !arg[3] ? ret : mf_guest_write(process, arg[3], &limit, sizeof(limit));
}

int64_t mf_limit_file(struct mf_process *process, uint64_t offset, uint64_t *bytes)
{
	uint64_t limit = mf_limit_soft(process, RLIMIT_FSIZE);

	if (!*bytes || limit == RLIM_INFINITY)
		return 0;
	if (offset < limit) {
		*bytes = *bytes < limit - offset ? *bytes : limit - offset;
		return 0;
	}
	return mf_process_signal(process, SIGXFSZ) == MF_SYS_EXIT ? MF_SYS_EXIT : -EFBIG;
}

int64_t mf_limit_file_size(struct mf_process *process, uint64_t size)
{
	uint64_t bytes = 1;

	return size ? mf_limit_file(process, size - 1, &bytes) : 0;
}
