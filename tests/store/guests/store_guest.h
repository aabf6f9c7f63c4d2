/* SPDX-License-Identifier: MIT */
/* The parts of the tests' request program: honest calls, attacks on its own channel, secrets. */
#ifndef MF_TESTS_STORE_GUEST_H
#define MF_TESTS_STORE_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include <mayfly/abi/call.h>
#include <mayfly/abi/ring_ops.h>
#include <mayfly/sdk.h>

/* Enough of the window for any check; the header says how much there is. */
#define WINDOW ((uint8_t *)MF_CHANNEL_VA)

/* The last entry has no name. */
struct target {
	const char *name;
	void (*serve)(const struct mf_request *request, unsigned long number);
};

extern const struct target hostile_targets[];
extern const struct target storm_targets[];
extern const struct target taint_targets[];

void say(const char *text);
void nap(unsigned long ms);

#endif
