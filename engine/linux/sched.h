/* SPDX-License-Identifier: MIT */
/*
 * Which thread of a program is on its vCPU: one after the other, each until it waits, ends, yields
 * or its turn is over. A turn has an end only when somebody else may want to run; a program of one
 * thread is never disturbed. Used by process.c, and by what makes, wakes and ends threads.
 */
#ifndef MF_ENGINE_LINUX_SCHED_H
#define MF_ENGINE_LINUX_SCHED_H

#include "engine/linux/process.h"

/*
 * How long a thread computes before another one does. An exit and a switch cost 0.1 to 0.2 ms in a
 * nested host: between one and two percent.
 */
#define MF_SCHED_TURN_NS 10000000ull

/* The first member above `after` (-1: the first of all), or -1. */
int mf_thread_set_next(const struct mf_thread_set *set, int after);

/* The run begins: who waited for the host may find what it waits for. */
void mf_sched_begin(struct mf_process *process);

/* Put a thread that can run on the vCPU. False when all wait: `exit` says for what. */
bool mf_sched_next(struct mf_process *process, struct mf_exit *exit);

/* The vCPU is about to be entered: see to it that the turn ends, if it has to. */
void mf_sched_arm(struct mf_process *process);

/* The vCPU was kicked: look who could run by now, and let the next one. */
void mf_sched_turn_over(struct mf_process *process);

/*
 * The thread on the vCPU has asked to wait for its channel: the call is answered, and it is parked
 * until mf_process_news(). False: there are news, it runs on.
 */
bool mf_sched_park_at_channel(struct mf_process *process);

/* The thread on the vCPU can go on / its call waits for what its `wait` says. */
static inline bool mf_sched_runs(const struct mf_process *process)
{
	return mf_thread(process)->state == MF_THREAD_RUNNABLE;
}
void mf_sched_park(struct mf_process *process);

/* A parked thread makes its call again; any other is left alone. */
void mf_sched_wake(struct mf_process *process, uint32_t thread);
/* Likewise, and it goes first: what it waited for came from the host. */
void mf_sched_wake_by_host(struct mf_process *process, uint32_t thread);

/* A new thread in that slot, which is free, can run. */
void mf_sched_add(struct mf_process *process, uint32_t thread);

/* The thread on the vCPU is no more; its slot is free. There is another one. */
void mf_sched_remove(struct mf_process *process);

/* CPU time of a thread; and none was used, in an image that is about to be frozen. */
uint64_t mf_sched_cpu_ns(const struct mf_process *process, uint32_t thread);
void mf_sched_forget_cpu(struct mf_process *process);

/* An image is about to be frozen: who waits for host descriptors looks anew in each fork, where the
 * numbers mean nothing. */
void mf_sched_forget_hosts(struct mf_process *process);

#endif
