/* SPDX-License-Identifier: MIT */
/*
 * A token bucket: so many requests in a time, and so many at once. All workers of an engine share
 * one, without a lock.
 */
#ifndef MF_TENANT_RATE_H
#define MF_TENANT_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct mf_rate {
	uint64_t each_ns; /* a token comes back in this time; 0: no limit */
	uint64_t burst;   /* tokens when it is full, at least 1 */
	uint64_t full_ns; /* atomic: when it will be full again; 0 at first */
};

/* Take a token at this time, if there is one. */
bool mf_rate_take(struct mf_rate *rate, uint64_t now_ns);

#endif
