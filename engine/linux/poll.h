/* SPDX-License-Identifier: MIT */
/* Waiting for some of many descriptors, as poll and select do. */
#ifndef MF_ENGINE_LINUX_POLL_H
#define MF_ENGINE_LINUX_POLL_H

#include <poll.h>

#include "engine/linux/fd.h"

/*
 * Fill in what is ready of the guest's descriptors: how many; 0 when the time is over; or
 * MF_SYS_WAIT. count <= MF_FDS.
 */
int64_t mf_poll_wait(struct mf_process *process, struct pollfd *guest, nfds_t count,
		     uint64_t timeout_ns);

/* A struct timespec (or, scale 1000, timeval) of the guest; a NULL one is for ever. -EFAULT,
 * -EINVAL. */
int mf_poll_timeout(struct mf_process *process, uint64_t at, uint64_t scale, uint64_t *ns);

#endif
