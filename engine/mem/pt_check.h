/* SPDX-License-Identifier: MIT */
/*
 * Memory that came from a file: is its account one that engine/mem could have kept? What it says is
 * bounded wherever it is used; this is what makes it one mechanism's work: frames that add up, page
 * tables that are a tree, no frame that is given back twice.
 */
#ifndef MF_ENGINE_MEM_PT_CHECK_H
#define MF_ENGINE_MEM_PT_CHECK_H

#include "engine/mem/mem.h"

/*
 * `mem` is a read-only view of the image; `blank` blank memory of the same limit, whose layout it
 * must have. user_top: where the engine's own pages begin; below it all is ring 3's. again: a page
 * there may lie in a frame that another one has. owned: zeroed, one bit a frame of the limit; set
 * for those that are tables or mapped. NULL, or what is wrong.
 */
const char *mf_mem_check(const struct mf_mem *mem, const struct mf_mem *blank, uint64_t user_top,
			 uint64_t again, uint64_t *owned);

/* Is the page at va mapped alike in both: the same rights, or absent? Frames may differ. */
bool mf_pt_alike(const struct mf_mem *a, const struct mf_mem *b, struct mf_gva va);

#endif
