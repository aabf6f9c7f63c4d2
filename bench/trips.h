/* SPDX-License-Identifier: MIT */
/* The floor under every call to a storage VM, as a yardstick: measure/trips.h. */
#ifndef BENCH_TRIPS_H
#define BENCH_TRIPS_H

#include "bench/harness.h"
#include "measure/trips.h"

/* Round trips with a thread on the first CPU. */
int bench_trips(struct mf_samples *by_ring, struct mf_samples *by_futex);

#endif
