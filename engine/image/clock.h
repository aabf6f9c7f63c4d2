/* SPDX-License-Identifier: MIT */
/*
 * The clock page: one page of memory that every guest of this process reads (struct mf_abi_clock)
 * and the engine keeps true. A memfd, mapped into guests as a read-only file, so that one write
 * reaches all of them and no reset undoes it.
 */
#ifndef MF_ENGINE_IMAGE_CLOCK_H
#define MF_ENGINE_IMAGE_CLOCK_H

#include "engine/kvm/kvm.h"

/*
 * The process's clock page, made at the first call (set-up phase, single-threaded). Returns its
 * descriptor, the module's own, or -errno.
 */
int mf_clock_page(const struct mf_kvm *kvm);

/* Bring it up to date: the guests' monotonic clock never steps back. Any thread, a few times a
 * second. */
void mf_clock_update(void);

#endif
