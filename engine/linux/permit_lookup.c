/* SPDX-License-Identifier: MIT */
#include "engine/linux/permit_lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LINKS_MAX   40 /* as Linux' MAXSYMLINKS */
#define RENAMES_MAX 64 /* lookups that a concurrent rename may spoil (openat2(2): EAGAIN) */

#define TMPFILE_FLAG (O_TMPFILE & ~O_DIRECTORY)
#define OPEN_FLAGS                                                                             \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_DSYNC | \
	 O_SYNC | O_DIRECT | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH)
#define PATH_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* A name on its way: links that lead out of an entry are replaced in it. */
struct lookup {
	const struct permit_list *list;
	char path[PATH_MAX]; /* clean */
	int flags;
	mode_t mode;
};

/* How much of `path` `name` is a prefix of, in whole parts; 0: it is none. */
static size_t prefix(const char *name, const char *path)
{
	size_t bytes = strlen(name);

	if (bytes == 1)
		return 1; /* "/" */
	if (strncmp(path, name, bytes) || (path[bytes] && path[bytes] != '/'))
		return 0;
	return bytes;
}

/*
 * The entry with the longest prefix of the path, and what follows it and a slash: may be empty, and
 * the byte before is the path's, too.
 */
static const struct permit_entry *find(const struct permit_list *list, const char *path,
				       const char **rest)
{
	const struct permit_entry *found = NULL;
	size_t longest = 0;
	size_t i;

	for (i = 0; i < list->count; i++) {
		const struct permit_entry *entry = &list->entries[i];
		size_t given = prefix(entry->path, path);
		size_t real = prefix(entry->real, path);
		size_t bytes = given > real ? given : real;

		/* Of a file there is nothing beneath; "file/" is found, to be ENOTDIR. */
		if (entry->file && bytes && path[bytes] && path[bytes + 1])
			continue;
		if (bytes > longest) {
			found = entry;
			longest = bytes;
		}
	}
	if (found)
		*rest = path + longest + (longest > 1 && path[longest] == '/');
	return found;
}

static int open_beneath(const struct permit_entry *entry, const char *rest, int flags, mode_t mode)
{
	struct open_how how = {.flags = (unsigned int)(flags | O_CLOEXEC)};
	int tries = RENAMES_MAX;
	long fd;

	if (flags & O_CREAT)
		how.mode = mode & 0777;
	if (!(flags & O_PATH))
		how.flags |= O_NONBLOCK | O_NOCTTY;
	/* Beneath "/" means the same and lets absolute links be. */
	how.resolve = RESOLVE_NO_MAGICLINKS;
	how.resolve |= strcmp(entry->real, "/") ? RESOLVE_BENEATH : RESOLVE_IN_ROOT;
	if (entry->file) {
		how.flags |= O_NOFOLLOW;
		rest = entry->file;
	}
	do {
		fd = syscall(SYS_openat2, entry->fd, *rest ? rest : ".", &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR || (errno == EAGAIN && --tries)));
	if (fd >= 0)
		return (int)fd;
	return errno == EAGAIN ? -EACCES : -errno;
}

/* What no permission opens: see permit.h. Owns fd on failure. */
static int accept_fd(const struct permit_entry *entry, int fd, bool to_open)
{
	struct statfs fs;
	struct stat st;
	int ret = 0;

	if (fstat(fd, &st) || fstatfs(fd, &fs))
		ret = -errno;
	else if (fs.f_type == PROC_SUPER_MAGIC)
		ret = -EACCES;
	else if (to_open && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode))
		ret = -EACCES;
	else if (entry->file && (S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode)))
		ret = -EACCES;
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

/* Look before opening: to open a device can do something. */
static int open_checked(const struct permit_entry *entry, const char *rest, int flags, mode_t mode)
{
	bool fresh = flags & O_CREAT && flags & O_EXCL;
	int fd;

	if (!(flags & O_PATH) && !fresh) {
		fd = open_beneath(entry, rest, O_PATH | (flags & O_NOFOLLOW), 0);
		if (fd >= 0)
			fd = accept_fd(entry, fd, true);
		if (fd >= 0)
			close(fd);
		else if (fd != -ENOENT || !(flags & O_CREAT))
			return fd;
	}
	fd = open_beneath(entry, rest, flags, mode);
	if (fd == -ELOOP && entry->file)
		return -EACCES;
	return fd < 0 ? fd : accept_fd(entry, fd, !(flags & O_PATH));
}

/* The link that O_PATH | O_NOFOLLOW opens at `part`: its length, 0 when it is no link, -errno. */
static int read_link(const struct permit_entry *entry, const char *part, char target[PATH_MAX])
{
	int fd = open_beneath(entry, part, O_PATH | O_NOFOLLOW, 0);
	ssize_t bytes = 0;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st))
		bytes = -errno;
	else if (S_ISLNK(st.st_mode))
		bytes = readlinkat(fd, "", target, PATH_MAX - 1);
	if (bytes > 0)
		target[bytes] = 0;
	close(fd);
	return (int)bytes;
}

/* Replace the first `end` bytes of rest, which are a link to `target`, in lookup->path. */
static int splice_link(struct lookup *lookup, const struct permit_entry *entry, const char *rest,
		       size_t end, const char *target)
{
	char joined[4 * PATH_MAX];
	char base[2 * PATH_MAX];
	size_t dir = end;

	while (dir && rest[dir - 1] != '/')
		dir--;
	snprintf(base, sizeof(base), "%s/%.*s", entry->real, (int)dir, rest);
	snprintf(joined, sizeof(joined), "%s/%s%s", target[0] == '/' ? "" : base, target,
		 rest + end);
	return mf_permit_clean("/", joined, lookup->path);
}

/*
 * A link leads out of the entry: put what the first link on the way says in its place. Only text
 * changes here: the new name needs its own permission, and is looked up beneath its own entry.
 */
static int step_over_link(struct lookup *lookup, const struct permit_entry *entry, const char *rest)
{
	bool keep_last =
		lookup->flags & O_NOFOLLOW || (lookup->flags & O_CREAT && lookup->flags & O_EXCL);
	char target[PATH_MAX];
	char part[PATH_MAX];
	size_t end = 0;

	if (entry->file)
		return -EACCES;
	while (rest[end]) {
		int bytes;

		end += strcspn(rest + end, "/");
		if (!rest[end] && keep_last)
			break;
		memcpy(part, rest, end);
		part[end] = 0;
		bytes = read_link(entry, part, target);
		if (bytes > 0) {
			bytes = splice_link(lookup, entry, rest, end, target);
			return bytes < 0 ? bytes : 0;
		}
		if (bytes < 0)
			break;
		end += rest[end] == '/';
	}
	return -EACCES;
}

static int run(struct lookup *lookup)
{
	int links;

	for (links = 0; links < LINKS_MAX; links++) {
		const char *rest;
		const struct permit_entry *entry = find(lookup->list, lookup->path, &rest);
		int ret;

		if (!entry)
			return -EACCES;
		if (entry->file && rest[-1] == '/')
			return -ENOTDIR;
		ret = open_checked(entry, rest, lookup->flags, lookup->mode);
		if (ret != -EXDEV)
			return ret;
		ret = step_over_link(lookup, entry, rest);
		if (ret)
			return ret;
	}
	return -ELOOP;
}

static int look_up(const struct permit_list *list, const char *clean, int flags, mode_t mode)
{
	struct lookup lookup;

	lookup.list = list;
	lookup.flags = flags;
	lookup.mode = mode;
	strcpy(lookup.path, clean);
	return run(&lookup);
}

/* Opened for writing as `fd`: is it also what reading that name gives? Owns fd on failure. */
static int check_readable(const struct mf_permit *permit, const char *clean, int flags, int fd)
{
	int other = look_up(&permit->read, clean, O_PATH | (flags & O_NOFOLLOW), 0);
	struct stat a, b;
	int ret = other;

	if (other >= 0) {
		if (fstat(fd, &a) || fstat(other, &b))
			ret = -errno;
		else
			ret = a.st_dev == b.st_dev && a.st_ino == b.st_ino ? 0 : -EACCES;
		close(other);
	}
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int mf_permit_open_need(const struct mf_permit *permit, const char *cwd, const char *path,
			unsigned int need, int flags, mode_t mode)
{
	char clean[PATH_MAX];
	int ret = mf_permit_clean(cwd, path, clean);

	if (ret < 0)
		return ret;
	flags &= ~(O_LARGEFILE | 0100000);
	if (flags & TMPFILE_FLAG)
		return -EOPNOTSUPP;
	if (flags & ~OPEN_FLAGS || (flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if (flags & O_PATH)
		flags &= PATH_FLAGS;
	if (need & MF_PERMIT_EITHER) {
		ret = look_up(&permit->read, clean, flags, mode);
		return ret == -EACCES ? look_up(&permit->write, clean, flags, mode) : ret;
	}
	if (need == MF_PERMIT_READ)
		return look_up(&permit->read, clean, flags, mode);
	/* Not even made when it could not be read then. */
	if (need & MF_PERMIT_READ && !mf_permit_allows(permit, clean, MF_PERMIT_READ))
		return -EACCES;
	ret = look_up(&permit->write, clean, flags, mode);
	if (ret < 0 || !(need & MF_PERMIT_READ))
		return ret;
	return check_readable(permit, clean, flags, ret);
}

int mf_permit_open(const struct mf_permit *permit, const char *cwd, const char *path, int flags,
		   mode_t mode)
{
	unsigned int need = (flags & O_ACCMODE) == O_WRONLY ? 0 : MF_PERMIT_READ;

	if ((flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC))
		need |= MF_PERMIT_WRITE;
	if (flags & O_PATH)
		need = MF_PERMIT_EITHER;
	return mf_permit_open_need(permit, cwd, path, need, flags, mode);
}

int mf_permit_parent(const struct mf_permit *permit, const char *cwd, const char *path,
		     char name[NAME_MAX + 2])
{
	char clean[PATH_MAX];
	int bytes = mf_permit_clean(cwd, path, clean);
	size_t given = strnlen(path, PATH_MAX);
	char *slash;

	if (bytes <= 1)
		return bytes < 0 ? bytes : -EACCES; /* "/" */
	while (given && path[given - 1] == '/')
		given--;
	/* Cleaning took them off, and the name before is not what was meant. */
	if ((given >= 1 && path[given - 1] == '.' && (given == 1 || path[given - 2] == '/')) ||
	    (given >= 2 && !strncmp(path + given - 2, "..", 2) &&
	     (given == 2 || path[given - 3] == '/')))
		return -EINVAL;
	for (slash = clean + bytes - 2; slash > clean && *slash != '/'; slash--)
		;
	strcpy(name, slash + 1);
	slash[slash == clean] = 0;
	return look_up(&permit->write, clean, O_PATH | O_DIRECTORY, 0);
}

bool mf_permit_allows(const struct mf_permit *permit, const char *clean, enum mf_permit_need need)
{
	const char *rest;

	return (need & (MF_PERMIT_READ | MF_PERMIT_EITHER) && find(&permit->read, clean, &rest)) ||
	       (need & (MF_PERMIT_WRITE | MF_PERMIT_EITHER) && find(&permit->write, clean, &rest));
}

static bool list_leads_to(const struct permit_list *list, const char *clean)
{
	char bare[PATH_MAX];
	size_t bytes = strlen(clean);
	size_t i;

	memcpy(bare, clean, bytes + 1);
	if (bytes > 1 && bare[bytes - 1] == '/')
		bare[bytes - 1] = 0;
	for (i = 0; i < list->count; i++) {
		const struct permit_entry *entry = &list->entries[i];

		if (prefix(bare, entry->path) && !(entry->file && !strcmp(bare, entry->path)))
			return true;
		if (prefix(bare, entry->real) && !(entry->file && !strcmp(bare, entry->real)))
			return true;
	}
	return false;
}

bool mf_permit_leads_to(const struct mf_permit *permit, const char *clean)
{
	return list_leads_to(&permit->read, clean) || list_leads_to(&permit->write, clean);
}
