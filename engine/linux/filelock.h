/* SPDX-License-Identifier: MIT */
/*
 * Locks on files: record locks of the process (POSIX), record locks of descriptions, and flock.
 * They are the host's, so that programs outside and other VMs meet them.
 *
 * The host knows the engine's process and not the program, so the program's record locks are locks
 * of a description that the engine opens for them: one for each file that has any, which every
 * descriptor of that file goes through. It is closed when the program closes any descriptor of the
 * file, as POSIX has it, and at the VM's reset. A description that the image holds is shared by
 * its forks: before a fork locks through it, it gets one of its own.
 */
#ifndef MF_ENGINE_LINUX_FILELOCK_H
#define MF_ENGINE_LINUX_FILELOCK_H

#include "engine/linux/fd.h"

/* fcntl with F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW. */
int64_t mf_lock_fcntl(struct mf_process *process, const struct mf_fd *entry, int command,
		      uint64_t va);

/* A descriptor of this description is closed: the process' record locks on the file are gone. */
void mf_lock_closed(struct mf_process *process, const struct mf_fd *entry);

/* Let go of the process' record locks on all files: its end, its reset, its freezing. */
void mf_lock_drop_all(struct mf_process *process);

#endif
