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

#endif
