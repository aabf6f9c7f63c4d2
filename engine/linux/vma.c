/* SPDX-License-Identifier: MIT */
#include "engine/linux/vma.h"

#include <errno.h>
#include <string.h>

#define LOWEST 0x10000ull

const struct mf_vma *mf_vma_find(const struct mf_process *process, uint64_t at)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < lx->vma_count && lx->vmas[i].start <= at; i++)
		if (at < lx->vmas[i].end)
			return &lx->vmas[i];
	return NULL;
}

bool mf_vma_overlaps(const struct mf_process *process, uint64_t start, uint64_t end)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < lx->vma_count && lx->vmas[i].start < end; i++)
		if (lx->vmas[i].end > start)
			return true;
	return false;
}

bool mf_vma_has_window(const struct mf_process *process, uint64_t start, uint64_t end)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < lx->vma_count && lx->vmas[i].start < end; i++)
		if (lx->vmas[i].end > start && lx->vmas[i].kind == MF_VMA_WINDOW)
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

/* The list from index `from` on is about to change. */
static struct mf_linux *list_rw(struct mf_process *process, uint32_t from)
{
	struct mf_linux *lx = mf_mem_linux(&process->vm.mem);

	mf_mem_mark(&process->vm.mem, &lx->vma_count, sizeof(lx->vma_count));
	mf_mem_mark(&process->vm.mem, &lx->vmas[from],
		    (lx->vma_count + 1 - from) * sizeof(lx->vmas[0]));
	return lx;
}

static void delete_at(struct mf_process *process, uint32_t i)
{
	struct mf_linux *lx = list_rw(process, i);

	lx->vma_count--;
	memmove(&lx->vmas[i], &lx->vmas[i + 1], (lx->vma_count - i) * sizeof(lx->vmas[0]));
	/* No trace behind the end: equal lists are equal bytes. */
	memset(&lx->vmas[lx->vma_count], 0, sizeof(lx->vmas[0]));
}

static int insert_at(struct mf_process *process, uint32_t i, struct mf_vma vma)
{
	struct mf_linux *lx;

	if (mf_linux(process)->vma_count >= MF_VMAS - 1)
		return -ENOMEM;
	lx = list_rw(process, i);
	memmove(&lx->vmas[i + 1], &lx->vmas[i], (lx->vma_count - i) * sizeof(lx->vmas[0]));
	lx->vmas[i] = vma;
	lx->vma_count++;
	return 0;
}

static bool joins(const struct mf_vma *a, const struct mf_vma *b)
{
	return a->end == b->start && a->prot == b->prot && a->kind == b->kind &&
	       a->kind != MF_VMA_STACK;
}

static void join_at(struct mf_process *process, uint32_t i)
{
	struct mf_linux *lx = mf_mem_linux(&process->vm.mem);

	if (i + 1 >= lx->vma_count || !joins(&lx->vmas[i], &lx->vmas[i + 1]))
		return;
	MF_DIRTY(process, vmas[i]).end = lx->vmas[i + 1].end;
	delete_at(process, i + 1);
}

int mf_vma_add(struct mf_process *process, struct mf_vma vma)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i = 0;
	int ret;

	while (i < lx->vma_count && lx->vmas[i].start < vma.start)
		i++;
	ret = insert_at(process, i, vma);
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
	if (insert_at(process, i + 1, upper))
		return -ENOMEM;
	MF_DIRTY(process, vmas[i]).end = at;
	return 0;
}

int mf_vma_remove(struct mf_process *process, uint64_t start, uint64_t end)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i = 0;

	if (split(process, start) || split(process, end))
		return -ENOMEM;
	while (i < lx->vma_count && lx->vmas[i].start < end) {
		if (lx->vmas[i].start >= start)
			delete_at(process, i);
		else
			i++;
	}
	return 0;
}

int mf_vma_protect(struct mf_process *process, uint64_t start, uint64_t end, uint32_t prot)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	if (split(process, start) || split(process, end))
		return -ENOMEM;
	for (i = 0; i < lx->vma_count; i++)
		if (lx->vmas[i].start >= start && lx->vmas[i].end <= end &&
		    lx->vmas[i].prot != prot)
			MF_DIRTY(process, vmas[i]).prot = prot;
	for (i = lx->vma_count; i-- > 0;)
		if (lx->vmas[i].end >= start && lx->vmas[i].start <= end)
			join_at(process, i);
	return 0;
}

uint64_t mf_vma_gap(const struct mf_process *process, uint64_t bytes)
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t top = lx->stack_end - MF_PAGE; /* a guard page below the stack */
	uint32_t i;

	for (i = lx->vma_count; i-- > 0;) {
		if (lx->vmas[i].start >= top)
			continue;
		if (lx->vmas[i].end <= top && top - lx->vmas[i].end >= bytes)
			return top - bytes;
		top = lx->vmas[i].start;
	}
	return top >= LOWEST + bytes ? top - bytes : 0;
}
