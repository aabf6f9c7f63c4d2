/* SPDX-License-Identifier: MIT */
/*
 * What a request finds in the registers. The probe replaces the SDK's exit: before the ready point
 * it clears what C code leaves in vector, mask, x87 and general registers and notes all of them;
 * when a request for /probe/registers arrives it notes them again before any C code runs. Any
 * difference came from somewhere else.
 */
#ifndef MAYFLY_DEMO_PROBE_H
#define MAYFLY_DEMO_PROBE_H

/* What XCR0 lets ring 3 use; read by assembly. */
enum probe_level { PROBE_SSE, PROBE_AVX, PROBE_AVX512 };
extern int probe_level;

/* Whether rdfsbase and the like may be used. */
extern int probe_has_fsgsbase;

/* Before the first mf_wait(). */
void probe_prepare(void);

/* Answer "clean" or one line for each register that differs, with its bytes in hex. */
void probe_answer(void);

#endif
