/* SPDX-License-Identifier: MIT */
/*
 * Pipes: plain data. The bytes lie in guest frames that no guest address maps, one a page written,
 * so that they count against the VM's memory, fork and reset. What is written merges and fills up
 * as in Linux' fs/pipe.c.
 */
#ifndef MF_ENGINE_LINUX_PIPE_H
#define MF_ENGINE_LINUX_PIPE_H

#include "engine/linux/fd.h"

/* F_GETPIPE_SZ and F_SETPIPE_SZ: bytes; -EPERM beyond 1 MiB, -EBUSY when more is in it. */
int64_t mf_pipe_size(const struct mf_process *process, const struct mf_fd *entry);
int64_t mf_pipe_resize(struct mf_process *process, const struct mf_fd *entry, uint64_t bytes);

/* Bytes in it; bytes that a write takes for sure; whether anybody has the other end. */
uint64_t mf_pipe_bytes(const struct mf_process *process, const struct mf_fd *entry);
uint64_t mf_pipe_room(const struct mf_process *process, const struct mf_fd *entry);
bool mf_pipe_has_reader(const struct mf_process *process, const struct mf_fd *entry);
bool mf_pipe_has_writer(const struct mf_process *process, const struct mf_fd *entry);

/* Copy what is in it, up to `bytes`, and leave it there: how much. Take that much out of it. */
size_t mf_pipe_peek(const struct mf_process *process, const struct mf_fd *entry, void *to,
		    size_t bytes);
void mf_pipe_consume(struct mf_process *process, const struct mf_fd *entry, size_t bytes);

#endif
