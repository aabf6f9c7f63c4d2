/* SPDX-License-Identifier: MIT */
/* mremap: growing, shrinking, moving mappings. The order of checks is that of Linux' mm/mremap.c.
 */
#include "engine/linux/filemap.h"
#include "engine/linux/space.h"
#include "engine/linux/syscall.h"
#include "engine/linux/vma.h"
#include "engine/mem/pt.h"

#include <errno.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

struct remap {
	uint64_t from;
	uint64_t old; /* bytes; 0: another mapping of the same */
	uint64_t new;
	uint64_t flags;
	uint64_t to; /* where MREMAP_FIXED wants it */
};

/* What is at [start, start + bytes), a part of `vma`, as if mapped alone. */
static struct mf_vma part_of(const struct mf_vma *vma, uint64_t start, uint64_t bytes)
{
	struct mf_vma part = *vma;

	if (part.file)
		part.offset += start - part.start;
	part.start = start;
	part.end = start + bytes;
	/* A heap or a stack that was moved is a mapping like others. */
	if (part.kind == MF_VMA_HEAP || part.kind == MF_VMA_STACK || part.kind == MF_VMA_PROGRAM)
		part.kind = MF_VMA_MMAP;
	part.flags &= (uint16_t)~MF_VMA_IS_GROWING;
	return part;
}

static bool has_own_pages(const struct mf_vma *vma)
{
	return vma->slot;
}

/* Bytes that a range gains: backed like new ones. */
static int add_tail(struct mf_process *process, const struct mf_vma *whole, uint64_t at)
{
	uint64_t bytes = whole->end - at;
	bool counts = whole->prot & PROT_WRITE &&
		      !(whole->flags & (MF_VMA_IS_NORESERVE | MF_VMA_IS_SHARED));
	struct mf_vma tail = *whole;

	if (!bytes)
		return 0;
	if (bytes > MF_EAGER_BYTES && counts && !mf_memory_may_promise(process, bytes))
		return -ENOMEM;
	if (tail.file)
		tail.offset += at - tail.start;
	tail.start = at;
	if (mf_memory_add(process, tail))
		return -ENOMEM;
	if (bytes > MF_EAGER_BYTES && !(tail.flags & MF_VMA_IS_LOCKED))
		return 0;
	return mf_memory_back(process, at, bytes);
}

static int64_t grow_in_place(struct mf_process *process, const struct remap *remap,
			     const struct mf_vma *vma)
{
	struct mf_vma whole = *vma;

	whole.end = remap->from + remap->new;
	if (!add_tail(process, &whole, remap->from + remap->old))
		return (int64_t)remap->from;
	mf_memory_unmap(process, remap->from + remap->old, remap->new - remap->old);
	return -ENOMEM;
}

/* Pages that are the file's own are mapped again, where and as large as they are wanted. */
static int64_t map_again(struct mf_process *process, const struct remap *remap,
			 const struct mf_vma *vma, uint64_t to)
{
	struct mf_vma again = part_of(vma, remap->from, remap->new);
	int ret;

	again.start = to;
	again.end = to + remap->new;
	again.slot = 0;
	ret = mf_filemap_itself(process, again);
	if (!ret && remap->old && !(remap->flags & MREMAP_DONTUNMAP))
		ret = mf_memory_unmap(process, remap->from, remap->old);
	return ret ? -ENOMEM : (int64_t)to;
}

/* The list first: only then are pages moved, which cannot fail where tables are prepared. */
static int64_t move_pages(struct mf_process *process, const struct remap *remap,
			  const struct mf_vma *vma, uint64_t to)
{
	uint64_t kept = remap->old < remap->new ? remap->old : remap->new;
	struct mf_vma moved = part_of(vma, remap->from, kept);
	struct mf_vma whole = moved;
	int ret;

	moved.start = to;
	moved.end = to + kept;
	whole.start = to;
	whole.end = to + remap->new;
	ret = mf_memory_add(process, moved);
	if (!ret)
		ret = add_tail(process, &whole, to + kept);
	if (!ret)
		ret = mf_pt_move(&process->vm.mem, MF_GVA(remap->from), MF_GVA(to), kept / MF_PAGE);
	if (ret) {
		mf_memory_unmap(process, to, remap->new);
		return -ENOMEM;
	}
	if (!(remap->flags & MREMAP_DONTUNMAP) &&
	    mf_vma_remove(process, remap->from, remap->from + remap->old))
		return -ENOMEM;
	return (int64_t)to;
}

static int64_t move(struct mf_process *process, const struct remap *remap, uint64_t to)
{
	const struct mf_vma *vma = mf_vma_find(process, remap->from);
	struct mf_vma copy;

	if (!vma)
		return -EFAULT;
	copy = *vma;
	/* A private one keeps the copies that it has; only what it has not is the file's. */
	if (has_own_pages(&copy) && copy.flags & MF_VMA_IS_SHARED)
		return map_again(process, remap, &copy, to);
	if (has_own_pages(&copy) && remap->new != remap->old)
		return -ENOMEM;
	if (!remap->old || (has_own_pages(&copy) && remap->flags & MREMAP_DONTUNMAP))
		return -EINVAL;
	return move_pages(process, remap, &copy, to);
}

static bool is_data(const struct mf_vma *vma)
{
	return vma->prot & PROT_WRITE && !(vma->flags & MF_VMA_IS_SHARED);
}

/* vma_to_resize() of Linux' mm/mremap.c. */
static int64_t check_resize(const struct mf_process *process, const struct remap *remap,
			    const struct mf_vma *vma)
{
	if (!remap->old && !(vma->flags & MF_VMA_IS_SHARED))
		return -EINVAL;
	if (vma->kind == MF_VMA_WINDOW)
		return -EPERM;
	if (remap->old > vma->end - remap->from)
		return -EFAULT;
	if (vma->file && vma->offset + (remap->from - vma->start) + remap->new < remap->new)
		return -EINVAL;
	return remap->new > remap->old &&
			       !mf_space_allows(process, remap->new - remap->old, is_data(vma))
		       ? -ENOMEM
		       : 0;
}

/* What is large keeps its place within 2 MiB: then it moves entry by entry. */
static int64_t new_place(struct mf_process *process, const struct remap *remap)
{
	uint64_t place =
		remap->old >= MF_HUGE ? mf_vma_gap(process, remap->new + MF_HUGE - MF_PAGE) : 0;

	if (place)
		return (int64_t)(place + ((remap->from - place) & (MF_HUGE - 1)));
	return mf_memory_place(process, 0, remap->new, 0);
}

static int64_t remap_to(struct mf_process *process, struct remap *remap)
{
	const struct mf_vma *vma;
	int64_t ret;

	if (remap->flags & MREMAP_FIXED) {
		if (remap->to % MF_PAGE || remap->new > MF_USER_TOP ||
		    remap->to > MF_USER_TOP - remap->new)
			return -EINVAL;
		if (remap->from < remap->to + remap->new && remap->to < remap->from + remap->old)
			return -EINVAL;
		if (mf_vma_has_window(process, remap->from, remap->from + remap->old))
			return -EPERM;
		ret = mf_memory_place(process, remap->to, remap->new, MAP_FIXED);
		if (ret < 0)
			return ret;
	}
	if (remap->old > remap->new) {
		ret = mf_memory_unmap(process, remap->from + remap->new, remap->old - remap->new);
		if (ret)
			return ret;
		remap->old = remap->new;
	}
	vma = mf_vma_find(process, remap->from);
	ret = vma ? check_resize(process, remap, vma) : -EFAULT;
	if (!ret && !(remap->flags & MREMAP_FIXED))
		ret = new_place(process, remap);
	else if (!ret)
		ret = (int64_t)remap->to;
	return ret < 0 ? ret : move(process, remap, (uint64_t)ret);
}

static bool can_grow_in_place(const struct mf_process *process, const struct remap *remap,
			      const struct mf_vma *vma)
{
	return vma->end == remap->from + remap->old && !vma->slot &&
	       mf_memory_is_user_range(remap->from, remap->new) &&
	       (vma->kind == MF_VMA_STACK ||
		remap->from + remap->new <= mf_linux(process)->stack_end - MF_PAGE) &&
	       !mf_vma_overlaps(process, remap->from + remap->old, remap->from + remap->new);
}

static int64_t resize(struct mf_process *process, const struct remap *remap)
{
	const struct mf_vma *vma = mf_vma_find(process, remap->from);
	struct mf_vma copy;
	int64_t place;
	int64_t ret;

	if (remap->old >= remap->new) {
		ret = remap->old == remap->new ? 0
					       : mf_memory_unmap(process, remap->from + remap->new,
								 remap->old - remap->new);
		return ret ? ret : (int64_t)remap->from;
	}
	ret = check_resize(process, remap, vma);
	if (ret)
		return ret;
	copy = *vma;
	if (remap->old && can_grow_in_place(process, remap, &copy))
		return grow_in_place(process, remap, &copy);
	if (!(remap->flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	place = new_place(process, remap);
	return place < 0 ? place : move(process, remap, (uint64_t)place);
}

int64_t mf_sys_mremap(struct mf_process *process, const uint64_t arg[6])
{
	struct remap remap = {.from = arg[0],
			      .old = mf_memory_round_up(arg[1]),
			      .new = mf_memory_round_up(arg[2]),
			      .flags = arg[3],
			      .to = arg[4]};
	uint64_t flags = arg[3];

	if (flags & ~(uint64_t)(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) ||
	    (flags & MREMAP_FIXED && !(flags & MREMAP_MAYMOVE)) ||
	    (flags & MREMAP_DONTUNMAP && (!(flags & MREMAP_MAYMOVE) || remap.old != remap.new)))
		return -EINVAL;
	if (remap.from % MF_PAGE || !remap.new || remap.from + remap.old < remap.from)
		return -EINVAL;
	if (!mf_vma_find(process, remap.from))
		return -EFAULT;
	if (remap.new > MF_USER_TOP)
		return -EINVAL;
	if (mf_vma_has_window(process, remap.from, remap.from + (remap.old ? remap.old : 1)))
		return -EPERM;
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
		return remap_to(process, &remap);
	return resize(process, &remap);
}
