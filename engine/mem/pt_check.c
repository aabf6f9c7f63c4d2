/* SPDX-License-Identifier: MIT */
#include "engine/mem/pt_check.h"
#include "engine/mem/frames.h"
#include "engine/mem/pt.h"
#include "engine/mem/pt_entry.h"

#include <string.h>

#define LEAF_BITS (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D | PTE_HELD | PTE_OWN | PTE_PS | PTE_NX)

struct walk {
	const struct mf_mem *mem;
	uint64_t user_top;
	uint64_t again;  /* the page there lies in a frame that another one has, too */
	uint64_t *owned; /* one bit a frame: a table, or mapped */
	uint64_t tables;
	uint64_t huge;
	uint64_t file_pages[MF_FILE_MAPS];
};

static bool in_map(const struct walk *walk, enum mf_frame_map map, uint64_t frame)
{
	return mf_frames_test(walk->mem, map, MF_GPA(frame * MF_PAGE));
}

/* Set the bit; false when it was set. */
static bool claim(uint64_t *bits, uint64_t frame)
{
	uint64_t bit = 1ull << (frame % 64);

	if (bits[frame / 64] & bit)
		return false;
	bits[frame / 64] |= bit;
	return true;
}

static const char *check_frames(struct walk *walk, uint64_t va, uint64_t frame, size_t pages)
{
	if (frame + pages > walk->mem->guest_bytes / MF_PAGE)
		return "a page outside its memory";
	for (; pages; frame++, pages--) {
		if (!in_map(walk, MF_FRAMES_USED, frame) || in_map(walk, MF_FRAMES_TABLE, frame))
			return "a page in a frame that is not for pages";
		if (va != walk->again && !claim(walk->owned, frame))
			return "two pages in one frame";
	}
	return NULL;
}

/* A page of a file map; only windows and shared maps can be written. */
static const char *check_file_page(struct walk *walk, uint64_t entry)
{
	const struct mf_backing *backing = walk->mem->backing;
	size_t pages = entry & PTE_PS ? MF_HUGE_PAGES : 1;
	uint64_t gpa = entry & PTE_ADDR;
	size_t i;

	walk->huge += pages > 1;
	for (i = 0; i < backing->file_count; i++) {
		const struct mf_file_map *file = &backing->files[i];

		if (gpa < file->gpa || gpa - file->gpa >= file->bytes)
			continue;
		if (entry & PTE_OWN || gpa % (pages * MF_PAGE) ||
		    pages * MF_PAGE > file->bytes - (gpa - file->gpa) ||
		    (entry & PTE_W && file->fd >= 0 && !file->writable))
			return "a page of a file that is not as files are mapped";
		walk->file_pages[i] += pages;
		return NULL;
	}
	return "a page of a file that is not mapped";
}

static const char *check_leaf(struct walk *walk, uint64_t entry, int level, uint64_t va)
{
	uint64_t gpa = entry & PTE_ADDR;
	bool huge = entry & PTE_PS;

	if (entry & ~(LEAF_BITS | PTE_ADDR) || !(entry & PTE_HELD) || huge != (level == 1) ||
	    (entry & (PTE_A | PTE_D)) != (PTE_A | PTE_D))
		return "a page-table entry that no mapping makes";
	if (va < walk->user_top && !(entry & PTE_U))
		return "a page of the engine's among the program's";
	if (gpa >= walk->mem->limit_bytes)
		return check_file_page(walk, entry);
	if (huge && gpa % (MF_HUGE_PAGES * MF_PAGE))
		return "a large page that is not aligned";
	walk->huge += huge;
	return check_frames(walk, va, gpa / MF_PAGE, huge ? MF_HUGE_PAGES : 1);
}

static const char *check_table(struct walk *walk, uint64_t gpa, int level, uint64_t va);

static const char *check_entry(struct walk *walk, uint64_t entry, int level, uint64_t va)
{
	if (!entry)
		return NULL;
	if (va >> 47)
		return "a page in the upper half";
	if (level && (entry & (PTE_P | PTE_HELD)) == PTE_P)
		return (entry & ~PTE_ADDR) == TABLE
			       ? check_table(walk, entry & PTE_ADDR, level - 1, va)
			       : "a page-table entry that leads on as none does";
	return level > 1 ? "a page-table entry that is none" : check_leaf(walk, entry, level, va);
}

static const char *check_table(struct walk *walk, uint64_t gpa, int level, uint64_t va)
{
	const uint64_t *table;
	const char *wrong = NULL;
	unsigned int i;

	if (gpa % MF_PAGE || gpa + MF_PAGE > walk->mem->guest_bytes)
		return "a page table outside its memory";
	if (!in_map(walk, MF_FRAMES_USED, gpa / MF_PAGE) ||
	    !in_map(walk, MF_FRAMES_TABLE, gpa / MF_PAGE))
		return "a page table in a frame that is not for tables";
	if (!claim(walk->owned, gpa / MF_PAGE))
		return "a page table that is used twice";
	walk->tables++;
	table = (const uint64_t *)(walk->mem->guest + gpa);
	for (i = 0; i < ENTRIES && !wrong; i++)
		wrong = check_entry(walk, table[i], level, va | (uint64_t)i << (12 + 9 * level));
	return wrong;
}

static uint64_t count_bits(const struct mf_mem *mem, enum mf_frame_map map, uint64_t from)
{
	const uint64_t *bits = mf_mem_map(mem, map);
	uint64_t frames = mf_mem_arena(mem)->frames_limit;
	uint64_t count = 0;
	uint64_t frame;

	for (frame = from; frame < frames; frame++) {
		if (frame % 64 == 0 && !bits[frame / 64])
			frame += 63;
		else
			count += bits[frame / 64] >> (frame % 64) & 1;
	}
	return count;
}

static const char *check_arena(const struct mf_mem *mem, const struct mf_mem *blank)
{
	const struct mf_arena *arena = mf_mem_arena(mem);
	const struct mf_arena *laid = mf_mem_arena(blank);

	if (arena->magic != MF_ARENA_MAGIC || mem->arena_bytes != blank->arena_bytes ||
	    arena->frames_limit != laid->frames_limit ||
	    arena->linux_offset != laid->linux_offset || arena->linux_bytes != laid->linux_bytes ||
	    memcmp(arena->map_offset, laid->map_offset, sizeof(arena->map_offset)))
		return "its account is laid out in another way";
	if (arena->tables_edited || arena->tables_new || arena->frames_high > arena->frames_limit ||
	    arena->frames_high * MF_PAGE != mem->guest_bytes ||
	    arena->frames_lowest > arena->frames_limit || arena->huge_lowest % MF_HUGE_PAGES ||
	    arena->huge_lowest > arena->frames_limit || arena->pt_root % MF_PAGE)
		return "its account does not agree with itself";
	return NULL;
}

static const char *check_maps(const struct mf_mem *mem)
{
	const struct mf_arena *arena = mf_mem_arena(mem);

	if (count_bits(mem, MF_FRAMES_USED, 0) != arena->frames_used ||
	    count_bits(mem, MF_FRAMES_USED, arena->frames_high) ||
	    count_bits(mem, MF_FRAMES_EDITED, 0) || count_bits(mem, MF_FRAMES_SOILED, 0))
		return "its account of frames does not add up";
	return NULL;
}

static const char *check_tables(const struct mf_mem *mem, uint64_t user_top, uint64_t again,
				uint64_t *owned)
{
	struct walk walk = {.mem = mem, .user_top = user_top, .again = again, .owned = owned};
	const char *wrong = check_table(&walk, mf_mem_arena(mem)->pt_root, 3, 0);
	size_t i;

	if (wrong)
		return wrong;
	if (walk.tables != count_bits(mem, MF_FRAMES_TABLE, 0))
		return "a page table that nothing leads to";
	for (i = 0; i < mem->backing->file_count; i++)
		if (walk.file_pages[i] > mem->backing->files[i].pages ||
		    mem->backing->files[i].pages > mem->backing->files[i].bytes / MF_PAGE)
			return "the pages of a file that it has mapped are miscounted";
	return walk.huge == mf_mem_arena(mem)->huge_entries ? NULL
							    : "its large pages are miscounted";
}

const char *mf_mem_check(const struct mf_mem *mem, const struct mf_mem *blank, uint64_t user_top,
			 uint64_t again, uint64_t *owned)
{
	const char *wrong = check_arena(mem, blank);

	if (!wrong)
		wrong = check_maps(mem);
	return wrong ? wrong : check_tables(mem, user_top, again, owned);
}
