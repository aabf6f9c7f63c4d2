/* SPDX-License-Identifier: MIT */
/*
 * An image: a program frozen at its ready point; and what forks of it do: fork, reset, delta,
 * audit. Immutable once frozen but for the learned set (which pages requests write), which any
 * thread may add to.
 */
#ifndef MF_ENGINE_IMAGE_IMAGE_H
#define MF_ENGINE_IMAGE_IMAGE_H

#include "engine/image/vm.h"

struct mf_image {
	const struct mf_kvm *kvm;
	struct mf_backing backing;
	struct mf_cpu_state cpu;
	uint64_t frozen_ns; /* its program's monotonic clock then: it goes on from there */
	size_t pages;       /* of the image file */
	uint8_t *hits;      /* a page's claim to the learned set; atomic */
	uint64_t *learned;  /* bit a page: worth having private before the first request; atomic */
	size_t learned_pages;
	uint64_t *touched;   /* bit a page: requests read or write it; atomic */
	size_t grown_frames; /* guest frames that requests needed, beyond the image's; atomic */
	size_t lessons;      /* counts up whenever a request taught anything; atomic */
};

/*
 * Freeze a VM at its last exit (a call). Drains the vCPU, takes its registers, seals the memory.
 * The VM is finished either way. On success the caller owns the image.
 */
int mf_image_freeze(struct mf_vm *vm, struct mf_image *image, struct mf_error *err);
/* Make the empty learned set of an image whose backing is there. -ENOMEM: finish the image. */
int mf_image_account(struct mf_image *image, struct mf_error *err);

void mf_image_finish(struct mf_image *image);

/* A new VM over the image, at its ready point. `image` must outlive it. */
int mf_vm_fork(struct mf_vm *vm, struct mf_image *image, struct mf_error *err);

/* Make the learned set private and touch it once in the guest: the first request then meets no
 * fault. Call on a fresh fork or after a reset. Returns what mf_vm_reset does. */
int mf_vm_prepare(struct mf_vm *vm);

/* Before a reset: every page that the VM holds privately is worth having beforehand, whatever it
 * holds (requests that equal those before the freeze change nothing). */
void mf_vm_learn_held(struct mf_vm *vm);

/*
 * Put the VM back to its image: memory, translations, registers; raise the generation. 0, or -EIO
 * when the vCPU cannot be made clean: finish the VM then and fork another.
 */
int mf_vm_reset(struct mf_vm *vm);

#endif
