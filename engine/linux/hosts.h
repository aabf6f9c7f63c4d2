/* SPDX-License-Identifier: MIT */
/*
 * The host descriptors that threads of a program wait for. Whoever drives the program waits for one
 * descriptor: when there are several to wait for, it is an epoll descriptor of the host's that has
 * them. Nothing in here is state of the guest: it is made anew from its parked threads.
 */
#ifndef MF_ENGINE_LINUX_HOSTS_H
#define MF_ENGINE_LINUX_HOSTS_H

#include <poll.h>

#include "engine/linux/process.h"

/* The thread on the vCPU is about to wait for these, instead of any before, leaving out those below
 * 0: how many, or -ENOMEM. */
int mf_hosts_add(struct mf_process *process, const struct pollfd *fds, size_t count);

/* When to look again for what could not be waited for. */
uint64_t mf_hosts_look_again(const struct mf_process *process, uint64_t until_ns);

/* That thread does not wait any more. */
void mf_hosts_drop(struct mf_process *process, uint32_t thread);

/* Wake the threads whose descriptors are ready. */
void mf_hosts_look(struct mf_process *process);

/* What `exit` waits for: descriptor and events, or none. */
void mf_hosts_exit(struct mf_process *process, struct mf_exit *exit);

/* Forget all of it, and give back what the host lent. */
void mf_hosts_finish(struct mf_process *process);

#endif
