/* SPDX-License-Identifier: MIT */
/*
 * A program that waits for requests, under `mayfly run`: it is given one, from standard input, and
 * its answer goes to standard output; when it waits for another there is none, and it is told so.
 * As the SDK does without Mayfly.
 */
#ifndef MF_TENANT_RUN_REQUEST_H
#define MF_TENANT_RUN_REQUEST_H

#include "tenant/program.h"

struct mf_run_request {
	const char *name;
	uint64_t deadline_ns; /* 0: none */
	mf_output_fn *output; /* of standard output */
	void *output_cookie;
	bool given; /* it has had its request */
};

/*
 * The exit is a READY or RESPOND call: see to it. 0: run the program on. 1: it is over, and `exit`
 * says how (the deadline, a signal). -errno with a sentence: it cannot be served so.
 */
int mf_run_request_on_exit(struct mf_run_request *run, struct mf_process *process,
			   struct mf_exit *exit, struct mf_error *err);

/* The same for a fork that waits at `ready`: before it runs. */
int mf_run_request_give(struct mf_run_request *run, struct mf_process *process,
			const struct mf_ready_point *ready, struct mf_exit *exit,
			struct mf_error *err);

#endif
