/* SPDX-License-Identifier: MIT */
#include "bench/trips.h"

int bench_trips(struct mf_samples *by_ring, struct mf_samples *by_futex)
{
	struct mf_loop loop = {.rounds = bench_rounds(10000), .seconds = 5};
	int ret = mf_trips(&loop, bench.first_cpu, by_ring, by_futex);

	bench_warmed_up(&loop);
	return ret;
}
