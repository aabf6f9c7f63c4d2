/* SPDX-License-Identifier: MIT */
/*
 * sendfile, splice, tee, vmsplice: bytes between descriptors, through a buffer of the engine's. A
 * call moves a part and returns; what was taken from a pipe is gone from it only when the other
 * side has it.
 */
#include "engine/linux/io.h"
#include "engine/linux/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#define BUFFER_BYTES 65536u
#define SPLICE_FLAGS ((uint32_t)(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT))

/* What did not fit while nothing was moved yet: an errno, or a wait. */
static int64_t blocked(struct mf_process *process, const struct mf_fd *entry, uint32_t flags,
		       short events)
{
	struct mf_io io = {.at = MF_OWN_OFFSET, .flags = flags};

	return mf_fd_block(process, entry, &io, events);
}

/* Write as much as there is room for: bytes, or -EAGAIN and the like. */
static int64_t put(struct mf_process *process, const struct mf_fd *out, const void *bytes,
		   size_t count, int64_t at)
{
	struct mf_io io = {.at = at, .flags = out->flags | O_NONBLOCK};
	struct mf_cursor cursor;

	mf_cursor_host(&cursor, process, bytes, count, MF_READ);
	return mf_io_write(process, out, &cursor, &io);
}

/* From `offset` of a file to wherever `out` writes, piece by piece. */
static int64_t send(struct mf_process *process, const struct mf_fd *out, const struct mf_fd *in,
		    uint64_t offset, uint64_t bytes)
{
	char buffer[BUFFER_BYTES];
	uint64_t done = 0;

	while (done < bytes) {
		size_t want = bytes - done < sizeof(buffer) ? bytes - done : sizeof(buffer);
		ssize_t got =
			TEMP_FAILURE_RETRY(pread(in->host, buffer, want, (off_t)(offset + done)));
		int64_t gone = got < 0 ? -errno : got;

		if (got > 0)
			gone = put(process, out, buffer, (size_t)got, MF_OWN_OFFSET);
		if (gone == MF_SYS_EXIT || gone == MF_SYS_WAIT)
			return gone;
		if (gone == -EAGAIN && !done)
			return blocked(process, out, out->flags, POLLOUT);
		if (gone < 0 && !done)
			return gone;
		done += gone > 0 ? (uint64_t)gone : 0;
		if (gone < got || (size_t)got < want)
			break;
	}
	return (int64_t)done;
}

/* An offset that is kept in guest memory (va) or by the description. -EFAULT, -EINVAL. */
static int get_offset(struct mf_process *process, uint64_t va, const struct mf_fd *entry,
		      uint64_t *offset)
{
	*offset = va ? 0 : mf_file_offset(entry);
	if (va && mf_guest_read(process, va, offset, sizeof(*offset)))
		return -EFAULT;
	return *offset > INT64_MAX ? -EINVAL : 0;
}

static int64_t move_offset(struct mf_process *process, uint64_t va, const struct mf_fd *entry,
			   uint64_t offset, int64_t moved)
{
	offset += (uint64_t)moved;
	if (va)
		return mf_guest_write(process, va, &offset, sizeof(offset)) ? -EFAULT : moved;
	mf_file_move(process, entry, offset);
	return moved;
}

int64_t mf_sys_sendfile(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *out = mf_fd_get(process, arg[0]);
	const struct mf_fd *in = mf_fd_get(process, arg[1]);
	uint64_t bytes = arg[3] < MF_RW_MAX ? arg[3] : MF_RW_MAX;
	uint64_t offset;
	int64_t ret;

	if (!out || !in || (in->flags | out->flags) & O_PATH ||
	    (in->flags & O_ACCMODE) == O_WRONLY || (out->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (in->kind != MF_FD_FILE || out->flags & O_APPEND || arg[3] > INT64_MAX)
		return -EINVAL;
	ret = get_offset(process, arg[2], in, &offset);
	if (!ret)
		ret = send(process, out, in, offset, bytes);
	return ret < 0 ? ret : move_offset(process, arg[2], in, offset, ret);
}

/* The two sides of one call; offsets are guest addresses or 0. */
struct sides {
	const struct mf_fd *in;
	const struct mf_fd *out;
	uint64_t in_offset;
	uint64_t out_offset;
	uint64_t bytes;
	uint32_t in_flags; /* of the description and of the call */
	uint32_t out_flags;
};

static bool is_pipe(const struct mf_fd *entry)
{
	return entry->kind == MF_FD_PIPE;
}

/* Descriptors of splice and tee: 0 or -errno. */
static int64_t get_sides(struct mf_process *process, uint64_t in, uint64_t out, uint64_t bytes,
			 uint64_t flags, struct sides *sides)
{
	uint32_t nonblock = flags & SPLICE_F_NONBLOCK ? O_NONBLOCK : 0;

	if ((uint32_t)flags & ~SPLICE_FLAGS)
		return -EINVAL;
	*sides = (struct sides){.in = mf_fd_get(process, in), .out = mf_fd_get(process, out)};
	if (!sides->in || !sides->out || (sides->in->flags | sides->out->flags) & O_PATH ||
	    (sides->in->flags & O_ACCMODE) == O_WRONLY ||
	    (sides->out->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	sides->bytes = bytes < BUFFER_BYTES ? bytes : BUFFER_BYTES;
	sides->in_flags = sides->in->flags | (is_pipe(sides->in) ? nonblock : 0);
	sides->out_flags = sides->out->flags | (is_pipe(sides->out) ? nonblock : 0);
	if (is_pipe(sides->in) && is_pipe(sides->out) && sides->in->object == sides->out->object)
		return -EINVAL;
	return 0;
}

/* Is there something to take, and where it goes, room? 1, or what the call returns: 0 at the end.
 */
static int64_t check_pipes(struct mf_process *process, const struct sides *sides)
{
	if (is_pipe(sides->out) && !mf_pipe_has_reader(process, sides->out))
		return mf_fd_broken_pipe(process);
	if (is_pipe(sides->in) && !mf_pipe_bytes(process, sides->in))
		return mf_pipe_has_writer(process, sides->in)
			       ? blocked(process, sides->in, sides->in_flags, POLLIN)
			       : 0;
	if (is_pipe(sides->out) && !mf_pipe_room(process, sides->out))
		return blocked(process, sides->out, sides->out_flags, POLLOUT);
	return 1;
}

/* Bytes of a pipe to somewhere, left in it (tee) or not. */
static int64_t from_pipe(struct mf_process *process, const struct sides *sides, bool keep)
{
	char buffer[BUFFER_BYTES];
	uint64_t offset = 0;
	size_t count = mf_pipe_peek(process, sides->in, buffer, sides->bytes);
	int64_t ret = 0;

	if (sides->out_offset)
		ret = get_offset(process, sides->out_offset, sides->out, &offset);
	if (!ret)
		ret = put(process, sides->out, buffer, count,
			  sides->out_offset ? (int64_t)offset : MF_OWN_OFFSET);
	if (ret == -EAGAIN)
		return blocked(process, sides->out, sides->out_flags, POLLOUT);
	if (ret > 0 && !keep)
		mf_pipe_consume(process, sides->in, (size_t)ret);
	if (ret > 0 && sides->out_offset)
		ret = move_offset(process, sides->out_offset, sides->out, offset, ret);
	return ret;
}

/* Bytes of something else into a pipe that has room for them. */
static int64_t into_pipe(struct mf_process *process, const struct sides *sides)
{
	struct mf_io io = {.at = MF_OWN_OFFSET, .flags = sides->in_flags};
	uint64_t room = mf_pipe_room(process, sides->out);
	char buffer[BUFFER_BYTES];
	struct mf_cursor cursor;
	uint64_t offset = 0;
	int64_t ret = 0;

	if (sides->in_offset)
		ret = get_offset(process, sides->in_offset, sides->in, &offset);
	if (sides->in_offset)
		io.at = (int64_t)offset;
	mf_cursor_host(&cursor, process, buffer, sides->bytes < room ? sides->bytes : room,
		       MF_WRITE);
	if (!ret)
		ret = mf_io_read(process, sides->in, &cursor, &io);
	if (ret <= 0)
		return ret;
	ret = put(process, sides->out, buffer, (size_t)ret, MF_OWN_OFFSET);
	if (ret > 0 && sides->in_offset)
		ret = move_offset(process, sides->in_offset, sides->in, offset, ret);
	return ret;
}

int64_t mf_sys_splice(struct mf_process *process, const uint64_t arg[6])
{
	struct sides sides;
	int64_t ret;

	if (!arg[4])
		return 0;
	ret = get_sides(process, arg[0], arg[2], arg[4], arg[5], &sides);
	if (ret)
		return ret;
	if (!is_pipe(sides.in) && !is_pipe(sides.out))
		return -EINVAL;
	if ((arg[1] && is_pipe(sides.in)) || (arg[3] && is_pipe(sides.out)))
		return -ESPIPE;
	if ((arg[1] && !(mf_fd_ops(sides.in)->traits & MF_FD_SEEKS)) ||
	    (arg[3] && !(mf_fd_ops(sides.out)->traits & MF_FD_SEEKS)))
		return -EINVAL;
	if (sides.out->flags & O_APPEND && sides.out->kind == MF_FD_FILE)
		return -EINVAL;
	sides.in_offset = arg[1];
	sides.out_offset = arg[3];
	ret = check_pipes(process, &sides);
	if (ret != 1)
		return ret;
	return is_pipe(sides.in) ? from_pipe(process, &sides, false) : into_pipe(process, &sides);
}

int64_t mf_sys_tee(struct mf_process *process, const uint64_t arg[6])
{
	struct sides sides;
	int64_t ret;

	if ((uint32_t)arg[3] & ~SPLICE_FLAGS)
		return -EINVAL;
	if (!arg[2])
		return 0;
	ret = get_sides(process, arg[0], arg[1], arg[2], arg[3], &sides);
	if (ret)
		return ret;
	if (!is_pipe(sides.in) || !is_pipe(sides.out))
		return -EINVAL;
	ret = check_pipes(process, &sides);
	return ret != 1 ? ret : from_pipe(process, &sides, true);
}

/* Copied in both directions: a page that is given away stays the program's. */
int64_t mf_sys_vmsplice(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);
	struct mf_guest_iov iov[MF_IOVS];
	struct mf_cursor cursor;
	struct mf_io io;
	bool out;
	int ret;

	if ((uint32_t)arg[3] & ~SPLICE_FLAGS)
		return -EINVAL;
	if (!entry || entry->flags & O_PATH || !is_pipe(entry))
		return -EBADF;
	out = (entry->flags & O_ACCMODE) != O_RDONLY;
	ret = mf_cursor_list(&cursor, process, iov, arg[1], arg[2], out ? MF_READ : MF_WRITE);
	if (ret)
		return ret;
	io = (struct mf_io){.at = MF_OWN_OFFSET,
			    .flags = entry->flags |
				     (arg[3] & SPLICE_F_NONBLOCK ? (uint32_t)O_NONBLOCK : 0)};
	return out ? mf_io_write(process, entry, &cursor, &io)
		   : mf_io_read(process, entry, &cursor, &io);
}
