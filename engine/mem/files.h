/* SPDX-License-Identifier: MIT */
/* What engine/mem/mem.c needs of file maps when memory is made, frozen and destroyed. */
#ifndef MF_ENGINE_MEM_FILES_H
#define MF_ENGINE_MEM_FILES_H

#include "engine/mem/mem.h"

/* One past the last guest-physical address in use by frames or file maps. */
uint64_t mf_mem_files_end(const struct mf_mem *mem);

/* Map those of the image into a fork. -errno. */
int mf_mem_map_image_files(struct mf_mem *mem);

/* The memory goes: close what it held open. */
void mf_mem_close_files(struct mf_mem *mem);

/* They are the backing's now. */
void mf_mem_hand_over_files(struct mf_mem *mem, struct mf_backing *backing);
void mf_backing_close_files(struct mf_backing *backing);

#endif
