/* SPDX-License-Identifier: MIT */
#include "engine/linux/patch.h"
#include "engine/linux/memory.h"
#include "engine/linux/vma.h"
#include "engine/mem/pt.h"

#include <stdlib.h>
#include <string.h>

#define SITES_MAX 16384u
#define SPENT     8u
#define REACH_MAX (1ull << 30) /* of a jump there and back, with much to spare */
#define PIECE     (64u << 10)

/* A range of the program's text that is looked through piece by piece, with what lies around. */
struct text {
	struct mf_process *process;
	const struct mf_vma *vma;
	uint64_t start;
	uint64_t end;
	uint8_t bytes[PIECE + 2 * MF_PATCH_REACH];
};

struct site {
	uint64_t at;
	uint64_t detour; /* 0: none */
	enum mf_patch_kind kind;
	uint8_t code[MF_PATCH_BYTES];
};

struct sites {
	struct site *list;
	size_t count;
};

/* Code of the program's files, in pages of its own: neither what it has made itself and may change,
 * nor pages of a file that others have, too. */
static bool may_patch(const struct mf_vma *vma)
{
	return (vma->prot & (PROT_EXEC | PROT_WRITE)) == PROT_EXEC && !vma->slot &&
	       !(vma->flags & (MF_VMA_IS_SHARED | MF_VMA_MAY_WRITE)) &&
	       (vma->kind == MF_VMA_PROGRAM || (vma->kind == MF_VMA_MMAP && vma->file));
}

/* The host's address of a page that is the VM's own, or NULL. */
static uint8_t *page_of(const struct mf_process *process, uint64_t va)
{
	struct mf_gpa gpa;

	if (!mf_pt_lookup(&process->vm.mem, MF_GVA(va & ~(uint64_t)(MF_PAGE - 1)), &gpa) ||
	    mf_mem_is_file(&process->vm.mem, gpa))
		return NULL;
	return mf_mem_at(&process->vm.mem, gpa, MF_PAGE);
}

/* Whatever protects it: only what stands in the VM's own pages changes. */
static void overwrite(struct mf_process *process, uint64_t va, const uint8_t *bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		uint8_t *page = page_of(process, va + i);

		if (page) {
			mf_mem_mark(&process->vm.mem, page, MF_PAGE);
			page[(va + i) % MF_PAGE] = bytes[i];
		}
	}
}

static bool is_own(const struct mf_process *process, uint64_t va, size_t size)
{
	return page_of(process, va) && page_of(process, va + size - 1);
}

/* What is not there reads as zeros, which are no code that is looked for. */
static size_t read_text(struct text *text, uint64_t from, uint64_t to)
{
	uint64_t at = from;

	memset(text->bytes, 0, sizeof(text->bytes));
	while (at < to) {
		uint64_t part = MF_PAGE - at % MF_PAGE;
		const uint8_t *page = page_of(text->process, at);

		part = part < to - at ? part : to - at;
		if (page)
			memcpy(text->bytes + (at - from), page + at % MF_PAGE, part);
		at += part;
	}
	return to - from;
}

/* The detours that were taken last, as offsets in the piece. */
static uint32_t spent_near(const struct sites *sites, uint64_t from, uint32_t spent[SPENT])
{
	uint32_t count = 0;
	size_t i = sites->count;

	while (i-- && count < SPENT && sites->list[i].at + 4 * MF_PATCH_REACH > from)
		if (sites->list[i].detour >= from)
			spent[count++] = (uint32_t)(sites->list[i].detour - from);
	return count;
}

static void note(struct text *text, struct sites *sites, uint64_t from, uint32_t at, size_t bytes)
{
	uint32_t spent[SPENT];
	uint32_t count = spent_near(sites, from, spent);
	struct mf_patch_site found = mf_patch_look(text->bytes, (uint32_t)bytes, at, spent, count);
	struct site *site = &sites->list[sites->count];

	if (!found.kind || !is_own(text->process, from + found.at, MF_PATCH_BYTES) ||
	    (found.detour && !is_own(text->process, from + found.detour, MF_PATCH_BYTES)))
		return;
	*site = (struct site){.at = from + found.at,
			      .detour = found.detour ? from + found.detour : 0,
			      .kind = found.kind};
	memcpy(site->code, text->bytes + found.at, MF_PATCH_BYTES);
	sites->count++;
}

/* Each `syscall` that begins in [at, end). */
static void look_through(struct text *text, struct sites *sites, uint64_t at, uint64_t end)
{
	uint64_t from = at - text->start > MF_PATCH_REACH ? at - MF_PATCH_REACH : text->start;
	uint64_t to = text->end - end > MF_PATCH_REACH ? end + MF_PATCH_REACH : text->end;
	size_t bytes = read_text(text, from, to);
	const uint8_t *next = text->bytes + (at - from);
	const uint8_t *last = text->bytes + (end - from);

	while (next < last && sites->count < SITES_MAX) {
		next = memchr(next, 0x0f, (size_t)(last - next));
		if (!next)
			return;
		if (next[1] == 0x05)
			note(text, sites, from, (uint32_t)(next - text->bytes), bytes);
		next++;
	}
}

static int put_trampolines(struct mf_process *process, const struct sites *sites, uint64_t at)
{
	uint64_t bytes = mf_memory_round_up(sites->count * MF_TRAMPOLINE_BYTES);
	int ret = mf_memory_map(process, at, bytes, PROT_READ | PROT_EXEC, MF_VMA_TRAMPOLINES);
	uint8_t code[MF_TRAMPOLINE_BYTES];
	size_t i;

	for (i = 0; i < sites->count && !ret; i++) {
		uint64_t to = at + i * MF_TRAMPOLINE_BYTES;

		mf_patch_trampoline(code, sites->list[i].code, sites->list[i].kind,
				    sites->list[i].at, to);
		overwrite(process, to, code, sizeof(code));
	}
	return ret;
}

static void put_jump(struct mf_process *process, uint64_t at, uint64_t to)
{
	int32_t leap = (int32_t)(to - (at + MF_PATCH_BYTES));
	uint8_t code[MF_PATCH_BYTES] = {0xe9};

	memcpy(code + 1, &leap, sizeof(leap));
	overwrite(process, at, code, sizeof(code));
}

static void put_short_jump(struct mf_process *process, uint64_t at, uint64_t to)
{
	uint8_t code[2] = {0xeb, (uint8_t)(to - (at + 2))};

	overwrite(process, at, code, sizeof(code));
}

static void patch_all(struct mf_process *process, const struct sites *sites, uint64_t at)
{
	size_t i;

	for (i = 0; i < sites->count; i++) {
		const struct site *site = &sites->list[i];
		uint64_t to = at + i * MF_TRAMPOLINE_BYTES;

		put_jump(process, site->detour ? site->detour : site->at, to);
		if (site->detour)
			put_short_jump(process, site->at, site->detour);
	}
}

/* Room within reach: below the text if there is any. */
static uint64_t place(const struct mf_process *process, const struct text *text, uint64_t bytes)
{
	uint64_t at = mf_vma_gap_below(process, bytes, text->start);

	if (at && text->end - at < REACH_MAX)
		return at;
	at = mf_vma_gap(process, bytes);
	return at > text->start && at + bytes - text->start < REACH_MAX ? at : 0;
}

static uint32_t patch_range(struct text *text, struct sites *sites)
{
	uint64_t at;
	uint64_t to;

	sites->count = 0;
	for (at = text->start; at < text->end; at = to) {
		to = text->end - at > PIECE ? at + PIECE : text->end;
		look_through(text, sites, at, to);
	}
	if (!sites->count)
		return 0;
	at = place(text->process, text, mf_memory_round_up(sites->count * MF_TRAMPOLINE_BYTES));
	if (!at || put_trampolines(text->process, sites, at))
		return 0;
	patch_all(text->process, sites, at);
	return (uint32_t)sites->count;
}

uint32_t mf_patch_program(struct mf_process *process)
{
	struct text *text = malloc(sizeof(*text));
	struct sites sites = {.list = calloc(SITES_MAX, sizeof(*sites.list))};
	const struct mf_vma *vma = mf_vma_from(process, 0);
	uint32_t count = 0;

	while (text && sites.list && vma) {
		text->process = process;
		text->start = vma->start;
		text->end = vma->end;
		if (may_patch(vma) && text->end - text->start < REACH_MAX / 2)
			count += patch_range(text, &sites);
		vma = mf_vma_from(process, text->end);
	}
	free(sites.list);
	free(text);
	return count;
}

bool mf_patch_has(const struct mf_process *process, uint64_t rip)
{
	const struct mf_vma *vma = mf_vma_find(process, rip);

	return vma && vma->kind == MF_VMA_TRAMPOLINES;
}
