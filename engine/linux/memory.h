/* SPDX-License-Identifier: MIT */
/*
 * Memory of a guest program: used by the loader, by faults and by the system calls of mmap.c,
 * mremap.c, advice.c and brk.c. Small mappings have their frames from the start; those of large
 * ones come at the first touch, a run of pages at a time.
 */
#ifndef MF_ENGINE_LINUX_MEMORY_H
#define MF_ENGINE_LINUX_MEMORY_H

#include <sys/mman.h>

#include "engine/image/layout.h"
#include "engine/linux/process.h"
#include "engine/linux/state.h"

#define MF_PROT_ALL (PROT_READ | PROT_WRITE | PROT_EXEC)

/* Mappings up to this size have all their frames from the start: their pages meet no fault that
 * leaves the guest. */
#define MF_EAGER_BYTES (1u << 20)

/* The addresses that are the stack's, as far down as its limit may be raised. */
#define MF_STACK_RESERVE (64ull << 20)

/* How far down it may grow now (RLIMIT_STACK). */
uint64_t mf_memory_stack_floor(const struct mf_process *process);

/* What came of an access. */
enum mf_touch {
	MF_TOUCH_OK = 0,    /* it may be made (again) */
	MF_TOUCH_UNMAPPED,  /* nothing is mapped there: SEGV_MAPERR */
	MF_TOUCH_DENIED,    /* the mapping does not allow it: SEGV_ACCERR */
	MF_TOUCH_BEYOND,    /* behind the end of the file, or the file cannot be read: SIGBUS */
	MF_TOUCH_NO_MEMORY, /* there is no frame left */
};

/* Map fresh zeroed memory, all of it backed, at [start, start+bytes), whole pages, which must be
 * free. -ENOMEM leaves nothing behind. */
int mf_memory_map(struct mf_process *process, uint64_t start, uint64_t bytes, uint32_t prot,
		  enum mf_vma_kind kind);

/* Put a window (see mf_mem_add_window) at [start, start+bytes), which must be free; `view`: for
 * reading only. -ENOSPC, -ENOMEM. */
int mf_memory_add_window(struct mf_process *process, uint64_t start, uint64_t bytes, bool view);

/* Add a range that is free; its pages get their frames when they are touched. -ENOMEM. */
int mf_memory_add(struct mf_process *process, struct mf_vma vma);

/* Give every absent page of the range a frame, filled as its mapping says. A range without access
 * gets none: it costs nothing. -ENOMEM; what was backed stays. */
int mf_memory_back(struct mf_process *process, uint64_t start, uint64_t bytes);

/* May so many bytes more be promised to [start, start+bytes), which need not be mapped yet? Large
 * ranges must fit into what is left now; what was promised to others before is counted loosely. */
bool mf_memory_may_promise(struct mf_process *process, uint64_t bytes);

/* Where mmap puts `bytes` (MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_32BIT in `flags`); what is in the
 * way of a fixed address is unmapped. An address or -errno. */
int64_t mf_memory_place(struct mf_process *process, uint64_t hint, uint64_t bytes, uint64_t flags);

/* Unmap whatever is there. -ENOMEM when the list of ranges is full, -EPERM when it is a window. */
int mf_memory_unmap(struct mf_process *process, uint64_t start, uint64_t bytes);

/* Make an access (MF_READ, MF_WRITE, MF_EXEC) possible if the program has a right to it: back the
 * page and some around it, grow the stack. */
enum mf_touch mf_memory_touch(struct mf_process *process, uint64_t address, int want);

/* The same for a page fault of ring 3, by its error code. Without a frame left the program has
 * ended: struct mf_linux.exited. */
enum mf_touch mf_memory_fault(struct mf_process *process, uint64_t address, uint64_t error_code);

/* The engine is about to reach guest memory itself (struct mf_mem.touch). */
bool mf_memory_touch_mem(struct mf_mem *mem, struct mf_gva va, int want);

/* Before an image is frozen: what its requests will touch next beside what was touched, and the
 * tables for what they will map. */
void mf_memory_settle(struct mf_process *process);

/* PROT_* to the page table's rights. */
int mf_memory_prot(uint32_t prot);

static inline uint64_t mf_memory_round_up(uint64_t bytes)
{
	return (bytes + MF_PAGE - 1) & ~(uint64_t)(MF_PAGE - 1);
}

/* Within what a program may have, and not empty? */
bool mf_memory_is_user_range(uint64_t start, uint64_t bytes);

#endif
