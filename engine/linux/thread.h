/* SPDX-License-Identifier: MIT */
/* Threads of a guest program: the first one, and who is who. */
#ifndef MF_ENGINE_LINUX_THREAD_H
#define MF_ENGINE_LINUX_THREAD_H

#include "engine/linux/process.h"

/* The thread that a program begins as; `path` is the program's file. */
void mf_thread_first(struct mf_process *process, const char *path);

/* The index of the thread with that id (0: the one on the vCPU), or -1. */
int mf_thread_find(const struct mf_process *process, uint64_t tid);

/* It has died: what it owned by its robust list goes to those who wait (set_robust_list(2)). */
void mf_robust_exit(struct mf_process *process);

#endif
