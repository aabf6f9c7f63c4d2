/* SPDX-License-Identifier: MIT */
#include "engine/mem/flush.h"

#include <sys/mman.h>

/* Above this many ranges, zapping every translation at once is the cheaper way. */
#define RANGES_MAX 500u

/* A one-page slot far above frames and file maps, over frame 0, which nobody uses; moving it makes
 * KVM drop all shadow pages. */
#define DUMMY_SLOT 500u
#define DUMMY_GPA  (1ull << 38)

static bool is_hardware(const struct mf_mem *mem)
{
	return mem->vm->kvm->traits.family == MF_FAMILY_HARDWARE;
}

/*
 * At an end of what mprotect() cuts out of a mapping Linux tells KVM of all the aligned 2 MiB
 * there, huge page or not, unless the mapping ends within them (split_huge_pmd_if_needed() of
 * mm/huge_memory.c): 511 pages that nobody asked for would fault again. So it ends there from now
 * on: what differs is whether it would be in a core dump. Forks have none: it would double the
 * mappings of a process with thousands of them.
 */
static void keep_neighbours(const struct mf_mem *mem, const uint8_t *at)
{
	size_t inside = (uintptr_t)at & (MF_HUGE - 1);

	if (inside && !mem->backing)
		madvise((void *)(at - inside + MF_HUGE / 2), MF_HUGE / 2, MADV_DONTDUMP);
}

/* KVM hears of the flip through its MMU notifier and drops the shadow entries of those pages. */
static void flip(struct mf_flush *flush, struct mf_mem *mem)
{
	uint8_t *at = mem->guest + flush->first;
	size_t bytes = flush->pages * MF_PAGE;

	/* A file that is mapped read-only by the host. */
	bool file = !mf_mem_is_writable(mem, MF_GPA(flush->first));

	if (!flush->pages)
		return;
	flush->pages = 0;
	if (flush->first + bytes > mem->reserved_bytes - mem->arena_bytes) {
		flush->all = true; /* no address of ours: never touch what lies there */
		return;
	}
	keep_neighbours(mem, at);
	keep_neighbours(mem, at + bytes);
	if (mprotect(at, bytes, file ? PROT_NONE : PROT_READ) ||
	    mprotect(at, bytes, file ? PROT_READ : PROT_READ | PROT_WRITE))
		flush->all = true;
}

void mf_flush_add(struct mf_flush *flush, struct mf_mem *mem, struct mf_gpa gpa, size_t pages)
{
	if (is_hardware(mem)) {
		mem->flush_pending = true;
		return;
	}
	if (flush->all)
		return;
	if (flush->pages && flush->first + flush->pages * MF_PAGE == gpa.at) {
		flush->pages += pages;
		return;
	}
	flip(flush, mem);
	flush->first = gpa.at;
	flush->pages = pages;
	if (++flush->runs > RANGES_MAX)
		flush->all = true;
}

void mf_flush_gain(struct mf_mem *mem)
{
	if (is_hardware(mem))
		mem->flush_pending = true;
}

/*
 * Below the shadow of such an entry KVM hangs the shadow of the table, or one of its own for 2 MiB
 * that the host has in small pages. Flipping the pages empties it and leaves it there, and the next
 * fault goes down to it without asking whether it is the right one. So what hung there is
 * remembered; anything else in its place wants a full flush first.
 */
void mf_flush_lead(struct mf_flush *flush, struct mf_mem *mem, struct mf_gpa entry, uint64_t was,
		   uint64_t is)
{
	struct mf_lead *lead = mem->leads;
	struct mf_lead *end = lead + mem->lead_count;

	if (is_hardware(mem) || was == is)
		return;
	while (lead < end && lead->entry != entry.at)
		lead++;
	if (lead < end)
		flush->all |= is && is != lead->to;
	else if (!was)
		return;
	else if (is || mem->lead_count == MF_LEADS)
		flush->all = true;
	else
		mem->leads[mem->lead_count++] = (struct mf_lead){entry.at, was};
}

static void move_dummy(struct mf_mem *mem)
{
	int ret = 0;

	mem->lead_count = 0;

	if (!mem->slot_moves)
		ret = mf_kvm_vm_slot(mem->vm, DUMMY_SLOT, DUMMY_GPA, MF_PAGE, mem->guest);
	mem->slot_moves++;
	if (!ret)
		ret = mf_kvm_vm_slot(mem->vm, DUMMY_SLOT,
				     DUMMY_GPA + (mem->slot_moves & 1) * MF_PAGE, MF_PAGE,
				     mem->guest);
	if (ret)
		mem->broken = true; /* old translations may live on */
}

void mf_flush_end(struct mf_flush *flush, struct mf_mem *mem)
{
	if (is_hardware(mem)) {
		if (flush->all)
			mem->flush_pending = true;
		return;
	}
	if (!flush->all)
		flip(flush, mem);
	if (flush->all)
		move_dummy(mem);
}
