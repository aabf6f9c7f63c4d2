/* SPDX-License-Identifier: MIT */
#include "engine/linux/memory.h"
#include "engine/linux/call.h"
#include "engine/image/layout.h"
#include "engine/kvm/cpu.h"
#include "engine/linux/guestmem.h"

#include <errno.h>

#define RED_ZONE_BYTES 128u /* psABI 3.2.2: below the stack pointer, a leaf function's own */

static uint64_t align_down(uint64_t at)
{
	return at & ~15ull;
}

struct mf_gva mf_process_stack(const struct mf_process *process)
{
	return MF_GVA(align_down(mf_vm_regs(&process->vm)->rsp - RED_ZONE_BYTES));
}

static int write_stack(struct mf_process *process, uint64_t at, const void *bytes, size_t size)
{
	if (!mf_guest_write(process, at, bytes, size))
		return 0;
	return process->out_of_memory ? -ENOMEM : -EFAULT;
}

int mf_process_push(struct mf_process *process, struct mf_gva *stack, const void *bytes,
		    size_t size)
{
	const struct mf_linux *lx = mf_linux(process);
	bool is_own = stack->at >= lx->stack_end && stack->at < MF_USER_TOP;
	uint64_t end = (is_own ? mf_memory_stack_floor(process) : 0) + MF_CALL_STACK_BYTES;
	uint64_t at;
	int ret;

	if (stack->at < end || size > stack->at - end)
		return -ENOSPC;
	at = align_down(stack->at - size);
	ret = write_stack(process, at, bytes, size);
	if (!ret)
		stack->at = at;
	return ret;
}

int mf_process_call(struct mf_process *process, const struct mf_call *call)
{
	uint64_t return_to = MF_VA_USER;
	/* The end of the argument area is 16-byte aligned, the return address lies below it. */
	uint64_t rsp = align_down(call->stack.at) - sizeof(return_to);
	uint64_t arg[MF_CALL_ARGS_MAX] = {0};
	struct kvm_regs *regs;
	size_t i;
	int ret;

	if (call->count > MF_CALL_ARGS_MAX)
		return -EINVAL;
	ret = write_stack(process, rsp, &return_to, sizeof(return_to));
	if (ret)
		return ret;
	for (i = 0; i < call->count; i++)
		arg[i] = call->args[i];
	mf_vm_enter_ring_3(&process->vm);
	regs = mf_vm_regs_rw(&process->vm);
	regs->rip = call->function.at;
	regs->rsp = rsp;
	regs->rbp = 0;
	regs->rax = 0; /* vector registers in use, for a function with `...` */
	regs->rflags = MF_RFLAGS_USER;
	regs->rdi = arg[0];
	regs->rsi = arg[1];
	regs->rdx = arg[2];
	regs->rcx = arg[3];
	regs->r8 = arg[4];
	regs->r9 = arg[5];
	return 0;
}

void mf_process_stay(struct mf_process *process)
{
	struct kvm_regs *regs = mf_vm_regs_rw(&process->vm);

	mf_vm_enter_ring_3(&process->vm);
	regs->rip = MF_VA_USER;
	regs->rflags = MF_RFLAGS_USER;
	process->vm.at_exit = false;
	MF_DIRTY(process, exited) = 0;
}
