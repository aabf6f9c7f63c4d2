/* SPDX-License-Identifier: MIT */
/*
 * What characterises a machine for an engine, as cases: `mayfly bench host` runs them one after the
 * other. Each has its VMs, threads and files for itself and leaves nothing.
 */
#ifndef MF_MEASURE_HOST_H
#define MF_MEASURE_HOST_H

#include <mayfly/error.h>

#include "measure/record.h"

struct mf_host {
	struct mf_cpus cpus;       /* this thread is pinned to the last */
	bool quick;                /* a tenth of the rounds and of the time */
	const volatile bool *stop; /* becomes true when there is no more time */
};

/* A case's figures; free with mf_host_result_finish(). */
struct mf_host_result {
	struct mf_samples samples;
	struct mf_samples yard;
	struct mf_count counts[MF_RECORD_COUNTS];
	size_t count_count;
	size_t warmup;
};
void mf_host_result_finish(struct mf_host_result *result);

#define MF_HOST_SKIPPED 1 /* it does not fit the machine; a sentence says why */

struct mf_host_case {
	const char *name;
	const char *what;
	const char *yardstick; /* NULL: none */
	/* 0, MF_HOST_SKIPPED or -errno, the latter two with a sentence. */
	int (*run)(const struct mf_host *host, const struct mf_host_case *self,
		   struct mf_host_result *result, struct mf_error *err);
	unsigned int arg;
};
extern const struct mf_host_case mf_host_cases[]; /* ends with a NULL name; all in ns */

/* For cases: a loop of so many rounds and seconds, or a tenth of both. */
struct mf_loop mf_host_loop(const struct mf_host *host, size_t rounds, double seconds);
void mf_host_count(struct mf_host_result *result, const char *name, double value);
/* The reason of a case that failed, if it has none yet. */
int mf_host_failed(struct mf_error *err, int ret, const char *what);

typedef int mf_host_case_fn(const struct mf_host *host, const struct mf_host_case *self,
			    struct mf_host_result *result, struct mf_error *err);
mf_host_case_fn mf_host_exit, mf_host_call, mf_host_fault, mf_host_fork, mf_host_reset,
	mf_host_store_call;

#endif
