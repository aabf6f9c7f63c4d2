/* SPDX-License-Identifier: MIT */
/*
 * Making a lost right visible to the guest, per family; collected over one edit and done once. Only
 * engine/mem/pt.c calls this.
 */
#ifndef MF_ENGINE_MEM_FLUSH_H
#define MF_ENGINE_MEM_FLUSH_H

#include "engine/mem/mem.h"

struct mf_flush {
	uint64_t first; /* gpa of the run being collected */
	size_t pages;
	size_t runs;
	bool all;
};

/* The pages from `gpa` on lost a right through some translation. */
void mf_flush_add(struct mf_flush *flush, struct mf_mem *mem, struct mf_gpa gpa, size_t pages);
/*
 * The entry at `entry`, above the leaf tables, led to `was` and now leads to `is` (0: nowhere; else
 * any number that names one table, or one piece of 2 MiB).
 */
void mf_flush_lead(struct mf_flush *flush, struct mf_mem *mem, struct mf_gpa entry, uint64_t was,
		   uint64_t is);
/* A right was gained: only hardware keeps entries that a fault would have to walk past. */
void mf_flush_gain(struct mf_mem *mem);
void mf_flush_end(struct mf_flush *flush, struct mf_mem *mem);

#endif
