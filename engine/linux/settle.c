/* SPDX-License-Identifier: MIT */
/*
 * The last thing before an image is frozen. A range that is backed as it is touched ends, in the
 * image, where its program stopped; every request would go on there and meet the same faults and
 * need the same tables. So both are given to the image; they are zeros, and cost the host nothing.
 */
#include "engine/linux/memory.h"
#include "engine/linux/vma.h"
#include "engine/mem/frames.h"
#include "engine/mem/pt.h"

#include <stdlib.h>

#define EDGES_MAX   4096u
#define AHEAD_PAGES 64u
#define TABLE_PAGES 512u
/* A mapped file is filled to its end up to this size, all of them up to that. */
#define FILE_MAX_BYTES  (16ull << 20)
#define FILES_MAX_BYTES (64ull << 20)
#define NEW_PAGES       1024u /* room for new mappings that shall need no table */

struct edges {
	const struct mf_process *process;
	uint64_t next; /* behind the last page that was seen */
	size_t count;
	uint64_t *at; /* first absent pages behind backed ones */
};

static bool is_lazy(const struct mf_process *process, uint64_t at)
{
	const struct mf_vma *vma = mf_vma_find(process, at);

	return vma && !vma->file && vma->prot & MF_PROT_ALL &&
	       (vma->kind == MF_VMA_MMAP || vma->kind == MF_VMA_HEAP);
}

static void note_edge(struct edges *edges, uint64_t at)
{
	if (at && edges->count < EDGES_MAX && is_lazy(edges->process, at))
		edges->at[edges->count++] = at;
}

static void see_page(void *cookie, struct mf_gva va, struct mf_gpa gpa)
{
	struct edges *edges = cookie;

	(void)gpa;
	if (va.at != edges->next)
		note_edge(edges, edges->next);
	edges->next = va.at + MF_PAGE;
}

static void go_on_from(struct mf_process *process, uint64_t at)
{
	struct mf_mem *mem = &process->vm.mem;
	const struct mf_vma *vma = mf_vma_find(process, at);
	uint64_t end = at + AHEAD_PAGES * MF_PAGE;

	if (!vma || mf_frames_left(mem) / 8 < AHEAD_PAGES)
		return;
	end = end < vma->end ? end : vma->end;
	mf_memory_back(process, at, end - at);
	if (end < vma->end)
		mf_pt_prepare(mem, MF_GVA(end),
			      (vma->end - end) / MF_PAGE < TABLE_PAGES ? (vma->end - end) / MF_PAGE
								       : TABLE_PAGES);
}

/* What is left of the image's mapped files, as far as the budget goes: no request shall read them.
 */
static void fill_files(struct mf_process *process)
{
	const struct mf_vma *vma = mf_vma_from(process, 0);
	uint64_t budget = FILES_MAX_BYTES;

	for (; vma; vma = mf_vma_from(process, vma->end)) {
		uint64_t bytes = vma->end - vma->start;

		if (!vma->file || vma->slot || !(vma->prot & MF_PROT_ALL) ||
		    bytes > FILE_MAX_BYTES || bytes > budget ||
		    mf_frames_left(&process->vm.mem) / 4 < bytes / MF_PAGE)
			continue;
		mf_memory_back(process, vma->start, bytes);
		budget -= bytes;
	}
}

void mf_memory_settle(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	struct mf_mem *mem = &process->vm.mem;
	struct edges edges = {.process = process, .at = calloc(EDGES_MAX, sizeof(uint64_t))};
	uint64_t gap = mf_vma_gap(process, NEW_PAGES * MF_PAGE);
	size_t i;

	if (edges.at) {
		mf_pt_each_user_page(mem, see_page, &edges);
		note_edge(&edges, edges.next);
	}
	for (i = 0; i < edges.count; i++)
		go_on_from(process, edges.at[i]);
	free(edges.at);
	fill_files(process);
	if (gap && mf_frames_left(mem) > NEW_PAGES)
		mf_pt_prepare(mem, MF_GVA(gap), NEW_PAGES);
	if (mf_frames_left(mem) > NEW_PAGES)
		mf_pt_prepare(mem, MF_GVA(mf_memory_round_up(lx->brk)), NEW_PAGES);
}
