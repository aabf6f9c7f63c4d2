/* SPDX-License-Identifier: MIT */
/* Signals of a guest program: what an exception means, and what a signal to oneself does. */
#ifndef MF_ENGINE_LINUX_SIGNAL_H
#define MF_ENGINE_LINUX_SIGNAL_H

#include "engine/linux/process.h"

/* The signal that Linux sends for an x86 exception (arch/x86/kernel/traps.c). */
int mf_signal_of_vector(unsigned int vector);

/*
 * Send a signal to the program: MF_SYS_EXIT when it dies of it, 0 when it is ignored or blocked. A
 * handler is not run yet: the program dies of the signal instead (never a pretence of delivery).
 */
int64_t mf_process_signal(struct mf_process *process, int signo);

/* Is there a signal that the thread on the vCPU has to take now? */
bool mf_signal_due(const struct mf_process *process);

/*
 * The thread's call was parked and a signal is due: end the call as Linux does, with -EINTR or so
 * that it is made again behind the handler.
 */
void mf_signal_interrupt(struct mf_process *process);

/*
 * Take what is due: run the handler when ring 3 is entered next, or MF_SYS_EXIT when the program
 * dies of it. The vCPU is settled (mf_vm_settle).
 */
int64_t mf_signal_deliver(struct mf_process *process);

/*
 * A call that waits under another signal mask (ppoll, pselect6, epoll_pwait, sigsuspend): put it in
 * place for as long as the call takes; the old one comes back when it is over, behind the handler
 * if there is one. 0 with va 0. -EINVAL (bytes is not 8), -EFAULT.
 */
int mf_signal_mask_for_call(struct mf_process *process, uint64_t va, uint64_t bytes);

#endif
