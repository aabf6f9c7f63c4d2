/* SPDX-License-Identifier: MIT */
/*
 * Code that the engine places into every guest (engine/image/guest.c copies it, page by page).
 * Assembled for 64-bit, position-independent; never runs in the engine itself.
 *
 * System calls: LSTAR points at mf_stub_software or mf_stub_hardware. RCX = return address, R11 =
 * flags, no stack may be used (red zone). A few answers are given here, all else leaves by the call
 * port with every register as the program set it. At the end of that page stands what the engine
 * keeps true about the thread on the vCPU (struct mf_stub_thread).
 */
#include <mayfly/abi/call.h>

#include "stub.h"

	.section .rodata
	.balign 4096

	.macro answer number, label
	cmp	$\number, %rax
	je	\label
	.endm

	.macro answers
	answer	39, 1f			/* getpid */
	answer	186, 5f			/* gettid */
	answer	102, 2f			/* getuid */
	answer	107, 2f			/* geteuid */
	answer	104, 3f			/* getgid */
	answer	108, 3f			/* getegid */
	answer	24, 4f			/* sched_yield */
6:	out	%eax, $MF_ABI_PORT
	.endm

	.macro constants leave, page
	\leave
1:	mov	$0x11111111, %eax	/* the constants are patched: mf_stub_patch_* */
	\leave
2:	mov	$0x22222222, %eax
	\leave
3:	mov	$0x33333333, %eax
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
	answers
	constants leave_software, mf_stub_software
	thread	mf_stub_software
mf_stub_software_end:

/* Hardware KVM: ring 0. */
	.globl	mf_stub_hardware, mf_stub_hardware_end
	.balign 4096
mf_stub_hardware:
	answers
	constants leave_hardware, mf_stub_hardware
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
