/* SPDX-License-Identifier: MIT */
#include "engine/image/guest.h"
#include "engine/image/clock.h"
#include "engine/image/layout.h"
#include "engine/kvm/cpu.h"
#include "engine/mem/frames.h"
#include "engine/mem/pt.h"
#include "guest/fast/blob.h"
#include "guest/stub/stub.h"
#include "guest/vdso/blob.h"

#include <mayfly/abi/call.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HANDLER_STRIDE 16
#define STACK_TOP      (MF_VA_STACK + MF_PAGE)

/* Take a frame for an engine page, map it, and hand out its host address. */
static int engine_page(struct mf_vm *vm, uint64_t va, int prot, uint8_t **at)
{
	struct mf_gpa gpa;

	if (!mf_frames_take(&vm->mem, 1, &gpa))
		return -ENOMEM;
	*at = vm->mem.guest + gpa.at;
	return mf_pt_map(&vm->mem, MF_GVA(va), gpa, 1, prot | MF_ENGINE);
}

static int engine_blob(struct mf_vm *vm, uint64_t va, int prot, const uint8_t *from,
		       const uint8_t *to)
{
	size_t left = (size_t)(to - from);
	uint8_t *at;
	int ret;

	for (; left; va += MF_PAGE) {
		size_t part = left < MF_PAGE ? left : MF_PAGE;

		ret = engine_page(vm, va, prot, &at);
		if (ret)
			return ret;
		memcpy(at, from, part);
		from += part;
		left -= part;
	}
	return 0;
}

static void patch(uint8_t *code, size_t bytes, uint32_t placeholder, uint32_t value)
{
	size_t i;

	for (i = 0; i + 4 <= bytes; i++)
		if (!memcmp(code + i, &placeholder, 4))
			memcpy(code + i, &value, 4);
}

/* Without SMAP the CPU does not know these two; three bytes each. */
static void patch_smap(uint8_t *code, size_t bytes)
{
	static const uint8_t stac[3] = {0x0f, 0x01, 0xcb};
	static const uint8_t clac[3] = {0x0f, 0x01, 0xca};
	static const uint8_t nop[3] = {0x0f, 0x1f, 0x00};
	size_t i;

	for (i = 0; i + 3 <= bytes; i++)
		if (!memcmp(code + i, stac, 3) || !memcmp(code + i, clac, 3))
			memcpy(code + i, nop, 3);
}

static int install_entry(struct mf_vm *vm)
{
	bool hardware = vm->kvm.kvm->traits.family == MF_FAMILY_HARDWARE;
	const uint8_t *from = hardware ? mf_stub_hardware : mf_stub_software;
	const uint8_t *to = hardware ? mf_stub_hardware_end : mf_stub_software_end;
	uint8_t *at;
	int ret = engine_page(vm, MF_VA_ENTRY, MF_EXEC | (hardware ? MF_SUPERVISOR : 0), &at);

	if (ret)
		return ret;
	memcpy(at, from, (size_t)(to - from));
	patch(at, (size_t)(to - from), MF_STUB_PATCH_PID, MF_GUEST_PID);
	if (!(vm->kvm.kvm->traits.cr4_extra & MF_CR4_SMAP))
		patch_smap(at, (size_t)(to - from));
	return 0;
}

struct mf_fast_area *mf_guest_fast(const struct mf_vm *vm)
{
	struct mf_gpa gpa;

	if (!mf_pt_lookup(&vm->mem, MF_GVA(MF_VA_AREA), &gpa))
		return NULL;
	return mf_mem_at(&vm->mem, gpa, sizeof(struct mf_fast_area));
}

/* What the stub answers with. */
static void tell_stub(struct mf_vm *vm, uint32_t offset, const void *now, size_t bytes)
{
	struct mf_gpa gpa;
	uint8_t *at;

	if (!mf_pt_lookup(&vm->mem, MF_GVA(MF_VA_ENTRY), &gpa))
		return;
	at = vm->mem.guest + gpa.at + offset;
	if (!memcmp(at, now, bytes))
		return;
	mf_mem_mark(&vm->mem, at, bytes);
	memcpy(at, now, bytes);
}

void mf_guest_set_thread(struct mf_vm *vm, uint32_t tid, bool others)
{
	struct mf_stub_thread now = {tid, others};
	struct mf_fast_area *area = mf_guest_fast(vm);

	if (area && (area->state.tid != tid || area->state.others != others)) {
		mf_mem_mark(&vm->mem, area, sizeof(area->state));
		area->state.tid = tid;
		area->state.others = others;
	}
	tell_stub(vm, MF_STUB_THREAD, &now, sizeof(now));
}

void mf_guest_set_ids(struct mf_vm *vm, const struct mf_stub_ids *ids)
{
	struct mf_fast_area *area = mf_guest_fast(vm);

	if (area && (area->state.uid != ids->uid || area->state.euid != ids->euid ||
		     area->state.gid != ids->gid || area->state.egid != ids->egid)) {
		mf_mem_mark(&vm->mem, area, sizeof(area->state));
		area->state.uid = ids->uid;
		area->state.euid = ids->euid;
		area->state.gid = ids->gid;
		area->state.egid = ids->egid;
	}
	tell_stub(vm, MF_STUB_IDS, ids, sizeof(*ids));
}

void mf_guest_set_clock(struct mf_vm *vm, uint64_t behind_ns)
{
	struct mf_abi_clock_own *own;
	struct mf_gpa gpa;

	if (!mf_pt_lookup(&vm->mem, MF_GVA(MF_VA_STACK), &gpa))
		return;
	own = (struct mf_abi_clock_own *)(vm->mem.guest + gpa.at);
	mf_mem_mark(&vm->mem, own, sizeof(*own));
	own->behind_ns = behind_ns;
}

/* What ring 3 answers calls with. */
static int install_fast(struct mf_vm *vm)
{
	struct mf_fast_state state = {.tid = MF_GUEST_PID, .pid = MF_GUEST_PID};
	int ret = engine_blob(vm, MF_VA_FAST, MF_READ | MF_EXEC, mf_fast_start, mf_fast_end);
	struct mf_gpa gpa;

	if (ret)
		return ret;
	if (mf_frames_take(&vm->mem, MF_FAST_AREA_PAGES, &gpa) != MF_FAST_AREA_PAGES)
		return -ENOMEM;
	memcpy(vm->mem.guest + gpa.at, &state, sizeof(state));
	return mf_pt_map(&vm->mem, MF_GVA(MF_VA_AREA), gpa, MF_FAST_AREA_PAGES,
			 MF_READ | MF_WRITE | MF_ENGINE);
}

static int install_tables(struct mf_vm *vm)
{
	uint8_t *at;
	int ret = engine_page(vm, MF_VA_GDT, MF_READ | MF_SUPERVISOR, &at);

	if (ret)
		return ret;
	mf_cpu_fill_gdt((uint64_t *)at, MF_VA_TSS);
	mf_cpu_fill_idt(at + (MF_VA_IDT - MF_VA_GDT), MF_VA_HANDLERS, HANDLER_STRIDE);
	ret = engine_page(vm, MF_VA_TSS, MF_WRITE | MF_SUPERVISOR, &at);
	if (ret)
		return ret;
	mf_cpu_fill_tss(at, STACK_TOP, MF_ABI_PORT);
	ret = engine_blob(vm, MF_VA_HANDLERS, MF_EXEC | MF_SUPERVISOR, mf_stub_handlers,
			  mf_stub_handlers_end);
	if (!ret)
		ret = engine_page(vm, MF_VA_STACK, MF_WRITE | MF_SUPERVISOR, &at);
	if (ret)
		return ret;
	return mf_pt_map(&vm->mem, MF_GVA(MF_VA_CLOCK_OWN), MF_GPA((uint64_t)(at - vm->mem.guest)),
			 1, MF_READ | MF_ENGINE);
}

static int install_clock(struct mf_vm *vm)
{
	int fd = mf_clock_page(vm->kvm.kvm);
	struct mf_gpa gpa;
	int ret = fd < 0 ? fd : mf_mem_map_file(&vm->mem, fd, 0, MF_PAGE, &gpa);

	return ret ? ret : mf_pt_map(&vm->mem, MF_GVA(MF_VA_CLOCK), gpa, 1, MF_READ | MF_ENGINE);
}

int mf_guest_install_msrs(struct mf_vm *vm)
{
	return mf_cpu_set_syscall(&vm->kvm, MF_VA_ENTRY);
}

/* Registers of a blank vCPU in ring 3. */
static int set_up_cpu(struct mf_vm *vm)
{
	struct mf_cpu_tables tables = {
		.cr3 = mf_mem_arena(&vm->mem)->pt_root,
		.gdt = MF_VA_GDT,
		.idt = MF_VA_IDT,
		.tss = MF_VA_TSS,
	};
	struct kvm_sregs *sregs = mf_vm_sregs_rw(vm);
	struct kvm_regs *regs = mf_vm_regs_rw(vm);
	int ret = mf_kvm_vm_get_sregs(&vm->kvm, sregs);

	if (ret)
		return ret;
	mf_cpu_user_sregs(sregs, &tables, &vm->kvm.kvm->traits);
	*regs = (struct kvm_regs){.rflags = MF_RFLAGS_USER};
	return mf_guest_install_msrs(vm);
}

int mf_guest_install(struct mf_vm *vm)
{
	struct mf_gpa never;
	int ret = mf_frames_take(&vm->mem, 1, &never) ? 0 : -ENOMEM; /* frame 0 stays unused */

	if (!ret)
		ret = mf_pt_init(&vm->mem);
	if (!ret)
		ret = install_entry(vm);
	if (!ret)
		ret = engine_blob(vm, MF_VA_USER, MF_READ | MF_EXEC, mf_stub_user,
				  mf_stub_user_end);
	if (!ret)
		ret = install_clock(vm);
	if (!ret)
		ret = engine_blob(vm, MF_VA_VDSO, MF_READ | MF_EXEC, mf_vdso_start, mf_vdso_end);
	if (!ret)
		ret = install_fast(vm);
	if (!ret)
		ret = install_tables(vm);
	return ret ? ret : set_up_cpu(vm);
}

static void enter_reload(struct mf_vm *vm, struct kvm_regs *regs, struct kvm_sregs *sregs)
{
	uint64_t frame[5] = {regs->rip, sregs->cs.selector, regs->rflags, regs->rsp,
			     sregs->ss.selector};
	uint64_t at = STACK_TOP - 64 - sizeof(frame);
	struct mf_gpa gpa;

	if (!mf_pt_lookup(&vm->mem, MF_GVA(at), &gpa))
		return;
	mf_mem_mark(&vm->mem, vm->mem.guest + gpa.at, sizeof(frame));
	memcpy(vm->mem.guest + gpa.at, frame, sizeof(frame));
	mf_cpu_kernel_segments(sregs);
	regs->rip = MF_VA_HANDLERS + (uint64_t)(mf_stub_reload - mf_stub_handlers);
	regs->rsp = at;
	regs->rflags = 2;
}

void mf_guest_step_over_out(struct mf_vm *vm)
{
	const struct kvm_run *run = vm->kvm.run;
	struct mf_gpa gpa;
	uint8_t opcode = 0;

	if (vm->kvm.kvm->traits.rip_after_out || run->exit_reason != KVM_EXIT_IO)
		return;
	if (mf_pt_lookup(&vm->mem, MF_GVA(mf_vm_regs(vm)->rip), &gpa) &&
	    mf_mem_at(&vm->mem, gpa, 1))
		opcode = vm->mem.guest[gpa.at];
	if (opcode == 0xe7 || opcode == 0xe6) /* out %eax, imm8; out %al, imm8 */
		mf_vm_regs_rw(vm)->rip += 2;
	else
		mf_vm_drain(vm);
}

/* Enter in ring 0 at the reload code, with an IRET frame that leads to where the vCPU was. */
void mf_guest_reload_cr3(struct mf_vm *vm)
{
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;

	if (vm->at_exit)
		mf_guest_step_over_out(vm);
	regs = mf_vm_regs_rw(vm);
	sregs = mf_vm_sregs_rw(vm);
	enter_reload(vm, regs, sregs);
}
