/* SPDX-License-Identifier: MIT */
/*
 * The arena: the part of a VM's mapping that lies before guest-physical 0 and in no memslot. All
 * that the engine keeps *about* a VM (frames, tables, Linux state) is plain data here, addressed by
 * offset, so that reset, delta and audit are one mechanism over pages. Guests cannot reach it.
 *
 *   base                 base + arena_bytes
 *   | header | linux state | bitmaps |  guest-physical memory ...
 *
 * Writers announce themselves with mf_mem_mark() first (engine/mem/mem.h).
 */
#ifndef MF_ENGINE_MEM_ARENA_H
#define MF_ENGINE_MEM_ARENA_H

#include <stdint.h>

#define MF_PAGE 4096u

/* What one entry above the leaf tables maps: 2 MiB. */
#define MF_HUGE_PAGES 512u
#define MF_HUGE       (MF_PAGE * MF_HUGE_PAGES)

#define MF_ARENA_MAGIC 0x616e657261796c66ull

/* Guest addresses are types of their own: they convert to nothing silently. */
struct mf_gpa {
	uint64_t at;
};
struct mf_gva {
	uint64_t at;
};
#define MF_GPA(x) ((struct mf_gpa){(x)})
#define MF_GVA(x) ((struct mf_gva){(x)})

/* One bit a guest frame; offsets from the arena's base. */
enum mf_frame_map {
	MF_FRAMES_USED,   /* handed out */
	MF_FRAMES_TABLE,  /* holds a page table */
	MF_FRAMES_EDITED, /* a table that was edited since the image */
	MF_FRAMES_SOILED, /* free, but its bytes are not zero */
	MF_FRAME_MAPS
};

struct mf_arena {
	uint64_t magic;
	uint64_t frames_limit; /* guest frames that this VM may ever have */
	uint64_t frames_used;
	uint64_t frames_high;   /* frames at and above were never handed out */
	uint64_t frames_lowest; /* no free frame below */
	uint64_t huge_lowest;   /* no free aligned run of MF_HUGE_PAGES below */
	uint64_t huge_entries;  /* each has a frame kept back: the table that splitting it needs */
	uint64_t pt_root;       /* gpa of the PML4 */
	uint32_t tables_edited; /* count of set bits in MF_FRAMES_EDITED */
	uint32_t tables_new;    /* tables made since the image */
	uint32_t map_offset[MF_FRAME_MAPS];
	uint32_t linux_offset;
	uint32_t linux_bytes;
};

#endif
