/* SPDX-License-Identifier: MIT */
/*
 * Code that the engine places into every guest (engine/image/guest.c copies it, page by page).
 * Assembled for 64-bit, position-independent; never runs in the engine itself.
 *
 * System calls: LSTAR points at mf_stub_software or mf_stub_hardware. RCX = return address, R11 =
 * flags, no stack may be used (red zone). A few answers are given here, all else leaves by the call
 * port with every register as the program set it; but calls in the table go to the code of guest/fast
 * first, in ring 3. At the end of that page stands what the engine keeps true about the thread on the
 * vCPU (struct mf_stub_thread) and the program (struct mf_stub_ids).
 */
#include <mayfly/abi/call.h>
#include <mayfly/abi/fast.h>

#include "stub.h"

	.section .rodata
	.balign 4096

	.macro answer number, label
	cmp	$\number, %rax
	je	\label
	.endm

	/* The numbers that guest/fast may answer, one bit each. */
	.set	bits, 0
	.macro number n, from
	.if \n >= \from && \n < \from + 64
	.set	bits, bits | 1 << (\n - \from)
	.endif
	.endm

	.macro numbers from
	.set	bits, 0
	.irp	n, 0, 1, 3, 7, 16, 19, 20, 43, 44, 45, 46, 47, 48, 51, 52, 54, 72, 202, 232, 233, 281, 288
	number	\n, \from
	.endr
	.quad	bits
	.endm

	.macro table page
	.org	\page + MF_STUB_THREAD - MF_FAST_NUMBERS / 8
	numbers	0
	numbers	64
	numbers	128
	numbers	192
	numbers	256
	.endm

	/* By the code that stays in ring 3 a jump; from ring 0 RCX goes another way. */
	.macro enter_software page
	jmp	\page + MF_FAST_CODE_VA - MF_FAST_STUB_VA + MF_FAST_CALL
	.endm

	.macro enter_hardware page
	stac				/* a nop without SMAP: mf_stub_patch_* */
	mov	%rcx, \page + MF_FAST_AREA_VA - MF_FAST_STUB_VA + MF_FAST_KEPT_RCX(%rip)
	clac
	lea	\page + MF_FAST_CODE_VA - MF_FAST_STUB_VA + MF_FAST_KEPT(%rip), %rcx
	sysretq
	.endm

	.macro answers enter, page
	answer	39, 1f			/* getpid */
	answer	186, 5f			/* gettid */
	answer	102, 2f			/* getuid */
	answer	107, 3f			/* geteuid */
	answer	104, 7f			/* getgid */
	answer	108, 8f			/* getegid */
	answer	24, 4f			/* sched_yield */
	cmp	$MF_FAST_NUMBERS, %rax
	jae	6f
	bt	%rax, \page + MF_STUB_THREAD - MF_FAST_NUMBERS / 8(%rip)
	jnc	6f
	\enter	\page
6:	out	%eax, $MF_ABI_PORT
	.endm

	.macro constants leave, page
	\leave
1:	mov	$0x11111111, %eax	/* patched: MF_STUB_PATCH_PID */
	\leave
2:	mov	\page + MF_STUB_IDS(%rip), %eax
	\leave
3:	mov	\page + MF_STUB_IDS + 4(%rip), %eax
	\leave
7:	mov	\page + MF_STUB_IDS + 8(%rip), %eax
	\leave
8:	mov	\page + MF_STUB_IDS + 12(%rip), %eax
	\leave
4:	cmpl	$0, \page + MF_STUB_THREAD + 4(%rip)
	jne	6b			/* somebody else may run */
	xor	%eax, %eax
	\leave
5:	mov	\page + MF_STUB_THREAD(%rip), %eax
	\leave
	.endm

	.macro thread page
	.org	\page + MF_STUB_THREAD
	.long	0x11111111, 0
	.org	\page + MF_STUB_IDS
	.long	0, 0, 0, 0
	.endm

	.macro leave_software
	jmp	*%rcx
	.endm

	.macro leave_hardware
	sysretq
	.endm

/* Software KVM: SYSCALL stays in ring 3, and so does this. */
	.globl	mf_stub_software, mf_stub_software_end
mf_stub_software:
	answers	enter_software, mf_stub_software
	constants leave_software, mf_stub_software
	table	mf_stub_software
	thread	mf_stub_software
mf_stub_software_end:

/* Hardware KVM: ring 0. */
	.globl	mf_stub_hardware, mf_stub_hardware_end
	.balign 4096
mf_stub_hardware:
	answers	enter_hardware, mf_stub_hardware
	constants leave_hardware, mf_stub_hardware
	table	mf_stub_hardware
	thread	mf_stub_hardware
mf_stub_hardware_end:

/* Ring-3 code at fixed places of one page. */
	.globl	mf_stub_user, mf_stub_user_end, mf_stub_user_touch
	.balign 64
mf_stub_user:
	/* Where a function that the host called returns to. */
	mov	%rax, %rdi
	mov	$MF_CALL_RETURN, %eax
	out	%eax, $MF_ABI_PORT
	ud2
	.balign 64
mf_stub_user_touch:
	/* Read one byte of each of RSI pages whose addresses stand at RDI. */
1:	mov	(%rdi), %rax
	movzbl	(%rax), %ecx
	add	$8, %rdi
	dec	%rsi
	jnz	1b
	mov	$MF_CALL_RETURN, %eax
	out	%eax, $MF_ABI_PORT
	ud2
mf_stub_user_end:

/* Exception handlers, ring 0, 16 bytes each; then the CR3 reload. */
	.altmacro
	.macro handler vector
	.balign 16
	out	%al, $MF_ABI_FAULT_PORT + \vector
	.if \vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17 || \vector == 21 || \vector == 29 || \vector == 30
	add	$8, %rsp
	.endif
	iretq
	.endm

	.globl	mf_stub_handlers, mf_stub_handlers_end, mf_stub_reload
	.balign 64
mf_stub_handlers:
	.set	vector, 0
	.rept	32
	handler	%vector
	.set	vector, vector + 1
	.endr
	.balign 16
/* Entered with an IRET frame on the stack: drop stale translations, go on where the frame says. */
mf_stub_reload:
	push	%rax
	mov	%cr3, %rax
	mov	%rax, %cr3
	pop	%rax
	iretq
mf_stub_handlers_end:

	.section .note.GNU-stack, "", @progbits
