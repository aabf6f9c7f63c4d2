/* SPDX-License-Identifier: MIT */
/*
 * Timers that send signals: alarm and setitimer, timer_create, and the limit of CPU time. Plain
 * data in the arena; nothing runs: process.c asks for what has run out before ring 3 is entered,
 * and has itself kicked when the next one will. Times are absolute, so a timer that is frozen in an
 * image runs out in its forks as it would have in a program that was stopped meanwhile; CPU time
 * begins anew in each of them.
 */
#ifndef MF_ENGINE_LINUX_ALARM_H
#define MF_ENGINE_LINUX_ALARM_H

#include "engine/linux/process.h"

/* The first three of struct mf_linux.alarms; those of timer_create follow. */
enum mf_alarm_index {
	MF_ALARM_REAL,
	MF_ALARM_VIRTUAL,
	MF_ALARM_PROF,
	MF_ALARM_CREATED,
};

/* Send the signals of what has run out. False: the program has died of one. */
bool mf_alarm_expire(struct mf_process *process);

/* When that is to be asked next (CLOCK_MONOTONIC), UINT64_MAX: never. `runs`: the program computes
 * until then, else it waits, and no CPU time goes by. */
uint64_t mf_alarm_next_ns(const struct mf_process *process, bool runs);

/* RLIMIT_CPU, in seconds: what the program has set, below what it was given. -EPERM, -EINVAL. */
struct rlimit;
void mf_alarm_cpu_limit(const struct mf_process *process, struct rlimit *limit);
int mf_alarm_set_cpu_limit(struct mf_process *process, const struct rlimit *limit);

/* Could a timer of an image from outside be one of ours? `interval`: one of the first three. */
bool mf_alarm_is_sound(const struct mf_alarm *alarm, bool interval);

/* A signal of a timer is taken out of the queue, to be told of: how often it has run out since. */
void mf_alarm_taken(struct mf_process *process, uint32_t index, struct mf_siginfo *info);

#endif
