/* SPDX-License-Identifier: MIT */
/* For libraries that are preloaded into an engine: is this descriptor a store's file? */
#ifndef MF_TESTS_STORE_DATA_FILE_H
#define MF_TESTS_STORE_DATA_FILE_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static inline bool is_data(int fd)
{
	char path[64];
	char name[4096];
	ssize_t bytes;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	bytes = readlink(path, name, sizeof(name));
	return bytes > 8 && !memcmp(name + bytes - 8, "data.mdb", 8);
}

#endif
