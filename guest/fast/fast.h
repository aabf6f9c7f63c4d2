/* SPDX-License-Identifier: MIT */
/*
 * Inside the code that answers system calls in ring 3 (guest/fast). One call runs at a time, and
 * any instruction that reaches the caller's memory may end it (MF_FAST_BAIL): until the last such
 * access nothing may have changed that a second try would not do again. Freestanding; no data but
 * the area.
 */
#ifndef MF_GUEST_FAST_FAST_H
#define MF_GUEST_FAST_FAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mayfly/abi/fast.h>

#define USER_TOP 0x7fffffe00000ull

/* The registers of a call, as entry.S pushes them. */
struct call {
	uint64_t r9, r8, r10, rdx, rsi, rdi, rax, rcx, flags;
};

extern struct mf_fast_area mf_fast_area __attribute__((visibility("hidden")));

#define area (&mf_fast_area.state)

#endif
