/* SPDX-License-Identifier: MIT */
/* The vDSO's image as bytes of the engine: [mf_vdso_start, mf_vdso_end). */
	.section .rodata.mf_vdso, "a", @progbits
	.balign 64
	.globl mf_vdso_start
	.globl mf_vdso_end
	.type mf_vdso_start, @object
mf_vdso_start:
	.incbin MF_VDSO_FILE
mf_vdso_end:
	.size mf_vdso_start, mf_vdso_end - mf_vdso_start
	.if mf_vdso_end - mf_vdso_start > 8192
	.error "the vDSO must fit in two pages"
	.endif
	.section .note.GNU-stack, "", @progbits
