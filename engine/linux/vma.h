/* SPDX-License-Identifier: MIT */
/* The list of mapped ranges in struct mf_linux: what lies where, and where there is room. */
#ifndef MF_ENGINE_LINUX_VMA_H
#define MF_ENGINE_LINUX_VMA_H

#include "engine/linux/process.h"

/* The range that holds `at`, or NULL. */
const struct mf_vma *mf_vma_find(const struct mf_process *process, uint64_t at);

/* Is any of [start, end) mapped? */
bool mf_vma_overlaps(const struct mf_process *process, uint64_t start, uint64_t end);

/* Is all of it? */
bool mf_vma_covers(const struct mf_process *process, uint64_t start, uint64_t end);

/* Does any of it belong to a window? Those stay where they are. */
bool mf_vma_has_window(const struct mf_process *process, uint64_t start, uint64_t end);

/* Add a range (must be free); joins neighbours of the same kind and protection. -ENOMEM: list full.
 */
int mf_vma_add(struct mf_process *process, struct mf_vma vma);

/* Take [start, end) out of the list, splitting ranges at its ends. -ENOMEM: list full. */
int mf_vma_remove(struct mf_process *process, uint64_t start, uint64_t end);

/* Change the protection of what is mapped in [start, end). -ENOMEM: list full. */
int mf_vma_protect(struct mf_process *process, uint64_t start, uint64_t end, uint32_t prot);

/* The highest free place of `bytes` below the stack; 0 when there is none. */
uint64_t mf_vma_gap(const struct mf_process *process, uint64_t bytes);

#endif
