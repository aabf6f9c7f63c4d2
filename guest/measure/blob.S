/* SPDX-License-Identifier: MIT */
/* The guest of measurements as bytes: [mf_measure_program, mf_measure_program_end). */
	.section .rodata.mf_measure_program, "a", @progbits
	.balign 64
	.globl mf_measure_program
	.globl mf_measure_program_end
	.type mf_measure_program, @object
mf_measure_program:
	.incbin MF_MEASURE_FILE
mf_measure_program_end:
	.size mf_measure_program, mf_measure_program_end - mf_measure_program
	.section .note.GNU-stack, "", @progbits
