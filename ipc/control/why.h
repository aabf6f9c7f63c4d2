/* SPDX-License-Identifier: MIT */
/* Why a tenant is slow, from two looks at what its requests do. Pure; any thread. */
#ifndef MF_IPC_CONTROL_WHY_H
#define MF_IPC_CONTROL_WHY_H

#include "ipc/control/status.h"

/*
 * What most of its requests' time went to; static words, "" when there was none:
 *   queue        they wait for a VM; `behind` says what those do that have one
 *   processor    their worker wants to run and has no processor: others have it, or a small share
 *   program      it computes
 *   turns        other requests of their worker run
 *   store        they wait for the store
 *   calls        their program waits: for a time, a socket, a fetch
 *   client       their clients send, or take, slowly
 * Or what most of them failed for: queue full, rate limit, memory limit, store failed, crash.
 */
struct mf_control_why {
	const char *what;
	const char *behind; /* "": nothing is to be added */
	double part;        /* of the time, or of the requests: 0..1 */
};

struct mf_control_why mf_control_why(const struct mf_control_status *now,
				     const struct mf_control_status *before);

#endif
