/* SPDX-License-Identifier: MIT */
/*
 * An open loop of requests: they are due when a random process says so, whatever became of those
 * before. A time counts from when a request was due, so that a server that stands still is not
 * asked less (no coordinated omission).
 */
#ifndef BENCH_ARRIVALS_H
#define BENCH_ARRIVALS_H

#include "bench/harness.h"

struct bench_arrivals {
	const char *address;
	const char *target;       /* of the GET */
	double rate;              /* requests a second; the time between two is exponential */
	double seconds;           /* in which they are due */
	unsigned int connections; /* the most that are in flight; more wait, and their time runs */
	bool reconnect;           /* each request on a connection of its own */
	/* A request that was not held up by others counts from when it was sent: who asks is late
	 * at times, where it shares its processors with the server. */
	bool from_send;
	uint64_t seed;
	/* results; samples are added to what is there, in ns */
	struct mf_samples served;  /* 200 */
	struct mf_samples refused; /* 503 */
	uint64_t sent;
	uint64_t others;  /* other answers */
	uint64_t lost;    /* without an answer: closed, or none within ten seconds of the last */
	double behind_ns; /* the most that one was sent late */
};

/* False when there is no connection at all. */
bool bench_arrivals_run(struct bench_arrivals *arrivals);

/* Let this thread go before all others. False: it may not. */
bool bench_go_first(void);

#endif
