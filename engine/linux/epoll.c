/* SPDX-License-Identifier: MIT */
/*
 * epoll: the calls. What may be ready is known from notifications (watch.h); what is, is asked of
 * the descriptions when somebody waits, as Linux' fs/eventpoll.c does. Level-triggered items go
 * back to the end of the list after each event, so that none starves.
 */
#include "engine/linux/fast.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/poll.h"
#include "engine/linux/signal.h"
#include "engine/linux/timerfd.h"
#include "engine/linux/wait.h"
#include "engine/linux/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#define NESTS_MAX 4 /* epolls one within the other, beyond the first (EP_MAX_NESTS) */

/* Bits that say how, not what. */
#define HOW ((uint32_t)(EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE))
/* What may stand beside EPOLLEXCLUSIVE. */
#define EXCLUSIVE_OK                                                                   \
	((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | \
		    EPOLLEXCLUSIVE))

#define EVENTS_MAX (INT32_MAX / (int32_t)sizeof(struct epoll_event))

_Static_assert(sizeof(struct epoll_event) == 12, "struct epoll_event is the kernel's");

static const struct mf_fd *epoll_fd(const struct mf_process *process, uint64_t fd, int64_t *ret)
{
	const struct mf_fd *entry = mf_fd_get(process, fd);

	*ret = !entry || entry->flags & O_PATH ? -EBADF : entry->kind != MF_FD_EPOLL ? -EINVAL : 0;
	return *ret ? NULL : entry;
}

static uint32_t ready_of(const struct mf_process *process, uint32_t item)
{
	const struct mf_epoll_item *it = mf_watch_item(process, item);

	return (uint16_t)mf_fd_poll((struct mf_process *)process, mf_fd_at(process, it->target)) &
	       it->events & ~HOW;
}

/* Readable when an item is ready; those that are not any more leave the list. */
static short poll_epoll(struct mf_process *process, const struct mf_fd *entry)
{
	uint32_t index = mf_fd_index(process, entry);
	uint32_t at;

	while ((at = mf_linux(process)->epolls[index].ready)) {
		if (ready_of(process, at - 1))
			return POLLIN | POLLRDNORM;
		mf_watch_unqueue(process, at - 1);
	}
	return 0;
}

static void close_epoll(struct mf_process *process, const struct mf_fd *entry)
{
	uint32_t index = mf_fd_index(process, entry);
	uint32_t at;

	while ((at = mf_linux(process)->epolls[index].items))
		mf_watch_remove(process, at - 1);
}

const struct mf_fd_ops mf_epoll_ops = {
	.name = "anon_inode:[eventpoll]",
	.traits = MF_FD_POLLS | MF_FD_NESTS,
	.poll = poll_epoll,
	.seek = mf_fd_seek_nowhere,
	.close = close_epoll,
};

static int64_t make_epoll(struct mf_process *process, uint64_t flags)
{
	struct mf_fd entry = {.kind = MF_FD_EPOLL, .host = -1, .flags = (uint32_t)flags | O_RDWR};

	if (flags & ~(uint64_t)EPOLL_CLOEXEC)
		return -EINVAL;
	return mf_fd_install(process, &entry, 0);
}

int64_t mf_sys_epoll_create(struct mf_process *process, const uint64_t arg[6])
{
	return (int32_t)arg[0] <= 0 ? -EINVAL : make_epoll(process, 0);
}

int64_t mf_sys_epoll_create1(struct mf_process *process, const uint64_t arg[6])
{
	return make_epoll(process, (uint32_t)arg[0]);
}

/* A walk over epolls and what they watch, or what watches them; each is visited once. */
struct walk {
	const struct mf_process *process;
	uint32_t stop; /* the epoll that may not be met */
	bool up;
	uint8_t depth[MF_FDS]; /* + 1; of those that were visited */
};

/* How many epolls lie one within the other below (or above) this one; a large number when the walk
 * met what it may not meet, or is too long already. */
static int depth_from(struct walk *walk, uint32_t epoll, int level)
{
	const struct mf_linux *lx = mf_linux(walk->process);
	uint32_t at = walk->up ? mf_fd_at(walk->process, epoll)->watches : lx->epolls[epoll].items;
	int deepest = 0;

	if (walk->depth[epoll])
		return walk->depth[epoll] - 1;
	while (at && deepest <= NESTS_MAX) {
		const struct mf_epoll_item *item = mf_watch_item(walk->process, at - 1);
		uint32_t next = walk->up ? item->epoll : item->target;
		int depth = NESTS_MAX + 1;

		at = walk->up ? item->of_target.next : item->of_epoll.next;
		if (mf_fd_at(walk->process, next)->kind != MF_FD_EPOLL)
			continue;
		if (next != walk->stop && level <= NESTS_MAX)
			depth = depth_from(walk, next, level + 1) + 1;
		deepest = depth > deepest ? depth : deepest;
	}
	walk->depth[epoll] = (uint8_t)(deepest + 1);
	return deepest;
}

/* May `epoll` watch the epoll `target`? -ELOOP. */
static int check_loop(const struct mf_process *process, uint32_t epoll, uint32_t target)
{
	struct walk walk = {.process = process, .stop = epoll};
	int depth = depth_from(&walk, target, 0);

	if (depth > NESTS_MAX)
		return -ELOOP;
	walk = (struct walk){.process = process, .stop = UINT32_MAX, .up = true};
	depth += 1 + depth_from(&walk, epoll, 0);
	return depth > NESTS_MAX ? -ELOOP : 0;
}

/* Something that says when it is ready: not a file, and not what is as good as /dev/null. */
static bool can_wait(const struct mf_process *process, const struct mf_fd *target)
{
	const struct mf_fd_ops *ops = mf_fd_ops(target);

	return ops->traits & MF_FD_POLLS &&
	       (ops->poll || (ops->host && ops->host(process, target) >= 0));
}

/* The two descriptors of epoll_ctl: 0 or a negative errno. */
static int64_t check_pair(const struct mf_process *process, const struct mf_fd *epoll,
			  const struct mf_fd *target, int op, uint32_t events)
{
	if (!epoll || !target || (epoll->flags | target->flags) & O_PATH)
		return -EBADF;
	if (!can_wait(process, target))
		return -EPERM;
	if (epoll == target || epoll->kind != MF_FD_EPOLL)
		return -EINVAL;
	if (op != EPOLL_CTL_DEL && events & EPOLLEXCLUSIVE &&
	    (op == EPOLL_CTL_MOD || target->kind == MF_FD_EPOLL || events & ~EXCLUSIVE_OK))
		return -EINVAL;
	if (op == EPOLL_CTL_ADD && target->kind == MF_FD_EPOLL)
		return check_loop(process, mf_fd_index(process, epoll),
				  mf_fd_index(process, target));
	return 0;
}

int64_t mf_sys_epoll_ctl(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *epoll = mf_fd_get(process, arg[0]);
	const struct mf_fd *target = mf_fd_get(process, arg[2]);
	struct epoll_event event = {0};
	int op = (int)arg[1];
	uint32_t item;
	int64_t ret;

	if (op != EPOLL_CTL_DEL && mf_guest_read(process, arg[3], &event, sizeof(event)))
		return -EFAULT;
	ret = check_pair(process, epoll, target, op, event.events);
	if (ret)
		return ret;
	item = mf_watch_find(process, mf_fd_index(process, epoll), target, (int32_t)arg[2]);
	switch (op) {
	case EPOLL_CTL_ADD:
		if (item != MF_NO_ITEM)
			return -EEXIST;
		return mf_watch_add(process, mf_fd_index(process, epoll), target, (int32_t)arg[2],
				    event.events, event.data.u64);
	case EPOLL_CTL_MOD:
		if (item == MF_NO_ITEM)
			return -ENOENT;
		if (mf_watch_item(process, item)->events & EPOLLEXCLUSIVE)
			return -EINVAL;
		return mf_watch_change(process, item, event.events, event.data.u64);
	case EPOLL_CTL_DEL:
		if (item == MF_NO_ITEM)
			return -ENOENT;
		mf_watch_remove(process, item);
		return 0;
	default:
		return -EINVAL;
	}
}

/* Its event was given: disarmed, or to the end of the list, if it does not wait for the next one.
 */
static void told(struct mf_process *process, uint32_t item)
{
	const struct mf_epoll_item *it = mf_watch_item(process, item);

	if (it->events & EPOLLONESHOT)
		MF_DIRTY(process, items[item].events) &= HOW;
	else if (!(it->events & EPOLLET))
		mf_watch_queue(process, item);
}

/* Give one item's event, if it is ready: 1, 0 or -EFAULT. The item is out of the list. */
static int give(struct mf_process *process, uint32_t item, uint64_t to)
{
	const struct mf_epoll_item *it = mf_watch_item(process, item);
	struct epoll_event event = {.events = ready_of(process, item), .data.u64 = it->data};

	if (!event.events)
		return 0;
	if (mf_guest_write(process, to, &event, sizeof(event))) {
		mf_watch_queue(process, item);
		return -EFAULT;
	}
	told(process, item);
	return 1;
}

int64_t mf_epoll_told(struct mf_process *process, uint64_t epoll, uint64_t fd)
{
	const struct mf_fd *target = mf_fd_get(process, fd);
	const struct mf_fd *entry;
	int64_t ret;
	uint32_t item;

	entry = epoll_fd(process, epoll, &ret);
	if (!entry || !target)
		return -EBADF;
	item = mf_watch_find(process, mf_fd_index(process, entry), target, (int32_t)fd);
	if (item == MF_NO_ITEM || !mf_watch_item(process, item)->is_ready)
		return -ENOENT;
	mf_watch_unqueue(process, item);
	if (!ready_of(process, item))
		return 0;
	told(process, item);
	return 1;
}

/* Each item that may be ready is looked at once: how many events there were. */
static int64_t harvest(struct mf_process *process, uint32_t epoll, uint64_t to, int32_t max)
{
	const struct mf_epoll *state = &mf_linux(process)->epolls[epoll];
	uint32_t last = state->ready_last;
	uint32_t at = 0;
	int64_t count = 0;
	int got = 0;

	while (at != last && count < max && got >= 0) {
		at = state->ready;
		mf_watch_unqueue(process, at - 1);
		got = give(process, at - 1, to + (uint64_t)count * sizeof(struct epoll_event));
		count += got > 0;
	}
	return count ? count : got;
}

static int64_t park(struct mf_process *process, uint32_t epoll, uint64_t until)
{
	uint64_t timer = mf_timerfd_next_ns(process);
	int host = mf_watch_host(process);

	mf_wait_object(process, MF_WAIT_FD(epoll, false), timer < until ? timer : until);
	if (host >= 0) {
		MF_THREAD_DIRTY(process, wait.fd) = host;
		MF_THREAD_DIRTY(process, wait.events) = POLLIN;
	}
	return MF_SYS_WAIT;
}

static int64_t wait_for(struct mf_process *process, const uint64_t arg[6], uint64_t timeout_ns)
{
	int32_t max = (int32_t)arg[2];
	const struct mf_fd *entry;
	uint32_t epoll;
	uint64_t until;
	int64_t ret;

	if (max <= 0 || max > EVENTS_MAX)
		return -EINVAL;
	if (arg[1] >> 47)
		return -EFAULT;
	entry = epoll_fd(process, arg[0], &ret);
	if (!entry)
		return ret;
	epoll = mf_fd_index(process, entry);
	mf_watch_poll(process);
	ret = harvest(process, epoll, arg[1], max);
	if (ret || !timeout_ns)
		return ret;
	until = mf_wait_deadline(process, timeout_ns);
	return mf_vm_now_ns(&process->vm) < until ? park(process, epoll, until) : 0;
}

static uint64_t of_ms(uint64_t ms)
{
	return (int32_t)ms < 0 ? MF_FOREVER : (uint64_t)(uint32_t)ms * 1000000;
}

int64_t mf_sys_epoll_wait(struct mf_process *process, const uint64_t arg[6])
{
	return wait_for(process, arg, of_ms(arg[3]));
}

int64_t mf_sys_epoll_pwait(struct mf_process *process, const uint64_t arg[6])
{
	int ret = mf_signal_mask_for_call(process, arg[4], arg[5]);

	return ret ? ret : wait_for(process, arg, of_ms(arg[3]));
}

int64_t mf_sys_epoll_pwait2(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t timeout_ns;
	int ret = mf_poll_timeout(process, arg[3], 1, &timeout_ns);

	if (!ret)
		ret = mf_signal_mask_for_call(process, arg[4], arg[5]);
	return ret ? ret : wait_for(process, arg, timeout_ns);
}
