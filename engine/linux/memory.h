/* SPDX-License-Identifier: MIT */
/* Memory of a guest program: used by the loader, by faults and by the system calls of memory.c. */
#ifndef MF_ENGINE_LINUX_MEMORY_H
#define MF_ENGINE_LINUX_MEMORY_H

#include "engine/linux/process.h"
#include "engine/linux/state.h"

/* Map fresh zeroed memory at [start, start+bytes), whole pages, which must be free. -ENOMEM leaves
 * nothing behind. */
int mf_memory_map(struct mf_process *process, uint64_t start, uint64_t bytes, uint32_t prot,
		  enum mf_vma_kind kind);

/* Put a window (see mf_mem_add_window) at [start, start+bytes), which must be free. -ENOSPC,
 * -ENOMEM. */
int mf_memory_add_window(struct mf_process *process, uint64_t start, uint64_t bytes);

/* Unmap whatever is there. -ENOMEM when the list of ranges is full, -EPERM when it is a window. */
int mf_memory_unmap(struct mf_process *process, uint64_t start, uint64_t bytes);

/* A fault at `address`: grow the stack if that is what it asks for. True when the access may be
 * tried again. */
bool mf_memory_fault(struct mf_process *process, uint64_t address, uint64_t error_code);

/* PROT_* to the page table's rights. */
int mf_memory_prot(uint32_t prot);

#endif
