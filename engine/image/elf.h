/* SPDX-License-Identifier: MIT */
/*
 * Reads a 64-bit x86-64 ELF executable that lies in memory: checks it and says where its segments
 * belong. It maps nothing, allocates nothing and believes nothing: the bytes come from a user, so
 * every offset and length is checked against the file before it is used. Called by the image
 * loader, and for host-to-guest calls by whoever turns a function's name into an address.
 *
 * Sources: System V gABI chapters 4 and 5, psABI x86-64; Linux fs/binfmt_elf.c where the two leave
 * room (empty PT_LOADs, a missing PT_GNU_STACK, AT_PHDR).
 */
#ifndef ENGINE_IMAGE_ELF_H
#define ENGINE_IMAGE_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/mayfly/error.h"

#define MF_ELF_PAGE_BYTES   UINT64_C(4096)
#define MF_ELF_VADDR_MIN    UINT64_C(0x10000) /* as vm.mmap_min_addr: no program lies below */
#define MF_ELF_SEGMENTS_MAX 32
#define MF_ELF_PHDRS_MAX    64
#define MF_ELF_ALIGN_MAX    (UINT64_C(1) << 30)
#define MF_ELF_INTERP_MAX   4096 /* PATH_MAX: the longest name of an interpreter, with its NUL */

enum mf_elf_type {
	MF_ELF_FIXED, /* ET_EXEC: addresses are final */
	MF_ELF_PIE,   /* ET_DYN: addresses are relative to a base of our choice */
};

enum mf_elf_prot {
	MF_ELF_X = 1, /* same bits as p_flags: PF_X, PF_W, PF_R */
	MF_ELF_W = 2,
	MF_ELF_R = 4,
};

/* One PT_LOAD that is not empty. Ascending by vaddr; no two share a page. */
struct mf_elf_segment {
	uint64_t vaddr;        /* first byte; vaddr and offset agree modulo the page */
	uint64_t memsz_bytes;  /* > 0; what lies beyond filesz_bytes reads as zero */
	uint64_t offset;       /* in the file; [offset, offset + filesz_bytes) is inside it */
	uint64_t filesz_bytes; /* <= memsz_bytes */
	uint32_t prot;         /* enum mf_elf_prot, or'ed; may be 0 and may be W and X together */
};

struct mf_elf {
	enum mf_elf_type type;
	uint64_t entry;      /* inside an executable segment */
	uint64_t phdr_vaddr; /* for AT_PHDR; 0 when the table is not part of any segment */
	uint16_t phnum;      /* for AT_PHNUM */
	uint16_t phentsize;  /* for AT_PHENT: 56 */
	bool stack_exec;     /* PT_GNU_STACK with PF_X; a missing PT_GNU_STACK means no */
	uint64_t align; /* what the base of a PIE must be a multiple of; >= a page, power of two */
	uint64_t low_vaddr;     /* lowest byte, rounded down to its page */
	uint64_t high_vaddr;    /* one past the highest byte, rounded up to a page */
	uint64_t interp_offset; /* PT_INTERP: where in the file the interpreter's name stands, */
	uint32_t interp_bytes;  /* with its NUL; 0: the program needs none */
	uint64_t load_bytes;    /* sum over the segments in whole pages */
	unsigned segment_count;
	struct mf_elf_segment segments[MF_ELF_SEGMENTS_MAX];
};

struct mf_elf_limits {
	uint64_t vaddr_end; /* one past the last address a user program may have (page multiple) */
	uint64_t load_bytes_max; /* most that the segments may take, in whole pages */
};

/*
 * Parse and validate. `bytes` (any alignment) stays the caller's and is not referred to afterwards.
 * For a PIE the addresses in `elf` are relative; base + high_vaddr stays below vaddr_end for any
 * base in [MF_ELF_VADDR_MIN, vaddr_end - high_vaddr], and at least one such base exists before
 * alignment. On failure `elf` is undefined.
 *
 * Returns 0, or with a sentence in `err`:
 *   -ENOEXEC  not a program that Mayfly can run: not ELF, truncated, another machine or class, a
 *             plain library, no or contradictory segments, addresses out of range, bad entry
 *   -E2BIG    the segments need more than load_bytes_max
 *   -EINVAL   `limits` leaves no room for any program
 */
int mf_elf_parse(struct mf_elf *elf, const uint8_t *bytes, size_t size,
		 const struct mf_elf_limits *limits, struct mf_error *err);

/*
 * Look a function or object up by name in .symtab (gABI "Symbol Table"). A global symbol wins over
 * a weak one, a weak one over a local one. `*value` is what the file claims, relative for a PIE:
 * the caller checks that it lies where it needs it. Outputs are untouched on failure. `bytes` need
 * not have passed mf_elf_parse.
 *
 * Returns 0, or with a sentence in `err`:
 *   -ENOENT   no such defined function or object, or the program is stripped
 *   -ENOEXEC  not a 64-bit ELF file, or its section headers point outside of it
 */
int mf_elf_symbol(const uint8_t *bytes, size_t size, const char *name, uint64_t *value,
		  uint64_t *size_bytes, struct mf_error *err);

#endif
