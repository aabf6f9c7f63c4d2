/* SPDX-License-Identifier: MIT */
/*
 * System calls of an image's program as jumps. Where a `syscall` stands right behind an instruction
 * of five bytes that can be moved, that instruction becomes a jump to a *trampoline*, which does
 * what it did and goes to the code that answers calls in ring 3 (<mayfly/abi/fast.h>). The
 * `syscall` itself stays where it is: who jumps to it, or is sent back to it to make a call again,
 * finds it, and every return address is what it was. On software KVM that saves the kernel's part
 * of each call that is answered in the guest.
 *
 * Changed is only what no program can tell: pages of its own that it cannot write, once, before the
 * image is frozen. A place into whose middle anything might jump stays as it is.
 */
#ifndef MF_ENGINE_LINUX_PATCH_H
#define MF_ENGINE_LINUX_PATCH_H

#include "engine/linux/process.h"

#define MF_PATCH_BYTES 5u /* of a jump */

/* What is found in front of a `syscall`. */
enum mf_patch_kind {
	MF_PATCH_NONE = 0,
	MF_PATCH_LONG,  /* an instruction of five bytes */
	MF_PATCH_SHORT, /* one of two, and within reach five bytes that nothing runs */
};

struct mf_patch_site {
	enum mf_patch_kind kind;
	uint32_t at;     /* of the instruction in front of it */
	uint32_t detour; /* SHORT: of the five bytes */
};

/* Bytes of code on either side of a `syscall` that are looked at. */
#define MF_PATCH_REACH 160u

/*
 * Look at the `syscall` at `at` of these bytes, which are code as far as can be told. `spent`:
 * detours that are taken already, the last ones (any number). Offsets count from `code`.
 */
struct mf_patch_site mf_patch_look(const uint8_t *code, uint32_t bytes, uint32_t at,
				   const uint32_t *spent, uint32_t spent_count);

/* The trampoline of a site: what it holds when the site is at `site` and it lies at `at`. */
#define MF_TRAMPOLINE_BYTES 32u
void mf_patch_trampoline(uint8_t out[MF_TRAMPOLINE_BYTES], const uint8_t *code,
			 enum mf_patch_kind kind, uint64_t site, uint64_t at);

/* Patch the program before it is frozen: how many places. What cannot be done is left out. */
uint32_t mf_patch_program(struct mf_process *process);

/* Is this address in a trampoline? */
bool mf_patch_has(const struct mf_process *process, uint64_t rip);

#endif
