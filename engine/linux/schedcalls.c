/* SPDX-License-Identifier: MIT */
/*
 * System calls about scheduling. A program has one processor, its threads take turns of the same
 * length, and it has no privilege: policies and priorities are kept as told, within what Linux
 * allows an ordinary user, and change nothing.
 */
#include "engine/image/guest.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/sched.h"
#include "engine/linux/syscall.h"
#include "engine/linux/thread.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NICE_MIN (-20)
#define NICE_MAX 19

/* A thread that a call names; -EINVAL, -ESRCH. */
static int named(const struct mf_process *process, uint64_t pid)
{
	int i = (int32_t)pid < 0 ? -EINVAL : mf_thread_find(process, (uint32_t)pid);

	return i == -1 ? -ESRCH : i;
}

int64_t mf_sys_sched_yield(struct mf_process *process, const uint64_t arg[6])
{
	process->turn.over = true;
	return 0;
}

int64_t mf_sys_sched_getaffinity(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t one = 1;
	int i = mf_thread_find(process, (uint32_t)arg[0]);

	if ((uint32_t)arg[1] < 8 || (uint32_t)arg[1] % 8)
		return -EINVAL;
	if (i < 0)
		return -ESRCH;
	return mf_guest_write(process, arg[2], &one, 8) ? -EFAULT : 8;
}

int64_t mf_sys_sched_setaffinity(struct mf_process *process, const uint64_t arg[6])
{
	uint8_t first = 0;

	if ((uint32_t)arg[1] && mf_guest_read(process, arg[2], &first, 1))
		return -EFAULT;
	if (mf_thread_find(process, (uint32_t)arg[0]) < 0)
		return -ESRCH;
	return first & 1 ? 0 : -EINVAL;
}

int64_t mf_sys_sched_getparam(struct mf_process *process, const uint64_t arg[6])
{
	struct sched_param none = {0};
	int i = named(process, arg[0]);

	if (!arg[1])
		return -EINVAL;
	if (i < 0)
		return i;
	return mf_guest_write(process, arg[1], &none, sizeof(none));
}

static bool is_real_time(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

/* A policy with its priority, as kernel/sched/core.c checks them for an ordinary user. */
static int set_policy(struct mf_process *process, uint32_t i, int policy, int64_t priority)
{
	int now = mf_linux(process)->threads[i].policy;

	policy = policy < 0 ? now : policy & ~SCHED_RESET_ON_FORK;
	if (policy != SCHED_OTHER && policy != SCHED_BATCH && policy != SCHED_IDLE &&
	    !is_real_time(policy))
		return -EINVAL;
	if (priority < 0 || priority > 99 || is_real_time(policy) != (priority != 0))
		return -EINVAL;
	if (is_real_time(policy) || (now == SCHED_IDLE && policy != SCHED_IDLE))
		return -EPERM;
	if (now != policy)
		MF_DIRTY(process, threads[i].policy) = (uint8_t)policy;
	return 0;
}

static int set_param(struct mf_process *process, uint64_t pid, int policy, uint64_t param_va)
{
	struct sched_param param;
	int i = named(process, pid);

	if (!param_va)
		return -EINVAL;
	if (mf_guest_read(process, param_va, &param, sizeof(param)))
		return -EFAULT;
	return i < 0 ? i : set_policy(process, (uint32_t)i, policy, param.sched_priority);
}

int64_t mf_sys_sched_setparam(struct mf_process *process, const uint64_t arg[6])
{
	return set_param(process, arg[0], -1, arg[1]);
}

int64_t mf_sys_sched_setscheduler(struct mf_process *process, const uint64_t arg[6])
{
	int policy = (int)arg[1];

	return policy < 0 ? -EINVAL : set_param(process, arg[0], policy, arg[2]);
}

int64_t mf_sys_sched_getscheduler(struct mf_process *process, const uint64_t arg[6])
{
	int i = named(process, arg[0]);

	return i < 0 ? i : mf_linux(process)->threads[i].policy;
}

/* The highest or lowest priority of a policy; 6 is SCHED_DEADLINE. */
static int64_t priority_bound(uint64_t policy, int of_real_time)
{
	if (is_real_time((int)policy))
		return of_real_time;
	return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE || policy == 6
		       ? 0
		       : -EINVAL;
}

int64_t mf_sys_sched_get_priority_max(struct mf_process *process, const uint64_t arg[6])
{
	return priority_bound((uint32_t)arg[0], 99);
}

int64_t mf_sys_sched_get_priority_min(struct mf_process *process, const uint64_t arg[6])
{
	return priority_bound((uint32_t)arg[0], 1);
}

int64_t mf_sys_sched_rr_get_interval(struct mf_process *process, const uint64_t arg[6])
{
	struct timespec turn = {.tv_nsec = MF_SCHED_TURN_NS};
	int i = named(process, arg[0]);

	return i < 0 ? i : mf_guest_write(process, arg[1], &turn, sizeof(turn));
}

/* Processes are threads here, as on Linux; all of them are the group's and the user's. */
static bool is_meant(const struct mf_process *process, uint64_t which, uint64_t who, uint32_t i)
{
	uint32_t id = (uint32_t)who;

	if (mf_linux(process)->threads[i].state == MF_THREAD_FREE)
		return false;
	if ((uint32_t)which == PRIO_PROCESS)
		return (int)i == mf_thread_find(process, id);
	return !id || id == ((uint32_t)which == PRIO_USER ? mf_linux(process)->ids.uid[MF_ID_REAL]
							  : MF_GUEST_PID);
}

int64_t mf_sys_getpriority(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_linux *lx = mf_linux(process);
	int64_t best = -ESRCH;
	uint32_t i;

	if ((uint32_t)arg[0] > PRIO_USER)
		return -EINVAL;
	for (i = 0; i < lx->threads_high; i++) {
		int64_t mine = NICE_MAX + 1 - lx->threads[i].nice;

		if (is_meant(process, arg[0], arg[1], i) && mine > best)
			best = mine;
	}
	return best;
}

int64_t mf_sys_setpriority(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_linux *lx = mf_linux(process);
	int32_t nice = (int32_t)arg[2];
	int64_t ret = -ESRCH;
	uint32_t i;

	if ((uint32_t)arg[0] > PRIO_USER)
		return -EINVAL;
	nice = nice < NICE_MIN ? NICE_MIN : nice > NICE_MAX ? NICE_MAX : nice;
	for (i = 0; i < lx->threads_high; i++) {
		if (!is_meant(process, arg[0], arg[1], i))
			continue;
		if (nice < lx->threads[i].nice) {
			ret = -EACCES;
			continue;
		}
		MF_DIRTY(process, threads[i].nice) = nice;
		ret = ret == -ESRCH ? 0 : ret;
	}
	return ret;
}

/* struct sched_attr of Linux' include/uapi/linux/sched/types.h, in its second version. */
struct attributes {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t deadline[3];
	uint32_t clamp[2];
};

#define ATTRIBUTES_FIRST 48u /* bytes in the first version */
#define KEEP_POLICY      8u
#define KEEP_PARAMS      16u

_Static_assert(sizeof(struct attributes) == 56, "as Linux has it");

int64_t mf_sys_sched_getattr(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t size = (uint32_t)arg[2];
	int i = named(process, arg[0]);
	struct attributes now = {0};

	if (!arg[1] || i == -EINVAL || size > MF_PAGE || size < ATTRIBUTES_FIRST ||
	    (uint32_t)arg[3])
		return -EINVAL;
	if (i < 0)
		return i;
	now.size = size < sizeof(now) ? size : sizeof(now);
	now.policy = mf_linux(process)->threads[i].policy;
	now.nice = mf_linux(process)->threads[i].nice;
	return mf_guest_write(process, arg[1], &now, now.size);
}

/* sched_copy_attr() of Linux' kernel/sched/core.c: what is larger must be zeros. */
static int get_attributes(struct mf_process *process, uint64_t va, struct attributes *new)
{
	uint32_t ours = sizeof(*new);
	uint8_t bytes[MF_PAGE] = {0};
	uint32_t size;

	if (mf_guest_read(process, va, &size, sizeof(size)))
		return -EFAULT;
	size = size ? size : ATTRIBUTES_FIRST;
	if (size >= ATTRIBUTES_FIRST && size <= MF_PAGE) {
		if (mf_guest_read(process, va, bytes, size))
			return -EFAULT;
		memcpy(new, bytes, sizeof(*new));
		memset(bytes, 0, sizeof(*new));
		while (size > ours && !bytes[size - 1])
			size--;
		if (size <= ours)
			return 0;
	}
	return mf_guest_write(process, va, &ours, sizeof(ours)) ? -EFAULT : -E2BIG;
}

int64_t mf_sys_sched_setattr(struct mf_process *process, const uint64_t arg[6])
{
	int i = named(process, arg[0]);
	struct attributes new;
	int ret;

	if (!arg[1] || i == -EINVAL || (uint32_t)arg[2])
		return -EINVAL;
	ret = get_attributes(process, arg[1], &new);
	if (ret)
		return ret;
	if ((int32_t) new.policy < 0 || new.flags & ~(uint64_t)(KEEP_POLICY | KEEP_PARAMS | 1))
		return -EINVAL;
	if (i < 0)
		return i;
	new.nice = new.nice < NICE_MIN ? NICE_MIN : new.nice > NICE_MAX ? NICE_MAX : new.nice;
	if (new.flags & KEEP_PARAMS)
		new.nice = mf_linux(process)->threads[i].nice;
	if (!(new.flags &KEEP_PARAMS) && new.nice < mf_linux(process)->threads[i].nice)
		return -EPERM;
	ret = set_policy(process, (uint32_t)i, new.flags &KEEP_POLICY ? -1 : (int)new.policy,
			 new.priority);
	if (!ret && mf_linux(process)->threads[i].nice != new.nice)
		MF_DIRTY(process, threads[i].nice) = new.nice;
	return ret;
}

int64_t mf_sys_getcpu(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t zero = 0;

	if ((arg[0] && mf_guest_write(process, arg[0], &zero, 4)) ||
	    (arg[1] && mf_guest_write(process, arg[1], &zero, 4)))
		return -EFAULT;
	return 0;
}

#define MEMBARRIERS                                                                               \
	(MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED |                                \
	 MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED |            \
	 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE | \
	 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE)

/* Threads share one processor, and entering a guest is a barrier: there is nothing to do. */
int64_t mf_sys_membarrier(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t command = (uint32_t)arg[0];
	uint32_t needs = 0;

	if ((uint32_t)arg[1])
		return -EINVAL;
	if (command == MEMBARRIER_CMD_QUERY)
		return MEMBARRIERS;
	if (!(command & MEMBARRIERS) || command & (command - 1))
		return -EINVAL;
	if (command == MEMBARRIER_CMD_PRIVATE_EXPEDITED)
		needs = MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
	if (command == MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE)
		needs = MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE;
	if ((mf_linux(process)->membarriers & needs) != needs)
		return -EPERM;
	if (mf_linux(process)->membarriers & command || needs || command == MEMBARRIER_CMD_GLOBAL ||
	    command == MEMBARRIER_CMD_GLOBAL_EXPEDITED)
		return 0;
	MF_DIRTY(process, membarriers) |= command;
	return 0;
}
