/* SPDX-License-Identifier: MIT */
/*
 * The engine's static probes (USDT, provider "mayfly"): where a tracer may attach from outside. All
 * of them are listed here and, with their arguments, in docs/probes.md. Detached, a probe is the
 * test of a semaphore that the kernel raises for who attaches; its arguments are not even computed.
 * Attached, it costs the trap of its one-byte nop. Any thread; nothing is returned.
 */
#ifndef MF_ENGINE_KVM_PROBE_H
#define MF_ENGINE_KVM_PROBE_H

#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>

/* Weak: each file that names it brings one, the linker keeps one for the program. */
#define MF_PROBE_DECLARE(name)                     \
	__attribute__((weak, visibility("hidden"), \
		       section(".probes"))) unsigned short mayfly_##name##_semaphore

MF_PROBE_DECLARE(request__begin);
MF_PROBE_DECLARE(request__done);
MF_PROBE_DECLARE(fork__begin);
MF_PROBE_DECLARE(fork__done);
MF_PROBE_DECLARE(reset__begin);
MF_PROBE_DECLARE(reset__done);
MF_PROBE_DECLARE(call__begin);
MF_PROBE_DECLARE(call__done);
MF_PROBE_DECLARE(commit__begin);
MF_PROBE_DECLARE(commit__done);
MF_PROBE_DECLARE(storage__begin);
MF_PROBE_DECLARE(storage__done);

/* Is somebody attached? The kernel writes the word from outside. */
#define MF_PROBE_ON(name) \
	__builtin_expect(*(const volatile unsigned short *)&mayfly_##name##_semaphore, 0)

#define MF_PROBE1(name, a)                            \
	do {                                          \
		if (MF_PROBE_ON(name))                \
			STAP_PROBE1(mayfly, name, a); \
	} while (0)
#define MF_PROBE2(name, a, b)                            \
	do {                                             \
		if (MF_PROBE_ON(name))                   \
			STAP_PROBE2(mayfly, name, a, b); \
	} while (0)
#define MF_PROBE3(name, a, b, c)                            \
	do {                                                \
		if (MF_PROBE_ON(name))                      \
			STAP_PROBE3(mayfly, name, a, b, c); \
	} while (0)
#define MF_PROBE4(name, a, b, c, d)                            \
	do {                                                   \
		if (MF_PROBE_ON(name))                         \
			STAP_PROBE4(mayfly, name, a, b, c, d); \
	} while (0)

/* How a ring call was answered, or waits to be: the third argument of call__done. */
enum mf_probe_mode {
	MF_PROBE_MODE_ANSWERED, /* its answer was there already */
	MF_PROBE_MODE_HAND_OFF, /* the calling thread ran the storage VM */
	MF_PROBE_MODE_PARKED,   /* another thread runs it, or will */
	MF_PROBE_MODE_POLLED,   /* the storage VM was told to poll for calls */
	MF_PROBE_MODES
};

#endif
