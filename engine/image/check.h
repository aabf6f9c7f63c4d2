/* SPDX-License-Identifier: MIT */
/*
 * Is an image that came from a file one that this engine could have made? What forks rely on:
 * registers that ring 3 may have, an account of frames that adds up, page tables that are trees of
 * the image's own frames, the engine's own pages with the engine's own bytes. What the program does
 * in its own memory is its own matter. The Linux state is engine/linux/check.h's.
 */
#ifndef MF_ENGINE_IMAGE_CHECK_H
#define MF_ENGINE_IMAGE_CHECK_H

#include "engine/image/image.h"

/* linux_bytes: what the layer above keeps in the arena. owned: zeroed, one bit a frame of the
 * limit; set for those that are page tables or mapped somewhere. -EBADMSG with a sentence that
 * names the first thing that cannot be. */
int mf_image_check(const struct mf_image *image, size_t linux_bytes, uint64_t *owned,
		   struct mf_error *err);

/* -EBADMSG with the sentence that says it, and what to do. */
int mf_image_damaged(struct mf_error *err, const char *what);

/* Could KVM have saved this XSAVE area of a vCPU with these components? */
bool mf_xsave_is_sane(const struct kvm_xsave *xsave, uint64_t xcr0);

/* Could ring 3 have these registers? */
bool mf_regs_are_sane(const struct kvm_regs *regs);

#endif
