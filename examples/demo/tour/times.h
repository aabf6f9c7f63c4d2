/* SPDX-License-Identifier: MIT */
/* Durations of requests and what they amount to. One thread fills one; merge for the whole. */
#ifndef MAYFLY_DEMO_TIMES_H
#define MAYFLY_DEMO_TIMES_H

#include <stddef.h>
#include <stdint.h>

struct times {
	uint64_t *ns; /* owned */
	size_t count;
	size_t room;
};

uint64_t now_ns(void);

/* Add one, or all of another. What there is no memory for is left out. */
void times_add(struct times *times, uint64_t ns);
void times_merge(struct times *times, const struct times *other);

/* The value that `percent` of them do not exceed, in microseconds; 0 when there are none. Sorts. */
double times_us(struct times *times, double percent);

void times_finish(struct times *times);

#endif
