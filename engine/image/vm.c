/* SPDX-License-Identifier: MIT */
#include "engine/image/vm.h"
#include "engine/image/guest.h"
#include "engine/image/layout.h"
#include "engine/kvm/cpu.h"
#include "engine/mem/pt.h"

#include <mayfly/abi/call.h>

#include <errno.h>
#include <string.h>

int mf_vm_create_blank(struct mf_vm *vm, const struct mf_kvm *kvm, bool plain, size_t limit_bytes,
		       size_t linux_bytes, struct mf_error *err)
{
	int ret;

	*vm = (struct mf_vm){.mem.memfd = -1};
	ret = mf_kvm_vm_create(&vm->kvm, kvm, err);
	if (ret)
		return ret;
	ret = mf_mem_create_blank(&vm->mem, &vm->kvm, plain, limit_bytes, linux_bytes, err);
	if (!ret) {
		ret = mf_guest_install(vm);
		if (ret)
			mf_error_set(err, ret,
				     "cannot set up a blank VM: %s; is --memory too small?",
				     strerror(-ret));
	}
	if (ret)
		mf_vm_finish(vm);
	return ret;
}

void mf_vm_finish(struct mf_vm *vm)
{
	mf_kvm_vm_destroy(&vm->kvm);
	mf_mem_destroy(&vm->mem);
}

/* The frame that the CPU pushed for an exception: Intel SDM vol. 3, 6.14.2. */
struct fault_frame {
	uint64_t rip;
	uint64_t cs;
	uint64_t rflags;
	uint64_t rsp;
	uint64_t ss;
};

static bool has_error_code(unsigned int vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 ||
	       vector == 29 || vector == 30;
}

static void read_fault(struct mf_vm *vm, struct mf_vm_exit *exit)
{
	const struct kvm_sregs *sregs = &vm->kvm.run->s.regs.sregs;
	struct fault_frame frame = {0};
	uint64_t at = mf_vm_regs(vm)->rsp - MF_VA_STACK;
	struct mf_gpa gpa;
	uint8_t *page;

	exit->kind = MF_VM_FAULT;
	exit->vector = (uint8_t)(vm->kvm.run->io.port - MF_ABI_FAULT_PORT);
	exit->address = exit->vector == 14 ? sregs->cr2 : 0;
	vm->faulted = true;
	if (!mf_pt_lookup(&vm->mem, MF_GVA(MF_VA_STACK), &gpa))
		return;
	/* Delivery writes the stack without a fault that would be counted: covered by marking it.
	 */
	page = vm->mem.guest + gpa.at;
	mf_mem_mark(&vm->mem, page, MF_PAGE);
	if (at < MF_PAGE && has_error_code(exit->vector)) {
		memcpy(&exit->error_code, page + at, at <= MF_PAGE - 8 ? 8 : 0);
		at += 8;
	}
	if (at > MF_PAGE - sizeof(frame))
		return;
	memcpy(&frame, page + at, sizeof(frame));
	exit->rip = frame.rip;
	exit->rsp = frame.rsp;
	exit->rflags = frame.rflags;
}

static bool is_call(const struct kvm_run *run)
{
	return run->io.direction == KVM_EXIT_IO_OUT && run->io.port == MF_ABI_PORT &&
	       run->io.size == 4 && run->io.count == 1;
}

/* Fault ports are closed to ring 3; that the report comes from ring 0 is checked all the same. */
static bool is_fault(const struct kvm_run *run)
{
	return run->io.direction == KVM_EXIT_IO_OUT && run->io.port >= MF_ABI_FAULT_PORT &&
	       run->io.port < MF_ABI_FAULT_PORT + 32 && run->io.size == 1 && run->io.count == 1 &&
	       run->s.regs.sregs.cs.dpl == 0;
}

static void classify(struct mf_vm *vm, int ret, struct mf_vm_exit *exit)
{
	const struct kvm_run *run = vm->kvm.run;

	*exit = (struct mf_vm_exit){.kind = MF_VM_CRASH, .reason = (int)run->exit_reason};
	vm->pio_rip = !ret && run->exit_reason == KVM_EXIT_IO && !vm->kvm.kvm->traits.rip_after_out
			      ? mf_vm_regs(vm)->rip
			      : 0;
	if (ret == -EINTR) {
		exit->kind = MF_VM_KICKED;
		vm->faulted |= run->s.regs.sregs.cs.dpl ==
			       0; /* perhaps on its way to report an exception */
	} else if (ret) {
		exit->reason = ret;
	} else if (run->exit_reason == KVM_EXIT_IO && is_call(run)) {
		exit->kind = MF_VM_CALL;
	} else if (run->exit_reason == KVM_EXIT_IO && is_fault(run)) {
		read_fault(vm, exit);
	}
	if (exit->kind == MF_VM_CRASH) {
		exit->rip = mf_vm_regs(vm)->rip;
		vm->unclean = true;
		vm->lost |= exit->reason == KVM_EXIT_SHUTDOWN;
	}
}

void mf_vm_run(struct mf_vm *vm, struct mf_vm_exit *exit)
{
	unsigned int tries = 0;
	int ret;

	if (vm->mem.broken || vm->lost) {
		*exit = (struct mf_vm_exit){.kind = MF_VM_CRASH, .reason = -EIO};
		return;
	}

	if (vm->mem.flush_pending) {
		mf_guest_reload_cr3(vm);
		vm->mem.flush_pending = false;
	}
	do {
		ret = mf_kvm_vm_run(&vm->kvm);
	} while (ret == -EAGAIN && ++tries < 100);
	vm->at_exit = true;
	classify(vm, ret, exit);
	vm->last = *exit;
}

void mf_vm_enter_ring_3(struct mf_vm *vm)
{
	struct kvm_sregs *sregs;

	if (vm->kvm.run->s.regs.sregs.cs.dpl == 3)
		return;
	sregs = mf_vm_sregs_rw(vm);
	sregs->tr.type = vm->kvm.kvm->traits.tss_type;
	mf_cpu_user_segments(sregs);
}

/* Where a SYSCALL goes on, which may be in the vDSO: an address that nobody can have becomes one
 * that faults. */
static void settle_call(struct mf_vm *vm)
{
	struct kvm_regs *regs;

	if (vm->kvm.run->s.regs.sregs.cs.dpl == 3 && mf_vm_regs(vm)->rip - MF_VA_ENTRY >= MF_PAGE &&
	    !mf_guest_in_fast(mf_vm_regs(vm)->rip)) {
		mf_guest_step_over_out(vm);
		return;
	}
	regs = mf_vm_regs_rw(vm);
	regs->rip = regs->rcx < MF_VA_END ? regs->rcx : 0;
	regs->rflags = (regs->r11 & MF_RFLAGS_RING_3) | MF_RFLAGS_USER;
	mf_vm_enter_ring_3(vm);
}

static void settle_fault(struct mf_vm *vm)
{
	const struct mf_vm_exit *exit = &vm->last;
	struct kvm_regs *regs = mf_vm_regs_rw(vm);

	regs->rip = exit->rip;
	regs->rsp = exit->rsp;
	regs->rflags = exit->rflags;
	mf_vm_enter_ring_3(vm);
}

/* KVM has something to deliver to the program at the registers that it left: these, and no others.
 */
static bool has_event(const struct kvm_vcpu_events *events)
{
	return events->exception.injected || events->interrupt.injected || events->nmi.injected;
}

bool mf_vm_settle(struct mf_vm *vm)
{
	const struct kvm_sync_regs *sync = &vm->kvm.run->s.regs;

	if (!vm->at_exit)
		return sync->sregs.cs.dpl == 3; /* an image may have been taken in ring 0 */
	switch (vm->last.kind) {
	case MF_VM_CALL:
		settle_call(vm);
		break;
	case MF_VM_FAULT:
		if (mf_guest_in_fast(vm->last.rip))
			return false;
		settle_fault(vm);
		break;
	case MF_VM_KICKED:
		/* In ring 0, or in a call that is answered in ring 3: both are left soon. */
		if (sync->sregs.cs.dpl != 3 || has_event(&sync->events) ||
		    mf_vm_regs(vm)->rip - MF_VA_ENTRY < MF_PAGE ||
		    mf_guest_in_fast(mf_vm_regs(vm)->rip))
			return false;
		break;
	default:
		return false;
	}
	vm->at_exit = false;
	return true;
}

void mf_vm_bail(struct mf_vm *vm)
{
	settle_fault(vm);
	mf_vm_regs_rw(vm)->rip = MF_VA_FAST + MF_FAST_BAIL;
	vm->at_exit = false;
}

void mf_vm_load_user(struct mf_vm *vm, const struct kvm_regs *regs, uint64_t fs_base,
		     uint64_t gs_base)
{
	struct kvm_sregs *sregs = &vm->kvm.run->s.regs.sregs;

	/* This one stands at the very instruction that KVM would step over for the last one. */
	if (vm->pio_rip && vm->pio_rip == regs->rip) {
		mf_vm_regs_rw(vm)->rip = 0;
		mf_vm_drain(vm);
		vm->pio_rip = 0;
	}
	*mf_vm_regs_rw(vm) = *regs;
	if (sregs->fs.base == fs_base && sregs->gs.base == gs_base)
		return;
	sregs = mf_vm_sregs_rw(vm);
	sregs->tr.type = vm->kvm.kvm->traits.tss_type;
	sregs->fs.base = fs_base;
	sregs->gs.base = gs_base;
}

void mf_vm_kick(struct mf_vm *vm, uint32_t reason)
{
	__atomic_or_fetch(&vm->kicked, reason, __ATOMIC_RELEASE);
	__atomic_store_n(&vm->kvm.run->immediate_exit, 1, __ATOMIC_RELEASE);
}

uint32_t mf_vm_take_kicks(struct mf_vm *vm)
{
	__atomic_store_n(&vm->kvm.run->immediate_exit, 0, __ATOMIC_RELAXED);
	return __atomic_exchange_n(&vm->kicked, 0, __ATOMIC_ACQUIRE);
}

int mf_vm_drain(struct mf_vm *vm)
{
	int ret = mf_kvm_vm_drain(&vm->kvm);

	/* Pairs with mf_vm_kick(): a reason that is not seen here is followed by its own store. */
	if (__atomic_load_n(&vm->kicked, __ATOMIC_SEQ_CST))
		__atomic_store_n(&vm->kvm.run->immediate_exit, 1, __ATOMIC_RELEASE);
	return ret;
}

int mf_vm_save_cpu(struct mf_vm *vm, struct mf_cpu_state *state)
{
	int ret = mf_kvm_vm_get_regs(&vm->kvm, &state->regs);

	if (!ret)
		ret = mf_kvm_vm_get_sregs(&vm->kvm, &state->sregs);
	if (!ret)
		ret = mf_kvm_vm_get_events(&vm->kvm, &state->events);
	if (!ret)
		ret = mf_kvm_vm_get_debugregs(&vm->kvm, &state->debugregs);
	if (!ret)
		ret = mf_kvm_vm_get_xsave(&vm->kvm, &state->xsave);
	return ret;
}

int mf_vm_load_cpu(struct mf_vm *vm, const struct mf_cpu_state *state)
{
	int ret;

	vm->at_exit = false;
	*mf_vm_regs_rw(vm) = state->regs;
	*mf_vm_sregs_rw(vm) = state->sregs;
	vm->kvm.run->s.regs.events = state->events;
	vm->kvm.run->kvm_dirty_regs |= KVM_SYNC_X86_EVENTS;
	ret = mf_kvm_vm_set_xsave(&vm->kvm, &state->xsave);
	if (!ret)
		ret = mf_kvm_vm_set_debugregs(&vm->kvm, &state->debugregs);
	return ret;
}

const char *mf_vm_crash_name(int reason)
{
	switch (reason) {
	case -EFAULT:
		return "access to memory that is not there";
	case KVM_EXIT_IO:
		return "port I/O";
	case KVM_EXIT_MMIO:
		return "access to a hole in guest-physical memory";
	case KVM_EXIT_HLT:
		return "hlt";
	case KVM_EXIT_SHUTDOWN:
		return "triple fault";
	case KVM_EXIT_INTERNAL_ERROR:
		return "instruction that KVM cannot run";
	case KVM_EXIT_FAIL_ENTRY:
		return "refused entry";
	default:
		return reason < 0 ? strerror(-reason) : "unexpected exit";
	}
}
