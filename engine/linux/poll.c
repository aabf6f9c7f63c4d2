/* SPDX-License-Identifier: MIT */
/*
 * poll and ppoll, and what select shares with them. What is ready now is answered at once.
 * Otherwise the thread waits for the one object or host descriptor that can end its waiting, or,
 * when there are several, for any.
 */
#include "engine/linux/poll.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/connection.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/signal.h"
#include "engine/linux/timerfd.h"
#include "engine/linux/wait.h"
#include "engine/linux/watch.h"

#include <errno.h>
#include <time.h>

#define SECOND_NS 1000000000ull

#define ALWAYS (POLLERR | POLLHUP) /* said without being asked for */

/* What one look found out. */
struct look {
	struct pollfd hosts[MF_FDS]; /* what the host must be asked about */
	uint32_t of[MF_FDS];         /* whose answer that is */
	nfds_t host_count;
	uint32_t objects; /* descriptions that live in this VM */
	bool nests;       /* some of them have others within */
	bool listens;     /* one of them is where the role's connections arrive */
	int ready;
};

static void look_at(struct mf_process *process, struct pollfd *guest, uint32_t i, struct look *look)
{
	const struct mf_fd *entry = mf_fd_get(process, (uint32_t)guest->fd);
	const struct mf_fd_ops *ops = entry ? mf_fd_ops(entry) : NULL;
	int host = ops && ops->host ? ops->host(process, entry) : -1;

	if (host >= 0) {
		look->hosts[look->host_count] =
			(struct pollfd){.fd = host, .events = guest->events};
		look->of[look->host_count++] = i;
		return;
	}
	guest->revents = POLLNVAL;
	if (entry)
		guest->revents = (short)(mf_fd_poll(process, entry) & (guest->events | ALWAYS));
	look->ready += guest->revents != 0;
	look->objects++;
	look->nests |= ops && ops->traits & MF_FD_NESTS;
	look->listens |= entry && guest->events & (POLLIN | POLLRDNORM) &&
			 mf_listener_is_behind(process, entry);
}

/* Look at every descriptor now. */
static void look(struct mf_process *process, struct pollfd *guest, nfds_t count, struct look *look)
{
	nfds_t i;

	look->host_count = 0;
	look->objects = 0;
	look->nests = false;
	look->listens = false;
	look->ready = 0;
	mf_watch_poll(process);
	for (i = 0; i < count; i++) {
		guest[i].revents = 0;
		if (guest[i].fd >= 0)
			look_at(process, &guest[i], (uint32_t)i, look);
	}
	/* Interrupted: as if nothing were ready, it is looked at again. */
	if (!look->host_count || poll(look->hosts, look->host_count, 0) <= 0)
		return;
	for (i = 0; i < look->host_count; i++) {
		guest[look->of[i]].revents = look->hosts[i].revents;
		look->ready += look->hosts[i].revents != 0;
	}
}

static int64_t park(struct mf_process *process, struct look *look, uint64_t until)
{
	uint64_t timer = look->objects ? mf_timerfd_next_ns(process) : MF_FOREVER;
	int nested = look->nests ? mf_watch_host(process) : -1;
	uint64_t object = look->objects ? MF_WAIT_FDS : 0;

	until = timer < until ? timer : until;
	if (nested >= 0 && look->host_count < MF_FDS)
		look->hosts[look->host_count++] = (struct pollfd){.fd = nested, .events = POLLIN};
	if (look->host_count) {
		mf_wait_hosts(process, look->hosts, look->host_count, until);
		MF_THREAD_DIRTY(process, wait.object) = object;
	} else {
		mf_wait_object(process, object, until);
	}
	if (look->listens)
		MF_THREAD_DIRTY(process, wait.listens) = 1;
	return MF_SYS_WAIT;
}

/* The call comes back here with the same arguments until it is over; the deadline is in the arena.
 */
int64_t mf_poll_wait(struct mf_process *process, struct pollfd *guest, nfds_t count,
		     uint64_t timeout_ns)
{
	struct look found;
	uint64_t until;

	look(process, guest, count, &found);
	if (found.ready || !timeout_ns)
		return found.ready;
	until = mf_wait_deadline(process, timeout_ns);
	return mf_vm_now_ns(&process->vm) < until ? park(process, &found, until) : 0;
}

int mf_poll_timeout(struct mf_process *process, uint64_t at, uint64_t scale, uint64_t *ns)
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
	struct pollfd guest[MF_FDS];
	int64_t ret;

	if (count > mf_fd_limit(process))
		return -EINVAL;
	if (mf_guest_read(process, at, guest, count * sizeof(guest[0])))
		return -EFAULT;
	ret = mf_poll_wait(process, guest, count, timeout_ns);
	if (ret >= 0 && mf_guest_write(process, at, guest, count * sizeof(guest[0])))
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
	int ret = mf_poll_timeout(process, arg[2], 1, &timeout_ns);

	if (!ret)
		ret = mf_signal_mask_for_call(process, arg[3], arg[4]);
	return ret ? ret : poll_list(process, arg[0], (uint32_t)arg[1], timeout_ns);
}
