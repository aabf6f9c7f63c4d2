/* SPDX-License-Identifier: MIT */
/*
 * What Mayfly is measured against: a plain server process of one thread around the same code, with
 * the same request framing, that serves each request itself or in a fork of its own. It never runs
 * hostile.c or the planted hole.
 */
#ifndef MAYFLY_DEMO_NATIVE_H
#define MAYFLY_DEMO_NATIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct native {
	pid_t pid;
	uint16_t port;
};

/* A request for this target is answered as any other, but with what the serving process has used
 * up: "page faults so far, private KiB". */
#define NATIVE_USAGE_TARGET "/usage"

/* It serves one connection after the other and dies with the calling process. -errno. */
int native_start(struct native *native, bool fork_per_request);
void native_stop(struct native *native);

#endif
