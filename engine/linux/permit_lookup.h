/* SPDX-License-Identifier: MIT */
/* What permit.c makes and permit_lookup.c looks names up in. */
#ifndef MF_ENGINE_LINUX_PERMIT_LOOKUP_H
#define MF_ENGINE_LINUX_PERMIT_LOOKUP_H

#include "engine/linux/permit.h"

struct permit_entry {
	char *path;     /* as given: absolute, clean, no trailing slash but in "/" */
	char *real;     /* the same by realpath; of a volume, what it is on the host */
	int fd;         /* O_PATH: the directory, or the directory of the file */
	char *file;     /* the file's name in there; NULL: a directory */
	bool volume;    /* cannot be named by `real` */
	bool stepwise;  /* volumes lie beneath: every link is followed by name */
	bool libraries; /* shared objects alone */
	bool in_root;   /* `..` and absolute links stay in it (RESOLVE_IN_ROOT) */
};

struct permit_list {
	struct permit_entry *entries;
	const char **names; /* what mf_permit_paths() tells */
	size_t count;
};

struct mf_permit {
	struct permit_list read;
	struct permit_list write;
	struct permit_list start; /* see mf_permit_start */
	char **volumes;           /* their guest names, clean */
	size_t volume_count;
	bool no_preload; /* a dynamic linker asks for MF_PERMIT_PRELOAD, and the host has none */
};

#define MF_PERMIT_PRELOAD "/etc/ld.so.preload"

/* permit.c, for permit_start.c: add what `path` names to the list; -errno. */
int mf_permit_add(struct permit_list *list, const char *path, bool write);
/* Is `name` the same as, or above, `path`, in whole parts? How many bytes of `path`; 0: no. */
size_t mf_permit_prefix(const char *name, const char *path);

#endif
