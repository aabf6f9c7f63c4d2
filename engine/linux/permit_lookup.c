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
#define OPEN_FLAGS                                                                               \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_TMPFILE | O_APPEND | O_NONBLOCK | \
	 O_DSYNC | O_SYNC | O_DIRECT | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH)
#define PATH_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* A name on its way: links that lead out of an entry are replaced in it. */
struct lookup {
	const struct mf_permit *permit;
	const struct permit_list *list;
	char path[PATH_MAX]; /* clean */
	int flags;
	mode_t mode;
	uint64_t resolve; /* RESOLVE_* that the program asks for */
};

size_t mf_permit_prefix(const char *name, const char *path)
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
static const struct permit_entry *find(const struct mf_permit *permit,
				       const struct permit_list *list, const char *path,
				       const char **rest)
{
	bool in_volume = mf_permit_in_volume(permit, path);
	const struct permit_entry *found = NULL;
	size_t longest = 0;
	size_t i;

	for (i = 0; i < list->count; i++) {
		const struct permit_entry *entry = &list->entries[i];
		size_t given = mf_permit_prefix(entry->path, path);
		size_t real = entry->volume ? 0 : mf_permit_prefix(entry->real, path);
		size_t bytes = given > real ? given : real;

		if (entry->volume != in_volume)
			continue;
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

static int open_beneath(const struct permit_entry *entry, const char *rest, int flags, mode_t mode,
			uint64_t resolve)
{
	struct open_how how = {.flags = (unsigned int)(flags | O_CLOEXEC)};
	int tries = RENAMES_MAX;
	long fd;

	if (flags & (O_CREAT | TMPFILE_FLAG))
		how.mode = mode & 0777;
	if (!(flags & O_PATH))
		how.flags |= O_NONBLOCK | O_NOCTTY;
	/* Beneath "/" means the same and lets absolute links be. */
	how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
	how.resolve |=
		!entry->in_root && (strcmp(entry->real, "/") || entry->volume || entry->stepwise)
			? RESOLVE_BENEATH
			: RESOLVE_IN_ROOT;
	if (entry->stepwise)
		how.resolve |= RESOLVE_NO_SYMLINKS;
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

/* *.so, *.so.* */
static bool is_library_name(const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	for (name = strstr(name, ".so"); name; name = strstr(name + 1, ".so"))
		if (!name[3] || name[3] == '.')
			return true;
	return false;
}

/* An open file (not O_PATH) that begins as an ELF file does. */
static bool is_elf(int fd)
{
	char magic[4];

	return pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
	       !memcmp(magic, "\177ELF", sizeof(magic));
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
static int open_checked(const struct permit_entry *entry, const char *rest, int flags, mode_t mode,
			uint64_t resolve)
{
	bool fresh = flags & O_CREAT && flags & O_EXCL;
	int fd;

	if (!(flags & O_PATH) && !fresh) {
		fd = open_beneath(entry, rest, O_PATH | (flags & O_NOFOLLOW), 0, resolve);
		if (fd >= 0)
			fd = accept_fd(entry, fd, true);
		if (fd >= 0)
			close(fd);
		else if (fd != -ENOENT || !(flags & O_CREAT))
			return fd;
	}
	fd = open_beneath(entry, rest, flags, mode, resolve);
	if (fd == -ELOOP && entry->file)
		return -EACCES;
	if (fd >= 0)
		fd = accept_fd(entry, fd, !(flags & O_PATH));
	if (fd < 0 || !entry->libraries || flags & O_PATH || is_elf(fd))
		return fd;
	close(fd);
	return -EACCES;
}

/* The link that O_PATH | O_NOFOLLOW opens at `part`: its length, 0 when it is no link, -errno. */
static int read_link(const struct permit_entry *entry, const char *part, char target[PATH_MAX])
{
	int fd = open_beneath(entry, part, O_PATH | O_NOFOLLOW, 0, 0);
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
	snprintf(base, sizeof(base), "%s/%.*s", entry->volume ? entry->path : entry->real, (int)dir,
		 rest);
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
	int loop;

	for (links = 0; links < LINKS_MAX; links++) {
		const char *rest;
		const struct permit_entry *entry =
			find(lookup->permit, lookup->list, lookup->path, &rest);
		int ret;

		if (!entry || (entry->libraries && !is_library_name(lookup->path)))
			return -EACCES;
		if (entry->file && rest[-1] == '/')
			return -ENOTDIR;
		ret = open_checked(entry, rest, lookup->flags, lookup->mode, lookup->resolve);
		if (ret != -EXDEV && !(ret == -ELOOP && entry->stepwise))
			return ret;
		if (ret == -ELOOP && lookup->resolve & RESOLVE_NO_SYMLINKS)
			return ret;
		loop = ret;
		ret = step_over_link(lookup, entry, rest);
		if (ret)
			return loop == -ELOOP || lookup->resolve & RESOLVE_NO_XDEV ? loop : ret;
		/* It has led out over a link, as an absolute one does. */
		if (lookup->resolve & RESOLVE_NO_SYMLINKS)
			return -ELOOP;
	}
	return -ELOOP;
}

/* How a name is looked up, beside where. */
struct how {
	int flags;
	mode_t mode;
	uint64_t resolve;
};

static int look_up_how(const struct mf_permit *permit, const struct permit_list *list,
		       const char *clean, const struct how *how)
{
	struct lookup lookup;

	lookup.permit = permit;
	lookup.list = list;
	lookup.flags = how->flags;
	lookup.mode = how->mode;
	lookup.resolve = how->resolve;
	strcpy(lookup.path, clean);
	return run(&lookup);
}

static int look_up(const struct mf_permit *permit, const struct permit_list *list,
		   const char *clean, int flags, mode_t mode)
{
	return look_up_how(permit, list, clean, &(struct how){flags, mode, 0});
}

/* Without changing anything: also what a program needs to start. */
static int look_up_to_read(const struct mf_permit *permit, const char *clean, unsigned int need,
			   const struct how *how)
{
	int ret = look_up_how(permit, &permit->read, clean, how);

	if (ret == -EACCES && need & MF_PERMIT_EITHER)
		ret = look_up_how(permit, &permit->write, clean, how);
	if (ret == -EACCES && !(how->flags & (O_CREAT | O_TRUNC)))
		ret = look_up_how(permit, &permit->start, clean, how);
	if (ret == -EACCES && permit->no_preload && !strcmp(clean, MF_PERMIT_PRELOAD))
		ret = -ENOENT;
	return ret;
}

/* Opened for writing as `fd`: is it also what reading that name gives? Owns fd on failure. */
static int check_readable(const struct mf_permit *permit, const char *clean, int flags, int fd)
{
	int other = look_up(permit, &permit->read, clean, O_PATH | (flags & O_NOFOLLOW), 0);
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

/* Flags as openat2 takes them: those that mean nothing are gone; -EINVAL. */
static int take_flags(struct how *how)
{
	how->flags &= ~(O_LARGEFILE | 0100000);
	if (how->flags & ~OPEN_FLAGS || (how->flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if (how->flags & O_PATH)
		how->flags &= PATH_FLAGS;
	/* A file without a name is made in a directory, to be written (open(2)). */
	if (how->flags & TMPFILE_FLAG &&
	    ((how->flags & (O_TMPFILE | O_CREAT)) != O_TMPFILE || !(how->flags & O_ACCMODE)))
		return -EINVAL;
	return 0;
}

static int open_how(const struct mf_permit *permit, const char *cwd, const char *path,
		    unsigned int need, struct how how)
{
	char clean[PATH_MAX];
	int ret = mf_permit_clean(cwd, path, clean);

	ret = ret < 0 ? ret : take_flags(&how);
	if (ret)
		return ret;
	if (need & MF_PERMIT_EITHER || need == MF_PERMIT_READ)
		return look_up_to_read(permit, clean, need, &how);
	/* Not even made when it could not be read then. */
	if (need & MF_PERMIT_READ && !mf_permit_allows(permit, clean, MF_PERMIT_READ))
		return -EACCES;
	ret = look_up_how(permit, &permit->write, clean, &how);
	if (ret < 0 || !(need & MF_PERMIT_READ) || how.flags & TMPFILE_FLAG)
		return ret;
	return check_readable(permit, clean, how.flags, ret);
}

int mf_permit_open_need(const struct mf_permit *permit, const char *cwd, const char *path,
			unsigned int need, int flags, mode_t mode)
{
	return open_how(permit, cwd, path, need, (struct how){flags, mode, 0});
}

/* Does another volume lie beneath the directory? */
static bool has_volume(const struct mf_permit *permit, const char *base)
{
	size_t i;

	for (i = 0; i < permit->volume_count; i++)
		if (mf_permit_prefix(base, permit->volumes[i]) && strcmp(base, permit->volumes[i]))
			return true;
	return false;
}

/* The directory as both reading and writing, or what is needed of them, have it; -errno. */
static int open_base(const struct mf_permit *permit, const char *base, unsigned int need)
{
	int fd;

	if (has_volume(permit, base))
		return -EXDEV;
	if (!(need & MF_PERMIT_WRITE))
		return look_up(permit, &permit->read, base, O_PATH | O_DIRECTORY, 0);
	fd = look_up(permit, &permit->write, base, O_PATH | O_DIRECTORY, 0);
	return fd < 0 || !(need & MF_PERMIT_READ) ? fd : check_readable(permit, base, 0, fd);
}

int mf_permit_open_in(const struct mf_permit *permit, const char *base, const char *path, int flags,
		      mode_t mode, uint64_t resolve)
{
	struct permit_entry entry = {.real = "", .in_root = resolve & RESOLVE_IN_ROOT};
	struct how how = {flags, mode, resolve};
	int ret = take_flags(&how);

	if (ret)
		return ret;
	if (!(resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)))
		return open_how(permit, base, path, mf_permit_need(flags), how);
	entry.fd = open_base(permit, base, mf_permit_need(flags));
	if (entry.fd < 0)
		return entry.fd;
	ret = open_checked(&entry, path, how.flags, how.mode,
			   resolve & ~(uint64_t)(RESOLVE_BENEATH | RESOLVE_IN_ROOT));
	close(entry.fd);
	return ret;
}

unsigned int mf_permit_need(int flags)
{
	unsigned int need = (flags & O_ACCMODE) == O_WRONLY ? 0 : MF_PERMIT_READ;

	if (flags & O_PATH)
		return MF_PERMIT_EITHER;
	if ((flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC))
		need |= MF_PERMIT_WRITE;
	return need;
}

int mf_permit_open(const struct mf_permit *permit, const char *cwd, const char *path, int flags,
		   mode_t mode)
{
	return mf_permit_open_need(permit, cwd, path, mf_permit_need(flags), flags, mode);
}

bool mf_permit_in_volume(const struct mf_permit *permit, const char *clean)
{
	size_t i;

	for (i = 0; i < permit->volume_count; i++)
		if (mf_permit_prefix(permit->volumes[i], clean))
			return true;
	return false;
}

/* Is this name a volume's own, with or without a slash at its end? */
static bool is_volume(const struct mf_permit *permit, const char *clean)
{
	size_t i;

	for (i = 0; i < permit->volume_count; i++) {
		size_t bytes = mf_permit_prefix(permit->volumes[i], clean);

		if (bytes && (!clean[bytes] || !strcmp(clean + bytes, "/")))
			return true;
	}
	return false;
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
	if (is_volume(permit, clean))
		return -EBUSY; /* as a mount point */
	slash[slash == clean] = 0;
	return look_up(permit, &permit->write, clean, O_PATH | O_DIRECTORY, 0);
}

bool mf_permit_allows(const struct mf_permit *permit, const char *clean, enum mf_permit_need need)
{
	const char *rest;

	return (need & (MF_PERMIT_READ | MF_PERMIT_EITHER) &&
		find(permit, &permit->read, clean, &rest)) ||
	       (need & (MF_PERMIT_WRITE | MF_PERMIT_EITHER) &&
		find(permit, &permit->write, clean, &rest));
}

/* The longest name of the host's that an entry is a directory of, and the entry. */
static size_t find_real(const struct permit_list *list, const char *host,
			const struct permit_entry **found, size_t longest)
{
	size_t i;

	for (i = 0; i < list->count; i++) {
		size_t bytes = mf_permit_prefix(list->entries[i].real, host);

		if (bytes > longest) {
			longest = bytes;
			*found = &list->entries[i];
		}
	}
	return longest;
}

int mf_permit_guest_name(const struct mf_permit *permit, char name[PATH_MAX])
{
	const struct permit_entry *found = NULL;
	char joined[2 * PATH_MAX];
	size_t bytes = find_real(&permit->read, name, &found, 0);

	bytes = find_real(&permit->write, name, &found, bytes);
	if (!found || !found->volume)
		return (int)strlen(name);
	snprintf(joined, sizeof(joined), "%s%s%s", strcmp(found->path, "/") ? found->path : "",
		 bytes == 1 ? "/" : "", name + bytes);
	if (!joined[0])
		strcpy(joined, "/");
	if (strlen(joined) >= PATH_MAX)
		return -ENAMETOOLONG;
	strcpy(name, joined);
	return (int)strlen(name);
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

		if (mf_permit_prefix(bare, entry->path) &&
		    !(entry->file && !strcmp(bare, entry->path)))
			return true;
		if (!entry->volume && mf_permit_prefix(bare, entry->real) &&
		    !(entry->file && !strcmp(bare, entry->real)))
			return true;
	}
	return false;
}

bool mf_permit_leads_to(const struct mf_permit *permit, const char *clean)
{
	return list_leads_to(&permit->read, clean) || list_leads_to(&permit->write, clean) ||
	       list_leads_to(&permit->start, clean);
}
