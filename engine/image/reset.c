/* SPDX-License-Identifier: MIT */
#include "engine/image/image.h"
#include "engine/image/layout.h"
#include "engine/kvm/cpu.h"
#include "engine/kvm/probe.h"
#include "engine/kvm/stats.h"
#include "engine/mem/pt.h"
#include "guest/stub/stub.h"

#include <mayfly/abi/call.h>

#include <errno.h>
#include <string.h>

/*
 * A page with this many votes is made private beforehand in every new VM. A request that made few
 * pages private has both votes; one that made many needs a second to agree; a flood has none.
 */
#define VOTES_LEARNED 2
#define FEW_PAGES     256u
#define FLOOD_PAGES   2048u

/* No more than this is made private beforehand in every VM, whatever requests do. */
#define LEARNED_MAX 8192u

/* A working set this much above the learned one is looked at, every so many resets. */
#define BLOAT_PAGES 256u
#define LOOK_EVERY  4u

#define TOUCH_BATCH 256u
#define TOUCH_MAX   8192u /* pages of the image that a new VM reads once */

static bool skips(const struct mf_vm *vm, enum mf_reset_step step)
{
	return vm->skip_steps & step;
}

static void vote(struct mf_image *image, size_t page, uint8_t votes)
{
	uint64_t bit = 1ull << (page % 64);

	if (__atomic_load_n(&image->hits[page], __ATOMIC_RELAXED) >= VOTES_LEARNED)
		return;
	if (__atomic_add_fetch(&image->hits[page], votes, __ATOMIC_RELAXED) < VOTES_LEARNED)
		return;
	if (!(__atomic_fetch_or(&image->learned[page / 64], bit, __ATOMIC_RELAXED) & bit))
		__atomic_add_fetch(&image->learned_pages, 1, __ATOMIC_RELAXED);
}

/* What this VM holds privately, and the learned set lacks: a word of the bitmap. */
static uint64_t unlearned(const struct mf_vm *vm, size_t word)
{
	return vm->mem.ws.bits[word] &
	       ~__atomic_load_n(&vm->image->learned[word], __ATOMIC_RELAXED);
}

/* Pages that this request changed, and the learned set lacks, count towards it. Before they are put
 * back. */
static void vote_all(struct mf_vm *vm)
{
	size_t words = (vm->mem.ws.pages + 63) / 64;
	size_t pages = 0;
	size_t word;

	for (word = 0; word < words; word++)
		pages += (size_t)__builtin_popcountll(unlearned(vm, word));
	if (pages > FLOOD_PAGES ||
	    __atomic_load_n(&vm->image->learned_pages, __ATOMIC_RELAXED) > LEARNED_MAX)
		return;
	for (word = 0; word < words; word++) {
		uint64_t bits = unlearned(vm, word);

		for (; bits; bits &= bits - 1) {
			size_t page = word * 64 + (size_t)__builtin_ctzll(bits);

			if (!mf_mem_equals_image(&vm->mem, page))
				vote(vm->image, page, pages <= FEW_PAGES ? VOTES_LEARNED : 1);
		}
	}
}

void mf_vm_learn_held(struct mf_vm *vm)
{
	size_t words = (vm->mem.ws.pages + 63) / 64;
	size_t word;

	mf_mem_learn(&vm->mem);
	if (vm->mem.ws.held > LEARNED_MAX)
		return;
	for (word = 0; word < words; word++) {
		uint64_t bits = unlearned(vm, word);

		for (; bits; bits &= bits - 1)
			vote(vm->image, word * 64 + (size_t)__builtin_ctzll(bits), VOTES_LEARNED);
	}
}

/* Siblings get as much room beforehand, unless it is very much. */
static bool learn_growth(struct mf_vm *vm)
{
	size_t frames = vm->mem.guest_bytes / MF_PAGE;
	size_t image = vm->image->pages - vm->mem.arena_bytes / MF_PAGE;

	if (frames == image || frames - image > FLOOD_PAGES ||
	    frames <= __atomic_load_n(&vm->image->grown_frames, __ATOMIC_RELAXED))
		return false;
	__atomic_store_n(&vm->image->grown_frames, frames, __ATOMIC_RELAXED);
	return true;
}

/* Returns how many pages became private for the first time. */
static size_t learn(struct mf_vm *vm)
{
	struct mf_image *image = vm->image;
	size_t before = vm->mem.ws.held;
	size_t learned = __atomic_load_n(&image->learned_pages, __ATOMIC_RELAXED);
	bool news;

	if (!mf_mem_learn(&vm->mem))
		return 0;
	vote_all(vm);
	news = learned != __atomic_load_n(&image->learned_pages, __ATOMIC_RELAXED);
	/* Touching maps neighbours too (fault-around): what a prepared VM has mapped says little.
	 */
	if (!vm->prepared)
		news |= mf_mem_touched(&vm->mem, image->touched);
	news |= learn_growth(vm);
	if (news)
		__atomic_add_fetch(&image->lessons, 1, __ATOMIC_RELAXED);
	return vm->mem.ws.held - before;
}

/* What is kept from request to request counts towards the next one's limit: leave it room. */
static void drop_to_limit(struct mf_vm *vm)
{
	uint64_t keep = vm->private_pages / 4 * 3;

	if (vm->private_pages && vm->mem.ws.held > keep)
		mf_mem_drop(&vm->mem, vm->image->learned);
	if (vm->private_pages && vm->mem.ws.held > keep)
		mf_mem_drop(&vm->mem, NULL);
}

/*
 * A flood of new pages is given back at once: copying them at every reset to come would be paid by
 * others. When the next request floods as well, that is how this program works, and they stay.
 */
static void restore_memory(struct mf_vm *vm, size_t fresh)
{
	size_t learned = __atomic_load_n(&vm->image->learned_pages, __ATOMIC_RELAXED);
	bool bloated = vm->mem.ws.held > 2 * learned + BLOAT_PAGES;
	bool flood = fresh > FLOOD_PAGES;

	if (flood && !vm->flooded)
		mf_mem_drop(&vm->mem, vm->image->learned);
	vm->flooded = flood;
	drop_to_limit(vm);
	if (bloated && vm->resets % LOOK_EVERY == 0)
		mf_mem_copy_back_and_trim(&vm->mem, vm->image->learned);
	else
		mf_mem_copy_back(&vm->mem);
}

/* The fields that a mode of the vCPU may flip on its own and no guest can see: none so far. */
static bool sregs_equal(const struct kvm_sregs *a, const struct kvm_sregs *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static int restore_cpu(struct mf_vm *vm)
{
	const struct mf_cpu_state *cpu = &vm->image->cpu;
	struct kvm_sync_regs *sync = &vm->kvm.run->s.regs;
	int ret = 0;

	vm->at_exit = false;
	if (!skips(vm, MF_STEP_REGS))
		*mf_vm_regs_rw(vm) = cpu->regs;
	if (!skips(vm, MF_STEP_SREGS) && !sregs_equal(&sync->sregs, &cpu->sregs))
		*mf_vm_sregs_rw(vm) = cpu->sregs;
	if (!skips(vm, MF_STEP_EVENTS) &&
	    memcmp(&sync->events, &cpu->events, sizeof(cpu->events))) {
		sync->events = cpu->events;
		vm->kvm.run->kvm_dirty_regs |= KVM_SYNC_X86_EVENTS;
	}
	if (!skips(vm, MF_STEP_XSAVE))
		ret = mf_kvm_vm_set_xsave(&vm->kvm, &cpu->xsave);
	if (!ret && vm->faulted && !skips(vm, MF_STEP_DEBUG))
		ret = mf_kvm_vm_set_debugregs(&vm->kvm, &cpu->debugregs);
	return ret;
}

/*
 * Besides an unclean end: where RIP stands at the `out` of an exit, KVM steps over it at the next
 * entry if RIP is still there, and a request may have left by an `out` at the image's own RIP.
 */
static bool needs_drain(const struct mf_vm *vm)
{
	return vm->unclean || (vm->pio_rip && vm->pio_rip == vm->image->cpu.regs.rip);
}

static int reset(struct mf_vm *vm)
{
	size_t fresh = 0;

	vm->generation++;
	vm->resets++;
	mf_vm_take_kicks(vm);
	if (needs_drain(vm) && !skips(vm, MF_STEP_DRAIN)) {
		if (mf_vm_drain(vm))
			return -EIO;
		vm->mem.ws.scan_due =
			true; /* finishing an instruction writes memory, and nothing counts it */
	}
	if (!skips(vm, MF_STEP_TABLES))
		mf_pt_reset(&vm->mem);
	mf_mem_forget_files(&vm->mem);
	if (!skips(vm, MF_STEP_LEARN))
		fresh = learn(vm);
	if (!skips(vm, MF_STEP_MEMORY))
		restore_memory(vm, fresh);
	if (vm->lost || restore_cpu(vm) || vm->mem.broken)
		return -EIO;
	vm->unclean = false;
	vm->faulted = false;
	vm->pio_rip = 0;
	vm->behind_ns = 0; /* until mf_vm_clock_begin() */
	return 0;
}

int mf_vm_reset(struct mf_vm *vm)
{
	size_t pages = 0;
	int ret;

	MF_PROBE1(reset__begin, vm);
	ret = reset(vm);
	if (!ret) {
		pages = vm->mem.ws.run_pages;
		MF_STATS_ADD(resets, 1);
		MF_STATS_ADD(pages_copied, pages);
	}
	MF_PROBE3(reset__done, vm, pages, ret);
	return ret;
}

/* Let the guest read one byte at each address; the list lies below the image's stack pointer. */
static int touch(struct mf_vm *vm, const uint64_t *addresses, size_t count)
{
	uint64_t list = (vm->image->cpu.regs.rsp - 256 - TOUCH_BATCH * 8) & ~15ull;
	struct kvm_regs *regs = mf_vm_regs_rw(vm);
	struct mf_vm_exit exit;

	if (mf_pt_write(&vm->mem, MF_GVA(list), addresses, count * 8))
		return -EFAULT;
	/* A program may have become ready by a system call: on hardware it stands in ring 0. */
	if (vm->image->cpu.sregs.cs.dpl != 3)
		mf_cpu_user_segments(mf_vm_sregs_rw(vm));
	regs->rip = MF_VA_USER + (uint64_t)(mf_stub_user_touch - mf_stub_user);
	regs->rdi = list;
	regs->rsi = count;
	mf_vm_run(vm, &exit);
	return exit.kind == MF_VM_CALL && mf_vm_regs(vm)->rax == MF_CALL_RETURN ? 0 : -EFAULT;
}

struct toucher {
	struct mf_vm *vm;
	uint64_t batch[TOUCH_BATCH];
	size_t count;
	size_t total;
	int ret;
};

static void touch_page(void *cookie, struct mf_gva va, struct mf_gpa gpa)
{
	struct toucher *toucher = cookie;
	struct mf_vm *vm = toucher->vm;
	size_t page = (vm->mem.arena_bytes + gpa.at) / MF_PAGE;

	if (toucher->ret || toucher->total == TOUCH_MAX || mf_mem_is_file(&vm->mem, gpa) ||
	    !(__atomic_load_n(&vm->image->touched[page / 64], __ATOMIC_RELAXED) >> (page % 64) & 1))
		return;
	toucher->total++;
	toucher->batch[toucher->count++] = va.at;
	if (toucher->count == TOUCH_BATCH) {
		toucher->ret = touch(vm, toucher->batch, toucher->count);
		toucher->count = 0;
	}
}

int mf_vm_prepare(struct mf_vm *vm)
{
	struct toucher toucher = {.vm = vm};

	if (!__atomic_load_n(&vm->image->lessons, __ATOMIC_RELAXED))
		return 0;
	vm->prepared = true;
	/* What cannot be touched, because there is no stack or a signal came, costs the first
	 * request a fault. */
	mf_mem_grow(&vm->mem, __atomic_load_n(&vm->image->grown_frames, __ATOMIC_RELAXED));
	mf_mem_populate(&vm->mem, vm->image->learned);
	mf_pt_each_user_page(&vm->mem, touch_page, &toucher);
	if (!toucher.ret && toucher.count)
		touch(vm, toucher.batch, toucher.count);
	return mf_vm_reset(vm);
}
