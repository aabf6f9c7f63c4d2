/* SPDX-License-Identifier: MIT */
/*
 * Where the time of a pool's requests goes: histograms of single steps, and sums of what requests
 * did, or waited for, all the time. One thread fills it, the worker's; the clock is read where
 * something changes, two or three times a request and twice a wait, and nothing else is asked.
 */
#ifndef MF_REQUEST_VM_TIMES_H
#define MF_REQUEST_VM_TIMES_H

#include <mayfly/abi/histogram.h>

/* What a request does. Every moment of it is one of these. */
enum mf_spent {
	MF_SPENT_NOT,    /* there is none */
	MF_SPENT_QUEUE,  /* it waits for a VM */
	MF_SPENT_TURN,   /* it could go on; others of its worker have the thread */
	MF_SPENT_RUN,    /* its program runs, or the engine for it */
	MF_SPENT_STORE,  /* it waits for the store: a call, or that what it wrote lasts */
	MF_SPENT_CALLS,  /* it waits in a call of its program's: a time, a socket, a fetch */
	MF_SPENT_CLIENT, /* its client has to send, or to take */
	MF_SPENT_COUNT,
};

enum mf_step {
	MF_STEP_QUEUE, /* from its arrival until it has a VM */
	MF_STEP_RUN,   /* from there to its answer */
	MF_STEP_STORE, /* one wait for the store */
	MF_STEP_RESET, /* of a VM, to its image */
	MF_STEP_COUNT,
};

struct mf_times {
	uint64_t spent_ns[MF_SPENT_COUNT];
	struct mf_hist steps[MF_STEP_COUNT];
};

#endif
