/* SPDX-License-Identifier: MIT */
/* Descriptors that read signals. */
#ifndef MF_ENGINE_LINUX_SIGNALFD_H
#define MF_ENGINE_LINUX_SIGNALFD_H

#include "engine/linux/fd.h"

/* A signal waits: tell those who wait for it at a descriptor. */
void mf_signalfd_notify(struct mf_process *process, int signo);

#endif
