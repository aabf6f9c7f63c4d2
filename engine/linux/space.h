/* SPDX-License-Identifier: MIT */
/* How much address space a program has and may have, and what is told of its memory. */
#ifndef MF_ENGINE_LINUX_SPACE_H
#define MF_ENGINE_LINUX_SPACE_H

#include "engine/linux/memory.h"

/* In pages, as /proc/self/statm tells them. */
struct mf_memory_sizes {
	uint64_t total;    /* all ranges */
	uint64_t resident; /* frames in use, tables included */
	uint64_t shared;   /* of files' own pages */
	uint64_t text;
	uint64_t data; /* private and writable, the stack too */
	uint64_t stack;
	uint64_t locked;
};

struct mf_memory_sizes mf_memory_sizes(const struct mf_process *process);

/* May the program map so many bytes more (RLIMIT_AS)? */
bool mf_space_allows(const struct mf_process *process, uint64_t bytes);

/*
 * One line of /proc/self/maps: the range at or above *at, which is moved behind it. Returns its
 * length; 0: there is none, or the line does not fit.
 */
size_t mf_vma_print(const struct mf_process *process, uint64_t *at, char *line, size_t size);

#endif
