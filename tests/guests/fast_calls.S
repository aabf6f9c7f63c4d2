/* SPDX-License-Identifier: MIT */
/*
 * System calls as fast_test looks at them.
 * long call_NAME(struct registers *): load the registers, call, store what is there then. The
 * 128 bytes below the stack pointer are written before and compared behind: `red` is what of them
 * has changed.
 */

	.text
	.macro call name, move
	.globl	call_\name, site_\name
	.balign	16
call_\name:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
	mov	%rdi, %rbx
	mov	$-128, %rax
1:	mov	%rax, (%rsp,%rax)
	add	$8, %rax
	jnz	1b
	mov	$0x1212121212121212, %r12
	mov	$0x1313131313131313, %r13
	mov	$0x1414141414141414, %r14
	mov	$0x1515151515151515, %r15
	mov	0x10(%rbx), %rdx
	mov	0x18(%rbx), %r10
	mov	0x20(%rbx), %r8
	mov	0x28(%rbx), %r9
	mov	0x00(%rbx), %rdi
	mov	0x08(%rbx), %rsi
	mov	$0x6262626262626262, %rbp
	std				/* and the carry flag */
	stc
\move
site_\name:
	syscall
2:	mov	%rax, 0x30(%rbx)
	pushfq
	pop	%rax
	cld
	mov	%rax, 0x38(%rbx)
	mov	%rdi, 0x00(%rbx)
	mov	%rsi, 0x08(%rbx)
	mov	%rdx, 0x10(%rbx)
	mov	%r10, 0x18(%rbx)
	mov	%r8, 0x20(%rbx)
	mov	%r9, 0x28(%rbx)
	mov	%rbp, 0x40(%rbx)
	mov	%r12, 0x48(%rbx)
	mov	%r13, 0x50(%rbx)
	mov	%r14, 0x58(%rbx)
	mov	%r15, 0x60(%rbx)
	lea	2b(%rip), %rax
	sub	%rax, %rcx
	mov	%rcx, 0x68(%rbx)
	xor	%ecx, %ecx
	mov	$-128, %rax
3:	mov	(%rsp,%rax), %rdx
	cmp	$-8, %rax		/* pushfq was there */
	je	4f
	sub	%rax, %rdx
	or	%rdx, %rcx
4:	add	$8, %rax
	jnz	3b
	mov	%rcx, 0x70(%rbx)
	pop	%rdi
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.endm

	call	pid, "mov $39, %eax"
	call	uid, "mov $102, %eax"
	call	futex, "mov $202, %eax"
	call	brk, "mov $12, %eax"	/* never answered in the guest */

	.section .note.GNU-stack, "", @progbits
