/* SPDX-License-Identifier: MIT */
/* What permit.c makes and permit_lookup.c looks names up in. */
#ifndef MF_ENGINE_LINUX_PERMIT_LOOKUP_H
#define MF_ENGINE_LINUX_PERMIT_LOOKUP_H

#include "engine/linux/permit.h"

struct permit_entry {
	char *path; /* as given: absolute, clean, no trailing slash but in "/" */
	char *real; /* the same by realpath */
	int fd;     /* O_PATH: the directory, or the directory of the file */
	char *file; /* the file's name in there; NULL: a directory */
};

struct permit_list {
	struct permit_entry *entries;
	const char **names; /* what mf_permit_paths() tells */
	size_t count;
};

struct mf_permit {
	struct permit_list read;
	struct permit_list write;
};

#endif
