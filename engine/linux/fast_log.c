/* SPDX-License-Identifier: MIT */
/*
 * Calls that ring 3 has answered by itself, made again for the engine's own state. An entry is a
 * claim: a call that the program could have made, with what its pointers led to, and what it was
 * told. It is made as any call is; when it comes to anything else than was told, the program is
 * ended.
 */
#include "engine/linux/fast.h"
#include "engine/image/guest.h"
#include "engine/linux/fd.h"
#include "engine/linux/listener.h"
#include "engine/linux/syscall.h"
#include "engine/linux/trace.h"

#include <asm/unistd_64.h>
#include <fcntl.h>
#include <stddef.h>

#define NO_CALL INT64_MAX

/* Its bytes were taken from the area. */
static int64_t take_input(struct mf_process *process, const struct mf_fast_entry *entry)
{
	const struct mf_fd *fd = mf_fd_get(process, entry->arg[0]);
	struct mf_cursor cursor;

	if (!fd || fd->kind != MF_FD_CONNECTION || entry->arg[2] > MF_FAST_IN)
		return NO_CALL;
	mf_cursor_host(&cursor, process, entry, entry->arg[2], MF_WRITE); /* thrown away */
	return mf_connection_receive(process, fd, &cursor, MSG_TRUNC | MSG_DONTWAIT);
}

/* Its bytes are in the area, and go where they may. */
static bool is_output(const struct mf_process *process, const struct mf_fast_entry *entry)
{
	const struct mf_fd *fd = mf_fd_get(process, entry->arg[0]);
	uint64_t at = entry->arg[1] - (MF_FAST_AREA_VA + offsetof(struct mf_fast_area, out));

	return fd && (fd->kind == MF_FD_CONNECTION || fd->kind == MF_FD_STDIO) &&
	       entry->arg[2] <= MF_FAST_OUT && at <= MF_FAST_OUT - entry->arg[2];
}

static int64_t make(struct mf_process *process, const struct mf_fast_entry *entry,
		    uint64_t bytes_at)
{
	uint64_t arg[6] = {entry->arg[0], entry->arg[1], entry->arg[2], entry->arg[3]};

	switch (entry->number) {
	case __NR_read:
		return take_input(process, entry);
	case __NR_epoll_wait:
		return mf_epoll_told(process, arg[0], arg[1]);
	case __NR_write:
		if (!is_output(process, entry))
			return NO_CALL;
		break;
	case __NR_accept4:
	case __NR_close:
	case __NR_shutdown:
		break;
	case __NR_fcntl:
		if (arg[1] != F_SETFL && arg[1] != F_SETFD)
			return NO_CALL;
		break;
	case __NR_setsockopt:
		arg[3] = bytes_at;
		arg[4] = sizeof(uint32_t);
		break;
	case __NR_epoll_ctl:
		arg[3] = bytes_at;
		break;
	default:
		return NO_CALL;
	}
	return mf_syscalls[entry->number].call(process, arg);
}

static bool make_up(struct mf_process *process, const struct mf_fast_entry *entry, uint32_t i)
{
	uint64_t at = MF_FAST_AREA_VA + offsetof(struct mf_fast_area, log[i]);
	int64_t result = make(process, entry, at + offsetof(struct mf_fast_entry, bytes));

	process->syscalls++;
	if (process->policy->trace)
		mf_trace_call(
			process, entry->number,
			(uint64_t[6]){entry->arg[0], entry->arg[1], entry->arg[2], entry->arg[3]},
			entry->result);
	return result == entry->result;
}

bool mf_fast_make_up_log(struct mf_process *process, struct mf_fast_area *area)
{
	uint32_t count = area->state.log_count;
	bool as_told = count <= MF_FAST_LOG;
	uint32_t i;

	for (i = 0; i < count && as_told; i++) {
		struct mf_fast_entry entry = area->log[i];

		as_told = make_up(process, &entry, i);
	}
	mf_mem_mark(&process->vm.mem, &area->state, sizeof(area->state));
	area->state.log_count = 0;
	area->state.out_bytes = 0;
	return as_told;
}
