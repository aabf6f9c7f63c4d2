/* SPDX-License-Identifier: MIT */
/*
 * The list of mapped ranges in struct mf_linux: what lies where, and where there is room. It knows
 * nothing of frames and tables.
 */
#ifndef MF_ENGINE_LINUX_VMA_H
#define MF_ENGINE_LINUX_VMA_H

#include "engine/linux/process.h"

/* Is it a segment of the program, or of its interpreter? */
static inline bool mf_vma_is_program(const struct mf_vma *vma)
{
	return vma->kind == MF_VMA_PROGRAM || vma->flags & MF_VMA_IS_PROGRAM;
}

/* The range that holds `at`, or NULL. */
const struct mf_vma *mf_vma_find(const struct mf_process *process, uint64_t at);

/* The same, or the first one above. Walking upwards: mf_vma_from(process, vma->end). */
const struct mf_vma *mf_vma_from(const struct mf_process *process, uint64_t at);

/* Is any of [start, end) mapped? */
bool mf_vma_overlaps(const struct mf_process *process, uint64_t start, uint64_t end);

/* Is all of it? */
bool mf_vma_covers(const struct mf_process *process, uint64_t start, uint64_t end);

/* Does any of it belong to a window? Those stay where they are. */
bool mf_vma_has_window(const struct mf_process *process, uint64_t start, uint64_t end);

/* Add a range (must be free); joins neighbours that are alike. -ENOMEM: list full. */
int mf_vma_add(struct mf_process *process, struct mf_vma vma);

/* Take [start, end) out of the list, splitting ranges at its ends. -ENOMEM: list full. */
int mf_vma_remove(struct mf_process *process, uint64_t start, uint64_t end);

/* Change the protection of what is mapped in [start, end). -ENOMEM: list full. */
int mf_vma_protect(struct mf_process *process, uint64_t start, uint64_t end, uint32_t prot);

/* Change its flags (MF_VMA_IS_*). -ENOMEM: list full. */
int mf_vma_flag(struct mf_process *process, uint64_t start, uint64_t end, uint32_t set,
		uint32_t clear);

/* The range that begins at `start` begins at `low` from now on: the stack grows. */
void mf_vma_grow_down(struct mf_process *process, uint64_t start, uint64_t low);

/* The highest free place of `bytes` below the stack; 0 when there is none. */
uint64_t mf_vma_gap(const struct mf_process *process, uint64_t bytes);

/* The same below `top`. */
uint64_t mf_vma_gap_below(const struct mf_process *process, uint64_t bytes, uint64_t top);

#endif
