/* SPDX-License-Identifier: MIT */
/* The floor under every call to a storage VM: a message and its answer between two threads. */
#ifndef BENCH_TRIPS_H
#define BENCH_TRIPS_H

#include "bench/harness.h"

#define BENCH_TRIP_BYTES 64u /* of payload, each way */

/*
 * Round trips between this thread and one on the first CPU, in turns: by rings that both look at
 * all the time, and by futexes that both sleep on. 0, or 1 when one did not come back.
 */
int bench_trips(struct bench_samples *by_ring, struct bench_samples *by_futex);

#endif
