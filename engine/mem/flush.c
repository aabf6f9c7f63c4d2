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

/* KVM hears of the flip through its MMU notifier and drops the shadow entries of those pages. */
static void flip(struct mf_flush *flush, struct mf_mem *mem)
{
	uint8_t *at = mem->guest + flush->first;
	size_t bytes = flush->pages * MF_PAGE;

	bool file = mf_mem_is_file(mem, MF_GPA(flush->first)); /* mapped read-only by the host */

	if (flush->pages && (mprotect(at, bytes, file ? PROT_NONE : PROT_READ) ||
			     mprotect(at, bytes, file ? PROT_READ : PROT_READ | PROT_WRITE)))
		flush->all = true;
	flush->pages = 0;
}

void mf_flush_add(struct mf_flush *flush, struct mf_mem *mem, struct mf_gpa gpa)
{
	if (is_hardware(mem)) {
		mem->flush_pending = true;
		return;
	}
	if (flush->all)
		return;
	if (flush->pages && flush->first + flush->pages * MF_PAGE == gpa.at) {
		flush->pages++;
		return;
	}
	flip(flush, mem);
	flush->first = gpa.at;
	flush->pages = 1;
	if (++flush->runs > RANGES_MAX)
		flush->all = true;
}

void mf_flush_gain(struct mf_mem *mem)
{
	if (is_hardware(mem))
		mem->flush_pending = true;
}

static void move_dummy(struct mf_mem *mem)
{
	int ret = 0;

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
