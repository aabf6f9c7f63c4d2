/* SPDX-License-Identifier: MIT */
/* `mayfly run`: one program, once, with the caller's standard streams. */
#ifndef MF_TENANT_RUN_H
#define MF_TENANT_RUN_H

#include "tenant/program.h"

#define MF_STATUS_DEADLINE 124
#define MF_STATUS_FAILED   125

struct mf_run_options {
	struct mf_program_options program;
	uint64_t deadline_ns; /* 0 = none */
};

/* Run it. Returns the exit status for the shell; the sentence is set with MF_STATUS_FAILED, and
 * says what killed the program with 128+signal. */
int mf_run(const struct mf_run_options *options, struct mf_error *err);

#endif
