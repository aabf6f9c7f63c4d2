/* SPDX-License-Identifier: MIT */
#include "engine/linux/fast.h"
#include "engine/image/guest.h"
#include "engine/linux/patch.h"

#include <signal.h>

#define VECTOR_DB 1u

/* A call is being answered in ring 3, or may be: what it goes by stays as it is. */
static bool is_inside(const struct mf_vm *vm)
{
	if (!vm->at_exit)
		return false;
	if (vm->last.kind == MF_VM_FAULT)
		return mf_guest_in_fast(vm->last.rip);
	return vm->last.kind == MF_VM_KICKED &&
	       (vm->kvm.run->s.regs.sregs.cs.dpl != 3 || mf_guest_in_fast(mf_vm_regs(vm)->rip));
}

void mf_fast_publish(struct mf_process *process)
{
	struct mf_fast_area *area = mf_guest_fast(&process->vm);

	/* What was answered is made up for first. */
	if (area && !area->state.log_count && !is_inside(&process->vm))
		mf_fast_tell(process, area);
}

bool mf_fast_make_up(struct mf_process *process, struct mf_exit *exit)
{
	struct mf_fast_area *area = mf_guest_fast(&process->vm);

	if (!area || !area->state.log_count || is_inside(&process->vm) ||
	    mf_fast_make_up_log(process, area))
		return true;
	exit->kind = MF_EXIT_CRASHED;
	exit->status = SIGKILL;
	snprintf(exit->text, sizeof(exit->text), "what it says of its system calls is not so");
	return false;
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
