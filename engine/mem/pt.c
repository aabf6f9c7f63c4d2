/* SPDX-License-Identifier: MIT */
#include "engine/mem/pt.h"
#include "engine/mem/flush.h"
#include "engine/mem/frames.h"

#include <errno.h>
#include <string.h>

/* Intel SDM vol. 3, 4.5.4: 4-level paging entries. Bits 9 to 11 are ours to use. */
#define PTE_P    0x001ull
#define PTE_W    0x002ull
#define PTE_U    0x004ull
#define PTE_A    0x020ull
#define PTE_D    0x040ull
#define PTE_HELD 0x400ull /* maps something, if only without any access */
#define PTE_OWN  0x200ull /* the frame goes back to the allocator at unmap */
#define PTE_NX   (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull
#define TABLE    (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)

#define ENTRIES 512u

/* Is the frame that an entry names one of ours? No guest can write a table, so it is; this is the
 * second wall: nothing outside the mapping is reached through what a table says. */
static bool in_frames(const struct mf_mem *mem, uint64_t entry)
{
	return (entry & PTE_ADDR) + MF_PAGE <= mem->guest_bytes;
}

/* NULL where that is no memory. */
static uint64_t *table_at(const struct mf_mem *mem, uint64_t gpa)
{
	return in_frames(mem, gpa) ? (uint64_t *)(mem->guest + (gpa & PTE_ADDR)) : NULL;
}

static unsigned int index_of(struct mf_gva va, int level)
{
	return va.at >> (12 + 9 * level) & 511;
}

static uint64_t entry_for(struct mf_gpa gpa, int prot)
{
	uint64_t entry = gpa.at | PTE_HELD | PTE_A | PTE_D;

	if (prot & (MF_READ | MF_WRITE | MF_EXEC))
		entry |= PTE_P;
	if (prot & MF_WRITE)
		entry |= PTE_W;
	if (!(prot & MF_EXEC))
		entry |= PTE_NX;
	if (!(prot & MF_SUPERVISOR))
		entry |= PTE_U;
	if (!(prot & MF_ENGINE))
		entry |= PTE_OWN;
	return entry;
}

static bool is_absent(uint64_t entry)
{
	return !(entry & PTE_HELD);
}

/* Account for an edit of the table that holds `entry`; then write. */
static void set_entry(struct mf_mem *mem, uint64_t *entry, uint64_t value)
{
	struct mf_gpa table =
		MF_GPA((uint64_t)((uint8_t *)entry - mem->guest) & ~(uint64_t)(MF_PAGE - 1));

	if (mem->backing && !mf_frames_test(mem, MF_FRAMES_EDITED, table)) {
		mf_frames_set(mem, MF_FRAMES_EDITED, table, true);
		mf_mem_arena_rw(mem)->tables_edited++;
	}
	*entry = value;
}

static int new_table(struct mf_mem *mem, struct mf_gpa *gpa)
{
	if (!mf_frames_take(mem, 1, gpa))
		return -ENOMEM;
	mf_frames_set(mem, MF_FRAMES_TABLE, *gpa, true);
	if (mem->backing) {
		mf_mem_arena_rw(mem)->tables_new++;
		mf_mem_mark(mem, mem->guest + gpa->at, MF_PAGE);
	}
	return 0;
}

int mf_pt_init(struct mf_mem *mem)
{
	struct mf_gpa root;
	int ret = new_table(mem, &root);

	if (!ret)
		mf_mem_arena_rw(mem)->pt_root = root.at;
	return ret;
}

/*
 * The leaf table of va, made if need be; NULL when absent (or no memory), and then *next is the
 * first address behind the hole: whole levels of nothing are passed at once.
 */
static uint64_t *walk(struct mf_mem *mem, struct mf_gva va, bool make, uint64_t *next)
{
	uint64_t *table = table_at(mem, mf_mem_arena(mem)->pt_root);
	int level;

	*next = va.at + MF_PAGE;
	for (level = 3; level > 0 && table; level--) {
		uint64_t *entry = &table[index_of(va, level)];
		struct mf_gpa gpa;

		*next = (va.at | ((1ull << (12 + 9 * level)) - 1)) + 1;
		if (!(*entry & PTE_P)) {
			if (!make || new_table(mem, &gpa))
				return NULL;
			set_entry(mem, entry, gpa.at | TABLE);
		}
		table = table_at(mem, *entry);
	}
	return table;
}

static uint64_t *leaf_table(struct mf_mem *mem, struct mf_gva va, bool make)
{
	uint64_t next;

	return walk(mem, va, make, &next);
}

static uint64_t find_entry(const struct mf_mem *mem, struct mf_gva va)
{
	uint64_t *table = leaf_table((struct mf_mem *)mem, va, false);

	return table ? table[index_of(va, 0)] : 0;
}

int mf_pt_prepare(struct mf_mem *mem, struct mf_gva va, size_t pages)
{
	uint64_t end = va.at + pages * MF_PAGE;
	uint64_t at;

	for (at = va.at & ~0x1fffffull; at < end; at += 0x200000)
		if (!leaf_table(mem, MF_GVA(at), true))
			return -ENOMEM;
	return 0;
}

int mf_pt_map(struct mf_mem *mem, struct mf_gva va, struct mf_gpa gpa, size_t pages, int prot)
{
	int ret = mf_pt_prepare(mem, va, pages);

	if (ret)
		return ret;
	for (; pages; pages--, va.at += MF_PAGE, gpa.at += MF_PAGE)
		set_entry(mem, &leaf_table(mem, va, false)[index_of(va, 0)], entry_for(gpa, prot));
	return 0;
}

/* Does going from `old` to `new` take anything away from a translation that may be cached? */
static bool narrows(uint64_t old, uint64_t new)
{
	if (!(old & PTE_P))
		return false;
	return !(new &PTE_P) || (old ^ new) & PTE_ADDR || (old & PTE_W && !(new &PTE_W)) ||
	       (old & PTE_U && !(new &PTE_U)) || (!(old & PTE_NX) && new &PTE_NX);
}

static void change(struct mf_mem *mem, uint64_t *entry, uint64_t value, struct mf_flush *flush)
{
	uint64_t old = *entry;

	if (old == value)
		return;
	set_entry(mem, entry, value);
	if (narrows(old, value))
		mf_flush_add(flush, mem, MF_GPA(old & PTE_ADDR));
	else
		mf_flush_gain(mem);
}

typedef uint64_t edit_fn(void *cookie, struct mf_mem *mem, uint64_t old);

/* Apply `edit` to every entry of the range that is there, then flush once. */
static void edit_range(struct mf_mem *mem, struct mf_gva va, size_t pages, edit_fn *edit,
		       void *cookie)
{
	struct mf_flush flush = {0};
	uint64_t end = va.at + pages * MF_PAGE;

	while (va.at < end) {
		uint64_t next;
		uint64_t *table = walk(mem, va, false, &next);
		uint64_t *entry;

		if (!table) {
			va.at = next;
			continue;
		}
		entry = &table[index_of(va, 0)];
		if (!is_absent(*entry))
			change(mem, entry, edit(cookie, mem, *entry), &flush);
		va.at += MF_PAGE;
	}
	mf_flush_end(&flush, mem);
}

static bool is_own(const struct mf_mem *mem, uint64_t entry)
{
	return entry & PTE_OWN && in_frames(mem, entry);
}

static uint64_t edit_zero(void *cookie, struct mf_mem *mem, uint64_t old)
{
	struct mf_gpa gpa = MF_GPA(old & PTE_ADDR);

	(void)cookie;
	if (is_own(mem, old)) {
		mf_mem_mark(mem, mem->guest + gpa.at, MF_PAGE);
		memset(mem->guest + gpa.at, 0, MF_PAGE);
	}
	return old;
}

void mf_pt_zero(struct mf_mem *mem, struct mf_gva va, size_t pages)
{
	edit_range(mem, va, pages, edit_zero, NULL);
}

static uint64_t edit_protect(void *cookie, struct mf_mem *mem, uint64_t old)
{
	int prot = *(int *)cookie;

	(void)mem;
	if (!(old & PTE_OWN))
		prot |= MF_ENGINE;
	return entry_for(MF_GPA(old & PTE_ADDR), prot);
}

void mf_pt_protect(struct mf_mem *mem, struct mf_gva va, size_t pages, int prot)
{
	edit_range(mem, va, pages, edit_protect, &prot);
}

/* Frames are given back run by run, after the translations are gone. */
struct release {
	uint64_t first;
	size_t count;
};

static void release_run(struct mf_mem *mem, struct release *run)
{
	if (run->count)
		mf_frames_give(mem, MF_GPA(run->first), run->count);
	run->count = 0;
}

static uint64_t edit_unmap(void *cookie, struct mf_mem *mem, uint64_t old)
{
	struct release *run = cookie;
	uint64_t gpa = old & PTE_ADDR;

	if (!is_own(mem, old))
		return 0;
	if (run->count && run->first + run->count * MF_PAGE == gpa) {
		run->count++;
		return 0;
	}
	release_run(mem, run);
	*run = (struct release){gpa, 1};
	return 0;
}

void mf_pt_unmap(struct mf_mem *mem, struct mf_gva va, size_t pages)
{
	struct release run = {0};

	edit_range(mem, va, pages, edit_unmap, &run);
	release_run(mem, &run);
}

void mf_pt_move(struct mf_mem *mem, struct mf_gva from, struct mf_gva to, size_t pages)
{
	struct mf_flush flush = {0};
	uint64_t end = from.at + pages * MF_PAGE;

	while (from.at < end) {
		uint64_t next;
		uint64_t *source = walk(mem, from, false, &next);
		uint64_t entry = source ? source[index_of(from, 0)] : 0;

		if (source)
			next = from.at + MF_PAGE;
		if (!is_absent(entry)) {
			change(mem, &source[index_of(from, 0)], 0, &flush);
			set_entry(mem, &leaf_table(mem, to, false)[index_of(to, 0)], entry);
		}
		to.at += next - from.at;
		from.at = next;
	}
	mf_flush_end(&flush, mem);
}

bool mf_pt_lookup(const struct mf_mem *mem, struct mf_gva va, struct mf_gpa *gpa)
{
	uint64_t entry = find_entry(mem, va);

	if (is_absent(entry))
		return false;
	*gpa = MF_GPA((entry & PTE_ADDR) | (va.at & (MF_PAGE - 1)));
	return true;
}

bool mf_pt_translate(const struct mf_mem *mem, struct mf_gva va, int prot, struct mf_gpa *gpa)
{
	uint64_t entry;

	if (va.at >> 47)
		return false;
	entry = find_entry(mem, va);
	if (!(entry & PTE_P) || !(entry & PTE_U))
		return false;
	if ((prot & MF_WRITE && !(entry & PTE_W)) || (prot & MF_EXEC && entry & PTE_NX))
		return false;
	*gpa = MF_GPA((entry & PTE_ADDR) | (va.at & (MF_PAGE - 1)));
	return true;
}

static void each_page(const struct mf_mem *mem, uint64_t table_gpa, int level, uint64_t va,
		      mf_pt_page_fn *fn, void *cookie)
{
	const uint64_t *table = table_at(mem, table_gpa);
	unsigned int i;

	for (i = 0; table && i < ENTRIES; i++) {
		uint64_t at = va | (uint64_t)i << (12 + 9 * level);

		if ((table[i] & (PTE_P | PTE_U)) != (PTE_P | PTE_U))
			continue;
		if (level)
			each_page(mem, table[i], level - 1, at, fn, cookie);
		else
			fn(cookie, MF_GVA(at), MF_GPA(table[i] & PTE_ADDR));
	}
}

void mf_pt_each_user_page(const struct mf_mem *mem, mf_pt_page_fn *fn, void *cookie)
{
	each_page(mem, mf_mem_arena(mem)->pt_root, 3, 0, fn, cookie);
}

static bool was_table(const struct mf_mem *mem, uint64_t frame)
{
	return mf_mem_image_map(mem, MF_FRAMES_TABLE)[frame / 64] >> (frame % 64) & 1;
}

static void reset_table(struct mf_mem *mem, uint64_t frame, struct mf_flush *flush)
{
	uint64_t *now = (uint64_t *)(mem->guest + frame * MF_PAGE);
	const uint64_t *then =
		(const uint64_t *)(mem->backing->map + mem->arena_bytes + frame * MF_PAGE);
	unsigned int i;

	for (i = 0; i < ENTRIES; i++) {
		uint64_t old = now[i];

		if (old == then[i])
			continue;
		now[i] = then[i];
		if (narrows(old, then[i]))
			mf_flush_add(flush, mem, MF_GPA(old & PTE_ADDR));
		else
			mf_flush_gain(mem);
	}
}

void mf_pt_reset(struct mf_mem *mem)
{
	const struct mf_arena *arena = mf_mem_arena(mem);
	const uint64_t *edited = mf_mem_map(mem, MF_FRAMES_EDITED);
	struct mf_flush flush = {0};
	uint64_t word;

	if (!arena->tables_edited)
		return;
	mf_flush_gain(
		mem); /* the edits may have undone each other; their flush may never have run */
	/* A table that the image did not have is about to vanish with all below it. */
	if (arena->tables_new)
		flush.all = true;
	for (word = 0; word < (arena->frames_high + 63) / 64; word++) {
		uint64_t bits = edited[word];

		for (; bits; bits &= bits - 1) {
			uint64_t frame = word * 64 + (uint64_t)__builtin_ctzll(bits);

			if (was_table(mem, frame))
				reset_table(mem, frame, &flush);
		}
	}
	mf_flush_end(&flush, mem);
}

void mf_pt_flush_all(struct mf_mem *mem)
{
	struct mf_flush flush = {.all = true};

	mf_flush_end(&flush, mem);
}

/* Translate; what comes at a touch comes now. */
static bool reach(struct mf_mem *mem, struct mf_gva va, int prot, struct mf_gpa *gpa)
{
	return mf_pt_translate(mem, va, prot, gpa) ||
	       (mem->touch && mem->touch(mem, va, prot) && mf_pt_translate(mem, va, prot, gpa));
}

size_t mf_pt_span(struct mf_mem *mem, struct mf_gva va, size_t bytes, int prot, void **at)
{
	struct mf_gpa gpa;
	size_t got = 0;

	while (got < bytes) {
		size_t chunk = MF_PAGE - ((va.at + got) & (MF_PAGE - 1));

		if (!reach(mem, MF_GVA(va.at + got), prot, &gpa))
			break;
		if (!mf_mem_at(mem, gpa, 1))
			break;
		if (!got)
			*at = mem->guest + gpa.at;
		else if (mem->guest + gpa.at != (uint8_t *)*at + got)
			break;
		got += chunk < bytes - got ? chunk : bytes - got;
	}
	if (got && prot & MF_WRITE)
		mf_mem_mark(mem, *at, got);
	return got;
}

static int copy(struct mf_mem *mem, struct mf_gva va, uint8_t *buffer, size_t bytes, int prot)
{
	while (bytes) {
		void *at;
		size_t span = mf_pt_span(mem, va, bytes, prot, &at);

		if (!span)
			return -EFAULT;
		if (prot & MF_WRITE)
			memcpy(at, buffer, span);
		else
			memcpy(buffer, at, span);
		buffer += span;
		va.at += span;
		bytes -= span;
	}
	return 0;
}

int mf_pt_read(const struct mf_mem *mem, struct mf_gva va, void *to, size_t bytes)
{
	return copy((struct mf_mem *)mem, va, to, bytes, MF_READ);
}

int mf_pt_write(struct mf_mem *mem, struct mf_gva va, const void *from, size_t bytes)
{
	return copy(mem, va, (uint8_t *)from, bytes, MF_WRITE);
}
