/* SPDX-License-Identifier: MIT */
/*
 * Memory order between the two sides of a channel, in one place. x86-64 keeps stores in order and
 * loads in order (Intel SDM vol. 3, 9.2.2), so load-acquire and store-release are plain moves that
 * the compiler may not reorder; only a store followed by a load needs an instruction.
 */
#ifndef MAYFLY_ABI_BARRIER_H
#define MAYFLY_ABI_BARRIER_H

#include <stdint.h>

/* What the other side published before it stored this value is visible after. Reads once. */
static inline uint32_t mf_load_acquire(const uint32_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

/* Everything written before is visible to who sees this value. */
static inline void mf_store_release(uint32_t *at, uint32_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

/* Stores before it are visible to everybody before loads after it are done: needed between "I am
 * about to wait" and the last look. */
static inline void mf_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* In a loop that waits for another core. */
static inline void mf_relax(void)
{
	__builtin_ia32_pause();
}

#endif
