/* SPDX-License-Identifier: MIT */
/*
 * System V shared memory (shmget(2)), each VM's own: a segment is a file in memory without a name,
 * which the table holds, and attaching it maps that file. Its pages count against the VM's memory
 * as those of memfd_create do. Semaphores and message queues are not there.
 */
#ifndef MF_ENGINE_LINUX_SEGMENT_H
#define MF_ENGINE_LINUX_SEGMENT_H

#include "engine/linux/process.h"

/* Has an image any? It may not: forks cannot have one of their own. */
bool mf_segment_any(const struct mf_linux *lx);

#endif
