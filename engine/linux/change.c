/* SPDX-License-Identifier: MIT */
/*
 * Calls that change names: all need permission to write.
 */
#include "engine/linux/explain.h"
#include "engine/linux/files.h"
#include "engine/linux/shm.h"
#include "engine/linux/system.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A name to make or remove: the directory it is in, and its last part. */
struct place {
	int dir;
	char name[NAME_MAX + 2];
};

/* What a call says about a name whose last part is `.` or `..`. */
struct dots {
	int one;
	int two;
};

static const struct dots dots_exist = {-EEXIST, -EEXIST};
static const struct dots dots_directory = {-EISDIR, -EISDIR};
static const struct dots dots_rmdir = {-EINVAL, -ENOTEMPTY};

/* The error that `dots` has for a name as it was given, or 0. */
static int check_dots(const char *given, struct dots dots)
{
	size_t end = strlen(given);
	size_t start;

	while (end && given[end - 1] == '/')
		end--;
	for (start = end; start && given[start - 1] != '/'; start--)
		;
	if (end - start == 1 && given[start] == '.')
		return dots.one;
	return end - start == 2 && given[start] == '.' && given[start + 1] == '.' ? dots.two : 0;
}

static int place_get(struct mf_process *process, uint64_t dirfd, uint64_t va, struct dots dots,
		     struct place *place, struct mf_name *name)
{
	const struct mf_permit *permit = process->policy->permit;
	const char *base = "/";
	int ret = mf_name_get(process, dirfd, va, name);

	if (ret)
		return ret;
	ret = check_dots(name->given, dots);
	if (ret)
		return ret;
	if (!permit) {
		mf_explain_path(process, "change", name->text, MF_PERMIT_WRITE, -EACCES);
		return -EACCES;
	}
	if (name->given[0] != '/')
		base = (int)dirfd == AT_FDCWD ? mf_linux(process)->cwd
					      : mf_fd_dir_path(process, dirfd, &ret);
	place->dir = mf_permit_parent(permit, base, name->given, place->name);
	mf_explain_path(process, "change", name->text, MF_PERMIT_WRITE, place->dir);
	return place->dir < 0 ? place->dir : 0;
}

/* What the host said; the place is let go. */
static int64_t place_put(struct place *place, int ret)
{
	int64_t result = ret ? -errno : 0;

	close(place->dir);
	return result;
}

static int64_t make_dir(struct mf_process *process, uint64_t dirfd, uint64_t va, uint64_t mode)
{
	mode_t bits = (mode_t)mode & 01777 & ~(mode_t)mf_linux(process)->umask;
	struct place place;
	struct mf_name name;
	int ret = place_get(process, dirfd, va, dots_exist, &place, &name);

	/* What a program makes "if it is not there" is there. */
	if (ret == -EACCES && mf_name_leads_to(process, &name))
		return -EEXIST;
	return ret ? ret : place_put(&place, mkdirat(place.dir, place.name, bits));
}

int64_t mf_sys_mkdir(struct mf_process *process, const uint64_t arg[6])
{
	return make_dir(process, (uint64_t)AT_FDCWD, arg[0], arg[1]);
}

int64_t mf_sys_mkdirat(struct mf_process *process, const uint64_t arg[6])
{
	return make_dir(process, arg[0], arg[1], arg[2]);
}

static int64_t remove_name(struct mf_process *process, uint64_t dirfd, uint64_t va, uint64_t flags)
{
	struct place place;
	struct mf_name name;
	int ret;

	if (flags & ~(uint64_t)AT_REMOVEDIR)
		return -EINVAL;
	if (!mf_name_get(process, dirfd, va, &name) && mf_shm_name(process, name.text))
		return flags ? -ENOTDIR : mf_shm_unlink(process, mf_shm_name(process, name.text));
	ret = place_get(process, dirfd, va, flags ? dots_rmdir : dots_directory, &place, &name);
	return ret ? ret : place_put(&place, unlinkat(place.dir, place.name, (int)flags));
}

int64_t mf_sys_unlink(struct mf_process *process, const uint64_t arg[6])
{
	return remove_name(process, (uint64_t)AT_FDCWD, arg[0], 0);
}

int64_t mf_sys_unlinkat(struct mf_process *process, const uint64_t arg[6])
{
	return remove_name(process, arg[0], arg[1], (uint32_t)arg[2]);
}

int64_t mf_sys_rmdir(struct mf_process *process, const uint64_t arg[6])
{
	return remove_name(process, (uint64_t)AT_FDCWD, arg[0], AT_REMOVEDIR);
}

/* Two names and what is done with them: rename and link. */
struct two {
	int (*call)(const struct place *from, const struct place *to, unsigned int flags);
	struct dots from_dots;
	struct dots to_dots;
};

static int rename_two(const struct place *from, const struct place *to, unsigned int flags)
{
	return renameat2(from->dir, from->name, to->dir, to->name, flags);
}

static int link_two(const struct place *from, const struct place *to, unsigned int flags)
{
	(void)flags; /* followed already */
	return linkat(from->dir, from->name, to->dir, to->name, 0);
}

static const struct two rename_call = {rename_two, {-EBUSY, -EBUSY}, {-EBUSY, -EBUSY}};
static const struct two link_call = {link_two, {-EPERM, -EPERM}, {-EEXIST, -EEXIST}};

/* The place of what a link there leads to; the name's own place when it is no link. */
static int place_follow(const struct mf_process *process, struct place *place, struct mf_name *name)
{
	char target[PATH_MAX], joined[2 * PATH_MAX];
	int links, ret;

	for (links = 0; links < 40; links++) {
		ssize_t bytes = readlinkat(place->dir, place->name, target, sizeof(target) - 1);
		char *slash = strrchr(name->text, '/');

		if (bytes < 0)
			return 0;
		target[bytes] = 0;
		snprintf(joined, sizeof(joined), "%.*s/%s",
			 target[0] == '/' ? 0 : (int)(slash - name->text), name->text, target);
		ret = mf_permit_clean("/", joined, name->text);
		close(place->dir);
		place->dir = -1;
		if (ret < 0)
			return ret;
		place->dir =
			mf_permit_parent(process->policy->permit, "/", name->text, place->name);
		if (place->dir < 0)
			return place->dir;
	}
	return -ELOOP;
}

/* The same of names in /dev/shm: 0 or -errno; 1: they are none. */
static int shm_two(struct mf_process *process, const uint64_t arg[6], const struct two *two,
		   unsigned int flags)
{
	struct mf_name from, to;
	const char *a;
	const char *b;

	if (mf_name_get(process, arg[0], arg[1], &from) ||
	    mf_name_get(process, arg[2], arg[3], &to))
		return 1;
	a = mf_shm_name(process, from.text);
	b = mf_shm_name(process, to.text);
	if (!a || !b)
		return a || b ? -EXDEV : 1;
	return two->call == link_two ? mf_shm_link(process, a, b)
				     : mf_shm_rename(process, a, b, flags);
}

/* Is the name that of a descriptor's link, which is followed, or empty and the descriptor itself?
 */
static const struct mf_fd *fd_to_link(struct mf_process *process, const uint64_t arg[6],
				      uint32_t flags)
{
	struct mf_system_node node;
	struct mf_name name;
	uint8_t first = 1;

	if (flags & AT_EMPTY_PATH && !mf_guest_read(process, arg[1], &first, 1) && !first)
		return mf_fd_get(process, arg[0]);
	if (!(flags & AT_SYMLINK_FOLLOW) || mf_name_get(process, arg[0], arg[1], &name) ||
	    !mf_system_find(process, name.text, &node) || node.kind != MF_SYSTEM_FD)
		return NULL;
	return mf_fd_get(process, node.number);
}

/* May the program give the open file another name? One that it made without a name, or may change
 * by the one it has; never what its caller has opened for it. */
static bool may_name(const struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_permit *permit = process->policy->permit;
	char name[PATH_MAX];
	struct stat st;

	if ((entry->flags & O_ACCMODE) == O_RDONLY || entry->marks & MF_FD_IS_STREAM || !permit ||
	    fstat(entry->host, &st))
		return false;
	return !st.st_nlink || (mf_system_host_name(process, entry->host, name) > 0 &&
				mf_permit_allows(permit, name, MF_PERMIT_WRITE));
}

/* A name for a file that is open, which may have none (O_TMPFILE). */
static int64_t link_open_file(struct mf_process *process, const struct mf_fd *entry,
			      const uint64_t arg[6])
{
	char link[40];
	struct place to;
	struct mf_name name;
	int ret;

	if (entry->kind != MF_FD_FILE || entry->flags & O_PATH)
		return entry->kind == MF_FD_DIR ? -EPERM : -EXDEV;
	if (!may_name(process, entry))
		return -EPERM;
	ret = place_get(process, arg[2], arg[3], dots_exist, &to, &name);
	if (ret)
		return ret;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", entry->host);
	return place_put(&to, linkat(AT_FDCWD, link, to.dir, to.name, AT_SYMLINK_FOLLOW));
}

static int64_t do_two(struct mf_process *process, const uint64_t arg[6], const struct two *two,
		      unsigned int flags)
{
	struct place from, to;
	struct mf_name name;
	int64_t result;
	int ret = shm_two(process, arg, two, flags);

	if (ret <= 0)
		return ret;
	ret = place_get(process, arg[0], arg[1], two->from_dots, &from, &name);
	if (ret)
		return ret;
	if (two->call == link_two && flags & AT_SYMLINK_FOLLOW)
		ret = place_follow(process, &from, &name);
	if (!ret)
		ret = place_get(process, arg[2], arg[3], two->to_dots, &to, &name);
	if (ret) {
		if (from.dir >= 0)
			close(from.dir);
		return ret;
	}
	result = place_put(&from, two->call(&from, &to, flags));
	close(to.dir);
	return result;
}

int64_t mf_sys_rename(struct mf_process *process, const uint64_t arg[6])
{
	const uint64_t full[6] = {(uint64_t)AT_FDCWD, arg[0], (uint64_t)AT_FDCWD, arg[1]};

	return do_two(process, full, &rename_call, 0);
}

int64_t mf_sys_renameat(struct mf_process *process, const uint64_t arg[6])
{
	return do_two(process, arg, &rename_call, 0);
}

int64_t mf_sys_renameat2(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t flags = (uint32_t)arg[4];

	if (flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	return do_two(process, arg, &rename_call, flags);
}

/* Both names need permission to write: else a link would make a file writable that is only
 * readable. */
int64_t mf_sys_link(struct mf_process *process, const uint64_t arg[6])
{
	const uint64_t full[6] = {(uint64_t)AT_FDCWD, arg[0], (uint64_t)AT_FDCWD, arg[1]};

	return do_two(process, full, &link_call, 0);
}

int64_t mf_sys_linkat(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t flags = (uint32_t)arg[4];

	const struct mf_fd *entry;

	if (flags & ~(uint32_t)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	entry = fd_to_link(process, arg, flags);
	return entry ? link_open_file(process, entry, arg)
		     : do_two(process, arg, &link_call, flags & AT_SYMLINK_FOLLOW);
}

/* A link may say anything: what it leads to is checked when it is followed. */
static int64_t make_symlink(struct mf_process *process, uint64_t target_va, uint64_t dirfd,
			    uint64_t va)
{
	char target[PATH_MAX];
	int64_t bytes = mf_guest_string(process, target_va, target, sizeof(target));
	struct place place;
	struct mf_name name;
	int ret;

	if (bytes <= 0)
		return bytes ? bytes : -ENOENT;
	ret = place_get(process, dirfd, va, dots_exist, &place, &name);
	return ret ? ret : place_put(&place, symlinkat(target, place.dir, place.name));
}

int64_t mf_sys_symlink(struct mf_process *process, const uint64_t arg[6])
{
	return make_symlink(process, arg[0], (uint64_t)AT_FDCWD, arg[1]);
}

int64_t mf_sys_symlinkat(struct mf_process *process, const uint64_t arg[6])
{
	return make_symlink(process, arg[0], arg[1], arg[2]);
}

/* Of what can be made so, only files: FIFOs and sockets would be the host's, devices nobody's. */
static int64_t make_node(struct mf_process *process, uint64_t dirfd, uint64_t va, uint64_t mode)
{
	mode_t bits = (mode_t)mode & 01777 & ~(mode_t)mf_linux(process)->umask;
	struct place place;
	struct mf_name name;
	int fd, ret;

	if (mode & S_IFMT && (mode & S_IFMT) != S_IFREG)
		return (mode & S_IFMT) == S_IFIFO || (mode & S_IFMT) == S_IFSOCK ||
				       (mode & S_IFMT) == S_IFCHR || (mode & S_IFMT) == S_IFBLK ||
				       (mode & S_IFMT) == S_IFDIR
			       ? -EPERM
			       : -EINVAL;
	ret = place_get(process, dirfd, va, dots_exist, &place, &name);
	if (ret)
		return ret;
	fd = openat(place.dir, place.name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		    bits);
	if (fd >= 0)
		close(fd);
	return place_put(&place, fd < 0 ? -1 : 0);
}

int64_t mf_sys_mknod(struct mf_process *process, const uint64_t arg[6])
{
	return make_node(process, (uint64_t)AT_FDCWD, arg[0], (uint32_t)arg[1]);
}

int64_t mf_sys_mknodat(struct mf_process *process, const uint64_t arg[6])
{
	return make_node(process, arg[0], arg[1], (uint32_t)arg[2]);
}
