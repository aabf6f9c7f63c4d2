/* SPDX-License-Identifier: MIT */
/*
 * LD_PRELOAD: a disk that fails now and then. Of the writes to, and syncs of, a store's file every
 * MAYFLY_FAILING-th fails with EIO; a write that fails has been done up to a random byte.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/store/data_file.h"

static bool fails(int fd)
{
	static unsigned long every;
	static unsigned long count;

	if (!every)
		every = strtoul(getenv("MAYFLY_FAILING"), NULL, 10);
	return is_data(fd) && __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) % every == 0;
}

ssize_t pwritev2(int fd, const struct iovec *pieces, int count, off_t offset, int flags)
{
	ssize_t (*next)(int, const struct iovec *, int, off_t, int) = dlsym(RTLD_NEXT, "pwritev2");
	struct iovec first = pieces[0];

	if (!fails(fd))
		return next(fd, pieces, count, offset, flags);
	first.iov_len = (size_t)random() % (first.iov_len + 1);
	if (next(fd, &first, 1, offset, flags) < 0)
		return -1;
	errno = EIO;
	return -1;
}

int fdatasync(int fd)
{
	int (*next)(int) = dlsym(RTLD_NEXT, "fdatasync");

	if (!fails(fd))
		return next(fd);
	errno = EIO;
	return -1;
}
