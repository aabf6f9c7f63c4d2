/* SPDX-License-Identifier: MIT */
/*
 * The engine's side of the calls that are answered in ring 3 (guest/fast, <mayfly/abi/fast.h>):
 * what the code there goes by is told before ring 3 is entered. The engine's own state is the
 * truth; what the area says is a claim.
 */
#ifndef MF_ENGINE_LINUX_FAST_H
#define MF_ENGINE_LINUX_FAST_H

#include "engine/linux/process.h"

/* Ring 3 is about to be entered. */
void mf_fast_publish(struct mf_process *process);

/* mf_vm_settle(), but not in a call that is being answered in ring 3: no thread is replaced there,
 * and no handler sees it. */
bool mf_fast_settle(struct mf_process *process);

/* A fault that is the program's own: true when it was met in such a call, which is then made by the
 * engine. */
bool mf_fast_bail(struct mf_process *process, const struct mf_vm_exit *fault);

#endif
