/* SPDX-License-Identifier: MIT */
/* Resource limits of a program (getrlimit(2)). */
#ifndef MF_ENGINE_LINUX_RLIMIT_H
#define MF_ENGINE_LINUX_RLIMIT_H

#include <stdbool.h>
#include <sys/resource.h>

#include "engine/linux/process.h"

/* One of RLIMIT_*; false: there is no such resource. */
bool mf_limit_get(const struct mf_process *process, uint64_t resource, struct rlimit *limit);

#endif
