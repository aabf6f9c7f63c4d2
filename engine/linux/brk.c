/* SPDX-License-Identifier: MIT */
/* The heap that brk moves the end of. */
#include "engine/linux/space.h"
#include "engine/linux/syscall.h"
#include "engine/linux/vma.h"

#include <errno.h>

static int grow(struct mf_process *process, uint64_t at, uint64_t bytes)
{
	struct mf_vma vma = {.start = at,
			     .end = at + bytes,
			     .prot = PROT_READ | PROT_WRITE,
			     .kind = MF_VMA_HEAP};

	if (!mf_space_allows(process, bytes, true) ||
	    (mf_linux(process)->lock_future && !mf_space_may_lock(process, bytes, 0, 0)))
		return -ENOMEM;
	if (bytes <= MF_EAGER_BYTES)
		return mf_memory_map(process, at, bytes, PROT_READ | PROT_WRITE, MF_VMA_HEAP);
	return mf_memory_may_promise(process, bytes) ? mf_memory_add(process, vma) : -ENOMEM;
}

int64_t mf_sys_brk(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t now = mf_memory_round_up(lx->brk);
	uint64_t then = mf_memory_round_up(arg[0]);

	if (arg[0] < lx->brk_start || arg[0] >= lx->stack_end)
		return (int64_t)lx->brk;
	if (then > now &&
	    (mf_vma_overlaps(process, now, then + MF_PAGE) || grow(process, now, then - now)))
		return (int64_t)lx->brk;
	if (then < now && mf_memory_unmap(process, then, now - then))
		return (int64_t)lx->brk;
	MF_DIRTY(process, brk) = arg[0];
	return (int64_t)arg[0];
}
