/* SPDX-License-Identifier: MIT */
/*
 * Guest frames: which 4 KiB pages of guest-physical memory are in use. The account is a bitmap in
 * the arena; allocation takes the lowest run, so guest-physical space stays packed.
 */
#ifndef MF_ENGINE_MEM_FRAMES_H
#define MF_ENGINE_MEM_FRAMES_H

#include "engine/mem/mem.h"

/*
 * Take up to `want` adjoining frames, zeroed. Returns how many (at least 1) and their address, or 0
 * when the VM's limit or the host's memory is reached.
 */
size_t mf_frames_take(struct mf_mem *mem, size_t want, struct mf_gpa *first);

/* Take MF_HUGE_PAGES adjoining, aligned frames, zeroed. False when there are none: take less. */
bool mf_frames_take_huge(struct mf_mem *mem, struct mf_gpa *first);

/* Give frames back. Their bytes are zeroed before anyone gets them again. */
void mf_frames_give(struct mf_mem *mem, struct mf_gpa first, size_t count);

static inline uint64_t mf_frames_left(const struct mf_mem *mem)
{
	uint64_t used = mf_mem_arena(mem)->frames_used + mf_mem_arena(mem)->huge_entries;

	return used < mem->frames_cap ? mem->frames_cap - used : 0;
}

/* Zero every free frame below the high-water mark: a frozen image's free frames read as zero. */
void mf_frames_clean(struct mf_mem *mem);

/* A frame's bit in one of the maps. */
bool mf_frames_test(const struct mf_mem *mem, enum mf_frame_map map, struct mf_gpa gpa);
void mf_frames_set(struct mf_mem *mem, enum mf_frame_map map, struct mf_gpa gpa, bool value);

#endif
