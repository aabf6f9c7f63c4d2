/* SPDX-License-Identifier: MIT */
/*
 * mf_sdk_exit of <mayfly/sdk.h> for this program: fills registers with rubbish right before the guest
 * is left, if asked to, and keeps all registers as they are right after it goes on.
 */
#include <mayfly/abi/call.h>

	.bss
	.balign	64
	.globl	seen_xsave, seen, scribble
seen_xsave: .skip 4096
seen:	.skip	8 * 23
scribble: .skip	8
old_rsp: .skip	8

	.section .rodata
	.balign	64
rubbish: .fill	64, 1, 0xa7
odd_mxcsr: .long 0x7f80
usual_mxcsr: .long 0x1f80
odd_control: .word 0x0e7f
odd_base: .quad	0x00005eadbeef0000

	.text
	.macro unless bit, label
	testl	$\bit, scribble(%rip)
	jz	\label
	.endm

/* (number, a, b, c) */
	.globl	mf_sdk_exit
mf_sdk_exit:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, old_rsp(%rip)
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsi
	mov	%rcx, %rdx

	unless	16, 1f			/* x87 */
	fldcw	odd_control(%rip)
	fldpi
	fldl2e
	fldz
	fdivr	%st(1), %st
	ldmxcsr	odd_mxcsr(%rip)
1:	unless	32, 1f			/* SSE */
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqa	rubbish(%rip), %xmm\n
	.endr
1:	unless	64, 1f			/* AVX */
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqa	rubbish(%rip), %ymm\n
	.endr
1:	unless	128, 1f			/* AVX-512 */
	.irp	n, 0, 5, 15, 16, 20, 31
	vmovdqa64 rubbish(%rip), %zmm\n
	.endr
	.irp	n, 1, 2, 3, 4, 5, 6, 7
	kmovw	rubbish(%rip), %k\n
	.endr
1:	unless	4, 1f			/* selectors */
	mov	$0x2b, %ebx		/* a code segment that may be read */
	mov	%ebx, %ds
	mov	%ebx, %es
	mov	%ebx, %fs
	mov	%ebx, %gs
1:	unless	8, 1f			/* bases */
	mov	odd_base(%rip), %rbx
	wrfsbase %rbx
	wrgsbase %rbx
1:	unless	1, 1f			/* general */
	mov	odd_base(%rip), %rbx
	.irp	r, rcx, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	mov	%rbx, %\r
	.endr
1:	unless	2, 1f			/* flags: ID AC NT OF DF SF ZF AF PF CF */
	push	$0x244ed7
	popfq
1:	out	%eax, $MF_ABI_PORT

	mov	%rax, seen(%rip)
	mov	%rbx, 8 + seen(%rip)
	mov	%rcx, 16 + seen(%rip)
	mov	%rdx, 24 + seen(%rip)
	mov	%rsi, 32 + seen(%rip)
	mov	%rdi, 40 + seen(%rip)
	mov	%rbp, 48 + seen(%rip)
	mov	%rsp, 56 + seen(%rip)
	mov	%r8, 64 + seen(%rip)
	mov	%r9, 72 + seen(%rip)
	mov	%r10, 80 + seen(%rip)
	mov	%r11, 88 + seen(%rip)
	mov	%r12, 96 + seen(%rip)
	mov	%r13, 104 + seen(%rip)
	mov	%r14, 112 + seen(%rip)
	mov	%r15, 120 + seen(%rip)
	pushfq
	popq	128 + seen(%rip)
	push	$0x202
	popfq
	xor	%ecx, %ecx
	mov	%ds, %ecx
	mov	%rcx, 136 + seen(%rip)
	mov	%es, %ecx
	mov	%rcx, 144 + seen(%rip)
	mov	%fs, %ecx
	mov	%rcx, 152 + seen(%rip)
	mov	%gs, %ecx
	mov	%rcx, 160 + seen(%rip)
	rdfsbase %rcx
	mov	%rcx, 168 + seen(%rip)
	rdgsbase %rcx
	mov	%rcx, 176 + seen(%rip)
	mov	$-1, %eax
	mov	$-1, %edx
	xsave64	seen_xsave(%rip)

	/* Go on as C expects it, whatever was kept. */
	fninit
	ldmxcsr	usual_mxcsr(%rip)
	mov	thread_base(%rip), %rcx
	test	%rcx, %rcx
	jz	1f
	wrfsbase %rcx
1:	mov	seen(%rip), %rax
	mov	old_rsp(%rip), %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.section .note.GNU-stack, "", @progbits
