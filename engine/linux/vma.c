/* SPDX-License-Identifier: MIT */
#include "engine/linux/vma.h"
#include "engine/linux/fd.h"

#include <errno.h>
#include <string.h>

#define LOWEST 0x10000ull

/* The first entry, from the top down, that starts below `end`. */
static uint32_t first_below(const struct mf_linux *lx, uint64_t end)
{
	uint32_t low = 0;
	uint32_t high = lx->vma_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (lx->vmas[middle].start < end)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

const struct mf_vma *mf_vma_find(const struct mf_process *process, uint64_t at)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i = first_below(lx, at + 1);

	return i < lx->vma_count && at < lx->vmas[i].end ? &lx->vmas[i] : NULL;
}

const struct mf_vma *mf_vma_from(const struct mf_process *process, uint64_t at)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i = first_below(lx, at + 1);

	if (i < lx->vma_count && at < lx->vmas[i].end)
		return &lx->vmas[i];
	return i ? &lx->vmas[i - 1] : NULL;
}

bool mf_vma_overlaps(const struct mf_process *process, uint64_t start, uint64_t end)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i = first_below(lx, end);

	return i < lx->vma_count && lx->vmas[i].end > start;
}

bool mf_vma_has_window(const struct mf_process *process, uint64_t start, uint64_t end)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = first_below(lx, end); i < lx->vma_count && lx->vmas[i].end > start; i++)
		if (lx->vmas[i].kind == MF_VMA_WINDOW)
			return true;
	return false;
}

bool mf_vma_covers(const struct mf_process *process, uint64_t start, uint64_t end)
{
	while (start < end) {
		const struct mf_vma *vma = mf_vma_find(process, start);

		if (!vma)
			return false;
		start = vma->end;
	}
	return true;
}

/* The list from index `from` on is about to change; it has at most `more` entries more then. */
static struct mf_linux *list_rw(struct mf_process *process, uint32_t from, uint32_t more)
{
	struct mf_linux *lx = mf_mem_linux(&process->vm.mem);

	mf_mem_mark(&process->vm.mem, &lx->vma_count, sizeof(lx->vma_count));
	mf_mem_mark(&process->vm.mem, &lx->vmas[from],
		    (lx->vma_count + more - from) * sizeof(lx->vmas[0]));
	return lx;
}

/* Each entry holds its file's description. */
static void let_go(struct mf_process *process, uint32_t first, uint32_t count)
{
	for (; count; first++, count--) {
		uint16_t file = mf_linux(process)->vmas[first].file;

		if (file)
			mf_fd_drop(process, mf_fd_at(process, file - 1u));
	}
}

static void delete_at(struct mf_process *process, uint32_t i, uint32_t count)
{
	struct mf_linux *lx = list_rw(process, i, 0);

	let_go(process, i, count);
	lx->vma_count -= count;
	memmove(&lx->vmas[i], &lx->vmas[i + count], (lx->vma_count - i) * sizeof(lx->vmas[0]));
	/* No trace behind the end: equal lists are equal bytes. */
	memset(&lx->vmas[lx->vma_count], 0, count * sizeof(lx->vmas[0]));
}

static int insert_at(struct mf_process *process, uint32_t i, struct mf_vma vma)
{
	struct mf_linux *lx;

	if (mf_linux(process)->vma_count >= MF_VMAS)
		return -ENOMEM;
	lx = list_rw(process, i, 1);
	memmove(&lx->vmas[i + 1], &lx->vmas[i], (lx->vma_count - i) * sizeof(lx->vmas[0]));
	lx->vmas[i] = vma;
	lx->vma_count++;
	if (vma.file)
		mf_fd_hold(process, mf_fd_at(process, vma.file - 1u));
	return 0;
}

static bool joins(const struct mf_vma *low, const struct mf_vma *high)
{
	return low->end == high->start && low->prot == high->prot && low->kind == high->kind &&
	       low->flags == high->flags && low->file == high->file && low->slot == high->slot &&
	       (!low->file || low->offset + (low->end - low->start) == high->offset);
}

/* Join the entry at `i` with the next lower one if they are alike. */
static void join_at(struct mf_process *process, uint32_t i)
{
	struct mf_linux *lx = mf_mem_linux(&process->vm.mem);

	if (i + 1 >= lx->vma_count || !joins(&lx->vmas[i + 1], &lx->vmas[i]))
		return;
	MF_DIRTY(process, vmas[i + 1]).end = lx->vmas[i].end;
	delete_at(process, i, 1);
}

int mf_vma_add(struct mf_process *process, struct mf_vma vma)
{
	uint32_t i = first_below(mf_linux(process), vma.start);
	int ret = insert_at(process, i, vma);

	if (ret)
		return ret;
	join_at(process, i);
	if (i)
		join_at(process, i - 1);
	return 0;
}

/* Make `at` a boundary between ranges. */
static int split(struct mf_process *process, uint64_t at)
{
	const struct mf_vma *vma = mf_vma_find(process, at);
	struct mf_vma upper;
	uint32_t i;

	if (!vma || vma->start == at)
		return 0;
	i = (uint32_t)(vma - mf_linux(process)->vmas);
	upper = *vma;
	upper.start = at;
	if (upper.file)
		upper.offset += at - vma->start;
	if (insert_at(process, i, upper))
		return -ENOMEM;
	MF_DIRTY(process, vmas[i + 1]).end = at;
	return 0;
}

int mf_vma_remove(struct mf_process *process, uint64_t start, uint64_t end)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t first;
	uint32_t i;

	if (split(process, start) || split(process, end))
		return -ENOMEM;
	first = first_below(lx, end);
	for (i = first; i < lx->vma_count && lx->vmas[i].start >= start; i++)
		;
	if (i > first)
		delete_at(process, first, i - first);
	return 0;
}

/* What is changed of each range. */
struct edit {
	uint8_t prot;
	uint16_t set;
	uint16_t clear;
	bool protects;
};

static void edit_at(struct mf_process *process, uint32_t i, const struct edit *edit)
{
	struct mf_vma vma = mf_linux(process)->vmas[i];

	if (edit->protects)
		vma.prot = edit->prot;
	vma.flags = (uint16_t)((vma.flags & ~edit->clear) | edit->set);
	if (memcmp(&vma, &mf_linux(process)->vmas[i], sizeof(vma)))
		MF_DIRTY(process, vmas[i]) = vma;
}

static int edit_range(struct mf_process *process, uint64_t start, uint64_t end,
		      const struct edit *edit)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t first;
	uint32_t i;

	if (split(process, start) || split(process, end))
		return -ENOMEM;
	first = first_below(lx, end);
	for (i = first; i < lx->vma_count && lx->vmas[i].start >= start; i++)
		edit_at(process, i, edit);
	while (i-- > first)
		join_at(process, i);
	if (first)
		join_at(process, first - 1);
	return 0;
}

int mf_vma_protect(struct mf_process *process, uint64_t start, uint64_t end, uint32_t prot)
{
	struct edit edit = {.prot = (uint8_t)prot, .protects = true};

	return edit_range(process, start, end, &edit);
}

int mf_vma_flag(struct mf_process *process, uint64_t start, uint64_t end, uint32_t set,
		uint32_t clear)
{
	struct edit edit = {.set = (uint16_t)set, .clear = (uint16_t)clear};

	return edit_range(process, start, end, &edit);
}

void mf_vma_grow_down(struct mf_process *process, uint64_t start, uint64_t low)
{
	const struct mf_vma *vma = mf_vma_find(process, start);

	if (vma && vma->start == start)
		MF_DIRTY(process, vmas[vma - mf_linux(process)->vmas]).start = low;
}

uint64_t mf_vma_gap_below(const struct mf_process *process, uint64_t bytes, uint64_t top)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = first_below(lx, top); i < lx->vma_count; i++) {
		if (lx->vmas[i].end <= top && top - lx->vmas[i].end >= bytes)
			return top - bytes;
		top = lx->vmas[i].start;
	}
	return top >= LOWEST && top - LOWEST >= bytes ? top - bytes : 0;
}

uint64_t mf_vma_gap(const struct mf_process *process, uint64_t bytes)
{
	/* A guard page below the stack. */
	return mf_vma_gap_below(process, bytes, mf_linux(process)->stack_end - MF_PAGE);
}
