/* SPDX-License-Identifier: MIT */
/*
 * mlock and its kin. What is locked is there: it is backed at once. Whether the host keeps it in
 * memory is the host's business, as it is for any virtual machine.
 */
#include "engine/linux/rlimit.h"
#include "engine/linux/space.h"
#include "engine/linux/syscall.h"
#include "engine/linux/vma.h"

#include <errno.h>

#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif

static int64_t lock(struct mf_process *process, uint64_t at, uint64_t bytes, bool on_fault)
{
	uint64_t start = at & ~(uint64_t)(MF_PAGE - 1);
	uint64_t end = start + mf_memory_round_up(bytes + (at - start));

	if (end < start || end > MF_USER_TOP)
		return -EINVAL;
	if (start == end)
		return 0;
	if (!mf_limit_soft(process, RLIMIT_MEMLOCK))
		return -EPERM;
	if (!mf_space_may_lock(process, end - start, start, end))
		return -ENOMEM;
	/* What was lockable before a hole is locked, as Linux has it. */
	if (mf_vma_flag(process, start, end, MF_VMA_IS_LOCKED, 0) ||
	    !mf_vma_covers(process, start, end))
		return -ENOMEM;
	return on_fault || !mf_memory_back(process, start, end - start) ? 0 : -ENOMEM;
}

int64_t mf_sys_mlock(struct mf_process *process, const uint64_t arg[6])
{
	return lock(process, arg[0], arg[1], false);
}

int64_t mf_sys_mlock2(struct mf_process *process, const uint64_t arg[6])
{
	if (arg[2] & ~(uint64_t)MLOCK_ONFAULT)
		return -EINVAL;
	return lock(process, arg[0], arg[1], arg[2] & MLOCK_ONFAULT);
}

int64_t mf_sys_munlock(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t start = arg[0] & ~(uint64_t)(MF_PAGE - 1);
	uint64_t end = start + mf_memory_round_up(arg[1] + (arg[0] - start));

	if (end < start || end > MF_USER_TOP)
		return -EINVAL;
	if (mf_vma_flag(process, start, end, 0, MF_VMA_IS_LOCKED) ||
	    !mf_vma_covers(process, start, end))
		return -ENOMEM;
	return 0;
}

static int back_all(struct mf_process *process)
{
	const struct mf_vma *vma = mf_vma_from(process, 0);
	int ret = 0;

	for (; vma && !ret; vma = mf_vma_from(process, vma->end))
		if (vma->prot & MF_PROT_ALL && vma->kind != MF_VMA_WINDOW)
			ret = mf_memory_back(process, vma->start, vma->end - vma->start);
	return ret;
}

int64_t mf_sys_mlockall(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t flags = arg[0];

	if (!flags || flags & ~(uint64_t)(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) ||
	    flags == MCL_ONFAULT)
		return -EINVAL;
	if (!mf_limit_soft(process, RLIMIT_MEMLOCK))
		return -EPERM;
	if (flags & MCL_CURRENT &&
	    !mf_space_may_lock(process, mf_memory_sizes(process).total * MF_PAGE, 0, MF_USER_TOP))
		return -ENOMEM;
	MF_DIRTY(process, lock_future) = !!(flags & MCL_FUTURE);
	if (!(flags & MCL_CURRENT))
		return 0;
	if (mf_vma_flag(process, 0, MF_USER_TOP, MF_VMA_IS_LOCKED, 0))
		return -ENOMEM;
	return flags & MCL_ONFAULT || !back_all(process) ? 0 : -ENOMEM;
}

int64_t mf_sys_munlockall(struct mf_process *process, const uint64_t arg[6])
{
	(void)arg;
	if (mf_linux(process)->lock_future)
		MF_DIRTY(process, lock_future) = 0;
	return mf_vma_flag(process, 0, MF_USER_TOP, 0, MF_VMA_IS_LOCKED);
}
