/* SPDX-License-Identifier: MIT */
/*
 * Exact counts of kernel events (system calls, user exits) in this thread or in all threads of
 * another process, by perf's tracepoints. Only for passes that are not timed: an open counter slows
 * what it counts. Needs root; where it is refused, nothing is reported.
 */
#ifndef BENCH_COUNT_H
#define BENCH_COUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BENCH_EVENT_SYSCALLS   "raw_syscalls/sys_enter"
#define BENCH_EVENT_USER_EXITS "kvm/kvm_userspace_exit"

struct bench_counter {
	int fds[64];
	unsigned int count;
};

/* pid 0: this thread. False when it cannot be counted here. */
bool bench_counter_open(struct bench_counter *counter, const char *event, pid_t pid);
uint64_t bench_counter_read(const struct bench_counter *counter);
void bench_counter_close(struct bench_counter *counter);

#endif
