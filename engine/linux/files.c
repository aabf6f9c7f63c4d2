/* SPDX-License-Identifier: MIT */
/*
 * Opening files, and directories. A descriptor of a directory stands for the directory's name: what
 * is looked up relative to it is looked up by that name, under the permissions of that name. A
 * change of directory keeps the name as it was given, as a shell does.
 */
#include "engine/linux/disk.h"
#include "engine/linux/explain.h"
#include "engine/linux/files.h"
#include "engine/linux/io.h"
#include "engine/linux/rlimit.h"
#include "engine/linux/shm.h"
#include "engine/linux/system.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DENTS_BYTES 16384u
#define LINKS_MAX   40 /* as Linux' MAXSYMLINKS */

#define TMPFILE_FLAG (O_TMPFILE & ~O_DIRECTORY)

/* VALID_OPEN_FLAGS and VALID_RESOLVE_FLAGS of Linux' include/linux/fcntl.h. */
#define HOW_FLAGS                                                                             \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | \
	 O_DIRECT | 0100000 | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH |     \
	 O_TMPFILE | O_ASYNC)
#define HOW_RESOLVE                                                                        \
	(RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | \
	 RESOLVE_IN_ROOT | RESOLVE_CACHED)

/* Flags of the call, not of the description it makes. */
#define CREATION_FLAGS (O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC)

int mf_name_get(struct mf_process *process, uint64_t dirfd, uint64_t va, struct mf_name *name)
{
	const char *base = mf_linux(process)->cwd;
	int64_t got = mf_guest_string(process, va, name->given, sizeof(name->given));
	int ret;

	if (got <= 0)
		return got ? (int)got : -ENOENT;
	if (name->given[0] != '/' && (int)dirfd != AT_FDCWD) {
		base = mf_fd_dir_path(process, dirfd, &ret);
		if (!base)
			return ret;
	}
	ret = mf_permit_clean(base, name->given, name->text);
	return ret < 0 ? ret : mf_system_follow(process, name, false);
}

int mf_name_cwd(const struct mf_process *process, struct mf_name *name)
{
	strcpy(name->text, mf_linux(process)->cwd);
	strcpy(name->given, name->text);
	return 0;
}

/* What of /proc the engine has not made up is not there. */
static bool is_of_proc(const struct mf_name *name)
{
	return !strncmp(name->text, "/proc", 5) && (!name->text[5] || name->text[5] == '/');
}

int mf_name_open(const struct mf_process *process, const struct mf_name *name, unsigned int need,
		 int flags, mode_t mode)
{
	const struct mf_permit *permit = process->policy->permit;
	int ret;

	if (is_of_proc(name) || mf_shm_name(process, name->text))
		return is_of_proc(name) ? -ENOENT : -EACCES;
	ret = permit ? mf_permit_open_need(permit, "/", name->text, need, flags, mode) : -EACCES;
	/* Directories above permitted ones can be asked about all the same. */
	if (ret == -EACCES && (need != MF_PERMIT_EITHER || !mf_name_leads_to(process, name)))
		mf_explain_path(process, need == MF_PERMIT_EITHER ? "look at" : "use", name->text,
				need, ret);
	return ret;
}

/* Where the last part of the name leads, in its place. False: it is no link. */
static bool step_over(const struct mf_process *process, struct mf_name *name)
{
	const struct mf_permit *permit = process->policy->permit;
	char target[PATH_MAX], joined[2 * PATH_MAX + 2];
	int fd = permit ? mf_permit_open_need(permit, "/", name->text, MF_PERMIT_EITHER,
					      O_PATH | O_NOFOLLOW, 0)
			: -EACCES;
	ssize_t bytes = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target) - 1);
	int folder = (int)(strrchr(name->text, '/') - name->text);

	if (fd >= 0)
		close(fd);
	if (bytes <= 0)
		return false;
	target[bytes] = 0;
	snprintf(joined, sizeof(joined), "%.*s/%s", target[0] == '/' ? 0 : folder, name->text,
		 target);
	return mf_permit_clean("/", joined, name->text) >= 0;
}

bool mf_name_leads_out(const struct mf_process *process, struct mf_name *name)
{
	struct mf_system_node node;
	int links;

	for (links = 0; links < LINKS_MAX && step_over(process, name); links++) {
		if (mf_system_follow(process, name, true))
			return false;
		if (mf_system_find(process, name->text, &node) || is_of_proc(name))
			return true;
	}
	return false;
}

bool mf_name_leads_to(const struct mf_process *process, const struct mf_name *name)
{
	const struct mf_permit *permit = process->policy->permit;

	return !strcmp(name->text, "/") || (permit && mf_permit_leads_to(permit, name->text));
}

/* A file that a descriptor has open, opened anew: what it may do, or what its name permits. */
static int64_t reopen_file(struct mf_process *process, const struct mf_fd *entry, uint32_t number,
			   int flags)
{
	uint32_t had = entry->flags & O_ACCMODE, want = (uint32_t)flags & O_ACCMODE;
	bool within = !(entry->flags & O_PATH) && (had == O_RDWR || had == want) &&
		      !(flags & O_TRUNC && had == O_RDONLY);
	struct stat old, new;
	struct mf_name name;
	char link[40];
	int host;

	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	if (flags & O_TRUNC && process->policy->disk)
		return -EACCES;
	if (within || flags & O_PATH) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", entry->host);
		host = open(link,
			    (flags & (O_ACCMODE | O_PATH | O_TRUNC)) | O_CLOEXEC | O_NONBLOCK);
		/* A stream may be used, but its file may be none that is permitted. */
		if (host < 0 && entry->marks & MF_FD_IS_STREAM)
			return mf_fd_share(process, entry, 0, flags & O_CLOEXEC);
		return host < 0 ? -errno
				: mf_fd_install_host(process, host, flags & ~CREATION_FLAGS, "");
	}
	host = mf_system_fd_name(process, number, name.text);
	if (host >= 0)
		host = process->policy->permit
			       ? mf_permit_open(process->policy->permit, "/", name.text,
						flags & (O_ACCMODE | O_TRUNC), 0)
			       : -EACCES;
	if (host < 0)
		return -EACCES;
	if (fstat(host, &new) || fstat(entry->host, &old) || new.st_ino != old.st_ino ||
	    new.st_dev != old.st_dev) {
		close(host);
		return -EACCES;
	}
	return mf_fd_install_host(process, host, flags & ~CREATION_FLAGS, "");
}

/*
 * /proc/self/fd/N: a file gets a description of its own. Of what has no name, pipes and their kin,
 * the same description is given once more.
 */
static int64_t reopen(struct mf_process *process, uint32_t number, int flags)
{
	const struct mf_fd *entry = mf_fd_get(process, number);
	uint32_t had = entry->flags & O_ACCMODE, want = (uint32_t)flags & O_ACCMODE;
	struct mf_fd copy = *entry;

	if (entry->kind == MF_FD_FILE)
		return reopen_file(process, entry, number, flags);
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	if (mf_fd_is_socket(entry))
		return -ENXIO;
	if (had != O_RDWR && had != want)
		return -EACCES;
	if (entry->kind != MF_FD_CHAR && entry->kind != MF_FD_PROC)
		return mf_fd_share(process, entry, 0, flags & O_CLOEXEC);
	copy.flags = (uint32_t)(flags & ~CREATION_FLAGS);
	copy.offset = 0;
	return mf_fd_install(process, &copy, 0);
}

/* A name that the engine makes up; -ENOENT: it is none, or one that the host may be asked for, but
 * for those of /dev/shm. */
static int64_t open_system(struct mf_process *process, struct mf_name *name, int flags, mode_t mode)
{
	const char *shm = mf_shm_name(process, name->text);
	struct mf_system_node node;

	if (shm)
		return mf_shm_open(process, shm, flags, mode);
	if (!mf_system_find(process, name->text, &node))
		return -ENOENT;
	if (node.kind == MF_SYSTEM_LINK || (node.kind == MF_SYSTEM_FD && flags & O_NOFOLLOW))
		return -ELOOP;
	if (node.kind == MF_SYSTEM_FD && mf_fd_get(process, node.number)->kind == MF_FD_DIR) {
		int ret = mf_system_fd_name(process, node.number, name->text);

		return ret < 0 ? ret : open_system(process, name, flags, mode);
	}
	if (node.kind == MF_SYSTEM_FD)
		return reopen(process, node.number, flags);
	return mf_system_open(process, &node, name->text,
			      flags & ~(CREATION_FLAGS & ~(O_CREAT | O_EXCL | O_TRUNC)));
}

/* The host has refused the name: it may be a link to what the engine makes up. */
static int64_t not_opened(struct mf_process *process, const struct mf_name *name, int flags,
			  mode_t mode, int ret)
{
	struct mf_name link = *name;

	if (ret != -ENOENT && !(flags & (O_NOFOLLOW | O_EXCL)) && mf_name_leads_out(process, &link))
		return open_system(process, &link, flags, mode);
	mf_explain_path(process, "open", name->text, mf_permit_need(flags), ret);
	return ret;
}

static int64_t open_name(struct mf_process *process, uint64_t dirfd, uint64_t va, int flags,
			 uint64_t mode)
{
	const struct mf_permit *permit = process->policy->permit;
	bool by_disk = process->policy->disk != NULL;
	mode_t bits = (mode_t)mode & 0777 & ~(mode_t)mf_linux(process)->umask;
	struct mf_name name;
	int64_t made_up;
	int ret;

	if ((flags & O_ACCMODE) == O_ACCMODE || flags & O_ASYNC)
		return -EINVAL;
	ret = mf_name_get(process, dirfd, va, &name);
	if (ret)
		return ret;
	flags &= ~0100000; /* O_LARGEFILE: 0 for a 64-bit C library, but musl says it */
	ret = mf_system_follow(process, &name, !(flags & O_NOFOLLOW));
	if (ret)
		return ret;
	made_up = open_system(process, &name, flags, bits);
	if (made_up != -ENOENT || mf_shm_name(process, name.text))
		return made_up;
	if (is_of_proc(&name))
		return -ENOENT;
	ret = permit ? mf_permit_open(permit, "/", name.text,
				      flags & ~(O_APPEND | O_NONBLOCK | (by_disk ? O_TRUNC : 0)),
				      bits)
		     : -EACCES;
	if (ret < 0)
		return not_opened(process, &name, flags, bits, ret);
	if (by_disk && flags & O_TRUNC) {
		int cut = mf_disk_truncate(process, ret, 0);

		if (cut) {
			close(ret);
			return cut == -EINPROGRESS ? MF_SYS_WAIT : cut;
		}
	}
	return mf_fd_install_host(process, ret, flags & ~CREATION_FLAGS, name.text);
}

/* The arguments of openat2, checked as build_open_flags() of Linux' fs/open.c does. */
static int get_how(struct mf_process *process, uint64_t va, uint64_t size, struct open_how *how)
{
	uint8_t bytes[4096];
	uint64_t i;

	if (size < sizeof(*how))
		return -EINVAL;
	if (size > sizeof(bytes))
		return -E2BIG;
	if (mf_guest_read(process, va, bytes, size))
		return -EFAULT;
	memcpy(how, bytes, sizeof(*how));
	for (i = sizeof(*how); i < size; i++)
		if (bytes[i])
			return -E2BIG;
	if (how->flags & ~(uint64_t)HOW_FLAGS || how->resolve & ~(uint64_t)HOW_RESOLVE ||
	    (how->resolve & RESOLVE_BENEATH && how->resolve & RESOLVE_IN_ROOT) ||
	    how->mode & ~(how->flags & (O_CREAT | TMPFILE_FLAG) ? 07777ull : 0))
		return -EINVAL;
	if (how->flags & O_PATH &&
	    how->flags & ~(uint64_t)(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
		return -EINVAL;
	/* What is at hand without asking the host: nothing. */
	return how->resolve & RESOLVE_CACHED ? -EAGAIN : 0;
}

/* With RESOLVE_*: what the engine makes up has no part in it but by its own name. */
static int64_t open_resolved(struct mf_process *process, uint64_t dirfd, uint64_t va,
			     const struct open_how *how)
{
	const struct mf_permit *permit = process->policy->permit;
	const char *base = mf_linux(process)->cwd;
	bool stays = how->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT);
	int flags = (int)how->flags & ~0100000;
	mode_t bits = (mode_t)how->mode & 0777 & ~(mode_t)mf_linux(process)->umask;
	struct mf_system_node node;
	struct mf_name name;
	int ret = mf_name_get(process, dirfd, va, &name);

	if (ret)
		return ret;
	if ((int)dirfd != AT_FDCWD && (name.given[0] != '/' || stays))
		base = mf_fd_dir_path(process, dirfd, &ret);
	if (ret)
		return ret;
	if (how->resolve & RESOLVE_BENEATH && name.given[0] == '/')
		return -EXDEV;
	if (!stays && mf_system_find(process, name.text, &node))
		return node.kind == MF_SYSTEM_LINK || node.kind == MF_SYSTEM_FD
			       ? -ELOOP
			       : open_system(process, &name, flags, bits);
	if (is_of_proc(&name) || mf_system_find(process, base, &node))
		return -ENOENT;
	if (!permit)
		return -EACCES;
	if (process->policy->disk && flags & O_TRUNC)
		return -EOPNOTSUPP; /* by the door alone */
	ret = mf_permit_open_in(permit, base, name.given, flags & ~(O_APPEND | O_NONBLOCK), bits,
				how->resolve);
	mf_explain_path(process, "open", name.text, mf_permit_need(flags), ret);
	if (ret < 0)
		return ret;
	/* How the program can name it later, if it is a directory. */
	if (stays && mf_system_host_name(process, ret, name.text) < 0)
		strcpy(name.text, "/");
	return mf_fd_install_host(process, ret, flags & ~CREATION_FLAGS, name.text);
}

int64_t mf_sys_openat2(struct mf_process *process, const uint64_t arg[6])
{
	struct open_how how;
	int ret = get_how(process, arg[2], arg[3], &how);

	if (ret)
		return ret;
	if (how.resolve)
		return open_resolved(process, arg[0], arg[1], &how);
	return open_name(process, arg[0], arg[1], (int)how.flags, how.mode);
}

int64_t mf_sys_open(struct mf_process *process, const uint64_t arg[6])
{
	return open_name(process, (uint64_t)AT_FDCWD, arg[0], (int)arg[1], arg[2]);
}

int64_t mf_sys_openat(struct mf_process *process, const uint64_t arg[6])
{
	return open_name(process, arg[0], arg[1], (int)arg[2], arg[3]);
}

int64_t mf_sys_creat(struct mf_process *process, const uint64_t arg[6])
{
	return open_name(process, (uint64_t)AT_FDCWD, arg[0], O_CREAT | O_WRONLY | O_TRUNC, arg[1]);
}

int64_t mf_sys_getcwd(struct mf_process *process, const uint64_t arg[6])
{
	const char *cwd = mf_linux(process)->cwd;
	size_t bytes = strlen(cwd) + 1;

	if (arg[1] < bytes)
		return -ERANGE;
	return mf_guest_write(process, arg[0], cwd, bytes) ? -EFAULT : (int64_t)bytes;
}

static int set_cwd(struct mf_process *process, const char *path)
{
	char *cwd = (char *)mf_linux(process)->cwd;
	size_t bytes = strlen(path);

	if (bytes > 1 && path[bytes - 1] == '/')
		bytes--;
	if (bytes >= MF_PATH_MAX)
		return -ENAMETOOLONG;
	mf_mem_mark(&process->vm.mem, cwd, bytes + 1);
	memmove(cwd, path, bytes);
	cwd[bytes] = 0;
	return 0;
}

int64_t mf_sys_chdir(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_system_node node;
	struct mf_name name;
	int ret = mf_name_get(process, (uint64_t)AT_FDCWD, arg[0], &name);
	int fd;

	if (ret)
		return ret;
	ret = mf_system_follow(process, &name, true);
	if (ret)
		return ret;
	if (mf_system_find(process, name.text, &node) && node.kind == MF_SYSTEM_FD) {
		ret = mf_system_fd_name(process, node.number, name.text);
		if (ret < 0 || name.text[0] != '/')
			return ret < 0 ? ret : -ENOTDIR;
		ret = 0;
	}
	if (mf_name_leads_to(process, &name) ||
	    (mf_system_find(process, name.text, &node) && node.kind == MF_SYSTEM_DIR))
		return set_cwd(process, name.text);
	fd = mf_name_open(process, &name, MF_PERMIT_EITHER, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	if (faccessat(fd, ".", X_OK, 0))
		ret = -errno;
	close(fd);
	return ret ? ret : set_cwd(process, name.text);
}

int64_t mf_sys_fchdir(struct mf_process *process, const uint64_t arg[6])
{
	int ret;
	const char *path = mf_fd_dir_path(process, arg[0], &ret);

	return path ? set_cwd(process, path) : ret;
}

/* Entries from `offset` on: bytes, or -errno. Forks share the descriptor: position and read as one.
 */
static long read_dents(int host, uint64_t offset, void *to, size_t bytes)
{
	static pthread_mutex_t position = PTHREAD_MUTEX_INITIALIZER;
	long got = -1;

	pthread_mutex_lock(&position);
	if (lseek(host, (off_t)offset, SEEK_SET) >= 0)
		got = syscall(SYS_getdents64, host, to, bytes);
	got = got < 0 ? -errno : got;
	pthread_mutex_unlock(&position);
	return got;
}

/* The cookie after the last entry (struct linux_dirent64: ino, off, reclen, type, name). */
static uint64_t last_cookie(const uint8_t *dents, long bytes, uint64_t cookie)
{
	uint16_t entry_bytes;
	long at;

	for (at = 0; at < bytes; at += entry_bytes) {
		memcpy(&cookie, dents + at + 8, sizeof(cookie));
		memcpy(&entry_bytes, dents + at + 16, sizeof(entry_bytes));
	}
	return cookie;
}

/* The older layout has the same length: the name a byte earlier, the type in the last byte. */
static void make_old(uint8_t *dents, long bytes)
{
	uint16_t entry_bytes;
	long at;

	for (at = 0; at < bytes; at += entry_bytes) {
		uint8_t type = dents[at + 18];

		memcpy(&entry_bytes, dents + at + 16, sizeof(entry_bytes));
		memmove(dents + at + 18, dents + at + 19, entry_bytes - 19u);
		dents[at + entry_bytes - 1] = type;
	}
}

static int64_t get_dents(struct mf_process *process, const uint64_t arg[6], bool old)
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);
	uint32_t room = (uint32_t)arg[2];
	uint8_t dents[DENTS_BYTES];
	uint64_t cookie;
	long got;

	if (!entry || entry->flags & O_PATH)
		return -EBADF;
	if (entry->kind != MF_FD_DIR)
		return -ENOTDIR;
	room = room < DENTS_BYTES ? room : DENTS_BYTES;
	if (entry->host >= 0)
		got = read_dents(entry->host, entry->offset, dents, room);
	else
		got = mf_system_list(process, mf_linux(process)->dirs[entry->dir], entry->offset,
				     dents, room);
	if (got <= 0)
		return got;
	cookie = last_cookie(dents, got, entry->offset);
	if (old)
		make_old(dents, got);
	if (mf_guest_write(process, arg[1], dents, (size_t)got))
		return -EFAULT;
	mf_fd_rw(process, entry)->offset = cookie;
	return got;
}

int64_t mf_sys_getdents64(struct mf_process *process, const uint64_t arg[6])
{
	return get_dents(process, arg, false);
}

int64_t mf_sys_getdents(struct mf_process *process, const uint64_t arg[6])
{
	return get_dents(process, arg, true);
}

/* What the link `fd` says; -EINVAL when it is none. */
static int64_t read_link_fd(struct mf_process *process, int fd, uint64_t to, int64_t room)
{
	char target[PATH_MAX];
	ssize_t bytes = -EINVAL;
	struct stat st;

	if (!fstat(fd, &st) && S_ISLNK(st.st_mode))
		bytes = readlinkat(fd, "", target, sizeof(target));
	if (bytes == -1)
		bytes = -errno;
	if (bytes < 0)
		return bytes;
	bytes = bytes < room ? bytes : room;
	return mf_guest_write(process, to, target, (size_t)bytes) ? -EFAULT : bytes;
}

/* An empty name means the descriptor, which is a link's if O_PATH and O_NOFOLLOW opened it. */
static int64_t read_link_itself(struct mf_process *process, uint64_t dirfd, uint64_t to,
				int64_t room)
{
	const struct mf_fd *entry = mf_fd_get(process, dirfd);

	if ((int)dirfd == AT_FDCWD)
		return -ENOENT;
	if (!entry)
		return -EBADF;
	if (entry->kind != MF_FD_FILE || !(entry->flags & O_PATH))
		return entry->kind == MF_FD_DIR ? -ENOENT : -ENOTDIR;
	return read_link_fd(process, entry->host, to, room);
}

static int64_t read_link(struct mf_process *process, uint64_t dirfd, uint64_t va, uint64_t to,
			 int64_t room)
{
	struct mf_system_node node;
	struct mf_name name;
	int ret = mf_name_get(process, dirfd, va, &name);
	int64_t bytes;
	int fd;

	if (room <= 0)
		return -EINVAL;
	if (ret == -ENOENT && !name.given[0])
		return read_link_itself(process, dirfd, to, room);
	if (ret)
		return ret;
	if (mf_system_find(process, name.text, &node)) {
		bytes = mf_system_read_link(process, &node, name.given);
		bytes = bytes < room ? bytes : room;
		if (bytes >= 0 && mf_guest_write(process, to, name.given, (size_t)bytes))
			bytes = -EFAULT;
		return bytes;
	}
	fd = mf_name_open(process, &name, MF_PERMIT_EITHER, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd == -EACCES && mf_name_leads_to(process, &name) ? -EINVAL : fd;
	bytes = read_link_fd(process, fd, to, room);
	close(fd);
	return bytes;
}

int64_t mf_sys_readlink(struct mf_process *process, const uint64_t arg[6])
{
	return read_link(process, (uint64_t)AT_FDCWD, arg[0], arg[1], (int32_t)arg[2]);
}

int64_t mf_sys_readlinkat(struct mf_process *process, const uint64_t arg[6])
{
	return read_link(process, arg[0], arg[1], arg[2], (int32_t)arg[3]);
}

int64_t mf_sys_truncate(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_name name;
	int ret = mf_name_get(process, (uint64_t)AT_FDCWD, arg[0], &name);
	int64_t limited;
	int fd;

	if (ret)
		return ret;
	fd = mf_name_open(process, &name, MF_PERMIT_WRITE, O_WRONLY, 0);
	if (fd < 0)
		return fd;
	limited = (int64_t)arg[1] > 0 ? mf_limit_file_size(process, arg[1]) : 0;
	if (limited) {
		close(fd);
		return limited;
	}
	if (process->policy->disk)
		ret = mf_disk_truncate(process, fd, arg[1]);
	else if (ftruncate(fd, (off_t)arg[1]))
		ret = -errno;
	close(fd);
	return ret == -EINPROGRESS ? MF_SYS_WAIT : ret;
}
