/* SPDX-License-Identifier: MIT */
/*
 * The engine's side of the calls that are answered in ring 3 (guest/fast, <mayfly/abi/fast.h>):
 * what the code there goes by is told before ring 3 is entered. The engine's own state is the
 * truth; what the area says is a claim.
 */
#ifndef MF_ENGINE_LINUX_FAST_H
#define MF_ENGINE_LINUX_FAST_H

#include <mayfly/abi/fast.h>

#include "engine/linux/process.h"

/* Ring 3 is about to be entered. */
void mf_fast_publish(struct mf_process *process);

/*
 * Ring 3 was left: the calls that were answered there are made for the engine's own state. False,
 * with the exit that says so: they do not come to what the program was told.
 */
bool mf_fast_make_up(struct mf_process *process, struct mf_exit *exit);

/* fast_tell.c, fast_log.c: the same, of an area that is not in use. */
void mf_fast_tell(struct mf_process *process, struct mf_fast_area *area);
bool mf_fast_make_up_log(struct mf_process *process, struct mf_fast_area *area);

/* epoll.c: that epoll has looked at a descriptor that was in its list. 1: it was ready, and told;
 * 0: it was not, and left the list; or the errno that says why that cannot be. */
int64_t mf_epoll_told(struct mf_process *process, uint64_t epoll, uint64_t fd);

/* mf_vm_settle(), but not in a call that is being answered in ring 3: no thread is replaced there,
 * and no handler sees it. */
bool mf_fast_settle(struct mf_process *process);

/* A fault that is the program's own: true when it was met in such a call, which is then made by the
 * engine. */
bool mf_fast_bail(struct mf_process *process, const struct mf_vm_exit *fault);

#endif
