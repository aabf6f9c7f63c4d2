/* SPDX-License-Identifier: MIT */
/*
 * A timer counts when it is looked at. Who waits is told once an expiry, and again only when it has
 * been read (or asked after) and has run out anew, as in Linux' fs/timerfd.c.
 */
#include "engine/linux/timerfd.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/io.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <time.h>

#define SECOND_NS 1000000000ull
#define NEVER     UINT64_MAX
#define LONGEST_S (INT64_MAX / (int64_t)SECOND_NS) /* Linux' KTIME_SEC_MAX */

static const struct mf_timerfd *timer_of(const struct mf_process *process,
					 const struct mf_fd *entry)
{
	return &mf_linux(process)->timers[mf_fd_index(process, entry)];
}

static struct mf_timerfd *timer_rw(struct mf_process *process, const struct mf_fd *entry)
{
	return &MF_DIRTY(process, timers[mf_fd_index(process, entry)]);
}

static void set_next(struct mf_process *process, uint32_t number, uint32_t next)
{
	if (number)
		MF_DIRTY(process, timers[number - 1].armed.next) = next;
	else
		MF_DIRTY(process, timers_armed) = next;
}

static void set_prev(struct mf_process *process, uint32_t number, uint32_t prev)
{
	if (number)
		MF_DIRTY(process, timers[number - 1].armed.prev) = prev;
}

/* Into the list of timers that run, or out of it. */
static void arm(struct mf_process *process, const struct mf_fd *entry, uint64_t expires_ns)
{
	struct mf_timerfd *timer = timer_rw(process, entry);
	uint32_t number = mf_fd_index(process, entry) + 1;

	timer->told = 0;
	if (timer->expires_ns == NEVER && expires_ns != NEVER) {
		timer->armed = (struct mf_link){.next = mf_linux(process)->timers_armed};
		set_prev(process, timer->armed.next, number);
		set_next(process, 0, number);
	} else if (timer->expires_ns != NEVER && expires_ns == NEVER) {
		set_next(process, timer->armed.prev, timer->armed.next);
		set_prev(process, timer->armed.next, timer->armed.prev);
		timer->armed = (struct mf_link){0};
	}
	timer->expires_ns = expires_ns;
}

/* Count the expiries up to now, and wait for the next one. */
static void count(struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_timerfd *timer = timer_of(process, entry);
	uint64_t now = mf_vm_clock_ns(&process->vm, timer->clock);
	uint64_t ticks = 1;

	if (now < timer->expires_ns)
		return;
	if (timer->interval_ns)
		ticks += (now - timer->expires_ns) / timer->interval_ns;
	timer_rw(process, entry)->ticks += ticks;
	arm(process, entry,
	    timer->interval_ns ? timer->expires_ns + ticks * timer->interval_ns : NEVER);
}

/* When a timer runs out, as the time that waiting goes by. */
static uint64_t expires_monotonic(const struct mf_process *process, const struct mf_timerfd *timer)
{
	uint64_t now = mf_vm_clock_ns(&process->vm, timer->clock);
	uint64_t left = timer->expires_ns > now ? timer->expires_ns - now : 0;
	uint64_t from = mf_vm_now_ns(&process->vm);

	return left < NEVER - 1 - from ? from + left : NEVER - 1;
}

static bool is_due(const struct mf_process *process, const struct mf_timerfd *timer)
{
	return timer->expires_ns != NEVER &&
	       mf_vm_clock_ns(&process->vm, timer->clock) >= timer->expires_ns;
}

void mf_timerfd_poll(struct mf_process *process)
{
	uint32_t at = mf_linux(process)->timers_armed;

	while (at) {
		const struct mf_timerfd *timer = &mf_linux(process)->timers[at - 1];

		if (!timer->told && is_due(process, timer)) {
			MF_DIRTY(process, timers[at - 1].told) = 1;
			mf_fd_notify(process, mf_fd_at(process, at - 1), POLLIN);
		}
		at = timer->armed.next;
	}
}

uint64_t mf_timerfd_next_ns(const struct mf_process *process)
{
	uint32_t at = mf_linux(process)->timers_armed;
	uint64_t next = MF_FOREVER;

	while (at) {
		const struct mf_timerfd *timer = &mf_linux(process)->timers[at - 1];
		uint64_t expires = timer->told ? MF_FOREVER : expires_monotonic(process, timer);

		next = expires < next ? expires : next;
		at = timer->armed.next;
	}
	return next;
}

static int64_t read_timer(struct mf_process *process, const struct mf_fd *entry,
			  struct mf_cursor *cursor, const struct mf_io *io)
{
	uint64_t ticks;

	if (cursor->left < sizeof(ticks))
		return -EINVAL;
	count(process, entry);
	ticks = timer_of(process, entry)->ticks;
	if (!ticks && io->flags & O_NONBLOCK)
		return -EAGAIN;
	if (!ticks)
		return mf_wait_object(
			process, mf_fd_object(process, entry, POLLIN),
			timer_of(process, entry)->expires_ns == NEVER
				? MF_FOREVER
				: expires_monotonic(process, timer_of(process, entry)));
	timer_rw(process, entry)->ticks = 0;
	return mf_cursor_put(cursor, &ticks, sizeof(ticks)) < sizeof(ticks)
		       ? -EFAULT
		       : (int64_t)sizeof(ticks);
}

static short poll_timer(struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_timerfd *timer = timer_of(process, entry);

	return timer->ticks || is_due(process, timer) ? POLLIN : 0;
}

static void close_timer(struct mf_process *process, const struct mf_fd *entry)
{
	arm(process, entry, NEVER);
}

const struct mf_fd_ops mf_timerfd_ops = {
	.name = "anon_inode:[timerfd]",
	.traits = MF_FD_POLLS,
	.read = read_timer,
	.poll = poll_timer,
	.seek = mf_fd_seek_nowhere,
	.close = close_timer,
};

int64_t mf_sys_timerfd_create(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_fd entry = {.kind = MF_FD_TIMERFD, .host = -1};
	int clock = (int)arg[0];
	uint32_t flags = (uint32_t)arg[1];
	int64_t fd;

	if (flags & ~(uint32_t)(TFD_CLOEXEC | TFD_NONBLOCK))
		return -EINVAL;
	if (clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM)
		return -EPERM;
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME)
		return -EINVAL;
	entry.flags = flags | O_RDWR;
	entry.object = (uint32_t)clock;
	fd = mf_fd_install(process, &entry, 0);
	if (fd >= 0)
		*timer_rw(process, mf_fd_get(process, (uint64_t)fd)) =
			(struct mf_timerfd){.expires_ns = NEVER, .clock = clock};
	return fd;
}

static int to_ns(const struct timespec *span, uint64_t *ns)
{
	if (span->tv_sec < 0 || span->tv_nsec < 0 || span->tv_nsec >= (long)SECOND_NS)
		return -EINVAL;
	*ns = span->tv_sec >= LONGEST_S
		      ? (uint64_t)INT64_MAX
		      : (uint64_t)span->tv_sec * SECOND_NS + (uint64_t)span->tv_nsec;
	return 0;
}

static struct timespec to_span(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / SECOND_NS),
				 .tv_nsec = (long)(ns % SECOND_NS)};
}

/* What is left, and the interval. */
static struct itimerspec setting(struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_timerfd *timer = timer_of(process, entry);
	uint64_t left = 0;

	count(process, entry);
	if (timer->expires_ns != NEVER)
		left = timer->expires_ns - mf_vm_clock_ns(&process->vm, timer->clock);
	/* It may run out just now: it is not to look as if it did not run. */
	if ((int64_t)left <= 0 && timer->expires_ns != NEVER)
		left = 1;
	return (struct itimerspec){.it_interval = to_span(timer->interval_ns),
				   .it_value = to_span(left)};
}

static const struct mf_fd *timer_fd(const struct mf_process *process, uint64_t fd, int64_t *ret)
{
	const struct mf_fd *entry = mf_fd_get(process, fd);

	*ret = !entry || entry->flags & O_PATH ? -EBADF
	       : entry->kind != MF_FD_TIMERFD  ? -EINVAL
					       : 0;
	return *ret ? NULL : entry;
}

/* A span runs by the monotonic clock, whatever somebody makes of the time of day. */
static void start(struct mf_process *process, const struct mf_fd *entry, uint64_t value_ns,
		  uint64_t interval_ns, bool absolute)
{
	struct mf_timerfd *timer = timer_rw(process, entry);
	uint64_t from;

	timer->clock =
		absolute || entry->object != CLOCK_REALTIME ? (int)entry->object : CLOCK_MONOTONIC;
	timer->interval_ns = interval_ns;
	timer->ticks = 0;
	from = absolute ? 0 : mf_vm_clock_ns(&process->vm, timer->clock);
	arm(process, entry, !value_ns ? NEVER : from + value_ns);
	mf_timerfd_poll(process);
	/* Somebody may be waiting for another time. */
	mf_fd_notify(process, entry, POLLIN);
}

int64_t mf_sys_timerfd_settime(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t flags = (uint32_t)arg[1];
	struct itimerspec new, old;
	uint64_t value_ns, interval_ns;
	const struct mf_fd *entry;
	int64_t ret;

	if (mf_guest_read(process, arg[2], &new, sizeof(new)))
		return -EFAULT;
	if (flags & ~(uint32_t)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) ||
	    to_ns(&new.it_value, &value_ns) || to_ns(&new.it_interval, &interval_ns))
		return -EINVAL;
	entry = timer_fd(process, arg[0], &ret);
	if (!entry)
		return ret;
	/* Nothing tells the engine when somebody sets the host's clock. */
	if (flags == (TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) &&
	    entry->object == CLOCK_REALTIME)
		return -EINVAL;
	old = setting(process, entry);
	start(process, entry, value_ns, interval_ns, flags & TFD_TIMER_ABSTIME);
	return arg[3] ? mf_guest_write(process, arg[3], &old, sizeof(old)) : 0;
}

int64_t mf_sys_timerfd_gettime(struct mf_process *process, const uint64_t arg[6])
{
	struct itimerspec now;
	int64_t ret;
	const struct mf_fd *entry = timer_fd(process, arg[0], &ret);

	if (!entry)
		return ret;
	now = setting(process, entry);
	return mf_guest_write(process, arg[1], &now, sizeof(now));
}
