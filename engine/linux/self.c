/* SPDX-License-Identifier: MIT */
/* Calls about another process, of which there is only one to ask about: the program itself. */
#include "engine/linux/fd.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/syscall.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include "engine/image/guest.h"

/* Where a copy stands in a list of pieces. */
struct side {
	struct mf_guest_iov iov[MF_IOVS];
	uint64_t count;
	uint64_t at;   /* current piece */
	uint64_t done; /* bytes of it */
};

static int side_read(struct mf_process *process, struct side *side, uint64_t va, uint64_t count)
{
	uint64_t i;

	side->at = side->done = 0;
	side->count = count;
	if (count > MF_IOVS)
		return -EINVAL;
	if (count && mf_guest_read(process, va, side->iov, count * sizeof(side->iov[0])))
		return -EFAULT;
	for (i = 0; i < count; i++) {
		if (side->iov[i].bytes > INT64_MAX)
			return -EINVAL;
	}
	return 0;
}

/* Bytes left of the current piece that is not empty; 0: no more. */
static uint64_t side_left(struct side *side)
{
	while (side->at < side->count && side->done == side->iov[side->at].bytes) {
		side->at++;
		side->done = 0;
	}
	return side->at < side->count ? side->iov[side->at].bytes - side->done : 0;
}

static uint64_t side_address(const struct side *side)
{
	return side->iov[side->at].base + side->done;
}

/* Page by page, so that what is before a bad address is copied. */
static int64_t copy_sides(struct mf_process *process, struct side *from, struct side *to)
{
	uint8_t buffer[MF_PAGE];
	uint64_t all = 0;

	while (side_left(from) && side_left(to) && all < MF_RW_MAX) {
		uint64_t bytes = side_left(from) < side_left(to) ? side_left(from) : side_left(to);
		uint64_t page_left = MF_PAGE - side_address(from) % MF_PAGE;
		uint64_t other_left = MF_PAGE - side_address(to) % MF_PAGE;

		bytes = bytes < page_left ? bytes : page_left;
		bytes = bytes < other_left ? bytes : other_left;
		if (mf_guest_read(process, side_address(from), buffer, bytes) ||
		    mf_guest_write(process, side_address(to), buffer, bytes))
			return all ? (int64_t)all : -EFAULT;
		from->done += bytes;
		to->done += bytes;
		all += bytes;
	}
	return (int64_t)all;
}

static int64_t copy_self(struct mf_process *process, const uint64_t arg[6], bool reads)
{
	struct side local, remote;
	int ret;

	if (arg[5])
		return -EINVAL;
	ret = side_read(process, &local, arg[1], arg[2]);
	if (!ret)
		ret = side_read(process, &remote, arg[3], arg[4]);
	if (ret || !side_left(&local) || !side_left(&remote))
		return ret;
	if ((uint32_t)arg[0] != MF_GUEST_PID)
		return -ESRCH;
	return reads ? copy_sides(process, &remote, &local) : copy_sides(process, &local, &remote);
}

int64_t mf_sys_process_vm_readv(struct mf_process *process, const uint64_t arg[6])
{
	return copy_self(process, arg, true);
}

int64_t mf_sys_process_vm_writev(struct mf_process *process, const uint64_t arg[6])
{
	return copy_self(process, arg, false);
}

static int64_t compare_files(const struct mf_process *process, uint64_t a, uint64_t b)
{
	const struct mf_fd *one = mf_fd_get(process, a);
	const struct mf_fd *two = mf_fd_get(process, b);

	if (!one || !two)
		return -EBADF;
	return one == two ? 0 : one < two ? 1 : 2;
}

int64_t mf_sys_kcmp(struct mf_process *process, const uint64_t arg[6])
{
	if ((uint32_t)arg[0] != MF_GUEST_PID || (uint32_t)arg[1] != MF_GUEST_PID)
		return -ESRCH;
	if ((int)arg[2] == KCMP_FILE)
		return compare_files(process, arg[3], arg[4]);
	return (int)arg[2] < 0 || (int)arg[2] >= KCMP_TYPES ? -EINVAL
	       : (int)arg[2] == KCMP_EPOLL_TFD              ? -EOPNOTSUPP
							    : 0;
}

/* The clock as it is told to one who may not set it; whether the host's is synchronised is not. */
static int64_t tell_clock(struct mf_process *process, uint64_t va)
{
	struct timex state;
	struct timespec now;

	if (mf_guest_read(process, va, &state, sizeof(state)))
		return -EFAULT;
	if (state.modes)
		return -EPERM;
	clock_gettime(CLOCK_REALTIME, &now);
	state = (struct timex){.status = STA_UNSYNC | STA_NANO,
			       .maxerror = 16000000,
			       .esterror = 16000000,
			       .constant = 2,
			       .precision = 1,
			       .tolerance = 32768000,
			       .tick = 10000,
			       .time = {.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec}};
	return mf_guest_write(process, va, &state, sizeof(state)) ? -EFAULT : TIME_ERROR;
}

int64_t mf_sys_adjtimex(struct mf_process *process, const uint64_t arg[6])
{
	return tell_clock(process, arg[0]);
}

int64_t mf_sys_clock_adjtime(struct mf_process *process, const uint64_t arg[6])
{
	if (arg[0] != CLOCK_REALTIME)
		return arg[0] <= CLOCK_TAI ? -EOPNOTSUPP : -EINVAL;
	return tell_clock(process, arg[1]);
}
