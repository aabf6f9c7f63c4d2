/* SPDX-License-Identifier: MIT */
/*
 * Which files a program may reach: nothing, unless it stands in one of two lists, what may be read
 * and what may be written (created, changed, removed). An entry is a directory, with all beneath
 * it, or one file. Entries are resolved once, to host descriptors; a guest's path is looked up
 * beneath the entry that is the longest prefix of its name, so that no symbolic link, `..` or
 * concurrent rename leads out. Knows no guest memory and no descriptors of a guest.
 *
 * Names: a path is made absolute with `cwd` and cleaned of `.`, `..` and `//` as text, before any
 * link is followed: `link/..` is where the link stands. A link that leads out of an entry
 * (absolute, or through `..`) is followed only if what it names is permitted by its own name. An
 * entry can be named as it was given and as realpath says. Directories above the entries can be
 * asked about (they are directories) and nothing else.
 *
 * Never reachable, whatever is permitted: devices, sockets and FIFOs (their names can be asked
 * about, not opened), and all of procfs, through which one would reach the engine itself.
 *
 * A single file is looked up by name in its directory at each open, so that a replaced file is
 * found; when the last part of that name has become a symbolic link, it is -EACCES. It cannot be
 * removed or renamed: that would change its directory.
 *
 * Immutable after create; may be used by many threads. All calls but create and destroy return a
 * negative errno on failure: -EACCES (not permitted), -ENOENT (permitted and not there, or an empty
 * path), -ENAMETOOLONG, -ELOOP, or what the host said.
 */
#ifndef MF_ENGINE_LINUX_PERMIT_H
#define MF_ENGINE_LINUX_PERMIT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/mayfly/error.h"

struct mf_permit;

/* What may be read, or written. `all`: the whole file system, `paths` are not looked at then. */
struct mf_permit_paths {
	bool all;
	const char *const *paths; /* relative ones: from the engine's working directory */
	size_t count;
};

/*
 * A folder (or file) of the host that the program sees under another name. It hides whatever the
 * host has at and beneath `guest`.
 */
struct mf_permit_volume {
	const char *host;  /* relative: from the engine's working directory */
	const char *guest; /* absolute; need not exist on the host */
	bool writable;
};

/* All that a program may reach. */
struct mf_permit_settings {
	struct mf_permit_paths read;
	struct mf_permit_paths write;
	const struct mf_permit_volume *volumes;
	size_t volume_count;
};

enum mf_permit_need {
	MF_PERMIT_READ = 1,
	MF_PERMIT_WRITE = 2,
	MF_PERMIT_EITHER = 4, /* to ask about a name */
};

/*
 * Resolve both lists; NULL = empty. A path must exist, but the last part of one in `write` may be
 * missing: it is then a file that may be created. On success the caller owns *permit. -ENOENT and
 * the like with a sentence; nothing is left behind on failure. May block.
 */
int mf_permit_create(struct mf_permit **permit, const struct mf_permit_paths *read,
		     const struct mf_permit_paths *write, struct mf_error *err);

/*
 * The same with volumes. A path at or beneath a volume's name is -EINVAL (it could mean two
 * files); `all` is all but what volumes hide.
 */
int mf_permit_create_from(struct mf_permit **permit, const struct mf_permit_settings *settings,
			  struct mf_error *err);

/*
 * What a program needs to start, and no permission says: to read the files `names` (absolute: the
 * program, its scripts, its interpreter), and, with `libraries`, what a dynamic linker loads: its
 * cache, and shared objects in the system's library folders, those of ld.so.conf included. A shared
 * object is a file named *.so or *.so.* that begins as an ELF file does; nothing else there can be
 * opened, and no folder be listed. To be called once, after create, before the permit is used.
 * Names that a volume hides are left out. -ENOMEM and the like with a sentence.
 */
int mf_permit_start(struct mf_permit *permit, const char *const *names, size_t count,
		    bool libraries, struct mf_error *err);

/* Is this (cleaned) name at or beneath a volume's? */
bool mf_permit_in_volume(const struct mf_permit *permit, const char *clean);
void mf_permit_destroy(struct mf_permit *permit); /* NULL is fine */

/*
 * The host's names of what was resolved, for Landlock: readable or writable. The array is the
 * permit's. A file that does not exist yet is named by its directory.
 */
const char *const *mf_permit_paths(const struct mf_permit *permit, bool writable, size_t *count);
/* The same of what mf_permit_start() added: to be opened for reading, never to be listed. */
const char *const *mf_permit_start_paths(const struct mf_permit *permit, size_t *count);

/* The absolute name of a path as text (see above); a trailing slash stays. Returns its length. */
int mf_permit_clean(const char *cwd, const char *path, char out[PATH_MAX]);

/*
 * Open for a guest: a regular file or a directory, with O_CLOEXEC. Needs what the flags say:
 * reading, or writing, or both. O_PATH opens anything that may be read or written, to ask about it.
 * O_TMPFILE makes a file without a name in a directory that may be written. Flags that openat2 does
 * not know are -EINVAL. Returns a host descriptor, the caller's.
 */
int mf_permit_open(const struct mf_permit *permit, const char *cwd, const char *path, int flags,
		   mode_t mode);

/*
 * The same for a path relative to the directory `base` (absolute, clean), with openat2's RESOLVE_*:
 * with RESOLVE_BENEATH or RESOLVE_IN_ROOT the directory itself has to be permitted, and nothing of
 * another volume is reached: -EXDEV.
 */
int mf_permit_open_in(const struct mf_permit *permit, const char *base, const char *path, int flags,
		      mode_t mode, uint64_t resolve);

/* The name that the program has for what the host calls `name`: a volume's. Replaced in place; its
 * length or -ENAMETOOLONG. */
int mf_permit_guest_name(const struct mf_permit *permit, char name[PATH_MAX]);

/* What these flags need: a set of enum mf_permit_need. */
unsigned int mf_permit_need(int flags);

/* The same, with `need` (a set) said instead of derived from the flags. */
int mf_permit_open_need(const struct mf_permit *permit, const char *cwd, const char *path,
			unsigned int need, int flags, mode_t mode);

/*
 * The directory of a name that is to be made, removed or renamed: an O_PATH descriptor, the
 * caller's, and in `name` the last part (with its trailing slash, if any). Needs writing beneath an
 * entry: for the entry itself it is -EACCES. -EINVAL when the last part is `.` or `..`.
 */
int mf_permit_parent(const struct mf_permit *permit, const char *cwd, const char *path,
		     char name[NAME_MAX + 2]);

/* Is this (cleaned) name permitted? Says nothing of links on the way, and not whether it exists. */
bool mf_permit_allows(const struct mf_permit *permit, const char *clean, enum mf_permit_need need);

/* Is this (cleaned) name a directory above an entry, or an entry that is a directory? */
bool mf_permit_leads_to(const struct mf_permit *permit, const char *clean);

#endif
