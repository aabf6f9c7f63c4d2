/* SPDX-License-Identifier: MIT */
#include "engine/image/check.h"
#include "engine/image/layout.h"
#include "engine/kvm/cpu.h"
#include "engine/mem/pt.h"
#include "engine/mem/pt_check.h"
#include "guest/stub/stub.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Intel SDM vol. 1, 13.4: the XSAVE area; vol. 1, 11.6.6: reserved bits of MXCSR fault. */
#define XSAVE_MXCSR   24u
#define XSAVE_MASK    28u
#define XSAVE_BV      512u
#define XSAVE_HEADER  (XSAVE_BV + 64u)
#define MXCSR_DEFAULT 0xffbfu
#define DR7_DEFAULT   0x400ull

static bool all_zero(const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	return !size || (!at[0] && !memcmp(at, at + 1, size - 1));
}

bool mf_regs_are_sane(const struct kvm_regs *regs)
{
	return regs->rip < MF_USER_TOP + (1u << 21) &&
	       !(regs->rflags & ~(MF_RFLAGS_RING_3 | MF_RFLAGS_USER)) &&
	       (regs->rflags & MF_RFLAGS_USER) == MF_RFLAGS_USER;
}

/* All but what a program may change: the bases of FS and GS. */
static bool sregs_are_sane(const struct kvm_sregs *sregs, const struct kvm_sregs *expected)
{
	struct kvm_sregs copy = *sregs;

	if (sregs->fs.base >> 47 || sregs->gs.base >> 47 || sregs->cr2 >> 47)
		return false;
	copy.fs = expected->fs;
	copy.gs = expected->gs;
	copy.cr2 = expected->cr2;
	return !memcmp(&copy, expected, sizeof(copy));
}

bool mf_xsave_is_sane(const struct kvm_xsave *xsave, uint64_t xcr0)
{
	const uint8_t *area = (const uint8_t *)xsave->region;
	uint32_t mxcsr;
	uint32_t mask;
	uint64_t in_use;

	memcpy(&mxcsr, area + XSAVE_MXCSR, sizeof(mxcsr));
	memcpy(&mask, area + XSAVE_MASK, sizeof(mask));
	memcpy(&in_use, area + XSAVE_BV, sizeof(in_use));
	return !(mxcsr & ~(mask && mask < MXCSR_DEFAULT ? mask : MXCSR_DEFAULT)) &&
	       !(in_use & ~xcr0) && all_zero(area + XSAVE_BV + 8, XSAVE_HEADER - XSAVE_BV - 8);
}

static bool debug_is_sane(const struct kvm_debugregs *debug)
{
	return all_zero(debug->db, sizeof(debug->db)) && debug->dr7 == DR7_DEFAULT &&
	       !debug->flags && all_zero(debug->reserved, sizeof(debug->reserved));
}

/* Nothing is to happen at the next entry. What numbers are left of exceptions that were means
 * nothing. Documentation/virt/kvm/api.rst, KVM_GET_VCPU_EVENTS. */
static bool events_are_sane(const struct kvm_vcpu_events *events)
{
	return !events->exception.injected && !events->exception.pending &&
	       !events->interrupt.injected && !events->interrupt.shadow && !events->nmi.injected &&
	       !events->nmi.pending && !events->nmi.masked && !events->smi.smm &&
	       !events->smi.pending && !events->smi.smm_inside_nmi && !events->smi.latched_init &&
	       !events->triple_fault.pending;
}

/* What it holds is ring 3's to write; but the engine reaches it as one piece. */
static const char *check_area_page(const struct mf_mem *mem, uint64_t va)
{
	struct mf_gpa first;
	struct mf_gpa here;

	if (mf_pt_lookup(mem, MF_GVA(MF_VA_AREA), &first) && mf_pt_lookup(mem, MF_GVA(va), &here) &&
	    !mf_mem_is_file(mem, here) && here.at - first.at == va - MF_VA_AREA)
		return NULL;
	return "the engine's pages are not where they belong";
}

/* The engine's own pages are as in a new VM, but where it or the CPU writes: the exception stack,
 * and the clock, which is a file. */
static const char *check_engine_page(const struct mf_mem *mem, const struct mf_mem *blank,
				     uint64_t va)
{
	struct mf_gpa here;
	struct mf_gpa there;
	size_t bytes;

	if (!mf_pt_alike(mem, blank, MF_GVA(va)))
		return "the engine's pages are not where they belong";
	if (!mf_pt_lookup(blank, MF_GVA(va), &there) || va == MF_VA_STACK)
		return NULL;
	if (va - MF_VA_AREA < MF_FAST_AREA_PAGES * MF_PAGE)
		return check_area_page(mem, va);
	if (!mf_pt_lookup(mem, MF_GVA(va), &here))
		return "the engine's pages are not where they belong";
	if (va == MF_VA_CLOCK)
		return mf_mem_is_file(mem, here) ? NULL : "its clock is not the engine's";
	if (va == MF_VA_CLOCK_OWN)
		return mf_pt_lookup(mem, MF_GVA(MF_VA_STACK), &there) && here.at == there.at
			       ? NULL
			       : "its clock is not the engine's";
	/* The entry stub's page ends with what it answers about the thread and its user. */
	bytes = va == MF_VA_ENTRY ? MF_STUB_THREAD : MF_PAGE;
	if (mf_mem_is_file(mem, here) ||
	    memcmp(mem->guest + here.at, blank->guest + there.at, bytes))
		return "the engine's pages were changed";
	return NULL;
}

static int check_memory(const struct mf_image *image, const struct mf_mem *blank, uint64_t *owned,
			struct mf_error *err)
{
	const struct mf_backing *backing = &image->backing;
	/* Only looked at. */
	struct mf_mem view = {
		.base = (uint8_t *)backing->map,
		.guest = (uint8_t *)backing->map + backing->arena_bytes,
		.arena_bytes = backing->arena_bytes,
		.limit_bytes = backing->limit_bytes,
		.guest_bytes = backing->bytes - backing->arena_bytes,
		.backing = backing,
		.file_count = backing->file_count,
		.memfd = -1,
	};
	const char *wrong = mf_mem_check(&view, blank, MF_USER_TOP, MF_VA_CLOCK_OWN, owned);
	uint64_t va;

	for (va = MF_USER_TOP; va < 1ull << 47 && !wrong; va += MF_PAGE)
		wrong = check_engine_page(&view, blank, va);
	return wrong ? mf_image_damaged(err, wrong) : 0;
}

static int check_cpu(const struct mf_image *image, struct mf_vm *blank, struct mf_error *err)
{
	const struct mf_cpu_state *cpu = &image->cpu;
	const struct mf_arena *arena = (const struct mf_arena *)image->backing.map;
	struct mf_cpu_state expected;
	int ret = mf_vm_drain(blank); /* its registers take effect */

	if (!ret)
		ret = mf_vm_save_cpu(blank, &expected);
	if (ret)
		return mf_error_set(err, ret, "cannot read the registers of a new vCPU: %s",
				    strerror(-ret));
	expected.sregs.cr3 = arena->pt_root;
	if (!mf_regs_are_sane(&cpu->regs))
		return mf_image_damaged(err, "its general registers are none of a program's");
	if (!sregs_are_sane(&cpu->sregs, &expected.sregs))
		return mf_image_damaged(
			err, "its segment and control registers are none of a program's");
	if (!mf_xsave_is_sane(&cpu->xsave, image->kvm->traits.xcr0))
		return mf_image_damaged(err, "its vector registers");
	if (!debug_is_sane(&cpu->debugregs))
		return mf_image_damaged(err, "its debug registers");
	if (!events_are_sane(&cpu->events))
		return mf_image_damaged(err, "its pending events");
	return 0;
}

int mf_image_check(const struct mf_image *image, size_t linux_bytes, uint64_t *owned,
		   struct mf_error *err)
{
	struct mf_vm blank;
	int ret = mf_vm_create_blank(&blank, image->kvm, false, image->backing.limit_bytes,
				     linux_bytes, err);

	if (ret)
		return ret;
	if (blank.mem.arena_bytes != image->backing.arena_bytes)
		ret = mf_image_damaged(err, "its account is laid out in another way");
	if (!ret)
		ret = check_memory(image, &blank.mem, owned, err);
	if (!ret)
		ret = check_cpu(image, &blank, err);
	mf_vm_finish(&blank);
	return ret;
}
