/* SPDX-License-Identifier: MIT */
#include "engine/image/image.h"
#include "engine/image/guest.h"
#include "engine/image/layout.h"
#include "engine/image/vm_clock.h"
#include "engine/kvm/probe.h"
#include "engine/mem/frames.h"
#include "engine/mem/pt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int take_cpu(struct mf_vm *vm, struct mf_image *image)
{
	int ret;

	mf_vm_settle(vm);
	ret = mf_vm_drain(vm);
	return ret ? ret : mf_vm_save_cpu(vm, &image->cpu);
}

/* From here on reset compares against this arena: nothing is edited, nothing is new. */
static void settle_arena(struct mf_vm *vm)
{
	struct mf_arena *arena = mf_mem_arena_rw(&vm->mem);

	mf_frames_clean(&vm->mem);
	arena->tables_edited = 0;
	arena->tables_new = 0;
}

#define HUGE_MAX 512u /* a gibibyte of the image: a second */

/* What the host shall have as huge pages: 2 MiB that no request can write. */
struct constants {
	struct mf_gpa at[HUGE_MAX];
	size_t count;
};

static void note_constant(void *cookie, struct mf_gva va, struct mf_gpa gpa)
{
	struct constants *constants = cookie;

	(void)va;
	if (constants->count < HUGE_MAX)
		constants->at[constants->count++] = gpa;
}

/* Where the traits allow it: without the scan nobody could tell what requests touch of them. */
static void find_constants(const struct mf_vm *vm, struct constants *constants)
{
	const struct mf_traits *traits = &vm->kvm.kvm->traits;

	constants->count = 0;
	if (traits->huge_pages && traits->pagemap_scan)
		mf_pt_each_constant_huge(&vm->mem, note_constant, constants);
}

static void collapse(struct mf_backing *backing, const struct constants *constants)
{
	size_t i;

	for (i = 0; i < constants->count; i++)
		mf_backing_collapse(backing, constants->at[i]);
}

int mf_image_account(struct mf_image *image, struct mf_error *err)
{
	size_t limit_pages = (image->backing.arena_bytes + image->backing.limit_bytes) / MF_PAGE;

	image->pages = image->backing.bytes / MF_PAGE;
	image->hits = calloc(limit_pages, 1);
	image->learned = calloc((limit_pages + 63) / 64, sizeof(*image->learned));
	image->touched = calloc((limit_pages + 63) / 64, sizeof(*image->touched));
	if (image->hits && image->learned && image->touched)
		return 0;
	return mf_error_set(err, -ENOMEM, "not enough memory for the image's page account");
}

int mf_image_freeze(struct mf_vm *vm, struct mf_image *image, struct mf_error *err)
{
	struct constants constants;
	int ret;

	*image = (struct mf_image){.kvm = vm->kvm.kvm, .backing.memfd = -1};
	image->frozen_ns = mf_vm_clock_stop_ns(vm);
	ret = take_cpu(vm, image);
	if (ret) {
		mf_vm_finish(vm);
		return mf_error_set(err, ret, "cannot take the registers of the ready program: %s",
				    strerror(-ret));
	}
	settle_arena(vm);
	find_constants(vm, &constants);
	mf_kvm_vm_destroy(&vm->kvm); /* lets go of the memory */
	ret = mf_mem_freeze(&vm->mem, &image->backing, err);
	if (ret)
		return ret;
	collapse(&image->backing, &constants);
	ret = mf_image_account(image, err);
	if (ret)
		mf_image_finish(image);
	return ret;
}

void mf_image_finish(struct mf_image *image)
{
	mf_backing_finish(&image->backing);
	free(image->hits);
	free(image->learned);
	free(image->touched);
	image->hits = NULL;
	image->learned = image->touched = NULL;
}

/* Delivery of an exception writes there without a fault that would be counted: always in the copied
 * set. */
static void mark_exception_stack(struct mf_vm *vm)
{
	struct mf_gpa gpa;

	if (mf_pt_lookup(&vm->mem, MF_GVA(MF_VA_STACK), &gpa))
		mf_mem_mark(&vm->mem, vm->mem.guest + gpa.at, MF_PAGE);
}

static int fork_of(struct mf_vm *vm, struct mf_image *image, struct mf_error *err)
{
	int ret;

	*vm = (struct mf_vm){.mem.memfd = -1, .image = image};
	ret = mf_kvm_vm_create(&vm->kvm, image->kvm, err);
	if (ret)
		return ret;
	ret = mf_mem_create_fork(&vm->mem, &vm->kvm, &image->backing, err);
	if (!ret) {
		mark_exception_stack(vm);
		ret = mf_guest_install_msrs(vm);
		if (!ret)
			ret = mf_vm_load_cpu(vm, &image->cpu);
		if (ret)
			mf_error_set(err, ret, "KVM refused a fork's registers: %s",
				     strerror(-ret));
	}
	if (ret)
		mf_vm_finish(vm);
	return ret;
}

int mf_vm_fork(struct mf_vm *vm, struct mf_image *image, struct mf_error *err)
{
	int ret;

	MF_PROBE1(fork__begin, vm);
	ret = fork_of(vm, image, err);
	MF_PROBE2(fork__done, vm, ret);
	return ret;
}
