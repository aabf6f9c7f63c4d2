/* SPDX-License-Identifier: MIT */
/*
 * The clock page: one page of memory that every guest of this process reads (struct mf_abi_clock)
 * and the engine keeps true. A memfd, mapped into guests as a read-only file, so that one write
 * reaches all of them and no reset undoes it.
 */
#ifndef MF_ENGINE_IMAGE_CLOCK_H
#define MF_ENGINE_IMAGE_CLOCK_H

#include <time.h>

#include "engine/kvm/kvm.h"

/*
 * The process's clock page, made at the first call (set-up phase, single-threaded). Returns its
 * descriptor, the module's own, or -errno.
 */
int mf_clock_page(const struct mf_kvm *kvm);

/*
 * Time in nanoseconds: CLOCK_REALTIME and what follows it are the host's, and all others are the
 * host's CLOCK_MONOTONIC, by which the engine's own times (mf_now_ns) go. A VM's program has
 * another: engine/image/vm_clock.h. Any thread.
 */
uint64_t mf_clock_ns(clockid_t clock);

/* Between what and what the monotonic clock is now, by whichever way somebody asks: the page is a
 * little off the host's clock. Any thread. */
void mf_clock_bounds(uint64_t *least, uint64_t *most);

/* Bring it up to date: its monotonic clock never steps back. Any thread, a few times a second. */
void mf_clock_update(void);

#endif
