/* SPDX-License-Identifier: MIT */
/* Preloaded into the engine: a file system that knows no shared mappings of data.mdb. */
#include <dlfcn.h>
#include <errno.h>
#include <sys/mman.h>

#include "tests/store/data_file.h"

void *mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *(*next)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap");

	if (fd >= 0 && flags & MAP_SHARED && is_data(fd)) {
		errno = ENODEV;
		return MAP_FAILED;
	}
	return next(at, bytes, prot, flags, fd, offset);
}
