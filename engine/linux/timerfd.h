/* SPDX-License-Identifier: MIT */
/* timerfd: timers as plain data; nothing runs, whoever looks or waits asks for the time. */
#ifndef MF_ENGINE_LINUX_TIMERFD_H
#define MF_ENGINE_LINUX_TIMERFD_H

#include "engine/linux/fd.h"

/* Tell whoever watches of the timers that have run out since the last time. */
void mf_timerfd_poll(struct mf_process *process);

/* When that has to be asked next (CLOCK_MONOTONIC); UINT64_MAX: no timer runs. */
uint64_t mf_timerfd_next_ns(const struct mf_process *process);

#endif
