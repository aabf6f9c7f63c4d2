/* SPDX-License-Identifier: MIT */
#include "engine/linux/space.h"
#include "engine/linux/rlimit.h"
#include "engine/linux/vma.h"

#include <sys/mman.h>

struct mf_memory_sizes mf_memory_sizes(const struct mf_process *process)
{
	struct mf_memory_sizes sizes = {.resident = mf_mem_arena(&process->vm.mem)->frames_used};
	const struct mf_vma *vma;

	for (vma = mf_vma_from(process, 0); vma; vma = mf_vma_from(process, vma->end)) {
		uint64_t pages = (vma->end - vma->start) / MF_PAGE;

		sizes.total += pages;
		if (vma->kind == MF_VMA_STACK)
			sizes.stack += pages;
		else if (vma->prot & PROT_WRITE && !(vma->flags & MF_VMA_IS_SHARED))
			sizes.data += pages;
		else if (mf_vma_is_program(vma) && vma->prot & PROT_EXEC)
			sizes.text += pages;
	}
	if (sizes.resident > sizes.total)
		sizes.resident = sizes.total;
	return sizes;
}

bool mf_space_allows_data(const struct mf_process *process, uint64_t bytes)
{
	uint64_t limit = mf_limit_soft(process, RLIMIT_DATA);

	/* As it is given, it says what there is; only one that was set is held. */
	if (limit >= mf_mem_arena(&process->vm.mem)->frames_limit * MF_PAGE)
		return true;
	return bytes <= limit && mf_memory_sizes(process).data * MF_PAGE <= limit - bytes;
}

bool mf_space_allows(const struct mf_process *process, uint64_t bytes, bool data)
{
	uint64_t limit = mf_limit_soft(process, RLIMIT_AS);

	if (data && !mf_space_allows_data(process, bytes))
		return false;
	if (limit == RLIM_INFINITY)
		return true;
	return bytes <= limit && mf_memory_sizes(process).total * MF_PAGE <= limit - bytes;
}

bool mf_space_may_lock(const struct mf_process *process, uint64_t bytes, uint64_t start,
		       uint64_t end)
{
	uint64_t limit = mf_limit_soft(process, RLIMIT_MEMLOCK);
	const struct mf_vma *vma = limit == RLIM_INFINITY ? NULL : mf_vma_from(process, 0);
	uint64_t locked = bytes;

	for (; vma; vma = mf_vma_from(process, vma->end)) {
		uint64_t from = vma->start > start ? vma->start : start;
		uint64_t to = vma->end < end ? vma->end : end;

		if (vma->flags & MF_VMA_IS_LOCKED)
			locked += vma->end - vma->start - (from < to ? to - from : 0);
	}
	return locked <= limit;
}
