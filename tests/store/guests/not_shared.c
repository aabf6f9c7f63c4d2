/* SPDX-License-Identifier: MIT */
/* Preloaded into the engine: a file system that knows no shared mappings of data.mdb. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int is_data(int fd)
{
	char path[64];
	char name[4096];
	ssize_t bytes;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	bytes = readlink(path, name, sizeof(name));
	return bytes > 8 && !memcmp(name + bytes - 8, "data.mdb", 8);
}

void *mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *(*next)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap");

	if (fd >= 0 && flags & MAP_SHARED && is_data(fd)) {
		errno = ENODEV;
		return MAP_FAILED;
	}
	return next(at, bytes, prot, flags, fd, offset);
}
