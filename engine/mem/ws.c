/* SPDX-License-Identifier: MIT */
#include "engine/mem/ws.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* include/uapi/linux/fs.h of Linux 6.7; Debian 12's headers are older. */
struct page_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

struct pm_scan_arg {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

#define PAGEMAP_SCAN_IOCTL _IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_FILE       (1ull << 2)
#define PAGE_IS_PRESENT    (1ull << 3)
#define PAGE_IS_SWAPPED    (1ull << 4)
#define PAGE_IS_PFNZERO    (1ull << 5)
#define PAGE_IS_HUGE       (1ull << 6)

#define PAGE_BYTES 4096u
#define REGIONS    256

int mf_ws_init(struct mf_ws *ws, size_t pages)
{
	*ws = (struct mf_ws){.pages = pages};
	ws->bits = calloc((pages + 63) / 64, sizeof(*ws->bits));
	return ws->bits ? 0 : -ENOMEM;
}

void mf_ws_finish(struct mf_ws *ws)
{
	free(ws->bits);
	free(ws->idle);
	free(ws->runs);
	*ws = (struct mf_ws){0};
}

void mf_ws_mark(struct mf_ws *ws, size_t page, size_t count)
{
	for (; count; page++, count--) {
		uint64_t bit = 1ull << (page % 64);

		if (ws->bits[page / 64] & bit)
			continue;
		ws->bits[page / 64] |= bit;
		ws->held++;
		ws->stale = true;
	}
}

void mf_ws_clear(struct mf_ws *ws, size_t page, size_t count)
{
	for (; count; page++, count--) {
		uint64_t bit = 1ull << (page % 64);

		if (ws->bits[page / 64] & bit)
			ws->held--;
		ws->bits[page / 64] &= ~bit;
	}
	ws->stale = true;
}

int mf_ws_init_idle(struct mf_ws *ws)
{
	if (!ws->idle)
		ws->idle = calloc((ws->pages + 63) / 64, sizeof(*ws->idle));
	return ws->idle ? 0 : -ENOMEM;
}

bool mf_ws_set_idle(struct mf_ws *ws, size_t page, bool idle)
{
	uint64_t bit = 1ull << (page % 64);
	bool was = ws->idle[page / 64] & bit;

	if (idle)
		ws->idle[page / 64] |= bit;
	else
		ws->idle[page / 64] &= ~bit;
	return was;
}

static int add_run(struct mf_ws *ws, size_t page)
{
	struct mf_run *last = ws->run_count ? &ws->runs[ws->run_count - 1] : NULL;

	ws->run_pages++;
	if (last && last->page + last->count == page) {
		last->count++;
		return 0;
	}
	if (ws->run_count == ws->run_capacity) {
		size_t capacity = ws->run_capacity ? ws->run_capacity * 2 : 32;
		struct mf_run *runs = realloc(ws->runs, capacity * sizeof(*runs));

		if (!runs)
			return -ENOMEM;
		ws->runs = runs;
		ws->run_capacity = capacity;
	}
	ws->runs[ws->run_count++] = (struct mf_run){.page = (uint32_t)page, .count = 1};
	return 0;
}

static bool excepted(const uint64_t *except, size_t bits, size_t first, size_t page)
{
	if (!except || page < first || page - first >= bits)
		return false;
	page -= first;
	return except[page / 64] >> (page % 64) & 1;
}

int mf_ws_update_runs(struct mf_ws *ws, const uint64_t *except, size_t except_bits,
		      size_t first_except)
{
	size_t words = (ws->pages + 63) / 64;
	size_t word;
	int ret;

	if (!ws->stale)
		return 0;
	ws->run_count = ws->run_pages = 0;
	for (word = 0; word < words; word++) {
		uint64_t bits = ws->bits[word];

		for (; bits; bits &= bits - 1) {
			size_t page = word * 64 + (size_t)__builtin_ctzll(bits);

			if (excepted(except, except_bits, first_except, page))
				continue;
			ret = add_run(ws, page);
			if (ret)
				return ret;
		}
	}
	ws->stale = false;
	return 0;
}

static int scan_by_ioctl(int fd, const void *base, size_t pages, uint64_t wanted,
			 uint64_t not_wanted, mf_page_run_fn *fn, void *cookie)
{
	struct page_region regions[REGIONS];
	uint64_t start = (uint64_t)(uintptr_t)base;
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = start,
		.end = start + pages * PAGE_BYTES,
		.vec = (uint64_t)(uintptr_t)regions,
		.vec_len = REGIONS,
		.category_inverted = not_wanted,
		.category_mask = wanted | not_wanted,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
	};

	while (arg.start < arg.end) {
		int count = ioctl(fd, PAGEMAP_SCAN_IOCTL, &arg);
		int i;

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		for (i = 0; i < count; i++)
			fn(cookie, (regions[i].start - start) / PAGE_BYTES,
			   (regions[i].end - regions[i].start) / PAGE_BYTES);
		arg.start = arg.walk_end;
	}
	return 0;
}

/* Documentation/admin-guide/mm/pagemap.rst: bit 63 present, 62 swapped, 61 file page. */
static bool is_wanted(uint64_t entry, bool files)
{
	return (entry >> 62 & 3) && (files || !(entry >> 61 & 1));
}

static int scan_by_file(int fd, const void *base, size_t pages, bool files, mf_page_run_fn *fn,
			void *cookie)
{
	uint64_t entries[512];
	size_t first = (size_t)((uintptr_t)base / PAGE_BYTES);
	size_t page = 0;

	while (page < pages) {
		size_t want = pages - page < 512 ? pages - page : 512;
		ssize_t got = pread(fd, entries, want * 8, (off_t)((first + page) * 8));
		size_t i;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 8)
			return got < 0 ? -errno : -EIO;
		for (i = 0; i < (size_t)got / 8; i++)
			if (is_wanted(entries[i], files))
				fn(cookie, page + i, 1);
		page += (size_t)got / 8;
	}
	return 0;
}

int mf_private_scan(int pagemap_fd, bool use_scan_ioctl, const void *base, size_t pages,
		    mf_page_run_fn *fn, void *cookie)
{
	if (use_scan_ioctl)
		return scan_by_ioctl(pagemap_fd, base, pages, 0, PAGE_IS_FILE | PAGE_IS_PFNZERO, fn,
				     cookie);
	return scan_by_file(pagemap_fd, base, pages, false, fn, cookie);
}

int mf_present_scan(int pagemap_fd, bool use_scan_ioctl, const void *base, size_t pages,
		    mf_page_run_fn *fn, void *cookie)
{
	if (use_scan_ioctl)
		return scan_by_ioctl(pagemap_fd, base, pages, 0, PAGE_IS_HUGE, fn, cookie);
	return scan_by_file(pagemap_fd, base, pages, true, fn, cookie);
}

int mf_huge_scan(int pagemap_fd, const void *base, size_t pages, mf_page_run_fn *fn, void *cookie)
{
	return scan_by_ioctl(pagemap_fd, base, pages, PAGE_IS_HUGE, 0, fn, cookie);
}
