/* SPDX-License-Identifier: MIT */
#include "engine/linux/space.h"
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

bool mf_space_allows(const struct mf_process *process, uint64_t bytes)
{
	uint64_t limit = mf_linux(process)->address_limit;

	if (!limit) /* none was set */
		return true;
	return bytes <= limit && mf_memory_sizes(process).total * MF_PAGE <= limit - bytes;
}
