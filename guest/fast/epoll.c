/* SPDX-License-Identifier: MIT */
/*
 * epoll and poll over descriptors of the area. The list of items that may be ready is kept as the
 * engine keeps it (engine/linux/epoll.c): events come in its order, and each one that is told is
 * logged, so that the engine's list is the same afterwards.
 */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "guest/fast/fast.h"

#define HOW    ((uint32_t)(EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE))
#define ALWAYS ((uint32_t)(EPOLLERR | EPOLLHUP))

#define POLLS 16u

/* Any descriptor of the area that is watched; not one that waits to be accepted. */
static struct mf_fast_fd *find_any(int32_t fd)
{
	uint32_t i;

	for (i = 0; fd >= 0 && i < MF_FAST_FDS; i++)
		if (area->fds[i].kind != MF_FAST_NONE && area->fds[i].kind != MF_FAST_OUTPUT &&
		    area->fds[i].fd == fd)
			return &area->fds[i];
	return NULL;
}

static struct mf_fast_item *find_item(int32_t epoll, int32_t fd)
{
	uint32_t i;

	for (i = 0; i < MF_FAST_ITEMS; i++)
		if (area->items[i].epoll == epoll && area->items[i].fd == fd)
			return &area->items[i];
	return NULL;
}

void fast_epoll_forget(int32_t fd)
{
	uint32_t i;

	for (i = 0; i < MF_FAST_ITEMS; i++)
		if (area->items[i].epoll >= 0 && area->items[i].fd == fd)
			area->items[i].epoll = -1;
}

/* To the end of those that may be ready, unless it is among them. */
static void queue(struct mf_fast_item *item)
{
	if (!item->ready)
		item->ready = ++area->order;
}

static void look(struct mf_fast_item *item, const struct mf_fast_fd *fd)
{
	if (fast_poll(fd) & item->events)
		queue(item);
}

static struct mf_fast_item *free_item(void)
{
	uint32_t i;

	for (i = 0; i < MF_FAST_ITEMS; i++)
		if (area->items[i].epoll < 0)
			return &area->items[i];
	return NULL;
}

static int64_t set_item(struct mf_fast_item *item, const struct call *call,
			const struct mf_fast_fd *fd, struct mf_fast_entry *entry)
{
	struct mf_fast_event event;

	if (!is_user(call->r10, sizeof(event)))
		return MF_FAST_NOT_HERE;
	copy(&event, (const void *)call->r10, sizeof(event));
	if (event.events & (EPOLLEXCLUSIVE | EPOLLWAKEUP))
		return MF_FAST_NOT_HERE;
	copy(entry->bytes, &event, sizeof(event));
	if (item->epoll < 0)
		item->ready = 0;
	item->epoll = (int32_t)call->rdi;
	item->fd = fd->fd;
	item->events = event.events | ALWAYS;
	item->data = event.data;
	look(item, fd);
	return 0;
}

int64_t fast_epoll_ctl(const struct call *call)
{
	struct mf_fast_fd *epoll = fast_find(call->rdi, MF_FAST_EPOLL);
	struct mf_fast_fd *fd = fast_find(call->rdx, MF_FAST_CONNECTION);
	struct mf_fast_entry *entry = fast_entry();
	uint32_t op = (uint32_t)call->rsi;
	struct mf_fast_item *item;

	if (!epoll || !fd || !entry)
		return MF_FAST_NOT_HERE;
	item = find_item(epoll->fd, fd->fd);
	if (op == EPOLL_CTL_ADD ? item != NULL : !item)
		return MF_FAST_NOT_HERE;
	if (op == EPOLL_CTL_MOD && item->events & EPOLLEXCLUSIVE)
		return MF_FAST_NOT_HERE;
	if (op == EPOLL_CTL_DEL) {
		item->epoll = -1;
	} else {
		item = op == EPOLL_CTL_ADD ? free_item() : op == EPOLL_CTL_MOD ? item : NULL;
		if (!item || set_item(item, call, fd, entry))
			return MF_FAST_NOT_HERE;
	}
	fast_logged(entry, SYS_epoll_ctl, 0, call->rdi, op, call->rdx, 0);
	return 0;
}

/* Of an epoll's items, the one that has been in the list longest, behind place `after`. */
static struct mf_fast_item *next_ready(int32_t epoll, uint32_t after)
{
	struct mf_fast_item *first = NULL;
	uint32_t i;

	for (i = 0; i < MF_FAST_ITEMS; i++) {
		struct mf_fast_item *item = &area->items[i];

		if (item->epoll == epoll && item->ready > after &&
		    (!first || item->ready < first->ready))
			first = item;
	}
	return first;
}

static uint32_t events_of(const struct mf_fast_item *item)
{
	const struct mf_fast_fd *fd = find_any(item->fd);

	return fd ? fast_poll(fd) & item->events & ~HOW : 0;
}

/* First all is told, then the list changes: the caller's memory may end the call. */
static uint32_t tell_events(int32_t epoll, uint64_t to, uint32_t max)
{
	struct mf_fast_item *item = next_ready(epoll, 0);
	uint32_t count = 0;

	for (; item && count < max; item = next_ready(epoll, item->ready)) {
		struct mf_fast_event event = {events_of(item), item->data};

		if (!event.events)
			continue;
		if (!is_user(to + count * sizeof(event), sizeof(event)))
			return 0;
		copy((void *)(to + count * sizeof(event)), &event, sizeof(event));
		count++;
	}
	return count;
}

/* The engine's list is to be the same afterwards: what it has of an item is logged, ready or not.
 */
static void take_events(int32_t epoll, uint32_t max)
{
	uint32_t last = area->order;
	struct mf_fast_item *item = next_ready(epoll, 0);

	for (; item && item->ready <= last && max; item = next_ready(epoll, 0)) {
		bool is_ready = events_of(item);

		item->ready = 0;
		fast_logged(&mf_fast_area.log[area->log_count], SYS_epoll_wait, is_ready,
			    (uint64_t)(uint32_t)epoll, (uint64_t)(uint32_t)item->fd, 0, 0);
		if (!is_ready)
			continue;
		max--;
		if (item->events & EPOLLONESHOT)
			item->events &= HOW;
		else if (!(item->events & EPOLLET))
			queue(item);
	}
}

int64_t fast_epoll_wait(const struct call *call)
{
	struct mf_fast_fd *epoll = fast_find(call->rdi, MF_FAST_EPOLL);
	uint32_t max = (uint32_t)call->rdx;
	uint32_t count;

	if (!epoll || !max || call->rsi >= USER_TOP ||
	    max > INT32_MAX / sizeof(struct mf_fast_event) ||
	    (call->rax == SYS_epoll_pwait && call->r8) ||
	    area->log_count > MF_FAST_LOG - MF_FAST_ITEMS)
		return MF_FAST_NOT_HERE;
	count = tell_events(epoll->fd, call->rsi, max);
	if (!count && ((uint32_t)call->r10 || area->looks++ >= MF_FAST_LOOKS))
		return MF_FAST_NOT_HERE;
	take_events(epoll->fd, max);
	return count;
}

/* All of them are in the area, and one is ready, or nobody wants to wait. */
int64_t fast_poll_list(const struct call *call)
{
	struct pollfd list[POLLS];
	uint32_t count = (uint32_t)call->rsi;
	uint32_t ready = 0;
	uint32_t i;

	if (!count || count > POLLS || !is_user(call->rdi, count * sizeof(list[0])))
		return MF_FAST_NOT_HERE;
	copy(list, (const void *)call->rdi, count * sizeof(list[0]));
	for (i = 0; i < count; i++) {
		const struct mf_fast_fd *fd = find_any(list[i].fd);

		if (!fd || fd->kind == MF_FAST_EPOLL)
			return MF_FAST_NOT_HERE;
		list[i].revents =
			(short)(fast_poll(fd) & ((uint16_t)list[i].events | POLLERR | POLLHUP));
		ready += list[i].revents != 0;
	}
	if (!ready && call->rdx)
		return MF_FAST_NOT_HERE;
	copy((void *)call->rdi, list, count * sizeof(list[0]));
	return ready;
}
