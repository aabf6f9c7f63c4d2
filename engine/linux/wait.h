/* SPDX-License-Identifier: MIT */
/*
 * Waiting: nothing in the engine blocks, so a system call that would block says what it waits for
 * and returns the value of one of these (MF_SYS_WAIT). It is made again, with the same arguments,
 * when that has happened, and looks for itself. What a call must remember from one time to the next
 * is its thread's call_until_ns; it is cleared when the call is over.
 */
#ifndef MF_ENGINE_LINUX_WAIT_H
#define MF_ENGINE_LINUX_WAIT_H

#include <poll.h>

#include "engine/image/watchdog.h"
#include "engine/linux/process.h"

#define MF_FOREVER UINT64_MAX

/* Objects: futexes are told by their addresses; descriptions, pipes and what else descriptors are
 * made of lie above all addresses. `out`: who waits for room. */
#define MF_WAIT_FD(index, out)   (2ull << 61 | (uint64_t)(index) << 1 | !!(out))
#define MF_WAIT_PIPE(index, out) (3ull << 61 | (uint64_t)(index) << 1 | !!(out))
#define MF_WAIT_CHANNEL          1ull               /* no futex lies there */
#define MF_WAIT_FDS              ((1ull << 63) - 1) /* any descriptor */

/* Until the host descriptor is ready for `events` (POLL*). */
int64_t mf_wait_host(struct mf_process *process, int fd, short events);

/*
 * Until one of several host descriptors is ready (those below 0 are left out), or a time. The list
 * is copied. A wait for something in this VM besides: set wait.object of the thread afterwards.
 */
int64_t mf_wait_hosts(struct mf_process *process, const struct pollfd *fds, size_t count,
		      uint64_t until_ns);

/* Until a time (the VM's CLOCK_MONOTONIC: mf_vm_now_ns(); MF_FOREVER). */
int64_t mf_wait_until(struct mf_process *process, uint64_t until_ns);

/*
 * Until somebody in this VM wakes `object`, or a time: any number below MF_WAIT_FUTEX but 0 that
 * the callers agree on.
 */
#define MF_WAIT_FUTEX (1ull << 63)
int64_t mf_wait_object(struct mf_process *process, uint64_t object, uint64_t until_ns);

/* Threads that wait for `object` make their calls again. */
void mf_wait_wake(struct mf_process *process, uint64_t object);

/*
 * When the call in progress times out: `span_ns` from now at its first try, and the same moment at
 * every later one. MF_FOREVER stays that.
 */
uint64_t mf_wait_deadline(struct mf_process *process, uint64_t span_ns);

#endif
