/* SPDX-License-Identifier: MIT */
/*
 * How an engine's threads stand among those that want the same processors: who answers short
 * requests goes before who computes (docs/decisions/0031-who-computes-gives-way.md).
 *
 * A thread that waits for less than half of the time is lowered, until it waits for two thirds of
 * it: a lower weight where it has the right to raise that again, and long slices, which it yields
 * to whoever wakes with a short one.
 */
#ifndef MF_TENANT_PRIORITY_H
#define MF_TENANT_PRIORITY_H

#include <stdbool.h>
#include <stdint.h>

/* Lowered by so much: a third of the weight (Linux, kernel/sched/core.c, sched_prio_to_weight). */
#define MF_PRIORITY_STEP 5

struct mf_priority {
	bool changes; /* false: nothing was prepared, all stay what they are */
	int usual_nice;
	int low_nice; /* the same: it could not be raised again */
};

/*
 * Before there are other threads, and before the confinement: they inherit it. The process gives up
 * what it has of CAP_SYS_NICE, so that the call that lowers a thread can do nothing worse.
 */
void mf_priority_prepare(struct mf_priority *priority);

/* Of the calling thread. */
void mf_priority_set(const struct mf_priority *priority, bool low);

/* How a thread stands is judged so often: more than a request's first slice. */
#define MF_TURNS_TERM_NS 6000000ull

/* A thread that works in turns, and how it stands. All on that thread; times of one clock. */
struct mf_turns {
	const struct mf_priority *priority;
	uint64_t begun_ns;  /* since when it is looked at */
	uint64_t waited_ns; /* since then */
	uint64_t asked_ns;  /* when it last asked for something to do; 0: it had something */
	bool low;
};

void mf_turns_init(struct mf_turns *turns, const struct mf_priority *priority, uint64_t now_ns);
/* Before it asks for something to do (`may_wait`: there may be nothing), and when it has it. */
void mf_turns_ask(struct mf_turns *turns, bool may_wait, uint64_t now_ns);
void mf_turns_begin(struct mf_turns *turns, uint64_t now_ns);

#endif
