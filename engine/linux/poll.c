/* SPDX-License-Identifier: MIT */
/*
 * poll, ppoll, select, pselect6. What is ready now is answered at once. Otherwise the program is
 * parked: on the host descriptor, if it waits for exactly one; else it looks again every
 * REPOLL_NS. Signal masks are read past (no signal arrives while a program waits), and the time
 * left is not written back.
 */
#include "engine/linux/io.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#define SECOND_NS 1000000000ull
#define REPOLL_NS 5000000ull

#define ALWAYS_READY (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)

/* What select calls readable, writable and exceptional (Linux fs/select.c). */
#define SELECT_IN  (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define SELECT_OUT (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define SELECT_EX  POLLPRI

/* The guest's descriptors of one call, and what there is to ask the host about. */
struct watch {
	struct pollfd guest[MF_FDS];
	struct pollfd host[MF_FDS]; /* fd < 0: nothing to ask */
	nfds_t count;
	int hosts; /* entries of host[] with a descriptor */
};

/* The host descriptor that decides, or -1: always ready. */
static int decider(const struct mf_process *process, const struct mf_fd *entry)
{
	if (entry->kind == MF_FD_PIPE)
		return entry->host;
	if (entry->kind != MF_FD_STDIO)
		return -1;
	if (entry->host && !process->policy->stdio_is_host)
		return -1;
	return mf_fd_host(process, entry);
}

/* Look at every descriptor now: how many have something to say. */
static int look(const struct mf_process *process, struct watch *watch)
{
	int ready = 0;
	nfds_t i;

	watch->hosts = 0;
	for (i = 0; i < watch->count; i++) {
		struct pollfd *guest = &watch->guest[i];
		const struct mf_fd *entry = NULL;

		watch->host[i] = (struct pollfd){.fd = -1, .events = guest->events};
		guest->revents = 0;
		if (guest->fd < 0)
			continue;
		entry = mf_fd_get(process, (uint32_t)guest->fd);
		if (!entry)
			guest->revents = POLLNVAL;
		else if ((watch->host[i].fd = decider(process, entry)) < 0)
			guest->revents = guest->events & ALWAYS_READY;
		else
			watch->hosts++;
	}
	if (watch->hosts && poll(watch->host, watch->count, 0) < 0)
		return 0; /* interrupted: as if nothing were ready, it is looked at again */
	for (i = 0; i < watch->count; i++) {
		if (watch->host[i].fd >= 0)
			watch->guest[i].revents = watch->host[i].revents;
		ready += watch->guest[i].revents != 0;
	}
	return ready;
}

static int64_t park(struct mf_process *process, const struct watch *watch, uint64_t until)
{
	nfds_t i;

	for (i = 0; i < watch->count && watch->hosts == 1; i++) {
		if (watch->host[i].fd >= 0 && watch->host[i].events) {
			mf_wait_host(process, watch->host[i].fd, watch->host[i].events);
			MF_THREAD_DIRTY(process, wait.until_ns) = until;
			return MF_SYS_WAIT;
		}
	}
	if (watch->hosts) {
		uint64_t again = mf_wait_now_ns() + REPOLL_NS;

		until = again < until ? again : until;
	}
	return mf_wait_until(process, until);
}

/* The call comes back here with the same arguments until it is over; the deadline is in the arena.
 */
static int64_t wait_for(struct mf_process *process, struct watch *watch, uint64_t timeout_ns)
{
	int ready = look(process, watch);
	uint64_t until;

	if (ready || !timeout_ns)
		return ready;
	until = mf_wait_deadline(process, timeout_ns);
	return mf_wait_now_ns() < until ? park(process, watch, until) : 0;
}

/* A struct timespec (or, scale 1000, timeval) of the guest; a NULL one is for ever. */
static int read_timeout(struct mf_process *process, uint64_t at, uint64_t scale, uint64_t *ns)
{
	int64_t span[2];

	*ns = MF_FOREVER;
	if (!at)
		return 0;
	if (mf_guest_read(process, at, span, sizeof(span)))
		return -EFAULT;
	if (span[0] < 0 || span[1] < 0)
		return -EINVAL;
	/* A timeval may hold more than a second of microseconds (Linux carries it over). */
	if (scale == 1000) {
		span[0] = span[0] < INT64_MAX / 2 ? span[0] + span[1] / 1000000 : span[0];
		span[1] %= 1000000;
	}
	if ((uint64_t)span[1] * scale >= SECOND_NS)
		return -EINVAL;
	if ((uint64_t)span[0] < MF_FOREVER / SECOND_NS / 4)
		*ns = (uint64_t)span[0] * SECOND_NS + (uint64_t)span[1] * scale;
	return 0;
}

static int64_t poll_list(struct mf_process *process, uint64_t at, uint64_t count,
			 uint64_t timeout_ns)
{
	struct watch watch;
	int64_t ret;

	if (count > mf_fd_limit(process))
		return -EINVAL;
	watch.count = count;
	if (mf_guest_read(process, at, watch.guest, count * sizeof(watch.guest[0])))
		return -EFAULT;
	ret = wait_for(process, &watch, timeout_ns);
	if (ret >= 0 && mf_guest_write(process, at, watch.guest, count * sizeof(watch.guest[0])))
		return -EFAULT;
	return ret;
}

int64_t mf_sys_poll(struct mf_process *process, const uint64_t arg[6])
{
	int ms = (int)arg[2];

	return poll_list(process, arg[0], (uint32_t)arg[1],
			 ms < 0 ? MF_FOREVER : (uint64_t)ms * 1000000);
}

int64_t mf_sys_ppoll(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t timeout_ns;
	int ret = read_timeout(process, arg[2], 1, &timeout_ns);

	return ret ? ret : poll_list(process, arg[0], (uint32_t)arg[1], timeout_ns);
}

/* The three sets of select, as far as MF_FDS goes. */
struct sets {
	uint64_t words[3][MF_FDS / 64];
};

static const short set_events[3] = {SELECT_IN, SELECT_OUT, SELECT_EX};

static bool has(const uint64_t *words, uint32_t fd)
{
	return words[fd / 64] >> (fd % 64) & 1;
}

/* -EBADF when a set names a descriptor that is not open. */
static int sets_to_watch(const struct mf_process *process, const struct sets *sets, uint32_t count,
			 struct watch *watch)
{
	uint32_t fd;
	int set;

	watch->count = 0;
	for (fd = 0; fd < count; fd++) {
		short events = 0;

		for (set = 0; set < 3; set++) {
			if (has(sets->words[set], fd))
				events = (short)(events | set_events[set]);
		}
		if (!events)
			continue;
		if (!mf_fd_get(process, fd))
			return -EBADF;
		watch->guest[watch->count++] = (struct pollfd){.fd = (int)fd, .events = events};
	}
	return 0;
}

/* Leave in the sets what is ready: the number of bits. */
static int64_t watch_to_sets(const struct watch *watch, struct sets *sets)
{
	struct sets ready = {0};
	int64_t bits = 0;
	nfds_t i;
	int set;

	for (i = 0; i < watch->count; i++) {
		uint32_t fd = (uint32_t)watch->guest[i].fd;

		for (set = 0; set < 3; set++) {
			if (!has(sets->words[set], fd) ||
			    !(watch->guest[i].revents & set_events[set]))
				continue;
			ready.words[set][fd / 64] |= 1ull << (fd % 64);
			bits++;
		}
	}
	*sets = ready;
	return bits;
}

static int64_t select_sets(struct mf_process *process, const uint64_t arg[6], uint64_t timeout_ns)
{
	uint32_t count = (uint32_t)arg[0];
	size_t bytes = ((count < MF_FDS ? count : MF_FDS) + 63) / 64 * 8;
	struct sets sets = {0};
	struct watch watch;
	int64_t ret;
	int set;

	if ((int32_t)count < 0)
		return -EINVAL;
	for (set = 0; set < 3; set++) {
		if (arg[1 + set] && mf_guest_read(process, arg[1 + set], sets.words[set], bytes))
			return -EFAULT;
	}
	ret = sets_to_watch(process, &sets, count < MF_FDS ? count : MF_FDS, &watch);
	if (!ret)
		ret = wait_for(process, &watch, timeout_ns);
	if (ret < 0)
		return ret;
	ret = watch_to_sets(&watch, &sets);
	for (set = 0; set < 3; set++) {
		if (arg[1 + set] && mf_guest_write(process, arg[1 + set], sets.words[set], bytes))
			return -EFAULT;
	}
	return ret;
}

int64_t mf_sys_select(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t timeout_ns;
	int ret = read_timeout(process, arg[4], 1000, &timeout_ns);

	return ret ? ret : select_sets(process, arg, timeout_ns);
}

int64_t mf_sys_pselect6(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t timeout_ns;
	int ret = read_timeout(process, arg[4], 1, &timeout_ns);

	return ret ? ret : select_sets(process, arg, timeout_ns);
}
