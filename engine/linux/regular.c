/* SPDX-License-Identifier: MIT */
/*
 * Regular files and directories. Files are read and written at an explicit offset, so that forks
 * which share a host descriptor share no position; appending is a flag of each write for the same
 * reason.
 */
#include "engine/linux/disk.h"
#include "engine/linux/io.h"
#include "engine/linux/memfd.h"
#include "engine/linux/rlimit.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_stream(const struct mf_fd *entry)
{
	return entry->marks & MF_FD_IS_STREAM;
}

uint64_t mf_file_offset(const struct mf_fd *entry)
{
	off_t at = is_stream(entry) ? lseek(entry->host, 0, SEEK_CUR) : (off_t)entry->offset;

	return at < 0 ? 0 : (uint64_t)at;
}

void mf_file_move(struct mf_process *process, const struct mf_fd *entry, uint64_t offset)
{
	if (is_stream(entry))
		lseek(entry->host, (off_t)offset, SEEK_SET);
	else
		mf_fd_rw(process, entry)->offset = offset;
}

/* Bytes moved between those pieces and a file, or a negative errno. */
typedef ssize_t file_fn(struct mf_process *process, const struct mf_fd *entry,
			const struct iovec *pieces, int count, uint64_t offset, uint32_t flags);

static bool by_disk(const struct mf_process *process, uint32_t flags)
{
	return mf_disk_takes(process->policy->disk, flags & O_DSYNC);
}

/* Bytes written, or a negative errno; -EINPROGRESS: the disk is at it. */
static ssize_t put_file(struct mf_process *process, const struct mf_fd *entry,
			const struct iovec *pieces, int count, uint64_t offset, uint32_t flags)
{
	int rwf = (flags & O_APPEND ? RWF_APPEND : 0) | (flags & O_DSYNC ? RWF_DSYNC : 0);
	ssize_t got;

	if (by_disk(process, flags))
		return mf_disk_write(process, entry->host, pieces, count, offset, rwf & RWF_APPEND,
				     flags & O_DSYNC);
	got = mf_disk_gate(process->policy->disk);
	if (got)
		return got;
	got = TEMP_FAILURE_RETRY(pwritev2(entry->host, pieces, count, (off_t)offset, rwf));
	return got < 0 ? -errno : got;
}

/* Piece by piece until the cursor or the file ends; *done is what was moved. */
static int64_t move_file(struct mf_process *process, const struct mf_fd *entry,
			 struct mf_cursor *cursor, const struct mf_io *io, uint64_t offset,
			 file_fn *fn, uint64_t *done)
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
		got = fn(process, entry, pieces, count, offset + *done, io->flags);
		if (got == -EINPROGRESS)
			return MF_SYS_WAIT;
		if (got < 0)
			error = got;
		if (got <= 0)
			break;
		mf_cursor_advance(cursor, pieces, (size_t)got);
		*done += (uint64_t)got;
		/* What the disk does is done at once, or a part of it. */
		if ((size_t)got < bytes || (fn == put_file && by_disk(process, io->flags)))
			break;
	} while (cursor->left);
	return mf_io_outcome(cursor, *done, error, !bytes);
}

static uint64_t offset_of(const struct mf_fd *entry, const struct mf_io *io)
{
	return io->at == MF_OWN_OFFSET ? mf_file_offset(entry) : (uint64_t)io->at;
}

static ssize_t get_file(struct mf_process *process, const struct mf_fd *entry,
			const struct iovec *pieces, int count, uint64_t offset, uint32_t flags)
{
	ssize_t got = TEMP_FAILURE_RETRY(preadv(entry->host, pieces, count, (off_t)offset));

	(void)process;
	(void)flags;
	return got < 0 ? -errno : got;
}

/* At the position that it shares with others, who may move it at any time. */
static ssize_t get_stream(struct mf_process *process, const struct mf_fd *entry,
			  const struct iovec *pieces, int count, uint64_t offset, uint32_t flags)
{
	ssize_t got = TEMP_FAILURE_RETRY(readv(entry->host, pieces, count));

	(void)process;
	(void)offset;
	(void)flags;
	return got < 0 ? -errno : got;
}

static int64_t read_file(struct mf_process *process, const struct mf_fd *entry,
			 struct mf_cursor *cursor, const struct mf_io *io)
{
	bool own = io->at == MF_OWN_OFFSET;
	uint64_t offset = offset_of(entry, io);
	uint64_t done;
	int64_t result = move_file(process, entry, cursor, io, offset,
				   own && is_stream(entry) ? get_stream : get_file, &done);

	if (done && own && !is_stream(entry))
		mf_file_move(process, entry, offset + done);
	return result;
}

static ssize_t put_stream(struct mf_process *process, const struct mf_fd *entry,
			  const struct iovec *pieces, int count, uint64_t offset, uint32_t flags)
{
	int rwf = (flags & O_APPEND ? RWF_APPEND : 0) | (flags & O_DSYNC ? RWF_DSYNC : 0);
	ssize_t got = TEMP_FAILURE_RETRY(pwritev2(entry->host, pieces, count, -1, rwf));

	(void)process;
	(void)offset;
	return got < 0 ? -errno : got;
}

static void move_on(struct mf_process *process, const struct mf_fd *entry, uint64_t offset,
		    uint32_t flags)
{
	struct stat st;

	if (flags & O_APPEND && !fstat(entry->host, &st))
		offset = (uint64_t)st.st_size;
	mf_file_move(process, entry, offset);
}

/* How much of it may be written there: RLIMIT_FSIZE, and a file without a name takes memory. */
static int64_t grow(struct mf_process *process, const struct mf_fd *entry, uint64_t offset,
		    uint64_t *bytes, uint32_t flags)
{
	struct stat st;
	int64_t ret;

	if (flags & O_APPEND && !fstat(entry->host, &st))
		offset = (uint64_t)st.st_size;
	ret = mf_limit_file(process, offset, bytes);
	return ret || !*bytes ? ret : mf_memfd_grow(process, entry, offset + *bytes);
}

static int64_t write_file(struct mf_process *process, const struct mf_fd *entry,
			  struct mf_cursor *cursor, const struct mf_io *io)
{
	bool own = io->at == MF_OWN_OFFSET;
	uint64_t offset = offset_of(entry, io);
	uint64_t done;
	int64_t result = grow(process, entry, offset, &cursor->left, io->flags);

	if (result)
		return result;
	result = move_file(process, entry, cursor, io, offset,
			   own && is_stream(entry) ? put_stream : put_file, &done);
	mf_memfd_settle(process, entry);
	if (done && own && !is_stream(entry))
		move_on(process, entry, offset + done, io->flags);
	return result;
}

static int64_t seek_file(struct mf_process *process, const struct mf_fd *entry, int64_t offset,
			 uint64_t whence)
{
	int64_t base = 0;
	struct stat st;

	(void)process;
	if (whence == SEEK_DATA || whence == SEEK_HOLE) {
		base = lseek(entry->host, offset, (int)whence);
		return base < 0 ? -errno : base;
	}
	if (whence == SEEK_CUR)
		base = (int64_t)mf_file_offset(entry);
	else if (whence == SEEK_END)
		base = fstat(entry->host, &st) ? -1 : st.st_size;
	else if (whence != SEEK_SET)
		return -EINVAL;
	if (base < 0)
		return -errno;
	if (__builtin_add_overflow(base, offset, &base) || base < 0)
		return -EINVAL;
	/* How far a file may reach is the host's file system's to say. */
	base = lseek(entry->host, base, SEEK_SET);
	return base < 0 ? -errno : base;
}

static int64_t ioctl_file(struct mf_process *process, const struct mf_fd *entry, uint32_t request,
			  uint64_t arg)
{
	struct stat st;
	int64_t left;
	int bytes;

	if (request != FIONREAD)
		return -ENOTTY;
	left = fstat(entry->host, &st) ? 0 : st.st_size - (int64_t)mf_file_offset(entry);
	bytes = left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
	return mf_guest_write(process, arg, &bytes, sizeof(bytes));
}

const struct mf_fd_ops mf_file_ops = {
	.name = NULL,
	.traits = MF_FD_HAS_HOST | MF_FD_SEEKS,
	.read = read_file,
	.write = write_file,
	.seek = seek_file,
	.ioctl = ioctl_file,
	.close = mf_memfd_close,
	.freeze = mf_memfd_freeze,
};

static int64_t read_dir(struct mf_process *process, const struct mf_fd *entry,
			struct mf_cursor *cursor, const struct mf_io *io)
{
	(void)process;
	(void)entry;
	(void)cursor;
	(void)io;
	return -EISDIR;
}

/* Cookies: only those that getdents64 gave mean anything. */
static int64_t seek_dir(struct mf_process *process, const struct mf_fd *entry, int64_t offset,
			uint64_t whence)
{
	(void)process;
	if (whence == SEEK_CUR && !offset)
		return (int64_t)entry->offset;
	return whence == SEEK_SET && offset >= 0 ? offset : -EINVAL;
}

static void close_dir(struct mf_process *process, const struct mf_fd *entry)
{
	MF_DIRTY(process, dirs[entry->dir][0]) = 0;
}

const struct mf_fd_ops mf_dir_ops = {
	.name = NULL,
	.traits = MF_FD_HAS_HOST | MF_FD_SEEKS,
	.read = read_dir,
	.seek = seek_dir,
	.close = close_dir,
};
