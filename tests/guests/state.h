/* SPDX-License-Identifier: MIT */
/*
 * The program of reset_test: for each class of state one way to change it and one to look at it.
 * "/dirty/NAME" changes, "/look/NAME" answers what it sees.
 */
#ifndef TESTS_GUESTS_STATE_H
#define TESTS_GUESTS_STATE_H

#include <stddef.h>
#include <stdint.h>

struct state {
	const char *name;
	void (*dirty)(void);
	void (*look)(void);
};

extern const struct state state_registers[], state_memory[], state_linux[]; /* end: no name */

/* Add to the answer. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Before the ready point. */
void prepare_memory(void);
void prepare_linux(void);

/* What state_exit.S is to fill with rubbish before it leaves the guest. */
enum {
	SCRIBBLE_GENERAL = 1,
	SCRIBBLE_FLAGS = 2,
	SCRIBBLE_SELECTORS = 4,
	SCRIBBLE_BASES = 8,
	SCRIBBLE_X87 = 16,
	SCRIBBLE_SSE = 32,
	SCRIBBLE_AVX = 64,
	SCRIBBLE_AVX512 = 128,
};
extern uint32_t scribble;

/* What it saw when the guest went on. */
struct seen {
	uint64_t general[16]; /* rax rbx rcx rdx rsi rdi rbp rsp r8..r15 */
	uint64_t flags;
	uint64_t selectors[4]; /* ds es fs gs */
	uint64_t bases[2];     /* fs gs */
};
extern struct seen seen;
extern uint8_t seen_xsave[4096];
extern uint64_t thread_base;

#endif
