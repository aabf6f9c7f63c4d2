/* SPDX-License-Identifier: MIT */
/*
 * Futexes: threads that sleep on a word of guest memory. They stand in one list, in the order in
 * which they came, with the word's address as their key. (A word that is shared between programs by
 * a file will want another key: today nobody outside can wake or wait.) Words are read and written
 * atomically. Source: futex(2), kernel/futex/.
 */
#ifndef MF_ENGINE_LINUX_FUTEX_H
#define MF_ENGINE_LINUX_FUTEX_H

#include "engine/linux/process.h"

/* Wake at most `count` of those who sleep at `va`: how many. */
int64_t mf_futex_wake(struct mf_process *process, uint64_t va, int count);

/* The thread on the vCPU does not sleep any more: its call was ended. */
void mf_futex_leave(struct mf_process *process);

/*
 * The thread on the vCPU has died: the word at `va`, from its robust list, says so if it was the
 * owner, and somebody who sleeps there is woken. False: there is no such word, leave the list
 * alone.
 */
bool mf_futex_died(struct mf_process *process, uint64_t va, bool pi, bool pending);

/* Likewise what others wait to own by FUTEX_LOCK_PI: the first of them owns it now. */
void mf_futex_owner_died(struct mf_process *process);

#endif
