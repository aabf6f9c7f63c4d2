/* SPDX-License-Identifier: MIT */
#include "engine/linux/fast.h"
#include "engine/image/guest.h"
#include "engine/linux/patch.h"

#define VECTOR_DB 1u

void mf_fast_publish(struct mf_process *process)
{
	struct mf_fast_area *area = mf_guest_fast(&process->vm);
	uint32_t sleepers = mf_linux(process)->futex_count;

	if (!area || area->state.sleepers == sleepers)
		return;
	mf_mem_mark(&process->vm.mem, area, sizeof(area->state));
	area->state.sleepers = sleepers;
}

bool mf_fast_settle(struct mf_process *process)
{
	const struct mf_vm *vm = &process->vm;

	if (vm->at_exit && vm->last.kind == MF_VM_KICKED &&
	    mf_patch_has(process, mf_vm_regs(vm)->rip))
		return false;
	return mf_vm_settle(&process->vm);
}

/* Single steps go on through it, as through any system call. */
bool mf_fast_bail(struct mf_process *process, const struct mf_vm_exit *fault)
{
	if (!mf_guest_in_fast(fault->rip) || fault->vector == VECTOR_DB)
		return false;
	mf_vm_bail(&process->vm);
	return true;
}
