/* SPDX-License-Identifier: MIT */
/*
 * LMDB and the system. Its writes, all or an error: it takes a short write for EIO, after which
 * nothing of its state is trusted. A disk that is just filling up writes short, and says ENOSPC
 * when asked for the rest. The linker puts these in the place of the calls (--wrap).
 */
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>

ssize_t __real_pwrite(int fd, const void *from, size_t bytes, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *from, size_t bytes, off_t offset);
ssize_t __real_writev(int fd, const struct iovec *pieces, int count);
ssize_t __wrap_writev(int fd, const struct iovec *pieces, int count);

ssize_t __wrap_pwrite(int fd, const void *from, size_t bytes, off_t offset)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t got = __real_pwrite(fd, (const char *)from + done, bytes - done,
					    offset + (off_t)done);

		if (got <= 0)
			return got < 0 ? got : (ssize_t)done;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

/* What is left of the pieces, from the first that is not written whole. */
static ssize_t write_rest(int fd, const struct iovec *pieces, int count, size_t written)
{
	ssize_t done = 0;

	for (int i = 0; i < count; i++) {
		size_t skip = written < pieces[i].iov_len ? written : pieces[i].iov_len;
		struct iovec rest = {(char *)pieces[i].iov_base + skip, pieces[i].iov_len - skip};

		written -= skip;
		while (rest.iov_len) {
			ssize_t got = __real_writev(fd, &rest, 1);

			if (got <= 0)
				return got < 0 ? got : done;
			rest.iov_base = (char *)rest.iov_base + got;
			rest.iov_len -= (size_t)got;
			done += got;
		}
	}
	return done;
}

ssize_t __wrap_writev(int fd, const struct iovec *pieces, int count)
{
	ssize_t got = __real_writev(fd, pieces, count);
	ssize_t more = got < 0 ? 0 : write_rest(fd, pieces, count, (size_t)got);

	return got < 0 || more < 0 ? -1 : got + more;
}

/*
 * LMDB's table of readers, which it maps from a file for other programs: there are none, and what
 * is written must pass the engine's door. It lies in memory of this program's own.
 */
void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);

void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	if (flags & MAP_SHARED && prot & PROT_WRITE)
		return __real_mmap(at, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return __real_mmap(at, bytes, prot, flags, fd, offset);
}
