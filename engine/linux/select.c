/* SPDX-License-Identifier: MIT */
/* select and pselect6: three sets of bits, over what poll does. */
#include "engine/linux/guestmem.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/poll.h"
#include "engine/linux/signal.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <string.h>

/* What select calls readable, writable and exceptional (Linux fs/select.c). */
#define SELECT_IN  (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define SELECT_OUT (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define SELECT_EX  POLLPRI

/* The three sets, as far as MF_FDS goes. */
struct sets {
	uint64_t words[3][MF_FDS / 64];
};

static const short set_events[3] = {SELECT_IN, SELECT_OUT, SELECT_EX};

static bool has(const uint64_t *words, uint32_t fd)
{
	return words[fd / 64] >> (fd % 64) & 1;
}

/* One entry a descriptor: how many, or -EBADF when a set names one that is not open. */
static int sets_to_list(const struct mf_process *process, const struct sets *sets, uint32_t count,
			struct pollfd *list)
{
	int entries = 0;
	uint32_t fd;
	int set;

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
		list[entries++] = (struct pollfd){.fd = (int)fd, .events = events};
	}
	return entries;
}

/* Leave in the sets what is ready: the number of bits. */
static int64_t list_to_sets(const struct pollfd *list, int entries, struct sets *sets)
{
	struct sets ready = {0};
	int64_t bits = 0;
	int i, set;

	for (i = 0; i < entries; i++) {
		uint32_t fd = (uint32_t)list[i].fd;

		for (set = 0; set < 3; set++) {
			if (!has(sets->words[set], fd) || !(list[i].revents & set_events[set]))
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
	uint32_t count = (uint32_t)arg[0] < MF_FDS ? (uint32_t)arg[0] : MF_FDS;
	size_t bytes = (count + 63) / 64 * 8;
	struct pollfd list[MF_FDS];
	struct sets sets = {0};
	int entries, set;
	int64_t ret;

	if ((int32_t)arg[0] < 0)
		return -EINVAL;
	for (set = 0; set < 3; set++) {
		if (arg[1 + set] && mf_guest_read(process, arg[1 + set], sets.words[set], bytes))
			return -EFAULT;
	}
	entries = sets_to_list(process, &sets, count, list);
	if (entries < 0)
		return entries;
	ret = mf_poll_wait(process, list, (nfds_t)entries, timeout_ns);
	if (ret < 0)
		return ret;
	ret = list_to_sets(list, entries, &sets);
	for (set = 0; set < 3; set++) {
		if (arg[1 + set] && mf_guest_write(process, arg[1 + set], sets.words[set], bytes))
			return -EFAULT;
	}
	return ret;
}

/*
 * The time that is left, written back as Linux does when the call is over; a place that cannot be
 * written is left alone.
 */
static int64_t time_left(struct mf_process *process, uint64_t at, uint64_t scale, int64_t result)
{
	uint64_t until = mf_thread(process)->call_until_ns;
	uint64_t now = mf_vm_now_ns(&process->vm);
	uint64_t left = until > now ? until - now : 0;
	uint64_t span[2] = {left / 1000000000u, left % 1000000000u / scale};

	if (at && result != MF_SYS_WAIT && until && until != MF_FOREVER)
		mf_guest_write(process, at, span, sizeof(span));
	return result;
}

int64_t mf_sys_select(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t timeout_ns;
	int ret = mf_poll_timeout(process, arg[4], 1000, &timeout_ns);

	if (ret)
		return ret;
	return time_left(process, arg[4], 1000, select_sets(process, arg, timeout_ns));
}

/* The sixth argument leads to the mask's address and size. */
int64_t mf_sys_pselect6(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t mask[2] = {0, 0};
	uint64_t timeout_ns;
	int ret = mf_poll_timeout(process, arg[4], 1, &timeout_ns);

	if (!ret && arg[5] && mf_guest_read(process, arg[5], mask, sizeof(mask)))
		ret = -EFAULT;
	if (!ret)
		ret = mf_signal_mask_for_call(process, mask[0], mask[1]);
	if (ret)
		return ret;
	return time_left(process, arg[4], 1, select_sets(process, arg, timeout_ns));
}
