/* SPDX-License-Identifier: MIT */
/* What a VM holds privately: learning it, putting it back, giving it up. */
#include "engine/mem/mem.h"

#include <string.h>
#include <sys/mman.h>

static void learn_run(void *cookie, size_t first, size_t count)
{
	mf_ws_mark(cookie, first, count);
}

static void count_run(void *cookie, size_t first, size_t count)
{
	(void)first;
	*(long *)cookie += (long)count;
}

static int scan(struct mf_mem *mem, mf_page_run_fn *fn, void *cookie)
{
	const struct mf_kvm *kvm = mem->vm->kvm;

	return mf_private_scan(kvm->pagemap_fd, kvm->traits.pagemap_scan, mem->base,
			       (mem->arena_bytes + mem->guest_bytes) / MF_PAGE, fn, cookie);
}

long mf_mem_private_pages(struct mf_mem *mem)
{
	long pages = 0;
	int ret = scan(mem, count_run, &pages);

	return ret ? ret : pages;
}

/*
 * The counters say with one read whether the scan can be spared. pf_taken alone does not tell of a
 * page that KVM's instruction emulator wrote (SGDT where the host has UMIP); an exit that KVM dealt
 * with itself does.
 */
bool mf_mem_learn(struct mf_mem *mem)
{
	const struct mf_kvm *kvm = mem->vm->kvm;
	struct mf_kvm_counts counts;
	uint64_t faults;
	uint64_t exits;

	mf_kvm_vm_counts(mem->vm, &counts);
	faults = counts.pf_taken;
	exits = counts.exits - counts.irq_exits - mem->vm->handed_out;
	if (!mem->ws.scan_due && kvm->traits.binary_stats && faults == mem->ws.faults_seen &&
	    exits == mem->ws.exits_seen)
		return false;
	if (scan(mem, learn_run, &mem->ws))
		mem->broken = true;
	mem->ws.scan_due = false;
	mem->ws.faults_seen = faults;
	mem->ws.exits_seen = exits;
	return true;
}

struct touched {
	uint64_t *pages;
	bool news;
};

static void touch_run(void *cookie, size_t first, size_t count)
{
	struct touched *touched = cookie;

	for (; count; first++, count--) {
		uint64_t bit = 1ull << (first % 64);

		touched->news |=
			!(__atomic_fetch_or(&touched->pages[first / 64], bit, __ATOMIC_RELAXED) &
			  bit);
	}
}

/* A huge page comes as a whole: to touch its first page is enough. */
static void touch_huge_run(void *cookie, size_t first, size_t count)
{
	size_t page = (first + MF_HUGE_PAGES - 1) & ~(size_t)(MF_HUGE_PAGES - 1);

	for (; page < first + count; page += MF_HUGE_PAGES)
		touch_run(cookie, page, 1);
}

bool mf_mem_touched(struct mf_mem *mem, uint64_t *pages)
{
	const struct mf_kvm *kvm = mem->vm->kvm;
	struct touched touched = {.pages = pages};

	size_t count = (mem->arena_bytes + mem->guest_bytes) / MF_PAGE;

	mf_present_scan(kvm->pagemap_fd, kvm->traits.pagemap_scan, mem->base, count, touch_run,
			&touched);
	if (kvm->traits.pagemap_scan)
		mf_huge_scan(kvm->pagemap_fd, mem->base, count, touch_huge_run, &touched);
	return touched.news;
}

/* Page tables are no part of the runs: engine/mem/pt.c puts them back. */
static int update_runs(struct mf_mem *mem)
{
	const struct mf_arena *image = (const struct mf_arena *)mem->backing->map;

	return mf_ws_update_runs(&mem->ws, mf_mem_image_map(mem, MF_FRAMES_TABLE),
				 image->frames_limit, mem->arena_bytes / MF_PAGE);
}

static void copy_run(struct mf_mem *mem, size_t from, size_t bytes)
{
	size_t file = mem->backing->bytes;
	size_t in_file = from >= file ? 0 : (bytes < file - from ? bytes : file - from);

	memcpy(mem->base + from, mem->backing->map + from, in_file);
	if (bytes >
	    in_file) /* a memset of nothing still costs 110 ns in front of a read-only page */
		memset(mem->base + from + in_file, 0, bytes - in_file);
}

static void drop(struct mf_mem *mem, size_t page, size_t count)
{
	if (!count)
		return;
	/* Locked memory cannot be given back: then it stays, to be copied like the rest. */
	if (!madvise(mem->base + page * MF_PAGE, count * MF_PAGE, MADV_DONTNEED))
		mf_ws_clear(&mem->ws, page, count);
}

/* Held, no table, not to be kept: a page that may be given back. */
static bool droppable(const struct mf_mem *mem, size_t page, const uint64_t *keep)
{
	const uint64_t *tables = mf_mem_image_map(mem, MF_FRAMES_TABLE);
	size_t arena_pages = mem->arena_bytes / MF_PAGE;
	size_t frame = page - arena_pages;

	if (!mf_ws_has(&mem->ws, page) || (keep && keep[page / 64] >> (page % 64) & 1))
		return false;
	return page < arena_pages || !(tables[frame / 64] >> (frame % 64) & 1);
}

void mf_mem_drop(struct mf_mem *mem, const uint64_t *keep)
{
	size_t run = 0; /* droppable pages just before `page` */
	size_t page;

	for (page = 0; page < mem->ws.pages; page++) {
		if (!run && page % 64 == 0 && !mem->ws.bits[page / 64]) {
			page += 63;
			continue;
		}
		if (droppable(mem, page, keep)) {
			run++;
			continue;
		}
		drop(mem, page - run, run);
		run = 0;
	}
	drop(mem, page - run, run);
}

void mf_mem_copy_back(struct mf_mem *mem)
{
	size_t i;

	if (update_runs(mem)) {
		mf_mem_drop(mem, NULL); /* no memory for the list: give everything back instead */
		mem->broken |= mem->ws.stale && mem->ws.held != 0;
		return;
	}
	for (i = 0; i < mem->ws.run_count; i++)
		copy_run(mem, (size_t)mem->ws.runs[i].page * MF_PAGE,
			 (size_t)mem->ws.runs[i].count * MF_PAGE);
}

bool mf_mem_equals_image(const struct mf_mem *mem, size_t page)
{
	static const uint8_t zero[MF_PAGE];
	size_t at = page * MF_PAGE;

	return !memcmp(mem->base + at, at < mem->backing->bytes ? mem->backing->map + at : zero,
		       MF_PAGE);
}

static void look_at_page(struct mf_mem *mem, size_t page, const uint64_t *keep)
{
	if (!mf_mem_equals_image(mem, page)) {
		mf_ws_set_idle(&mem->ws, page, false);
		copy_run(mem, page * MF_PAGE, MF_PAGE);
	} else if (mf_ws_set_idle(&mem->ws, page, true) && droppable(mem, page, keep)) {
		drop(mem, page, 1);
	}
}

void mf_mem_copy_back_and_trim(struct mf_mem *mem, const uint64_t *keep)
{
	size_t i;

	if (update_runs(mem) || mf_ws_init_idle(&mem->ws)) {
		mf_mem_drop(mem, NULL);
		return;
	}
	for (i = 0; i < mem->ws.run_count; i++) {
		size_t page = mem->ws.runs[i].page;
		size_t end = page + mem->ws.runs[i].count;

		for (; page < end; page++)
			look_at_page(mem, page, keep);
	}
}

/* MADV_POPULATE_WRITE is Linux 5.14; Debian 12's glibc does not name it yet. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Siblings may be setting bits of `pages` meanwhile: the next one has them. */
static uint64_t bits_from(const uint64_t *pages, size_t page)
{
	return __atomic_load_n(&pages[page / 64], __ATOMIC_RELAXED) >> (page % 64);
}

void mf_mem_populate(struct mf_mem *mem, const uint64_t *pages)
{
	size_t last = (mem->arena_bytes + mem->guest_bytes) / MF_PAGE;
	size_t page = 0;

	while (page < last) {
		size_t first = page;

		while (page < last && bits_from(pages, page) & 1)
			page++;
		if (page > first) {
			madvise(mem->base + first * MF_PAGE, (page - first) * MF_PAGE,
				MADV_POPULATE_WRITE);
			mf_ws_mark(&mem->ws, first, page - first);
		} else {
			page += bits_from(pages, page) ? 1 : 64 - page % 64;
		}
	}
}
