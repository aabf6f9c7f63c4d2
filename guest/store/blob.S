/* SPDX-License-Identifier: MIT */
/* The storage program as bytes: [mf_store_program, mf_store_program_end). */
	.section .rodata.mf_store_program, "a", @progbits
	.balign 64
	.globl mf_store_program
	.globl mf_store_program_end
	.type mf_store_program, @object
mf_store_program:
	.incbin MF_STORE_FILE
mf_store_program_end:
	.size mf_store_program, mf_store_program_end - mf_store_program
	.section .note.GNU-stack, "", @progbits
