/* SPDX-License-Identifier: MIT */
#include "engine/kvm/cpu.h"

#include <string.h>

#define CR0_USER 0x80050033ull /* PG AM WP NE ET MP PE */
#define EFER_SCE 0x001ull
#define EFER_LME 0x100ull
#define EFER_LMA 0x400ull
#define EFER_NX  0x800ull

enum {
	CR4_PAE = 1 << 5,
	CR4_OSFXSR = 1 << 9,
	CR4_OSXMMEXCPT = 1 << 10,
	CR4_OSXSAVE = 1 << 18,
};

#define MSR_STAR   0xc0000081u
#define MSR_LSTAR  0xc0000082u
#define MSR_SFMASK 0xc0000084u

/* TF IF DF IOPL NT AC: what ring 0 must not inherit from the caller. */
#define SFMASK_HARDWARE 0x47700ull

void mf_cpu_fill_gdt(uint64_t gdt[MF_GDT_BYTES / 8], uint64_t tss_va)
{
	memset(gdt, 0, MF_GDT_BYTES);
	gdt[MF_SEL_KERNEL_CODE / 8] = 0x00af9b000000ffffull;
	gdt[MF_SEL_KERNEL_DATA / 8] = 0x00cf93000000ffffull;
	gdt[MF_SEL_USER_DATA / 8] = 0x00cff3000000ffffull;
	gdt[MF_SEL_USER_CODE / 8] = 0x00affb000000ffffull;
	gdt[MF_SEL_TSS / 8] = (MF_TSS_BYTES - 1) | (tss_va & 0xffffff) << 16 | 0x89ull << 40 |
			      (tss_va >> 24 & 0xff) << 56;
	gdt[MF_SEL_TSS / 8 + 1] = tss_va >> 32;
}

void mf_cpu_fill_idt(void *idt, uint64_t handlers_va, uint32_t stride)
{
	uint64_t *gate = idt;
	unsigned int vector;

	for (vector = 0; vector < MF_VECTORS; vector++, gate += 2) {
		uint64_t entry = handlers_va + vector * stride;
		uint64_t type = vector == 3 || vector == 4 ? 0xee : 0x8e;

		gate[0] = (entry & 0xffff) | (uint64_t)MF_SEL_KERNEL_CODE << 16 | 1ull << 32 |
			  type << 40 | (entry >> 16 & 0xffff) << 48;
		gate[1] = entry >> 32;
	}
}

void mf_cpu_fill_tss(uint8_t tss[MF_TSS_BYTES], uint64_t stack_top, uint16_t port)
{
	uint16_t bitmap_at = 104;
	unsigned int i;

	memset(tss, 0, MF_TSS_BYTES);
	memcpy(tss + 4, &stack_top, 8);  /* RSP0 */
	memcpy(tss + 36, &stack_top, 8); /* IST1 */
	memcpy(tss + 102, &bitmap_at, 2);
	memset(tss + 104, 0xff, MF_TSS_IO_BYTES + 1);
	for (i = port; i < port + 4u; i++)
		tss[104 + i / 8] &= (uint8_t) ~(1u << (i % 8));
}

static const struct kvm_segment user_code = {
	.limit = 0xffffffff,
	.selector = MF_SEL_USER_CODE,
	.type = 11,
	.present = 1,
	.dpl = 3,
	.s = 1,
	.l = 1,
	.g = 1,
};
static const struct kvm_segment user_data = {
	.limit = 0xffffffff,
	.selector = MF_SEL_USER_DATA,
	.type = 3,
	.present = 1,
	.dpl = 3,
	.db = 1,
	.s = 1,
	.g = 1,
};
static const struct kvm_segment kernel_code = {
	.limit = 0xffffffff,
	.selector = MF_SEL_KERNEL_CODE,
	.type = 11,
	.present = 1,
	.s = 1,
	.l = 1,
	.g = 1,
};
static const struct kvm_segment kernel_data = {
	.limit = 0xffffffff,
	.selector = MF_SEL_KERNEL_DATA,
	.type = 3,
	.present = 1,
	.db = 1,
	.s = 1,
	.g = 1,
};

void mf_cpu_user_segments(struct kvm_sregs *sregs)
{
	sregs->cs = user_code;
	sregs->ss = user_data;
}

void mf_cpu_kernel_segments(struct kvm_sregs *sregs)
{
	sregs->cs = kernel_code;
	sregs->ss = kernel_data;
}

void mf_cpu_user_sregs(struct kvm_sregs *sregs, const struct mf_cpu_tables *tables,
		       const struct mf_traits *traits)
{
	mf_cpu_user_segments(sregs);
	sregs->ds = sregs->es = sregs->fs = sregs->gs = user_data;
	sregs->tr = (struct kvm_segment){
		.base = tables->tss,
		.limit = MF_TSS_BYTES - 1,
		.selector = MF_SEL_TSS,
		.type = traits->tss_type,
		.present = 1,
	};
	sregs->ldt = (struct kvm_segment){.unusable = 1};
	sregs->gdt.base = tables->gdt;
	sregs->gdt.limit = MF_GDT_BYTES - 1;
	sregs->idt.base = tables->idt;
	sregs->idt.limit = MF_IDT_BYTES - 1;
	sregs->cr0 = CR0_USER;
	sregs->cr2 = 0;
	sregs->cr3 = tables->cr3;
	sregs->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | traits->cr4_extra;
	sregs->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX;
}

int mf_cpu_set_syscall(struct mf_kvm_vm *vm, uint64_t entry_va)
{
	bool hardware = vm->kvm->traits.family == MF_FAMILY_HARDWARE;
	uint64_t star = (uint64_t)MF_SEL_KERNEL_CODE << 32 | 0x1bull << 48;
	int ret;

	ret = mf_kvm_vm_set_msr(vm, MSR_STAR, star);
	if (!ret)
		ret = mf_kvm_vm_set_msr(vm, MSR_LSTAR, entry_va);
	if (!ret)
		ret = mf_kvm_vm_set_msr(vm, MSR_SFMASK, hardware ? SFMASK_HARDWARE : 0);
	return ret;
}
