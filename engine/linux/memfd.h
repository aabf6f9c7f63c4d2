/* SPDX-License-Identifier: MIT */
/*
 * Files without a name (memfd_create): the host's, as they may be mapped and shared; their size
 * counts against the VM's memory. No fork can have one of its own: a program that holds one cannot
 * be frozen.
 */
#ifndef MF_ENGINE_LINUX_MEMFD_H
#define MF_ENGINE_LINUX_MEMFD_H

#include "engine/linux/fd.h"

/* A new file in memory as a descriptor of the program's; MFD_*. The descriptor, or -errno. */
int64_t mf_memfd_make(struct mf_process *process, uint32_t flags);

/* A file is about to reach to `end`: 0, or -ENOSPC when that is more memory than the VM may have.
 * Any file may be asked about. */
int mf_memfd_grow(struct mf_process *process, const struct mf_fd *entry, uint64_t end);

/* Its size has changed, or was going to: count what it is. */
void mf_memfd_settle(struct mf_process *process, const struct mf_fd *entry);

/* It is closed. */
void mf_memfd_close(struct mf_process *process, const struct mf_fd *entry);

int mf_memfd_freeze(const struct mf_process *process, const struct mf_fd *entry,
		    struct mf_error *err);

#endif
