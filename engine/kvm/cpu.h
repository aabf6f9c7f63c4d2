/* SPDX-License-Identifier: MIT */
/*
 * The x86 tables and register sets that bring a vCPU straight into 64-bit ring 3: GDT, IDT, TSS
 * with I/O bitmap, segment registers, MSRs. Writes bytes into memory that the caller provides;
 * knows nothing of where that memory is mapped. Sources: Intel SDM vol. 3, 3.4.5
 * (descriptors), 6.14.1 (IDT gates), 8.7 (64-bit TSS), 19.5.2 in vol. 1 (I/O bitmap).
 */
#ifndef MF_ENGINE_KVM_CPU_H
#define MF_ENGINE_KVM_CPU_H

#include "engine/kvm/kvm.h"

#define MF_SEL_KERNEL_CODE 0x08
#define MF_SEL_KERNEL_DATA 0x10
#define MF_SEL_USER_DATA   0x23
#define MF_SEL_USER_CODE   0x2b
#define MF_SEL_TSS         0x40
#define MF_GDT_BYTES       (10 * 8)

#define MF_VECTORS   32
#define MF_IDT_BYTES (MF_VECTORS * 16)

/* TSS, then the bitmap for ports 0..0x3f, then the closing 0xff byte. */
#define MF_TSS_IO_BYTES 8
#define MF_TSS_BYTES    (104 + MF_TSS_IO_BYTES + 1)

#define MF_RFLAGS_USER 0x202ull /* IF and the bit that is always one */
#define MF_RFLAGS_RING_3 \
	0x240dd5ull /* what ring 3 may set: arithmetic, TF, DF, AC, RF's place, ID */

/* Guest virtual addresses of the tables, as the vCPU is to see them. */
struct mf_cpu_tables {
	uint64_t cr3;
	uint64_t gdt;
	uint64_t idt;
	uint64_t tss;
};

/* Fill a GDT: kernel code/data, user data/code (64-bit only), TSS. No LDT, no 32-bit code. */
void mf_cpu_fill_gdt(uint64_t gdt[MF_GDT_BYTES / 8], uint64_t tss_va);
/* Fill an IDT whose vector v enters at handlers + v * stride on IST 1; DPL 3 for #BP and #OF. */
void mf_cpu_fill_idt(void *idt, uint64_t handlers_va, uint32_t stride);
/* Fill a TSS: ring-0 and IST stacks at stack_top, I/O bitmap with `port`..port+3 open to ring 3. */
void mf_cpu_fill_tss(uint8_t tss[MF_TSS_BYTES], uint64_t stack_top, uint16_t port);

/* Segment, control and table registers of a vCPU about to run 64-bit ring-3 code. */
void mf_cpu_user_sregs(struct kvm_sregs *sregs, const struct mf_cpu_tables *tables,
		       const struct mf_traits *traits);
/* The same vCPU in ring 0 (CS and SS only). */
void mf_cpu_kernel_segments(struct kvm_sregs *sregs);
void mf_cpu_user_segments(struct kvm_sregs *sregs);

/* STAR, LSTAR, SFMASK. */
int mf_cpu_set_syscall(struct mf_kvm_vm *vm, uint64_t entry_va);

#endif
