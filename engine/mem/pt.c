/* SPDX-License-Identifier: MIT */
#include "engine/mem/pt.h"
#include "engine/mem/flush.h"
#include "engine/mem/frames.h"
#include "engine/mem/pt_check.h"
#include "engine/mem/pt_entry.h"

#include <errno.h>
#include <string.h>

/* Pages that a mapping entry maps. */
static size_t pages_of(uint64_t entry)
{
	return entry & PTE_PS ? MF_HUGE_PAGES : 1;
}

/* Is what an entry names in our frames? No guest can write a table, so it is; this is the second
 * wall: nothing outside the mapping is reached through what a table says. */
static bool in_frames(const struct mf_mem *mem, uint64_t entry)
{
	return (entry & PTE_ADDR) + pages_of(entry) * MF_PAGE <= mem->guest_bytes;
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

static bool is_table(uint64_t entry)
{
	return (entry & (PTE_P | PTE_HELD)) == PTE_P;
}

static bool is_huge(uint64_t entry)
{
	return (entry & (PTE_HELD | PTE_PS)) == (PTE_HELD | PTE_PS);
}

static bool is_huge_aligned(uint64_t at)
{
	return !(at & (MF_HUGE - 1));
}

static struct mf_gpa gpa_of(const struct mf_mem *mem, const uint64_t *entry)
{
	return MF_GPA((uint64_t)((const uint8_t *)entry - mem->guest));
}

/* Account for an edit of the table that holds `entry`; then write. */
static void set_entry(struct mf_mem *mem, uint64_t *entry, uint64_t value)
{
	struct mf_gpa table = MF_GPA(gpa_of(mem, entry).at & ~(uint64_t)(MF_PAGE - 1));

	if (mem->backing && !mf_frames_test(mem, MF_FRAMES_EDITED, table)) {
		mf_frames_set(mem, MF_FRAMES_EDITED, table, true);
		mf_mem_arena_rw(mem)->tables_edited++;
	}
	*entry = value;
}

/* What the shadow of an entry above the leaf tables has below it; 0: nothing, or a leaf. */
static uint64_t lead_of(uint64_t entry)
{
	return is_table(entry) || is_huge(entry) ? entry & (PTE_ADDR | PTE_PS) : 0;
}

/* Does going from `old` to `new` take anything away from a translation that may be cached? */
static bool narrows(uint64_t old, uint64_t new)
{
	if (!(old & PTE_P))
		return false;
	return !(new &PTE_P) || (old ^ new) & PTE_ADDR || (old & PTE_W && !(new &PTE_W)) ||
	       (old & PTE_U && !(new &PTE_U)) || (!(old & PTE_NX) && new &PTE_NX);
}

/* `entry` was `old` and now is `value`: see to the translations that may be cached. */
static void changed(struct mf_mem *mem, const uint64_t *entry, uint64_t old, uint64_t value,
		    struct mf_flush *flush)
{
	if (lead_of(old) || lead_of(value))
		mf_flush_lead(flush, mem, gpa_of(mem, entry), lead_of(old), lead_of(value));
	if (narrows(old, value))
		mf_flush_add(flush, mem, MF_GPA(old & PTE_ADDR), pages_of(old));
	else if (old & PTE_P)
		mf_flush_gain(mem); /* what is not present is never cached: SDM vol. 3, 4.10.2 */
}

static void change(struct mf_mem *mem, uint64_t *entry, uint64_t value, struct mf_flush *flush)
{
	uint64_t old = *entry;

	if (old == value)
		return;
	set_entry(mem, entry, value);
	changed(mem, entry, old, value, flush);
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

/* The entry that says what lies at an address. */
struct place {
	uint64_t *entry;
	int level;     /* 0: of a leaf table; 1: 2 MiB, or nothing; above: nothing */
	uint64_t next; /* the first address behind what the entry is for */
};

static struct place find(const struct mf_mem *mem, struct mf_gva va)
{
	static uint64_t nothing; /* never written: who finds it finds it absent */
	uint64_t *table = table_at(mem, mf_mem_arena(mem)->pt_root);
	struct place place = {&nothing, 3, 0};

	for (;; place.level--) {
		place.next = (va.at | ((1ull << (12 + 9 * place.level)) - 1)) + 1;
		place.entry = table ? &table[index_of(va, place.level)] : &nothing;
		if (!place.level || !is_table(*place.entry))
			return place;
		table = table_at(mem, *place.entry);
	}
}

/*
 * Put a table in the place of a mapping of 2 MiB; nothing that is mapped changes. The frame was
 * kept back, so only a host without memory can fail here, and then the VM is broken.
 */
static bool split(struct mf_mem *mem, uint64_t *entry, struct mf_flush *flush)
{
	uint64_t old = *entry;
	struct mf_gpa gpa;
	uint64_t *table;
	unsigned int i;

	mf_mem_arena_rw(mem)->huge_entries--;
	if (new_table(mem, &gpa)) {
		mem->broken = true;
		return false;
	}
	table = table_at(mem, gpa.at);
	for (i = 0; i < ENTRIES; i++)
		table[i] = (old & ~PTE_PS) + i * (uint64_t)MF_PAGE;
	change(mem, entry, gpa.at | TABLE, flush);
	return true;
}

/* The table of `level` that holds the entry of va, made if need be; NULL: no memory. */
static uint64_t *make_table(struct mf_mem *mem, struct mf_gva va, int to, struct mf_flush *flush)
{
	uint64_t *table = table_at(mem, mf_mem_arena(mem)->pt_root);
	int level;

	for (level = 3; level > to && table; level--) {
		uint64_t *entry = &table[index_of(va, level)];
		struct mf_gpa gpa;

		if (is_huge(*entry)) {
			if (!split(mem, entry, flush))
				return NULL;
		} else if (!is_table(*entry)) {
			if (new_table(mem, &gpa))
				return NULL;
			change(mem, entry, gpa.at | TABLE, flush);
		}
		table = table_at(mem, *entry);
	}
	return table;
}

static int prepare(struct mf_mem *mem, uint64_t from, uint64_t end, struct mf_flush *flush)
{
	uint64_t at;

	for (at = from & ~(uint64_t)(MF_HUGE - 1); at < end; at += MF_HUGE)
		if (!is_huge(*find(mem, MF_GVA(at)).entry) &&
		    !make_table(mem, MF_GVA(at), 0, flush))
			return -ENOMEM;
	return 0;
}

int mf_pt_prepare(struct mf_mem *mem, struct mf_gva va, size_t pages)
{
	struct mf_flush flush = {0};
	int ret = prepare(mem, va.at, va.at + pages * MF_PAGE, &flush);

	mf_flush_end(&flush, mem);
	return ret;
}

static bool is_empty(const uint64_t *table)
{
	unsigned int i = 0;

	while (i < ENTRIES && !table[i])
		i++;
	return i == ENTRIES;
}

/*
 * A table that maps nothing gives way to an entry of 2 MiB, unless the image may have it: reset
 * puts back what tables say, not what they were replaced by.
 */
static bool drop_table(struct mf_mem *mem, uint64_t *entry, struct mf_flush *flush)
{
	struct mf_gpa gpa = MF_GPA(*entry & PTE_ADDR);
	const uint64_t *table = table_at(mem, *entry);

	if (mem->backing || !table || !is_empty(table))
		return false;
	change(mem, entry, 0, flush);
	mf_frames_set(mem, MF_FRAMES_TABLE, gpa, false);
	mf_frames_give(mem, gpa, 1);
	return true;
}

/* May one entry map the 2 MiB at va, which are absent? Not where a table stays, and not (*ret)
 * where there is no memory for the table above. */
static bool make_huge_place(struct mf_mem *mem, struct mf_gva va, struct mf_flush *flush, int *ret)
{
	uint64_t *table = make_table(mem, va, 1, flush);
	uint64_t *entry = table ? &table[index_of(va, 1)] : NULL;

	*ret = entry ? 0 : -ENOMEM;
	return entry && (!is_table(*entry) || drop_table(mem, entry, flush));
}

static bool wants_huge(struct mf_gva va, struct mf_gpa gpa, uint64_t bytes)
{
	return is_huge_aligned(va.at) && is_huge_aligned(gpa.at) && bytes >= MF_HUGE;
}

/* Bytes from `at` on that lie in the same 2 MiB, at most to `end`. */
static uint64_t step(uint64_t at, uint64_t end)
{
	uint64_t left = MF_HUGE - (at & (MF_HUGE - 1));

	return left < end - at ? left : end - at;
}

/* All tables for mapping or moving to a range, and frames kept back for entries of 2 MiB. */
static int make_tables(struct mf_mem *mem, struct mf_gva va, struct mf_gpa gpa, uint64_t bytes,
		       struct mf_flush *flush)
{
	uint64_t end = va.at + bytes;
	uint64_t huge = 0;
	int ret = 0;

	while (va.at < end && !ret) {
		uint64_t part = step(va.at, end);

		if (wants_huge(va, gpa, end - va.at) && make_huge_place(mem, va, flush, &ret))
			huge++;
		else if (!ret && !make_table(mem, va, 0, flush))
			ret = -ENOMEM;
		va.at += part;
		gpa.at += part;
	}
	return ret || mf_frames_left(mem) < huge ? -ENOMEM : 0;
}

int mf_pt_map(struct mf_mem *mem, struct mf_gva va, struct mf_gpa gpa, size_t pages, int prot)
{
	struct mf_flush flush = {0};
	uint64_t end = va.at + pages * MF_PAGE;
	int ret = make_tables(mem, va, gpa, end - va.at, &flush);

	while (va.at < end && !ret) {
		struct place place = find(mem, va);
		bool huge = place.level == 1;

		change(mem, place.entry, entry_for(gpa, prot) | (huge ? PTE_PS : 0), &flush);
		if (huge)
			mf_mem_arena_rw(mem)->huge_entries++;
		gpa.at += place.next - va.at;
		va.at = place.next;
	}
	mf_flush_end(&flush, mem);
	return ret;
}

size_t mf_pt_absent(const struct mf_mem *mem, struct mf_gva va, size_t pages)
{
	uint64_t end = va.at + pages * MF_PAGE;
	uint64_t at = va.at;

	while (at < end) {
		struct place place = find(mem, MF_GVA(at));

		if (!is_absent(*place.entry))
			break;
		at = place.next;
	}
	return (at < end ? at - va.at : end - va.at) / MF_PAGE;
}

typedef uint64_t edit_fn(void *cookie, struct mf_mem *mem, uint64_t old);

/* Apply `edit` to every entry of the range that is there, splitting those that reach out of it,
 * then flush once. */
static void edit_range(struct mf_mem *mem, struct mf_gva va, size_t pages, edit_fn *edit,
		       void *cookie)
{
	struct mf_flush flush = {0};
	uint64_t end = va.at + pages * MF_PAGE;

	while (va.at < end) {
		struct place place = find(mem, va);

		if (is_huge(*place.entry) && (!is_huge_aligned(va.at) || place.next > end) &&
		    split(mem, place.entry, &flush))
			continue;
		if (!is_absent(*place.entry))
			change(mem, place.entry, edit(cookie, mem, *place.entry), &flush);
		va.at = place.next;
	}
	mf_flush_end(&flush, mem);
}

static bool is_own(const struct mf_mem *mem, uint64_t entry)
{
	return entry & PTE_OWN && in_frames(mem, entry);
}

void mf_pt_zero(struct mf_mem *mem, struct mf_gva va, size_t pages)
{
	uint64_t end = va.at + pages * MF_PAGE;

	while (va.at < end) {
		struct place place = find(mem, va);
		uint64_t until = place.next < end ? place.next : end;
		uint64_t at = *place.entry & PTE_ADDR;

		if (is_huge(*place.entry))
			at += va.at & (MF_HUGE - 1);
		if (!is_absent(*place.entry) && is_own(mem, *place.entry)) {
			mf_mem_mark(mem, mem->guest + at, until - va.at);
			memset(mem->guest + at, 0, until - va.at);
		}
		va.at = until;
	}
}

static uint64_t edit_protect(void *cookie, struct mf_mem *mem, uint64_t old)
{
	int prot = *(int *)cookie;

	(void)mem;
	if (!(old & PTE_OWN))
		prot |= MF_ENGINE;
	return entry_for(MF_GPA(old & PTE_ADDR), prot) | (old & PTE_PS);
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

	if (is_huge(old))
		mf_mem_arena_rw(mem)->huge_entries--;
	if (!is_own(mem, old))
		return 0;
	if (run->count && run->first + run->count * MF_PAGE == gpa) {
		run->count += pages_of(old);
		return 0;
	}
	release_run(mem, run);
	*run = (struct release){gpa, pages_of(old)};
	return 0;
}

void mf_pt_unmap(struct mf_mem *mem, struct mf_gva va, size_t pages)
{
	struct release run = {0};

	edit_range(mem, va, pages, edit_unmap, &run);
	release_run(mem, &run);
}

/* What one entry maps moves to `to`: again one entry, or one for each page. */
static void move_entry(struct mf_mem *mem, uint64_t *from, struct mf_gva to, struct mf_flush *flush)
{
	uint64_t entry = *from;
	struct place place = find(mem, to);
	size_t i;

	change(mem, from, 0, flush);
	if (!is_huge(entry) || place.level) {
		change(mem, place.entry, entry, flush);
		return;
	}
	mf_mem_arena_rw(mem)->huge_entries--;
	for (i = 0; i < ENTRIES; i++)
		change(mem, find(mem, MF_GVA(to.at + i * MF_PAGE)).entry,
		       (entry & ~PTE_PS) + i * MF_PAGE, flush);
}

/* What moving the part [from, from+bytes), all of it of one kind, to `to` needs there. */
static int make_target(struct mf_mem *mem, struct place source, struct mf_gva to, uint64_t bytes,
		       struct mf_flush *flush)
{
	int ret = 0;

	if (source.level && is_absent(*source.entry))
		return 0;
	if (is_huge(*source.entry) && bytes < MF_HUGE && !split(mem, source.entry, flush))
		return -ENOMEM;
	if (is_huge(*source.entry) && is_huge_aligned(to.at) &&
	    make_huge_place(mem, to, flush, &ret))
		return 0;
	return ret ? ret : prepare(mem, to.at, to.at + bytes, flush);
}

static int make_targets(struct mf_mem *mem, struct mf_gva from, struct mf_gva to, uint64_t bytes,
			struct mf_flush *flush)
{
	uint64_t end = from.at + bytes;
	int ret = 0;

	while (from.at < end && !ret) {
		struct place source = find(mem, from);
		uint64_t part = source.level ? source.next - from.at : step(from.at, end);

		part = part < end - from.at ? part : end - from.at;
		ret = make_target(mem, source, to, part, flush);
		to.at += part;
		from.at += part;
	}
	return ret;
}

int mf_pt_move(struct mf_mem *mem, struct mf_gva from, struct mf_gva to, size_t pages)
{
	struct mf_flush flush = {0};
	uint64_t end = from.at + pages * MF_PAGE;
	int ret = make_targets(mem, from, to, end - from.at, &flush);

	while (from.at < end && !ret) {
		struct place place = find(mem, from);

		if (!is_absent(*place.entry))
			move_entry(mem, place.entry, to, &flush);
		to.at += place.next - from.at;
		from.at = place.next;
	}
	mf_flush_end(&flush, mem);
	return ret;
}

/* Where an entry, that of va, has va. */
static struct mf_gpa gpa_at(uint64_t entry, struct mf_gva va)
{
	return MF_GPA((entry & PTE_ADDR) | (va.at & (pages_of(entry) * MF_PAGE - 1)));
}

bool mf_pt_alike(const struct mf_mem *a, const struct mf_mem *b, struct mf_gva va)
{
	return !((*find(a, va).entry ^ *find(b, va).entry) & ~PTE_ADDR);
}

bool mf_pt_lookup(const struct mf_mem *mem, struct mf_gva va, struct mf_gpa *gpa)
{
	uint64_t entry = *find(mem, va).entry;

	if (is_absent(entry))
		return false;
	*gpa = gpa_at(entry, va);
	return true;
}

/* As mf_pt_translate; *next: the first address that another entry is for. */
static bool translate(const struct mf_mem *mem, struct mf_gva va, int prot, struct mf_gpa *gpa,
		      uint64_t *next)
{
	struct place place;
	uint64_t entry;

	if (va.at >> 47)
		return false;
	place = find(mem, va);
	entry = *place.entry;
	if (is_absent(entry) || !(entry & PTE_P) || !(entry & PTE_U))
		return false;
	if ((prot & MF_WRITE && !(entry & PTE_W)) || (prot & MF_EXEC && entry & PTE_NX))
		return false;
	*gpa = gpa_at(entry, va);
	*next = place.next;
	return true;
}

bool mf_pt_translate(const struct mf_mem *mem, struct mf_gva va, int prot, struct mf_gpa *gpa)
{
	uint64_t next;

	return translate(mem, va, prot, gpa, &next);
}

struct visit {
	mf_pt_page_fn *fn;
	void *cookie;
	bool constant_huge;
};

static void visit_entry(const struct mf_mem *mem, const struct visit *visit, uint64_t entry,
			uint64_t va)
{
	uint64_t gpa = entry & PTE_ADDR;
	size_t i;

	if (visit->constant_huge) {
		if (is_huge(entry) && !(entry & PTE_W) && in_frames(mem, entry))
			visit->fn(visit->cookie, MF_GVA(va), MF_GPA(gpa));
		return;
	}
	for (i = 0; i < pages_of(entry); i++)
		visit->fn(visit->cookie, MF_GVA(va + i * MF_PAGE), MF_GPA(gpa + i * MF_PAGE));
}

static void visit_table(const struct mf_mem *mem, const struct visit *visit, uint64_t table_gpa,
			int level, uint64_t va)
{
	const uint64_t *table = table_at(mem, table_gpa);
	unsigned int i;

	for (i = 0; table && i < ENTRIES; i++) {
		uint64_t at = va | (uint64_t)i << (12 + 9 * level);

		if ((table[i] & (PTE_P | PTE_U)) != (PTE_P | PTE_U))
			continue;
		if (level && is_table(table[i]))
			visit_table(mem, visit, table[i], level - 1, at);
		else if (!is_absent(table[i]))
			visit_entry(mem, visit, table[i], at);
	}
}

void mf_pt_each_user_page(const struct mf_mem *mem, mf_pt_page_fn *fn, void *cookie)
{
	struct visit visit = {fn, cookie, false};

	visit_table(mem, &visit, mf_mem_arena(mem)->pt_root, 3, 0);
}

void mf_pt_each_constant_huge(const struct mf_mem *mem, mf_pt_page_fn *fn, void *cookie)
{
	struct visit visit = {fn, cookie, true};

	visit_table(mem, &visit, mf_mem_arena(mem)->pt_root, 3, 0);
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
		changed(mem, &now[i], old, then[i], flush);
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
static bool reach(struct mf_mem *mem, struct mf_gva va, int prot, struct mf_gpa *gpa,
		  uint64_t *next)
{
	return translate(mem, va, prot, gpa, next) ||
	       (mem->touch && mem->touch(mem, va, prot) && translate(mem, va, prot, gpa, next));
}

size_t mf_pt_run(struct mf_mem *mem, struct mf_gva va, size_t bytes, int prot, void **at)
{
	struct mf_gpa gpa;
	uint64_t next;
	size_t got = 0;

	while (got < bytes && reach(mem, MF_GVA(va.at + got), prot, &gpa, &next)) {
		size_t chunk = next - (va.at + got);

		if (!mf_mem_at(mem, gpa, chunk))
			break;
		if (!got)
			*at = mem->guest + gpa.at;
		else if (mem->guest + gpa.at != (uint8_t *)*at + got)
			break;
		got += chunk < bytes - got ? chunk : bytes - got;
	}
	return got;
}

size_t mf_pt_span(struct mf_mem *mem, struct mf_gva va, size_t bytes, int prot, void **at)
{
	size_t got = mf_pt_run(mem, va, bytes, prot, at);

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
