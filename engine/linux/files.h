/* SPDX-License-Identifier: MIT */
/* Names of files as the calls of files.c, stat.c and change.c get them from a guest. */
#ifndef MF_ENGINE_LINUX_FILES_H
#define MF_ENGINE_LINUX_FILES_H

#include <limits.h>

#include "engine/linux/fd.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/permit.h"

/* Absolute and clean: see permit.h. */
struct mf_name {
	char text[PATH_MAX];
	char given[PATH_MAX];
};

/* A path at `va`, relative to the directory `dirfd` (AT_FDCWD: the program's). -ENOENT when empty.
 */
int mf_name_get(struct mf_process *process, uint64_t dirfd, uint64_t va, struct mf_name *name);

/* The program's directory. 0. */
int mf_name_cwd(const struct mf_process *process, struct mf_name *name);

/* mf_permit_open_need on it; -EACCES without any permission. */
int mf_name_open(const struct mf_process *process, const struct mf_name *name, unsigned int need,
		 int flags, mode_t mode);

/* A file or directory opened to change what it is told to be (mode, times, attributes) under
 * permission to write; for reading or writing, what the host lets. */
int mf_name_open_to_change(const struct mf_process *process, const struct mf_name *name, int flags);

/* A link of the host's that leads to a name that the engine makes up, as /etc/mtab does: that name,
 * instead of what the host has there. False: it is none; the name may be changed all the same. */
bool mf_name_leads_out(const struct mf_process *process, struct mf_name *name);

/* "/", a directory above a permitted one, or a permitted one. */
bool mf_name_leads_to(const struct mf_process *process, const struct mf_name *name);

#endif
