/* SPDX-License-Identifier: MIT */
/* What a program says about its memory: madvise. */
#include "engine/linux/memory.h"
#include "engine/linux/syscall.h"
#include "engine/linux/vma.h"

#include <errno.h>

/* Pages that come back with the same touch that would take them anew are kept and zeroed. */
#define KEEP_BYTES (64u << 10)

static void give_back(struct mf_process *process, uint64_t start, uint64_t bytes)
{
	if (bytes < KEEP_BYTES)
		mf_pt_zero(&process->vm.mem, MF_GVA(start), bytes / MF_PAGE);
	else
		mf_pt_unmap(&process->vm.mem, MF_GVA(start), bytes / MF_PAGE);
}

int64_t mf_sys_madvise(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t bytes = mf_memory_round_up(arg[1]);

	if (arg[0] % MF_PAGE)
		return -EINVAL;
	if (!bytes)
		return 0;
	if (!mf_memory_is_user_range(arg[0], bytes) ||
	    !mf_vma_covers(process, arg[0], arg[0] + bytes))
		return -ENOMEM;
	switch (arg[2]) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
	case MADV_FREE: /* may keep the bytes: Linux gives them back only when it is short of memory
			 */
		return 0;
	case MADV_DONTNEED: /* the bytes must read as zero */
		give_back(process, arg[0], bytes);
		return 0;
	default:
		return -EINVAL;
	}
}
