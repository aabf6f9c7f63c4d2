/* SPDX-License-Identifier: MIT */
/*
 * Descriptors and open file descriptions, as the calls of io.c, poll.c, stat.c and files.c use
 * them. What others need stands in syscall.h. A description points to a host descriptor; the ones
 * that the image has belong to the image and are never closed by a fork.
 */
#ifndef MF_ENGINE_LINUX_FD_H
#define MF_ENGINE_LINUX_FD_H

#include "engine/linux/syscall.h"

/* The same description for writing. */
struct mf_fd *mf_fd_rw(struct mf_process *process, const struct mf_fd *entry);

/* Another descriptor for an open description, the lowest number >= from: the number or -EMFILE. */
int64_t mf_fd_share(struct mf_process *process, const struct mf_fd *entry, uint64_t from,
		    bool cloexec);

/* The same at exactly `fd`, closing what is there. -EBADF beyond RLIMIT_NOFILE. */
int64_t mf_fd_share_at(struct mf_process *process, const struct mf_fd *entry, uint64_t fd,
		       bool cloexec);

/* 0 or -EBADF. */
int64_t mf_fd_close(struct mf_process *process, uint64_t fd);

bool mf_fd_cloexec(const struct mf_process *process, uint64_t fd);
void mf_fd_set_cloexec(struct mf_process *process, uint64_t fd, bool cloexec);

/* Descriptors that the program may have. */
uint64_t mf_fd_limit(const struct mf_process *process);

/*
 * Put a host descriptor into the table as what it is, a file or a directory; `path` is its absolute
 * name. Owns `host` in any case: the number, or -EMFILE, -ENAMETOOLONG, -EACCES when it is neither.
 */
int64_t mf_fd_install_host(struct mf_process *process, int host, int flags, const char *path);

/* The name of an open directory: NULL with -EBADF or -ENOTDIR in *ret. */
const char *mf_fd_dir_path(const struct mf_process *process, uint64_t fd, int *ret);

/* The host descriptor to ask about an entry (poll, fstat, ioctl), or -1: it has none. */
int mf_fd_host(const struct mf_process *process, const struct mf_fd *entry);

#endif
