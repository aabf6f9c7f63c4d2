/* SPDX-License-Identifier: MIT */
/*
 * What the engine's benchmarks stand on: an image of the benchmarks' guest, forks of it, and one
 * request to a fork, all without pool, front door and confinement.
 */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

#include "bench/harness.h"
#include "request-vm/function.h"
#include "tenant/program.h"

struct bench_world {
	struct mf_program program;
	struct mf_program_options options;
	struct mf_image image;
	struct mf_ready_point ready;
	char *argv[3];
	char mib[16];
	char guest[4096];
};

/* Images are built with a place for a channel of so many bytes; 0: none. Before the first is
 * opened.
 */
extern uint64_t bench_channel_bytes;

/*
 * An image with `mib` MiB filled before the ready point, built or taken from the last case of that
 * size with all that it has learned forgotten. 0, or the case's result after saying why.
 */
int bench_world_open(struct bench_world **out, const struct bench_case *self, unsigned int mib);
/* Keeps it for the next case. */
void bench_world_close(struct bench_world *world);

struct bench_request {
	uint8_t bytes[256] __attribute__((aligned(16)));
	size_t size;
};

/* GET `target` with a number as its body. */
void bench_request_make(struct bench_request *request, const char *target, size_t times);

/* One request to a VM at a ready point: deliver, run to the answer. 0 when the status was 200. */
int bench_serve(struct bench_world *world, struct mf_process *vm,
		const struct bench_request *request);

/* A fork; its first requests and resets done, so that the image has learned and the VM is warm. */
int bench_fork(struct bench_world *world, struct mf_process *vm);
int bench_fork_warm(struct bench_world *world, struct mf_process *vm,
		    const struct bench_request *request);

/* Counts of a VM and of this thread, for differences. */
struct bench_tally {
	uint64_t user_exits;
	uint64_t page_faults;  /* of the vCPU: KVM's pf_taken */
	uint64_t minor_faults; /* of this thread: getrusage */
};
void bench_tally(const struct mf_process *vm, struct bench_tally *tally);
/* Add the differences, divided by `rounds`, to a report. */
void bench_tally_counts(struct bench_report *report, const struct bench_tally *before,
			const struct bench_tally *after, double rounds);

#endif
