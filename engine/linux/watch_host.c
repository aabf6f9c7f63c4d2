/* SPDX-License-Identifier: MIT */
/*
 * The host's epoll instance of a VM: edge-triggered, one entry a description that somebody watches
 * and whose readiness the host knows, for all events that any item of it wants. It is no part of
 * the VM's state: made from the items when a look first needs it, closed at a reset.
 */
#include "engine/linux/watch.h"
#include "engine/linux/timerfd.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#define HOST_EVENTS 64

/* Events that any item wants of it; 0: nobody watches. */
static uint32_t wanted(const struct mf_process *process, const struct mf_fd *target)
{
	uint32_t events = 0;
	uint32_t at;

	for (at = target->watches; at; at = mf_watch_item(process, at - 1)->of_target.next)
		events |= mf_watch_item(process, at - 1)->events;
	return events;
}

static int control(int instance, int op, int host, uint32_t events, uint32_t index)
{
	struct epoll_event event = {
		.events = (events & (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLRDNORM |
				     EPOLLRDBAND | EPOLLWRNORM | EPOLLWRBAND | EPOLLMSG)) |
			  EPOLLET,
		.data.u32 = index};

	return epoll_ctl(instance, op, host, &event) ? -errno : 0;
}

/* All descriptions that are watched, into a new instance. */
static void fill(struct mf_process *process, int instance)
{
	uint32_t index;

	for (index = 0; index < mf_linux(process)->fds_high && index < MF_FDS; index++) {
		const struct mf_fd *target = mf_fd_at(process, index);
		const struct mf_fd_ops *ops = mf_fd_ops(target);
		int host = target->users && ops->host ? ops->host(process, target) : -1;

		if (host >= 0 && target->watches)
			control(instance, EPOLL_CTL_ADD, host, wanted(process, target), index);
	}
}

int mf_watch_host(struct mf_process *process)
{
	int instance;

	if (process->host_epoll)
		return process->host_epoll - 1;
	if (!mf_linux(process)->items_of_host)
		return -1;
	instance = epoll_create1(EPOLL_CLOEXEC);
	if (instance < 0)
		return -1;
	process->host_epoll = instance + 1;
	fill(process, instance);
	return instance;
}

void mf_watch_host_close(struct mf_process *process)
{
	if (process->host_epoll)
		close(process->host_epoll - 1);
	process->host_epoll = 0;
}

int mf_watch_host_update(struct mf_process *process, const struct mf_fd *target)
{
	int host = mf_fd_ops(target)->host(process, target);
	uint32_t index = mf_fd_index(process, target);
	uint32_t events = wanted(process, target);
	int instance = mf_watch_host(process);
	int ret;

	if (instance < 0)
		return events ? -ENOMEM : 0;
	if (!events)
		return control(instance, EPOLL_CTL_DEL, host, 0, index);
	ret = control(instance, EPOLL_CTL_MOD, host, events, index);
	return ret == -ENOENT ? control(instance, EPOLL_CTL_ADD, host, events, index) : ret;
}

void mf_watch_poll(struct mf_process *process)
{
	struct epoll_event events[HOST_EVENTS];
	int instance = mf_watch_host(process);
	int count = HOST_EVENTS;
	int i;

	mf_timerfd_poll(process);
	while (instance >= 0 && count == HOST_EVENTS) {
		count = epoll_wait(instance, events, HOST_EVENTS, 0);
		for (i = 0; i < count; i++)
			mf_watch_notify(process, mf_fd_at(process, events[i].data.u32 % MF_FDS),
					(short)events[i].events);
	}
}
