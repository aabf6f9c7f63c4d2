/* SPDX-License-Identifier: MIT */
/* Closed loops of clients that get and put values of one size under random keys of a thousand, by
 * HTTP (GET and PUT /t/KEY) or by the Redis protocol, of a server that is a child process. */
#ifndef BENCH_TRAFFIC_H
#define BENCH_TRAFFIC_H

#include "bench/harness.h"

#include <sys/types.h>

#define BENCH_TRAFFIC_CLIENTS_MAX 512u
#define BENCH_TRAFFIC_VALUE_MAX   8192u

struct bench_mix {
	size_t value_bytes; /* at most BENCH_TRAFFIC_VALUE_MAX */
	unsigned int gets;  /* of 100 requests */
};

struct bench_traffic {
	const char *address;
	bool is_redis;
	int clients[BENCH_TRAFFIC_CLIENTS_MAX];
	unsigned int count;
	uint32_t dice;
	struct mf_samples samples;
	double busy_ns; /* of all bursts that were measured */
};

/* Connect, again and again for a minute if need be. Samples start anew. */
bool bench_traffic_open(struct bench_traffic *traffic, unsigned int clients);
/* Samples are freed as well. */
void bench_traffic_close(struct bench_traffic *traffic);

/* A value under each of the keys. */
bool bench_traffic_fill(struct bench_traffic *traffic, const struct bench_mix *mix);

/* Each client makes `requests` requests, the next when the last is answered. False when an answer
 * was not what it should be. */
bool bench_traffic_burst(struct bench_traffic *traffic, const struct bench_mix *mix,
			 unsigned int requests, bool measured);

#endif
