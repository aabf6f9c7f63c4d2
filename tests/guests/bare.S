/* SPDX-License-Identifier: MIT */
/*
 * A program without a library: each request's body is machine code, called with RDI = the request,
 * RSI = `scratch` (two writable pages, zero in the image; a third is 0x77 throughout). What it returns in RAX is the response,
 * eight bytes.
 */
#include <mayfly/abi/call.h>

	.section .lab, "awx", @progbits
	.globl	_start
_start:
	lea	ready(%rip), %rdi
	xor	%esi, %esi
	xor	%edx, %edx
	mov	$MF_CALL_READY, %eax
	out	%eax, $MF_ABI_PORT
	lea	buffer(%rip), %rdi
	lea	scratch(%rip), %rsi
	mov	32(%rdi), %ecx		/* struct mf_abi_request: body.offset */
	add	%rdi, %rcx
	call	*%rcx
	mov	%rax, result(%rip)
	lea	result(%rip), %rax
	mov	%rax, 24 + 24 + ready(%rip)	/* response.body */
	movq	$8, 24 + 32 + ready(%rip)	/* response.body_bytes */
	movl	$1, 4 + ready(%rip)		/* MF_READY_RESPONSE */
	jmp	_start

	.balign	16
ready:	.long	MF_ABI_VERSION, 0	/* struct mf_abi_ready */
	.quad	buffer, 8192
	.long	MF_ABI_VERSION, 200	/* its response */
	.quad	0, 0, 0, 0
result:	.quad	0

	.balign	4096
buffer:	.fill	8192
scratch: .fill	8192
	/* Behind it a page that is not zero: an instruction that is finished late writes zeroes. */
	.fill	4096, 1, 0x77

	.section .note.GNU-stack, "", @progbits
