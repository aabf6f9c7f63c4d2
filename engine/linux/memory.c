/* SPDX-License-Identifier: MIT */
/* Ranges and their frames: adding, backing, touching, taking away. */
#include "engine/linux/rlimit.h"
#include "engine/linux/memory.h"
#include "engine/linux/filemap.h"
#include "engine/linux/vma.h"
#include "engine/mem/frames.h"
#include "engine/mem/pt.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>

#define STACK_STEP (128u * 1024)
#define LOWEST     0x10000ull
/* Page-table frames that a mapping may need on top of its pages. */
#define TABLES_SPARE 4u
/* Pages that a touch backs: at least so many, and as many as were touched beside them without a
 * gap, up to a bound: walking through a gibibyte costs some forty exits. */
#define RUN_MIN 16u
/* Files are read in larger pieces. */
#define RUN_MIN_FILE 64u
#define RUN_MAX      8192u
/* All that is promised, in terms of what there is. */
#define PROMISE_TIMES 4u
/* A MAP_GROWSDOWN range grows to so much, and no nearer to what lies below it (Linux'
 * stack_guard_gap). */
#define GROW_MAX (8ull << 20)
#define GROW_GAP (256ull * MF_PAGE)

bool mf_memory_is_user_range(uint64_t start, uint64_t bytes)
{
	return bytes && start >= LOWEST && start <= MF_USER_TOP && bytes <= MF_USER_TOP - start;
}

int mf_memory_prot(uint32_t prot)
{
	return (prot & PROT_READ ? MF_READ : 0) | (prot & PROT_WRITE ? MF_READ | MF_WRITE : 0) |
	       (prot & PROT_EXEC ? MF_READ | MF_EXEC : 0);
}

static bool is_absent(const struct mf_mem *mem, uint64_t at)
{
	struct mf_gpa gpa;

	return !mf_pt_lookup(mem, MF_GVA(at), &gpa);
}

static bool has_room(struct mf_process *process, uint64_t start, size_t pages)
{
	const struct mf_mem *mem = &process->vm.mem;
	uint64_t left = mf_frames_left(mem);
	size_t needed = 0;
	size_t i = 0;

	/* More pages than the VM can have at all: do not even count them. */
	if (pages > (mem->reserved_bytes / MF_PAGE)) {
		process->out_of_memory = true;
		return false;
	}
	while (i < pages) {
		size_t run = mf_pt_absent(mem, MF_GVA(start + i * MF_PAGE), pages - i);

		needed += run;
		i += run ? run : 1;
	}
	if (!needed || left >= needed + needed / 512 + TABLES_SPARE)
		return true;
	process->out_of_memory = true;
	return false;
}

/* Frames for the first of `pages` absent pages at `at`: 2 MiB at once where those fit. */
static size_t take_piece(struct mf_mem *mem, uint64_t at, size_t pages, struct mf_gpa *gpa)
{
	size_t part = (MF_HUGE - (at & (MF_HUGE - 1))) / MF_PAGE;

	if (part == MF_HUGE_PAGES && pages >= part && mf_frames_take_huge(mem, gpa))
		return part;
	if (pages >= part + MF_HUGE_PAGES)
		pages = part;
	return mf_frames_take(mem, pages, gpa);
}

static int back_absent(struct mf_process *process, const struct mf_vma *vma, uint64_t at,
		       size_t pages)
{
	struct mf_mem *mem = &process->vm.mem;
	struct mf_gpa gpa;
	int ret = 0;

	while (pages && !ret) {
		size_t got = take_piece(mem, at, pages, &gpa);

		if (!got || mf_pt_map(mem, MF_GVA(at), gpa, got, mf_memory_prot(vma->prot))) {
			if (got)
				mf_frames_give(mem, gpa, got);
			process->out_of_memory = true;
			return -ENOMEM;
		}
		if (vma->file)
			ret = mf_filemap_fill(process, vma, at, got);
		if (ret)
			mf_pt_unmap(mem, MF_GVA(at), got);
		at += got * MF_PAGE;
		pages -= got;
	}
	return ret;
}

/* The part of [at, end) of a range that is absent, as far as its file goes. */
static int back_part(struct mf_process *process, const struct mf_vma *vma, uint64_t at,
		     uint64_t end)
{
	const struct mf_mem *mem = &process->vm.mem;
	int ret = 0;

	if (vma->file)
		end = at + mf_filemap_inside(process, vma, at, (end - at) / MF_PAGE) * MF_PAGE;
	while (at < end && !ret) {
		size_t run = mf_pt_absent(mem, MF_GVA(at), (end - at) / MF_PAGE);

		if (run)
			ret = back_absent(process, vma, at, run);
		at += (run ? run : 1) * MF_PAGE;
	}
	return ret;
}

int mf_memory_back(struct mf_process *process, uint64_t start, uint64_t bytes)
{
	uint64_t end = start + bytes;
	int ret = 0;

	if (!has_room(process, start, bytes / MF_PAGE))
		return -ENOMEM;
	while (start < end && !ret) {
		const struct mf_vma *vma = mf_vma_from(process, start);
		uint64_t to;

		if (!vma || vma->start >= end)
			break;
		start = vma->start > start ? vma->start : start;
		to = vma->end < end ? vma->end : end;
		if (vma->prot & MF_PROT_ALL)
			ret = back_part(process, vma, start, to);
		start = to;
	}
	return ret;
}

int mf_memory_add(struct mf_process *process, struct mf_vma vma)
{
	return mf_vma_add(process, vma);
}

int mf_memory_map(struct mf_process *process, uint64_t start, uint64_t bytes, uint32_t prot,
		  enum mf_vma_kind kind)
{
	struct mf_vma vma = {
		.start = start, .end = start + bytes, .prot = (uint8_t)prot, .kind = (uint8_t)kind};

	if (mf_vma_add(process, vma))
		return -ENOMEM;
	if (!mf_memory_back(process, start, bytes))
		return 0;
	mf_memory_unmap(process, start, bytes);
	return -ENOMEM;
}

int mf_memory_add_window(struct mf_process *process, uint64_t start, uint64_t bytes, bool view)
{
	struct mf_vma vma = {.start = start,
			     .end = start + bytes,
			     .prot = view ? PROT_READ : PROT_READ | PROT_WRITE,
			     .kind = MF_VMA_WINDOW};
	struct mf_mem *mem = &process->vm.mem;
	struct mf_gpa gpa;
	int ret = mf_mem_add_window(mem, bytes, &gpa);

	if (!ret)
		ret = mf_pt_map(mem, MF_GVA(start), gpa, bytes / MF_PAGE,
				(view ? MF_READ : MF_WRITE) | MF_ENGINE);
	return ret ? ret : mf_vma_add(process, vma);
}

static bool is_promise(const struct mf_vma *vma)
{
	return vma->prot & PROT_WRITE && !(vma->flags & MF_VMA_IS_NORESERVE) &&
	       vma->kind != MF_VMA_WINDOW;
}

bool mf_memory_may_promise(struct mf_process *process, uint64_t bytes)
{
	const struct mf_linux *lx = mf_linux(process);
	const struct mf_mem *mem = &process->vm.mem;
	uint64_t limit = mf_mem_arena(mem)->frames_limit * MF_PAGE;
	uint64_t promised = bytes;
	uint32_t i;

	for (i = 0; i < lx->vma_count; i++)
		if (is_promise(&lx->vmas[i]))
			promised += lx->vmas[i].end - lx->vmas[i].start;
	if (bytes / MF_PAGE + TABLES_SPARE <= mf_frames_left(mem) &&
	    promised <= PROMISE_TIMES * limit)
		return true;
	process->out_of_memory = true;
	return false;
}

/* Slots of files' own pages that lose some, or all, of what is mapped of them. Before the list
 * forgets them; done when the tables have. */
#define RELEASES_MAX 64u

struct releases {
	struct mf_vma vma[RELEASES_MAX];
	size_t count;
};

static bool note_releases(const struct mf_process *process, struct releases *releases,
			  uint64_t start, uint64_t end)
{
	const struct mf_vma *vma = mf_vma_from(process, start);

	for (; vma && vma->start < end; vma = mf_vma_from(process, vma->end)) {
		struct mf_vma *part = &releases->vma[releases->count];

		if (!vma->slot)
			continue;
		if (releases->count++ == RELEASES_MAX)
			return false;
		*part = *vma;
		if (part->start < start) {
			part->offset += start - part->start;
			part->start = start;
		}
		part->end = vma->end < end ? vma->end : end;
	}
	return true;
}

static int unmap_range(struct mf_process *process, uint64_t start, uint64_t end,
		       struct releases *releases)
{
	size_t i;

	if (mf_vma_remove(process, start, end))
		return -ENOMEM;
	mf_pt_unmap(&process->vm.mem, MF_GVA(start), (end - start) / MF_PAGE);
	for (i = 0; i < releases->count; i++)
		mf_filemap_release(process, &releases->vma[i], releases->vma[i].start,
				   releases->vma[i].end);
	return 0;
}

int mf_memory_unmap(struct mf_process *process, uint64_t start, uint64_t bytes)
{
	struct releases releases = {.count = 0};
	const struct mf_vma *vma;
	int ret = 0;

	if (!mf_vma_overlaps(process, start, start + bytes))
		return 0;
	if (mf_vma_has_window(process, start, start + bytes))
		return -EPERM;
	if (note_releases(process, &releases, start, start + bytes))
		return unmap_range(process, start, start + bytes, &releases);
	/* Very many of them: one range at a time. */
	while (!ret && (vma = mf_vma_from(process, start)) && vma->start < start + bytes) {
		uint64_t from = vma->start > start ? vma->start : start;
		uint64_t to = vma->end < start + bytes ? vma->end : start + bytes;

		releases.count = 0;
		note_releases(process, &releases, from, to);
		ret = unmap_range(process, from, to, &releases);
	}
	return ret;
}

/* How much is there without a gap below `at` (or, upwards, from `at` on): looked at in doubling
 * steps. */
static size_t backed_beside(const struct mf_mem *mem, const struct mf_vma *vma, uint64_t at,
			    bool upwards)
{
	size_t pages = 0;
	size_t next;

	for (next = 1; next <= RUN_MAX; next *= 2) {
		uint64_t room = upwards ? vma->end - at : at - vma->start;
		uint64_t far = upwards ? at + (next - 1) * MF_PAGE : at - next * MF_PAGE;

		if (room < next * MF_PAGE || is_absent(mem, far))
			break;
		pages = next;
	}
	return pages;
}

struct span {
	uint64_t start;
	uint64_t end;
};

/* Which pages a touch of `page` is to back. */
static struct span plan_run(const struct mf_mem *mem, const struct mf_vma *vma, uint64_t page)
{
	size_t below = backed_beside(mem, vma, page, false);
	size_t above = backed_beside(mem, vma, page + MF_PAGE, true);
	size_t run = below > above ? below : above;
	uint64_t room = mf_frames_left(mem) / 4;
	uint64_t block = (vma->file ? RUN_MIN_FILE : RUN_MIN) * MF_PAGE;
	struct span span;

	if (run > room)
		run = room;
	if (run * MF_PAGE <= block || (below && above)) {
		span.start = page & ~(block - 1);
		span.end = span.start + block;
	} else if (below) {
		span = (struct span){page, page + run * MF_PAGE};
		if (run >= MF_HUGE_PAGES)
			span.end = (span.end + MF_HUGE - 1) & ~(uint64_t)(MF_HUGE - 1);
	} else {
		uint64_t bytes = (run - 1) * MF_PAGE;

		span = (struct span){page > bytes ? page - bytes : 0, page + MF_PAGE};
	}
	if (span.start < vma->start)
		span.start = vma->start;
	if (span.end > vma->end)
		span.end = vma->end;
	return span;
}

/* Whether a touch of `page` is to back the 2 MiB around it: where the host has a huge page for them
 * and less than half of the memory is taken. Of what promises nothing little is used. */
static bool wants_huge(const struct mf_mem *mem, const struct mf_vma *vma, uint64_t page)
{
	uint64_t start = page & ~(uint64_t)(MF_HUGE - 1);

	return mf_mem_has_huge_pages(mem) && !(vma->flags & MF_VMA_IS_NORESERVE) && !vma->file &&
	       vma->kind != MF_VMA_STACK && start >= vma->start && start + MF_HUGE <= vma->end &&
	       mf_frames_left(mem) > mf_mem_arena(mem)->frames_limit / 2 &&
	       mf_pt_absent(mem, MF_GVA(start), MF_HUGE_PAGES) == MF_HUGE_PAGES;
}

static enum mf_touch back_around(struct mf_process *process, const struct mf_vma *vma,
				 uint64_t page)
{
	const struct mf_mem *mem = &process->vm.mem;
	struct span span = plan_run(mem, vma, page);
	size_t pages;
	int ret;

	if (span.end - span.start < MF_HUGE && wants_huge(mem, vma, page)) {
		span.start = page & ~(uint64_t)(MF_HUGE - 1);
		span.end = span.start + MF_HUGE;
	}
	pages = (span.end - span.start) / MF_PAGE;
	if (mf_frames_left(mem) < pages + TABLES_SPARE)
		span = (struct span){page, page + MF_PAGE};
	ret = back_part(process, vma, span.start, span.end);
	if (!is_absent(mem, page))
		return MF_TOUCH_OK;
	return ret == -ENOMEM ? MF_TOUCH_NO_MEMORY : MF_TOUCH_BEYOND;
}

uint64_t mf_memory_stack_floor(const struct mf_process *process)
{
	uint64_t limit = mf_limit_soft(process, RLIMIT_STACK);
	uint64_t end = mf_linux(process)->stack_end;

	return limit < MF_STACK_RESERVE
		       ? end + MF_STACK_RESERVE - (limit & ~(uint64_t)(MF_PAGE - 1))
		       : end;
}

/* Does the range above `page` grow down to it? The program may have put a mapping of its own where
 * it would grow; what can be reached at all comes near enough to no other range. */
static bool may_grow(const struct mf_process *process, const struct mf_vma *vma, uint64_t page)
{
	const struct mf_linux *lx = mf_linux(process);

	if (!vma)
		return false;
	if (vma->kind == MF_VMA_STACK)
		return page >= mf_memory_stack_floor(process) && page < lx->stack_low;
	return vma->flags & MF_VMA_IS_GROWING && vma->end - page <= GROW_MAX &&
	       !mf_vma_overlaps(process, page < GROW_GAP ? 0 : page - GROW_GAP, page);
}

/* A stack grows down to what was touched, and some more; it stays one range. */
static enum mf_touch grow_down(struct mf_process *process, uint64_t page)
{
	const struct mf_vma *vma = mf_vma_from(process, page);
	uint64_t low = page - STACK_STEP + MF_PAGE;
	uint64_t high = vma ? vma->start : 0;
	uint64_t floor;
	struct mf_vma piece;
	bool main;

	if (!may_grow(process, vma, page))
		return MF_TOUCH_UNMAPPED;
	main = vma->kind == MF_VMA_STACK;
	floor = main ? mf_memory_stack_floor(process) : 0;
	low = low < floor ? floor : low;
	if (!main || mf_vma_overlaps(process, low, high))
		low = page;
	piece = *vma;
	piece.start = low;
	if (!has_room(process, low, (high - low) / MF_PAGE) ||
	    back_part(process, &piece, low, high)) {
		mf_pt_unmap(&process->vm.mem, MF_GVA(low), (high - low) / MF_PAGE);
		return MF_TOUCH_NO_MEMORY;
	}
	mf_vma_grow_down(process, high, low);
	if (main)
		MF_DIRTY(process, stack_low) = low;
	return MF_TOUCH_OK;
}

enum mf_touch mf_memory_touch(struct mf_process *process, uint64_t address, int want)
{
	struct mf_mem *mem = &process->vm.mem;
	uint64_t page = address & ~(uint64_t)(MF_PAGE - 1);
	const struct mf_vma *vma;
	struct mf_gpa gpa;

	/* The tables allow it: a cached translation was older than an edit that gave a right. */
	if (mf_pt_translate(mem, MF_GVA(address), want, &gpa))
		return mf_mem_at(mem, gpa, 1) ? MF_TOUCH_OK : MF_TOUCH_BEYOND;
	if (address >= MF_USER_TOP)
		return MF_TOUCH_UNMAPPED;
	vma = mf_vma_find(process, address);
	if (!vma)
		return grow_down(process, page);
	if ((mf_memory_prot(vma->prot) & want) != want)
		return MF_TOUCH_DENIED;
	if (vma->kind == MF_VMA_WINDOW)
		return MF_TOUCH_BEYOND;
	if (vma->kind == MF_VMA_SHARED)
		return mf_filemap_back(process, page, vma);
	return is_absent(mem, page) ? back_around(process, vma, page)
				    : mf_filemap_copy(process, page, vma);
}

/* Page-fault error code bits: Intel SDM vol. 3, 4.7. */
#define PF_WRITE 2u
#define PF_FETCH 16u

enum mf_touch mf_memory_fault(struct mf_process *process, uint64_t address, uint64_t error_code)
{
	int want = (error_code & PF_WRITE ? MF_WRITE : MF_READ) |
		   (error_code & PF_FETCH ? MF_EXEC : 0);
	enum mf_touch touch = mf_memory_touch(process, address, want);

	if (touch == MF_TOUCH_NO_MEMORY) {
		process->out_of_memory = true;
		MF_DIRTY(process, exited) = 1;
		MF_DIRTY(process, exit_signal) = SIGKILL;
	}
	return touch;
}

bool mf_memory_touch_mem(struct mf_mem *mem, struct mf_gva va, int want)
{
	struct mf_process *process =
		(struct mf_process *)((char *)mem - offsetof(struct mf_process, vm.mem));

	return mf_memory_touch(process, va.at, want) == MF_TOUCH_OK;
}
