/* SPDX-License-Identifier: MIT */
/* The floor under every call to a storage VM: a message and its answer between two threads. */
#ifndef MF_MEASURE_TRIPS_H
#define MF_MEASURE_TRIPS_H

#include "measure/samples.h"

#define MF_TRIP_BYTES 64u /* of payload, each way */

/*
 * Round trips between this thread and one on another CPU, in turns: by rings that both look at all
 * the time, and by futexes that both sleep on. The loop says how many turns. 0, or 1 when one did
 * not come back.
 */
int mf_trips(struct mf_loop *loop, int echo_cpu, struct mf_samples *by_ring,
	     struct mf_samples *by_futex);

#endif
