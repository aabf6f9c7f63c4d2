/* SPDX-License-Identifier: MIT */
/* The code as bytes of the engine: [mf_fast_start, mf_fast_end). */
	.section .rodata.mf_fast, "a", @progbits
	.balign 64
	.globl mf_fast_start
	.globl mf_fast_end
mf_fast_start:
	.incbin MF_FAST_FILE
mf_fast_end:
	.section .note.GNU-stack, "", @progbits
