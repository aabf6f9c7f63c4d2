/* SPDX-License-Identifier: MIT */
/*
 * Resource limits of a program (setrlimit(2)): what it has set itself lies in the arena, what it is
 * given is the policy's. Who uses a resource asks for its soft limit.
 */
#ifndef MF_ENGINE_LINUX_RLIMIT_H
#define MF_ENGINE_LINUX_RLIMIT_H

#include <stdbool.h>
#include <sys/resource.h>

#include "engine/linux/process.h"

/* Those of a new program. */
void mf_limit_init(struct mf_process *process);

/* One of RLIMIT_*; false: there is no such resource. */
bool mf_limit_get(const struct mf_process *process, uint64_t resource, struct rlimit *limit);

/* The soft limit of any but RLIMIT_CPU; RLIM_INFINITY: none. */
uint64_t mf_limit_soft(const struct mf_process *process, uint64_t resource);

/*
 * A file is written from `offset` on (RLIMIT_FSIZE): how many of *bytes may be. When not even one:
 * SIGXFSZ and -EFBIG, or MF_SYS_EXIT when the program dies of it.
 */
int64_t mf_limit_file(struct mf_process *process, uint64_t offset, uint64_t *bytes);

/* The same for a file that gets that size at once. */
int64_t mf_limit_file_size(struct mf_process *process, uint64_t size);

#endif
