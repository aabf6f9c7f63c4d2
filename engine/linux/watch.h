/* SPDX-License-Identifier: MIT */
/*
 * Who watches descriptions: epoll's items. An item stands in its epoll's list, in its target's, and
 * in the epoll's list of those that may be ready from the moment that something happened to the
 * target until somebody looked. What happens to descriptions in this VM is told by mf_fd_notify();
 * what happens to host descriptors by one host epoll instance a VM, made when it is needed from
 * what the arena says, so that forks and resets need not care. Items are indices into the arena.
 */
#ifndef MF_ENGINE_LINUX_WATCH_H
#define MF_ENGINE_LINUX_WATCH_H

#include "engine/linux/fd.h"

#define MF_NO_ITEM UINT32_MAX

static inline const struct mf_epoll_item *mf_watch_item(const struct mf_process *process,
							uint32_t item)
{
	return &mf_linux(process)->items[item % MF_EPOLL_ITEMS];
}

/* The item of a description (by index) under that number, or MF_NO_ITEM. */
uint32_t mf_watch_find(const struct mf_process *process, uint32_t epoll, const struct mf_fd *target,
		       int32_t fd);

/*
 * Watch, change what is watched for, stop. Adding and changing look at once, so that what is ready
 * already is said. -ENOSPC: no more items; -EPERM: the host descriptor cannot be watched.
 */
int mf_watch_add(struct mf_process *process, uint32_t epoll, const struct mf_fd *target, int32_t fd,
		 uint32_t events, uint64_t data);
int mf_watch_change(struct mf_process *process, uint32_t item, uint32_t events, uint64_t data);
void mf_watch_remove(struct mf_process *process, uint32_t item);

/* It has got a host descriptor, whose readiness is its own from now on: who watches it follows. */
void mf_watch_rehost(struct mf_process *process, const struct mf_fd *target);

/* Nobody watches this description any more: it is closed. */
void mf_watch_forget(struct mf_process *process, const struct mf_fd *target);

/* Something happened: items that want these POLL* events may be ready. */
void mf_watch_notify(struct mf_process *process, const struct mf_fd *target, short events);

/* Into the list of those that may be ready (at its end), and out of it. */
void mf_watch_queue(struct mf_process *process, uint32_t item);
void mf_watch_unqueue(struct mf_process *process, uint32_t item);

/* Items for host descriptors changed: the host's instance follows. 0 or -errno. */
int mf_watch_host_update(struct mf_process *process, const struct mf_fd *target);

/* Take what the host has to tell, and timers that have run out; before a look at readiness. */
void mf_watch_poll(struct mf_process *process);

/* The host epoll instance, readable when mf_watch_poll() has something to take; -1: not needed. */
int mf_watch_host(struct mf_process *process);

/* Close it: the VM is reset or ends. */
void mf_watch_host_close(struct mf_process *process);

#endif
