/* SPDX-License-Identifier: MIT */
/*
 * /dev/shm: names for files in memory (shm_open(3), sem_open(3)), each VM's own, which need no
 * permission. A name refers to a description that no number leads to (see memfd.h), and so does
 * each description that it was opened as. A volume at /dev/shm takes its place.
 */
#ifndef MF_ENGINE_LINUX_SHM_H
#define MF_ENGINE_LINUX_SHM_H

#include "engine/linux/fd.h"

/* What stands behind "/dev/shm/" in a clean, absolute name; NULL: it is no name of a file there. */
const char *mf_shm_name(const struct mf_process *process, const char *path);

/* A descriptor for it, with the flags and mode of open: the number or -errno. */
int64_t mf_shm_open(struct mf_process *process, const char *name, int flags, mode_t mode);

/* The host descriptor of its file, which stays the file's; -ENOENT. */
int mf_shm_host(const struct mf_process *process, const char *name);

/* 0, -ENOENT, -EEXIST, -ENOSPC, -ENAMETOOLONG. */
int mf_shm_unlink(struct mf_process *process, const char *name);
int mf_shm_link(struct mf_process *process, const char *from, const char *to);
int mf_shm_rename(struct mf_process *process, const char *from, const char *to, uint32_t flags);

/* The first name at or behind `from`, for listings: NULL when there is none. */
const char *mf_shm_next(const struct mf_process *process, uint32_t from, uint32_t *at);

/* The name of what is open, or NULL: it has none (any more). */
const char *mf_shm_of(const struct mf_process *process, const struct mf_fd *entry);

#endif
