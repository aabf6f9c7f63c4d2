/* SPDX-License-Identifier: MIT */
/* How much address space a program has and may have, and what is told of its memory. */
#ifndef MF_ENGINE_LINUX_SPACE_H
#define MF_ENGINE_LINUX_SPACE_H

#include "engine/linux/memory.h"

/* In pages, as /proc/self tells them. */
struct mf_memory_sizes {
	uint64_t total;    /* all ranges */
	uint64_t resident; /* frames in use, tables included; at most the total */
	uint64_t data;     /* private and writable, without the stack */
	uint64_t stack;
	uint64_t text; /* of the program itself */
};

struct mf_memory_sizes mf_memory_sizes(const struct mf_process *process);

/* May the program map so many bytes more (RLIMIT_AS)? `data`: of its own, to be written
 * (RLIMIT_DATA). */
bool mf_space_allows(const struct mf_process *process, uint64_t bytes, bool data);

/* May so much of what it has mapped become its own to write (RLIMIT_DATA)? */
bool mf_space_allows_data(const struct mf_process *process, uint64_t bytes);

/* May it lock so many bytes more (RLIMIT_MEMLOCK), beside what of [start, end) is not counted
 * again? */
bool mf_space_may_lock(const struct mf_process *process, uint64_t bytes, uint64_t start,
		       uint64_t end);

#endif
