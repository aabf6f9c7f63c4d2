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
 * Time as guests have it, in nanoseconds: CLOCK_REALTIME and what follows it are the host's. All
 * others, CLOCK_MONOTONIC and CLOCK_BOOTTIME among them, are the host's CLOCK_MONOTONIC, moved by
 * mf_clock_go_on(). The engine's own times (mf_now_ns) go by the same clock. Any thread.
 */
uint64_t mf_clock_ns(clockid_t clock);

/* The host's CLOCK_MONOTONIC at that time of the guests', for calls of the host that wait until
 * then. */
uint64_t mf_clock_to_host(uint64_t monotonic_ns);

/*
 * The guests' monotonic clock goes on from there now: where it stood when an image was frozen,
 * perhaps on another host, so that to its program the time in the file is as if the machine had
 * been suspended. Set-up phase, before the first VM and whoever measures time; later it is an
 * error that nobody finds.
 */
void mf_clock_go_on(uint64_t monotonic_ns);

/* Bring it up to date: the guests' monotonic clock never steps back. Any thread, a few times a
 * second. */
void mf_clock_update(void);

#endif
