/* SPDX-License-Identifier: MIT */
/*
 * How long those wait who wait for the processor. A queue that is now and then empty takes bursts
 * and may be as long as it may; one that never is makes every request wait for nothing, as long as
 * it is long. So the latter is bounded by time: what was begun is over soon, and the others hear at
 * once that they are too many (after K. Nichols, V. Jacobson, Controlling Queue Delay, ACM Queue
 * 2012: what a queue is good for is told by its least length, not by its length).
 */
#ifndef MF_REQUEST_VM_STANDING_H
#define MF_REQUEST_VM_STANDING_H

#include <stdbool.h>
#include <stdint.h>

/* A queue that was not empty for so long stands. */
#define MF_STANDING_NS 500000000ull

/* So long may who comes then expect to wait. */
#define MF_STANDING_WAIT_NS 20000000ull

struct mf_standing {
	uint64_t since_ns; /* it was empty; 0: it is */
	uint64_t last_ns;  /* one was taken from it */
	uint64_t each_ns;  /* between two that are taken: a moving average */
};

static inline void mf_standing_add(struct mf_standing *standing, uint64_t now_ns)
{
	if (!standing->since_ns)
		standing->since_ns = standing->last_ns = now_ns;
}

static inline void mf_standing_take(struct mf_standing *standing, uint64_t now_ns)
{
	uint64_t took = now_ns - standing->last_ns;

	standing->each_ns =
		standing->each_ns ? standing->each_ns - standing->each_ns / 8 + took / 8 : took;
	standing->last_ns = now_ns;
}

static inline void mf_standing_end(struct mf_standing *standing)
{
	standing->since_ns = 0;
}

/* Whether one more behind `waiting` has to wait too long. */
static inline bool mf_standing_is_long(const struct mf_standing *standing, uint64_t now_ns,
				       uint64_t waiting)
{
	return standing->since_ns && now_ns - standing->since_ns > MF_STANDING_NS &&
	       waiting * standing->each_ns > MF_STANDING_WAIT_NS;
}

#endif
