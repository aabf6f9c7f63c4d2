/* SPDX-License-Identifier: MIT */
/* --trace-syscalls: one line a call, as strace would print it. */
#ifndef MF_ENGINE_LINUX_TRACE_H
#define MF_ENGINE_LINUX_TRACE_H

#include "engine/linux/process.h"

void mf_trace_call(const struct mf_process *process, uint64_t number, const uint64_t arg[6],
		   int64_t result);
void mf_trace_signal(const struct mf_process *process, int signo, const struct mf_vm_exit *exit);
/* A handler is about to run. */
void mf_trace_delivery(const struct mf_process *process, const struct mf_siginfo *info);

#endif
