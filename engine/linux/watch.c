/* SPDX-License-Identifier: MIT */
#include "engine/linux/watch.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>

#define ALWAYS (EPOLLERR | EPOLLHUP)

static struct mf_epoll_item *item_rw(struct mf_process *process, uint32_t item)
{
	return &MF_DIRTY(process, items[item]);
}

/* The link of item `number` (+ 1) that lies `at` bytes into it; NULL for none. */
static struct mf_link *link_rw(struct mf_process *process, uint32_t number, size_t at)
{
	return number ? (struct mf_link *)((uint8_t *)item_rw(process, number - 1) + at) : NULL;
}

/* Put an item in front of a list, which `first` begins. */
static void link_first(struct mf_process *process, const uint32_t *first, uint32_t item, size_t at)
{
	struct mf_link *link = link_rw(process, item + 1, at);
	struct mf_link *next = link_rw(process, *first, at);

	*link = (struct mf_link){.next = *first};
	if (next)
		next->prev = item + 1;
	mf_mem_mark(&process->vm.mem, first, sizeof(*first));
	*(uint32_t *)first = item + 1;
}

static void unlink_item(struct mf_process *process, const uint32_t *first, uint32_t item, size_t at)
{
	struct mf_link *link = link_rw(process, item + 1, at);
	struct mf_link *next = link_rw(process, link->next, at);
	struct mf_link *prev = link_rw(process, link->prev, at);

	if (next)
		next->prev = link->prev;
	if (prev) {
		prev->next = link->next;
	} else {
		mf_mem_mark(&process->vm.mem, first, sizeof(*first));
		*(uint32_t *)first = link->next;
	}
	*link = (struct mf_link){0};
}

#define OF_EPOLL  offsetof(struct mf_epoll_item, of_epoll)
#define OF_TARGET offsetof(struct mf_epoll_item, of_target)
#define READY     offsetof(struct mf_epoll_item, ready)

/* Where the list of a description's items begins; pipes have one for both ends. */
static const uint32_t *watches(const struct mf_process *process, const struct mf_fd *target)
{
	const struct mf_fd_ops *ops = mf_fd_ops(target);

	return ops->watches ? ops->watches(process, target) : &target->watches;
}

uint32_t mf_watch_find(const struct mf_process *process, uint32_t epoll, const struct mf_fd *target,
		       int32_t fd)
{
	uint32_t index = mf_fd_index(process, target);
	uint32_t at = *watches(process, target);

	while (at) {
		const struct mf_epoll_item *item = mf_watch_item(process, at - 1);

		if (item->epoll == epoll && item->target == index && item->fd == fd)
			return at - 1;
		at = item->of_target.next;
	}
	return MF_NO_ITEM;
}

void mf_watch_queue(struct mf_process *process, uint32_t item)
{
	struct mf_epoll *epoll;
	struct mf_link *last;

	if (mf_watch_item(process, item)->is_ready)
		return;
	epoll = &MF_DIRTY(process, epolls[mf_watch_item(process, item)->epoll]);
	last = link_rw(process, epoll->ready_last, READY);
	item_rw(process, item)->ready = (struct mf_link){.prev = epoll->ready_last};
	item_rw(process, item)->is_ready = 1;
	if (last)
		last->next = item + 1;
	else
		epoll->ready = item + 1;
	epoll->ready_last = item + 1;
}

void mf_watch_unqueue(struct mf_process *process, uint32_t item)
{
	struct mf_epoll *epoll;

	if (!mf_watch_item(process, item)->is_ready)
		return;
	epoll = &MF_DIRTY(process, epolls[mf_watch_item(process, item)->epoll]);
	if (epoll->ready_last == item + 1)
		epoll->ready_last = mf_watch_item(process, item)->ready.prev;
	unlink_item(process, &epoll->ready, item, READY);
	item_rw(process, item)->is_ready = 0;
}

/* Those who wait for the epoll look again; and if it is itself watched, so does who watches it. */
static void tell(struct mf_process *process, const struct mf_fd *target, uint32_t events,
		 uint64_t *told);

static void ready_now(struct mf_process *process, uint32_t item, uint64_t *told)
{
	uint32_t epoll = mf_watch_item(process, item)->epoll;

	mf_watch_queue(process, item);
	if (told[epoll / 64] >> (epoll % 64) & 1)
		return;
	told[epoll / 64] |= 1ull << (epoll % 64);
	mf_wait_wake(process, MF_WAIT_FD(epoll, false));
	mf_wait_wake(process, MF_WAIT_FDS);
	tell(process, mf_fd_at(process, epoll), EPOLLIN | EPOLLRDNORM, told);
}

/* What an end that cannot be read or written hears nothing of. */
static uint32_t heard(const struct mf_fd *target, uint32_t events)
{
	switch (target->flags & O_ACCMODE) {
	case O_RDONLY:
		return events & ~(uint32_t)(EPOLLOUT | EPOLLWRNORM);
	case O_WRONLY:
		return events & ~(uint32_t)(EPOLLIN | EPOLLRDNORM);
	default:
		return events;
	}
}

static void tell(struct mf_process *process, const struct mf_fd *target, uint32_t events,
		 uint64_t *told)
{
	uint32_t at = *watches(process, target);

	while (at) {
		const struct mf_epoll_item *item = mf_watch_item(process, at - 1);

		if (item->events & heard(mf_fd_at(process, item->target), events))
			ready_now(process, at - 1, told);
		at = item->of_target.next;
	}
}

void mf_watch_notify(struct mf_process *process, const struct mf_fd *target, short events)
{
	uint64_t told[MF_FDS / 64] = {0};

	if (*watches(process, target))
		tell(process, target, (uint16_t)events, told);
}

/* Look at a new or changed item. */
static void look(struct mf_process *process, uint32_t item)
{
	const struct mf_epoll_item *it = mf_watch_item(process, item);
	uint64_t told[MF_FDS / 64] = {0};

	if ((uint16_t)mf_fd_poll(process, mf_fd_at(process, it->target)) & it->events)
		ready_now(process, item, told);
}

static uint32_t take_item(struct mf_process *process)
{
	uint32_t item = mf_linux(process)->items_free;

	if (item) {
		MF_DIRTY(process, items_free) = mf_watch_item(process, item - 1)->of_epoll.next;
		return item - 1;
	}
	item = mf_linux(process)->items_high;
	if (item == MF_EPOLL_ITEMS)
		return MF_NO_ITEM;
	MF_DIRTY(process, items_high) = item + 1;
	return item;
}

static bool is_of_host(const struct mf_process *process, const struct mf_fd *target)
{
	const struct mf_fd_ops *ops = mf_fd_ops(target);

	return ops->host && ops->host(process, target) >= 0;
}

int mf_watch_add(struct mf_process *process, uint32_t epoll, const struct mf_fd *target, int32_t fd,
		 uint32_t events, uint64_t data)
{
	uint32_t item = take_item(process);
	int ret = 0;

	if (item == MF_NO_ITEM)
		return -ENOSPC;
	*item_rw(process, item) = (struct mf_epoll_item){.epoll = epoll,
							 .target = mf_fd_index(process, target),
							 .fd = fd,
							 .events = events | ALWAYS,
							 .data = data};
	link_first(process, &mf_linux(process)->epolls[epoll].items, item, OF_EPOLL);
	link_first(process, watches(process, target), item, OF_TARGET);
	if (is_of_host(process, target)) {
		item_rw(process, item)->of_host = 1;
		MF_DIRTY(process, items_of_host)++;
		ret = mf_watch_host_update(process, target);
	}
	if (ret)
		mf_watch_remove(process, item);
	else
		look(process, item);
	return ret;
}

int mf_watch_change(struct mf_process *process, uint32_t item, uint32_t events, uint64_t data)
{
	const struct mf_fd *target = mf_fd_at(process, mf_watch_item(process, item)->target);
	int ret = 0;

	item_rw(process, item)->events = events | ALWAYS;
	item_rw(process, item)->data = data;
	if (is_of_host(process, target))
		ret = mf_watch_host_update(process, target);
	if (!ret)
		look(process, item);
	return ret;
}

void mf_watch_remove(struct mf_process *process, uint32_t item)
{
	const struct mf_epoll_item *it = mf_watch_item(process, item);
	const struct mf_fd *target = mf_fd_at(process, it->target);

	mf_watch_unqueue(process, item);
	unlink_item(process, &mf_linux(process)->epolls[it->epoll].items, item, OF_EPOLL);
	unlink_item(process, watches(process, target), item, OF_TARGET);
	if (it->of_host)
		MF_DIRTY(process, items_of_host)--;
	if (it->of_host && is_of_host(process, target))
		mf_watch_host_update(process, target);
	*item_rw(process, item) =
		(struct mf_epoll_item){.of_epoll = {.next = mf_linux(process)->items_free}};
	MF_DIRTY(process, items_free) = item + 1;
}

void mf_watch_rehost(struct mf_process *process, const struct mf_fd *target)
{
	uint32_t at = *watches(process, target);

	for (; at; at = mf_watch_item(process, at - 1)->of_target.next) {
		item_rw(process, at - 1)->of_host = 1;
		MF_DIRTY(process, items_of_host)++;
	}
	if (*watches(process, target))
		mf_watch_host_update(process, target);
}

void mf_watch_forget(struct mf_process *process, const struct mf_fd *target)
{
	uint32_t index = mf_fd_index(process, target);
	uint32_t at = *watches(process, target);

	while (at) {
		uint32_t item = at - 1;

		at = mf_watch_item(process, item)->of_target.next;
		if (mf_watch_item(process, item)->target == index)
			mf_watch_remove(process, item);
	}
}
