/* SPDX-License-Identifier: MIT */
/* mremap: growing, shrinking and moving mappings. */
#include "engine/linux/memory.h"
#include "engine/linux/syscall.h"
#include "engine/linux/vma.h"

#include <errno.h>

static int back_more(struct mf_process *process, uint64_t start, uint64_t bytes)
{
	const struct mf_vma *vma = mf_vma_find(process, start);

	if (bytes <= MF_EAGER_BYTES)
		return mf_memory_back(process, start, bytes);
	return !vma || !(vma->prot & PROT_WRITE) || vma->flags & MF_VMA_IS_NORESERVE ||
			       mf_memory_may_promise(process, bytes)
		       ? 0
		       : -ENOMEM;
}

static int64_t grow_in_place(struct mf_process *process, uint64_t from, uint64_t old,
			     uint64_t bytes, struct mf_vma vma)
{
	uint64_t at = from + old;

	vma.start = at;
	vma.end = at + bytes;
	if (mf_memory_add(process, vma))
		return -ENOMEM;
	if (!back_more(process, at, bytes))
		return (int64_t)from;
	mf_memory_unmap(process, at, bytes);
	return -ENOMEM;
}

/* What is large keeps its place within 2 MiB: then it moves entry by entry. */
static uint64_t new_place(struct mf_process *process, uint64_t from, uint64_t old, uint64_t new)
{
	uint64_t place = old >= MF_HUGE ? mf_vma_gap(process, new + MF_HUGE - MF_PAGE) : 0;

	return place ? place + ((from - place) & (MF_HUGE - 1)) : mf_vma_gap(process, new);
}

static int64_t move_mapping(struct mf_process *process, uint64_t from, uint64_t old, uint64_t new,
			    struct mf_vma vma)
{
	struct mf_mem *mem = &process->vm.mem;
	uint64_t to = new_place(process, from, old, new);
	int ret;

	if (!to)
		return -ENOMEM;
	vma.start = to;
	vma.end = to + new;
	ret = mf_memory_add(process, vma);
	if (!ret)
		ret = back_more(process, to + old, new - old);
	if (!ret)
		ret = mf_pt_move(mem, MF_GVA(from), MF_GVA(to), old / MF_PAGE);
	if (ret) {
		mf_memory_unmap(process, to, new);
		return -ENOMEM;
	}
	return mf_vma_remove(process, from, from + old) ? -ENOMEM : (int64_t)to;
}

int64_t mf_sys_mremap(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t from = arg[0];
	uint64_t old = mf_memory_round_up(arg[1]);
	uint64_t new = mf_memory_round_up(arg[2]);
	const struct mf_vma *vma = mf_vma_find(process, from);
	struct mf_vma copy;

	if (from % MF_PAGE || !old || !new || arg[3] & ~(uint64_t)MREMAP_MAYMOVE)
		return -EINVAL;
	if (!vma || old > MF_USER_TOP || vma->end < from + old || new > MF_USER_TOP)
		return -EFAULT;
	if (vma->kind == MF_VMA_WINDOW)
		return -EPERM;
	if (new <= old)
		return new == old || !mf_memory_unmap(process, from + new, old - new)
			       ? (int64_t)from
			       : -ENOMEM;
	copy = *vma;
	if (mf_memory_is_user_range(from, new) &&
	    from + new <= mf_linux(process)->stack_end - MF_PAGE &&
	    !mf_vma_overlaps(process, from + old, from + new))
		return grow_in_place(process, from, old, new - old, copy);
	if (!(arg[3] & MREMAP_MAYMOVE))
		return -ENOMEM;
	return move_mapping(process, from, old, new, copy);
}
