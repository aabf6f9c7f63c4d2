/* SPDX-License-Identifier: MIT */
/* The emulated devices: /dev/null, /dev/zero, /dev/random, /dev/urandom. */
#include "engine/linux/io.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static ssize_t fill(enum mf_char device, const struct iovec *piece)
{
	if (device != MF_CHAR_ZERO && device != MF_CHAR_FULL)
		return getrandom(piece->iov_base, piece->iov_len, 0);
	memset(piece->iov_base, 0, piece->iov_len);
	return (ssize_t)piece->iov_len;
}

static int64_t read_char(struct mf_process *process, const struct mf_fd *entry,
			 struct mf_cursor *cursor, const struct mf_io *io)
{
	struct iovec pieces[MF_PIECES];
	uint64_t done = 0;
	ssize_t got = 1;
	int count, i;

	(void)process;
	(void)io;
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
	return mf_io_outcome(cursor, done, got < 0 ? -errno : 0, true);
}

static int64_t write_char(struct mf_process *process, const struct mf_fd *entry,
			  struct mf_cursor *cursor, const struct mf_io *io)
{
	(void)process;
	(void)io;
	return entry->host == MF_CHAR_FULL ? -ENOSPC : (int64_t)cursor->left;
}

const char *mf_char_name(enum mf_char device)
{
	static const char *const names[] = {
		[MF_CHAR_NULL] = "/dev/null",     [MF_CHAR_ZERO] = "/dev/zero",
		[MF_CHAR_RANDOM] = "/dev/random", [MF_CHAR_URANDOM] = "/dev/urandom",
		[MF_CHAR_FULL] = "/dev/full",
	};

	return names[device];
}

void mf_char_stat(struct stat *st, enum mf_char device)
{
	static const unsigned int minors[] = {[MF_CHAR_NULL] = 3,
					      [MF_CHAR_ZERO] = 5,
					      [MF_CHAR_RANDOM] = 8,
					      [MF_CHAR_URANDOM] = 9,
					      [MF_CHAR_FULL] = 7};

	*st = (struct stat){.st_mode = S_IFCHR | 0666,
			    .st_nlink = 1,
			    .st_blksize = MF_PAGE,
			    .st_rdev = makedev(1, minors[device]),
			    .st_ino = 1 + minors[device]};
}

static int stat_char(struct mf_process *process, const struct mf_fd *entry, struct stat *st)
{
	(void)process;
	mf_char_stat(st, (enum mf_char)entry->host);
	return 0;
}

const struct mf_fd_ops mf_char_ops = {
	.name = NULL,
	.traits = MF_FD_SEEKS,
	.read = read_char,
	.write = write_char,
	.seek = mf_fd_seek_nowhere,
	.stat = stat_char,
};
