/* SPDX-License-Identifier: MIT */
/*
 * The ways into and out of the code that answers system calls in ring 3, at the offsets of
 * <mayfly/abi/fast.h>. A call keeps every register but RAX, RCX (the return address) and R11 (the
 * flags); it uses no byte of the caller's stack, for there is a red zone. What is not answered
 * leaves by the call port with every register as it was.
 */
#include <mayfly/abi/call.h>
#include <mayfly/abi/fast.h>

	.section .text.entry, "ax", @progbits
	.globl mf_fast_code
	.hidden mf_fast_area
	.hidden mf_fast_call

mf_fast_code:
	.org	MF_FAST_ENTER
	mov	%rsp, mf_fast_area + 8(%rip)
	lea	mf_fast_area + MF_FAST_STACK_TOP(%rip), %rsp
	pushfq
	jmp	1f

	.org	MF_FAST_CALL
2:	mov	%rsp, mf_fast_area + 8(%rip)
	lea	mf_fast_area + MF_FAST_STACK_TOP(%rip), %rsp
	push	%r11
	jmp	1f

	.org	MF_FAST_KEPT
	mov	mf_fast_area + MF_FAST_KEPT_RCX(%rip), %rcx
	jmp	2b

	/* The frame is where 1: put it, whatever was going on. */
	.org	MF_FAST_BAIL
	lea	mf_fast_area + MF_FAST_STACK_TOP - 15 * 8(%rip), %rsp
	jmp	leave

	.macro	restore number
	pop	%r9
	pop	%r8
	pop	%r10
	pop	%rdx
	pop	%rsi
	pop	%rdi
	pop	\number
	pop	%rcx
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	mov	(%rsp), %r11
	popfq
	mov	mf_fast_area + 8(%rip), %rsp
	.endm

	/* All of them: who bails out stands anywhere in the C code. */
	.org	0x80
1:	cld
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rcx
	push	%rax
	push	%rdi
	push	%rsi
	push	%rdx
	push	%r10
	push	%r8
	push	%r9
	mov	%rsp, %rdi
	sub	$8, %rsp		/* 15 words are there: to a multiple of 16 */
	call	mf_fast_call
	add	$8, %rsp
	movabs	$MF_FAST_NOT_HERE, %rcx
	cmp	%rcx, %rax
	je	leave
	restore	%r11			/* RAX is the answer */
	jmp	*%rcx

leave:	restore	%rax
	out	%eax, $MF_ABI_PORT
	jmp	*%rcx

	.section .note.GNU-stack, "", @progbits
