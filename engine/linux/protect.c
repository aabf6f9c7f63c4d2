/* SPDX-License-Identifier: MIT */
/* mprotect: range by range upwards, as Linux does it, so that what lies before a refusal is
 * changed. */
#include "engine/linux/space.h"
#include "engine/linux/filemap.h"
#include "engine/linux/syscall.h"
#include "engine/linux/vma.h"
#include "engine/mem/pt.h"

#include <errno.h>

/* Pages that are a file's own are not written: the first write gives them a copy. */
static void protect_private_file(struct mf_process *process, uint64_t start, uint64_t end,
				 uint32_t prot)
{
	struct mf_mem *mem = &process->vm.mem;

	while (start < end) {
		struct mf_gpa gpa;
		uint64_t to = start;
		bool first = mf_pt_lookup(mem, MF_GVA(start), &gpa) && mf_mem_is_file(mem, gpa);
		bool own = first;

		while (to < end && own == first) {
			to += MF_PAGE;
			own = to < end && mf_pt_lookup(mem, MF_GVA(to), &gpa) &&
			      mf_mem_is_file(mem, gpa);
		}
		mf_pt_protect(mem, MF_GVA(start), (to - start) / MF_PAGE,
			      mf_memory_prot(first ? prot & ~(uint32_t)PROT_WRITE : prot));
		start = to;
	}
}

static void protect_pages(struct mf_process *process, const struct mf_vma *vma, uint64_t start,
			  uint64_t end, uint32_t prot)
{
	if (vma->kind == MF_VMA_FILE && !(vma->flags & MF_VMA_IS_SHARED) && prot & PROT_WRITE)
		protect_private_file(process, start, end, prot);
	else
		mf_pt_protect(&process->vm.mem, MF_GVA(start), (end - start) / MF_PAGE,
			      mf_memory_prot(prot));
}

static bool promises(struct mf_process *process, const struct mf_vma *vma, uint64_t bytes,
		     uint32_t prot)
{
	return !(prot & PROT_WRITE) || vma->prot & PROT_WRITE || bytes <= MF_EAGER_BYTES ||
	       vma->flags & (MF_VMA_IS_NORESERVE | MF_VMA_IS_SHARED) ||
	       mf_memory_may_promise(process, bytes);
}

/* The part of one range. */
static int protect_part(struct mf_process *process, const struct mf_vma *vma, uint64_t start,
			uint64_t end, uint32_t prot)
{
	struct mf_vma was = *vma;

	if (was.kind == MF_VMA_WINDOW)
		return -EPERM;
	if (prot & PROT_WRITE && was.file && was.flags & MF_VMA_IS_SHARED &&
	    !(was.flags & MF_VMA_MAY_WRITE))
		return -EACCES;
	if (prot & PROT_WRITE && !(was.prot & PROT_WRITE) && !(was.flags & MF_VMA_IS_SHARED) &&
	    !mf_space_allows_data(process, end - start))
		return -ENOMEM;
	if (!promises(process, vma, end - start, prot) || mf_vma_protect(process, start, end, prot))
		return -ENOMEM;
	protect_pages(process, &was, start, end, prot);
	if (was.prot & MF_PROT_ALL || was.slot || end - start > MF_EAGER_BYTES)
		return 0;
	return mf_memory_back(process, start, end - start);
}

/* With PROT_GROWSDOWN it begins where the range that grows does. */
static int begin_at(const struct mf_process *process, uint64_t prot, uint64_t end, uint64_t *start)
{
	const struct mf_vma *vma = mf_vma_from(process, *start);

	if (!vma || vma->start >= end)
		return -ENOMEM;
	if (!(prot & PROT_GROWSDOWN))
		return vma->start > *start ? -ENOMEM : 0;
	if (vma->kind != MF_VMA_STACK && !(vma->flags & MF_VMA_IS_GROWING))
		return -EINVAL;
	*start = vma->start;
	return 0;
}

int64_t mf_sys_mprotect(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t grows = arg[2] & (PROT_GROWSDOWN | PROT_GROWSUP);
	uint64_t prot = arg[2] & ~grows;
	uint64_t at = arg[0];
	uint64_t end = at + mf_memory_round_up(arg[1]);
	int ret;

	if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || at % MF_PAGE)
		return -EINVAL;
	if (!arg[1])
		return 0;
	if (end <= at)
		return -ENOMEM;
	if (prot & ~(uint64_t)(MF_PROT_ALL | 8)) /* 8: PROT_SEM, which means nothing on x86 */
		return -EINVAL;
	if (grows & PROT_GROWSUP)
		return -EINVAL;
	ret = begin_at(process, grows, end, &at);
	while (!ret && at < end) {
		const struct mf_vma *vma = mf_vma_find(process, at);
		uint64_t to = vma && vma->end < end ? vma->end : end;

		ret = vma ? protect_part(process, vma, at, to, (uint32_t)prot & MF_PROT_ALL)
			  : -ENOMEM;
		at = to;
	}
	return ret;
}
