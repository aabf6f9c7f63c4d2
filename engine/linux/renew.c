/* SPDX-License-Identifier: MIT */
#include "engine/linux/renew.h"
#include "engine/linux/vma.h"
#include "engine/mem/pt.h"

#include <errno.h>
#include <sys/random.h>

_Static_assert(sizeof(struct mf_renewed) == MF_RENEWED_ALIGN, "ABI");

int mf_renew(struct mf_process *process)
{
	uint64_t at = mf_linux(process)->random_at;
	const struct mf_vma *vma = mf_vma_find(process, at);
	struct mf_renewed renewed;

	if (getrandom(&renewed, sizeof(renewed), 0) != sizeof(renewed))
		return -EIO;
	renewed.generation |= 1; /* not 0 */
	renewed.reserved = 0;
	/* A program may have given its first stack back, and have something else there. */
	if (vma && vma->kind == MF_VMA_STACK)
		mf_pt_write(&process->vm.mem, MF_GVA(at), &renewed, sizeof(renewed));
	return 0;
}
