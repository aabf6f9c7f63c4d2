/* SPDX-License-Identifier: MIT */
/* The world of measure/ for cases: kept from one to the next, and failures said as a case's. */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

#include "bench/harness.h"
#include "measure/world.h"

/*
 * An image with `mib` MiB filled before the ready point, built or taken from the last case of that
 * size with all that it has learned forgotten. 0, or the case's result after saying why.
 */
int bench_world_open(struct mf_world **out, const struct bench_case *self, unsigned int mib);
/* Keeps it for the next case. */
void bench_world_close(struct mf_world *world);

/* mf_world_fork() that says what failed. */
int bench_fork(struct mf_world *world, struct mf_process *vm);
int bench_fork_warm(struct mf_world *world, struct mf_process *vm,
		    const struct mf_world_request *request);

/* Add the differences, divided by `rounds`, to a report. */
void bench_tally_counts(struct bench_report *report, const struct mf_tally *before,
			const struct mf_tally *after, double rounds);

#endif
