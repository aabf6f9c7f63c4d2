/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing. Regular files are read and written at an explicit offset, so that forks
 * which share a host descriptor share no position; appending is a flag of each write for the same
 * reason. A blocking write to a pipe may be short: its only reader is the program itself.
 */
#include "engine/linux/io.h"
#include "engine/linux/signal.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Would block: an errno or a wait, as the description says. */
static int64_t would_block(struct mf_process *process, const struct mf_fd *entry, int host,
			   short events)
{
	return entry->flags & O_NONBLOCK ? -EAGAIN : mf_wait_host(process, host, events);
}

static int64_t broken_pipe(struct mf_process *process)
{
	return mf_process_signal(process, SIGPIPE) == MF_SYS_EXIT ? MF_SYS_EXIT : -EPIPE;
}

/* What a call returns that moved `done` bytes and then met `error` (0: the end, or a bad address).
 */
static int64_t outcome(const struct mf_cursor *cursor, uint64_t done, int64_t error, bool fault)
{
	if (done)
		return (int64_t)done;
	return error ? error : fault && cursor->left ? -EFAULT : 0;
}

static bool is_ready(int host, short events)
{
	struct pollfd pollfd = {.fd = host, .events = events};

	return poll(&pollfd, 1, 0) > 0;
}

/* Bytes moved between those pieces and a file, or a negative errno. */
typedef ssize_t file_fn(const struct mf_process *process, const struct mf_fd *entry,
			const struct iovec *pieces, int count, uint64_t offset);

/* Piece by piece until the cursor or the file ends; *done is what was moved. */
static int64_t move_file(struct mf_process *process, const struct mf_fd *entry,
			 struct mf_cursor *cursor, uint64_t offset, file_fn *fn, uint64_t *done)
{
	struct iovec pieces[MF_PIECES];
	int64_t error = 0;
	size_t bytes;
	int count;

	*done = 0;
	do {
		ssize_t got;

		bytes = mf_cursor_pieces(cursor, pieces, &count);
		if (!bytes && (*done || cursor->left))
			break;
		got = fn(process, entry, pieces, count, offset + *done);
		if (got == -EAGAIN && !*done)
			return mf_wait_host(process, -1, 0);
		if (got < 0)
			error = got;
		if (got <= 0)
			break;
		mf_cursor_advance(cursor, pieces, (size_t)got);
		*done += (uint64_t)got;
		if ((size_t)got < bytes)
			break;
	} while (cursor->left);
	return outcome(cursor, *done, error, !bytes);
}

static uint64_t offset_of(const struct mf_fd *entry, int64_t at)
{
	return at == MF_OWN_OFFSET ? entry->offset : (uint64_t)at;
}

static ssize_t get_file(const struct mf_process *process, const struct mf_fd *entry,
			const struct iovec *pieces, int count, uint64_t offset)
{
	ssize_t got = TEMP_FAILURE_RETRY(preadv(entry->host, pieces, count, (off_t)offset));

	return got < 0 ? -errno : got;
}

static int64_t read_file(struct mf_process *process, const struct mf_fd *entry,
			 struct mf_cursor *cursor, int64_t at)
{
	uint64_t offset = offset_of(entry, at);
	uint64_t done;
	int64_t result = move_file(process, entry, cursor, offset, get_file, &done);

	if (done && at == MF_OWN_OFFSET)
		mf_fd_rw(process, entry)->offset = offset + done;
	return result;
}

/* Standard input or a pipe: what is there now. */
static int64_t read_stream(struct mf_process *process, const struct mf_fd *entry,
			   struct mf_cursor *cursor)
{
	int host = mf_fd_host(process, entry);
	struct iovec pieces[MF_PIECES];
	ssize_t got;
	int count;

	if (entry->kind == MF_FD_STDIO && entry->host)
		return -EBADF;
	if (host < 0 || !cursor->left)
		return 0;
	if (entry->kind == MF_FD_STDIO && !is_ready(host, POLLIN))
		return would_block(process, entry, host, POLLIN);
	if (!mf_cursor_pieces(cursor, pieces, &count))
		return -EFAULT;
	got = TEMP_FAILURE_RETRY(readv(host, pieces, count));
	if (got < 0)
		return errno == EAGAIN ? would_block(process, entry, host, POLLIN) : -errno;
	mf_cursor_advance(cursor, pieces, (size_t)got);
	return got;
}

static ssize_t fill(enum mf_char device, const struct iovec *piece)
{
	if (device != MF_CHAR_ZERO)
		return getrandom(piece->iov_base, piece->iov_len, 0);
	memset(piece->iov_base, 0, piece->iov_len);
	return (ssize_t)piece->iov_len;
}

static int64_t read_char(const struct mf_fd *entry, struct mf_cursor *cursor)
{
	struct iovec pieces[MF_PIECES];
	uint64_t done = 0;
	ssize_t got = 1;
	int count, i;

	if ((entry->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (entry->host == MF_CHAR_NULL)
		return 0;
	while (got > 0 && mf_cursor_pieces(cursor, pieces, &count)) {
		for (i = 0; i < count && got > 0; i++) {
			got = fill((enum mf_char)entry->host, &pieces[i]);
			if (got <= 0)
				break;
			mf_cursor_advance(cursor, &pieces[i], (size_t)got);
			done += (uint64_t)got;
			if ((size_t)got < pieces[i].iov_len)
				break; /* go on with the rest, unless the program is to end */
		}
	}
	return outcome(cursor, done, got < 0 ? -errno : 0, true);
}

static int64_t io_read(struct mf_process *process, const struct mf_fd *entry,
		       struct mf_cursor *cursor, int64_t at)
{
	switch (entry->kind) {
	case MF_FD_FILE:
		return read_file(process, entry, cursor, at);
	case MF_FD_DIR:
		return -EISDIR;
	case MF_FD_CHAR:
		return read_char(entry, cursor);
	default:
		return at == MF_OWN_OFFSET ? read_stream(process, entry, cursor) : -ESPIPE;
	}
}

/* Bytes written, or a negative errno. */
static ssize_t put_file(const struct mf_process *process, const struct mf_fd *entry,
			const struct iovec *pieces, int count, uint64_t offset)
{
	const struct mf_file_door *door = process->policy->door;
	int flags = entry->flags & O_APPEND ? RWF_APPEND : 0;
	ssize_t got;

	if (door)
		return door->write(door->cookie, entry->host, pieces, count, offset, flags,
				   entry->flags & O_DSYNC);
	got = TEMP_FAILURE_RETRY(pwritev2(entry->host, pieces, count, (off_t)offset, flags));
	return got < 0 ? -errno : got;
}

static void move_on(struct mf_process *process, const struct mf_fd *entry, uint64_t offset)
{
	struct stat st;

	if (entry->flags & O_APPEND && !fstat(entry->host, &st))
		offset = (uint64_t)st.st_size;
	mf_fd_rw(process, entry)->offset = offset;
}

static int64_t write_file(struct mf_process *process, const struct mf_fd *entry,
			  struct mf_cursor *cursor, int64_t at)
{
	uint64_t offset = offset_of(entry, at);
	uint64_t done;
	int64_t result = move_file(process, entry, cursor, offset, put_file, &done);

	if (done && at == MF_OWN_OFFSET)
		move_on(process, entry, offset + done);
	return result;
}

/* Bytes that this run may still print. */
static uint64_t output_budget(const struct mf_process *process)
{
	uint64_t limit = process->policy->output_limit;

	if (!limit)
		return UINT64_MAX;
	return limit > process->output_bytes ? limit - process->output_bytes : 0;
}

/* Hand one piece to the role: bytes taken, or -ENOSPC over the limit, or its errno. */
static int64_t print_piece(struct mf_process *process, int fd, const struct iovec *piece)
{
	const struct mf_policy *policy = process->policy;
	uint64_t budget = output_budget(process);
	size_t bytes = piece->iov_len < budget ? piece->iov_len : budget;
	ssize_t got = (ssize_t)bytes;

	if (!bytes)
		return -ENOSPC;
	if (policy->output)
		got = policy->output(policy->output_cookie, fd, piece->iov_base, bytes);
	if (got > 0)
		process->output_bytes += (uint64_t)got;
	return got;
}

static int64_t write_stdio(struct mf_process *process, const struct mf_fd *entry,
			   struct mf_cursor *cursor)
{
	struct iovec pieces[MF_PIECES];
	uint64_t done = 0;
	int64_t got = 1;
	int count, i;

	if (!entry->host)
		return -EBADF;
	while (got > 0 && !(done && process->vm.kicked) &&
	       mf_cursor_pieces(cursor, pieces, &count)) {
		for (i = 0; i < count && got > 0; i++) {
			got = print_piece(process, entry->host, &pieces[i]);
			if (got <= 0)
				break;
			mf_cursor_advance(cursor, &pieces[i], (size_t)got);
			done += (uint64_t)got;
			if ((size_t)got < pieces[i].iov_len)
				return (int64_t)done;
		}
	}
	if (done || got >= 0)
		return outcome(cursor, done, 0, true);
	if (got == -EAGAIN)
		return would_block(process, entry, entry->host, POLLOUT);
	return got == -EPIPE ? broken_pipe(process) : got;
}

static int64_t write_pipe(struct mf_process *process, const struct mf_fd *entry,
			  struct mf_cursor *cursor)
{
	struct iovec pieces[MF_PIECES];
	ssize_t got;
	int count;

	if (!mf_cursor_pieces(cursor, pieces, &count) && cursor->left)
		return -EFAULT;
	got = TEMP_FAILURE_RETRY(writev(entry->host, pieces, count));
	if (got >= 0) {
		mf_cursor_advance(cursor, pieces, (size_t)got);
		return got;
	}
	if (errno == EAGAIN)
		return would_block(process, entry, entry->host, POLLOUT);
	return errno == EPIPE ? broken_pipe(process) : -errno;
}

int64_t mf_io_write(struct mf_process *process, const struct mf_fd *entry, struct mf_cursor *cursor,
		    int64_t at)
{
	if (entry->kind == MF_FD_FILE)
		return write_file(process, entry, cursor, at);
	if (entry->kind == MF_FD_CHAR)
		return (entry->flags & O_ACCMODE) == O_RDONLY ? -EBADF : (int64_t)cursor->left;
	if (entry->kind == MF_FD_DIR)
		return -EBADF;
	if (at != MF_OWN_OFFSET)
		return -ESPIPE;
	return entry->kind == MF_FD_PIPE ? write_pipe(process, entry, cursor)
					 : write_stdio(process, entry, cursor);
}

/* One buffer: read, write, pread64, pwrite64. */
static int64_t move_one(struct mf_process *process, const uint64_t arg[6], int prot, int64_t at)
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);
	struct mf_cursor cursor;
	struct mf_guest_iov one;

	if (!entry || entry->flags & O_PATH)
		return -EBADF;
	if (at < MF_OWN_OFFSET)
		return -EINVAL;
	if (arg[2] > INT64_MAX)
		return -EFAULT; /* a buffer that long is nobody's */
	mf_cursor_one(&cursor, process, &one, arg[1], arg[2], prot);
	return prot == MF_WRITE ? io_read(process, entry, &cursor, at)
				: mf_io_write(process, entry, &cursor, at);
}

/* A list of buffers: readv, writev, preadv, pwritev. */
static int64_t move_list(struct mf_process *process, const uint64_t arg[6], int prot, int64_t at)
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);
	struct mf_guest_iov iov[MF_IOVS];
	struct mf_cursor cursor;
	int ret;

	if (!entry || entry->flags & O_PATH)
		return -EBADF;
	if (at < MF_OWN_OFFSET)
		return -EINVAL;
	ret = mf_cursor_list(&cursor, process, iov, arg[1], arg[2], prot);
	if (ret)
		return ret;
	return prot == MF_WRITE ? io_read(process, entry, &cursor, at)
				: mf_io_write(process, entry, &cursor, at);
}

/* An offset that the program gave: negative ones are no offset, -1 above all. */
static int64_t given(uint64_t offset)
{
	return (int64_t)offset < 0 ? INT64_MIN : (int64_t)offset;
}

int64_t mf_sys_read(struct mf_process *process, const uint64_t arg[6])
{
	return move_one(process, arg, MF_WRITE, MF_OWN_OFFSET);
}

int64_t mf_sys_write(struct mf_process *process, const uint64_t arg[6])
{
	return move_one(process, arg, MF_READ, MF_OWN_OFFSET);
}

int64_t mf_sys_readv(struct mf_process *process, const uint64_t arg[6])
{
	return move_list(process, arg, MF_WRITE, MF_OWN_OFFSET);
}

int64_t mf_sys_writev(struct mf_process *process, const uint64_t arg[6])
{
	return move_list(process, arg, MF_READ, MF_OWN_OFFSET);
}

int64_t mf_sys_pread64(struct mf_process *process, const uint64_t arg[6])
{
	return move_one(process, arg, MF_WRITE, given(arg[3]));
}

int64_t mf_sys_pwrite64(struct mf_process *process, const uint64_t arg[6])
{
	return move_one(process, arg, MF_READ, given(arg[3]));
}

int64_t mf_sys_preadv(struct mf_process *process, const uint64_t arg[6])
{
	return move_list(process, arg, MF_WRITE, given(arg[3]));
}

int64_t mf_sys_pwritev(struct mf_process *process, const uint64_t arg[6])
{
	return move_list(process, arg, MF_READ, given(arg[3]));
}
