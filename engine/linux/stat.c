/* SPDX-License-Identifier: MIT */
/*
 * Asking about files. Layouts are x86-64's, the host's own. What no permission is needed for is
 * described without the host: the emulated devices, and the directories above permitted ones.
 */
#include "engine/linux/files.h"
#include "engine/linux/shm.h"
#include "engine/linux/system.h"
#include "engine/linux/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define STAT_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)

_Static_assert(sizeof(struct stat) == 144, "struct stat is the kernel's");
_Static_assert(sizeof(struct statx) == 256, "struct statx is the kernel's");
_Static_assert(sizeof(struct statfs) == 120, "struct statfs is the kernel's");

/* What was asked about: a host descriptor, or an answer that is known without. */
struct subject {
	int fd;    /* -1: see st */
	bool ours; /* close it */
	struct stat st;
};

/* A directory above permitted ones: that it is one is all that is told. */
static void describe_above(struct stat *st, const char *path)
{
	uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a: a number that is not another's */

	for (; *path; path++)
		hash = (hash ^ (uint8_t)*path) * 0x100000001b3ull;
	*st = (struct stat){
		.st_mode = S_IFDIR | 0111, .st_nlink = 2, .st_blksize = MF_PAGE, .st_ino = hash};
}

static int find_fd(struct mf_process *process, uint64_t fd, struct subject *subject)
{
	const struct mf_fd *entry = mf_fd_get(process, fd);
	struct mf_system_node node;

	*subject = (struct subject){.fd = -1};
	if (!entry)
		return -EBADF;
	if (entry->kind == MF_FD_DIR && entry->host < 0) {
		if (mf_system_find(process, mf_linux(process)->dirs[entry->dir], &node))
			mf_system_stat(&node, mf_linux(process)->dirs[entry->dir], &subject->st);
		else
			describe_above(&subject->st, mf_linux(process)->dirs[entry->dir]);
		return 0;
	}
	subject->fd = mf_fd_ops(entry)->stat ? -1 : mf_fd_host(process, entry);
	if (mf_fd_ops(entry)->stat)
		return mf_fd_ops(entry)->stat(process, entry, &subject->st);
	if (subject->fd < 0)
		mf_fd_stat_anon(process, &subject->st);
	return 0;
}

static int find_system(struct mf_process *process, const struct mf_name *name,
		       const struct mf_system_node *node, int flags, struct subject *subject)
{
	if (node->kind == MF_SYSTEM_FD && !(flags & AT_SYMLINK_NOFOLLOW))
		return find_fd(process, node->number, subject);
	mf_system_stat(node, name->text, &subject->st);
	return 0;
}

static int find_name(struct mf_process *process, struct mf_name *name, int flags,
		     struct subject *subject)
{
	int open_flags = O_PATH | (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0);

	int ret = mf_system_follow(process, name, !(flags & AT_SYMLINK_NOFOLLOW));
	struct mf_system_node node;
	struct mf_name link;

	*subject = (struct subject){.fd = -1, .ours = true};
	if (ret)
		return ret;
	if (mf_shm_name(process, name->text)) {
		*subject = (struct subject){
			.fd = mf_shm_host(process, mf_shm_name(process, name->text))};
		return subject->fd < 0 ? subject->fd : 0;
	}
	if (mf_system_find(process, name->text, &node))
		return find_system(process, name, &node, flags, subject);
	subject->fd = mf_name_open(process, name, MF_PERMIT_EITHER, open_flags, 0);
	if (subject->fd >= 0)
		return 0;
	link = *name;
	if (subject->fd != -ENOENT && !(flags & AT_SYMLINK_NOFOLLOW) &&
	    mf_name_leads_out(process, &link)) {
		*name = link;
		subject->fd = -1;
		if (!mf_system_find(process, name->text, &node))
			return -ENOENT;
		return find_system(process, name, &node, flags, subject);
	}
	if (subject->fd != -EACCES || !mf_name_leads_to(process, name))
		return subject->fd;
	describe_above(&subject->st, name->text);
	return 0;
}

/* Is it the descriptor itself that is meant? 1, 0 or -EFAULT. */
static int is_empty(struct mf_process *process, uint64_t va, int flags)
{
	uint8_t first = 0;

	if (!(flags & AT_EMPTY_PATH))
		return 0;
	if (va && mf_guest_read(process, va, &first, 1))
		return -EFAULT;
	return !first;
}

static int find(struct mf_process *process, uint64_t dirfd, uint64_t va, int flags,
		struct subject *subject)
{
	struct mf_name name;
	int ret;

	ret = is_empty(process, va, flags);
	if (ret < 0)
		return ret;
	if (ret && (int)dirfd != AT_FDCWD)
		return find_fd(process, dirfd, subject);
	if (ret)
		ret = mf_name_cwd(process, &name);
	else
		ret = mf_name_get(process, dirfd, va, &name);
	return ret ? ret : find_name(process, &name, flags, subject);
}

static void let_go(struct subject *subject)
{
	if (subject->ours && subject->fd >= 0)
		close(subject->fd);
}

static int64_t answer_stat(struct mf_process *process, struct subject *subject, uint64_t to)
{
	int64_t ret = 0;

	if (subject->fd >= 0 && fstat(subject->fd, &subject->st))
		ret = -errno;
	let_go(subject);
	return ret ? ret : mf_guest_write(process, to, &subject->st, sizeof(subject->st));
}

static int64_t stat_name(struct mf_process *process, uint64_t dirfd, uint64_t va, int flags,
			 uint64_t to)
{
	struct subject subject;
	int ret = find(process, dirfd, va, flags, &subject);

	return ret ? ret : answer_stat(process, &subject, to);
}

int64_t mf_sys_stat(struct mf_process *process, const uint64_t arg[6])
{
	return stat_name(process, (uint64_t)AT_FDCWD, arg[0], 0, arg[1]);
}

int64_t mf_sys_lstat(struct mf_process *process, const uint64_t arg[6])
{
	return stat_name(process, (uint64_t)AT_FDCWD, arg[0], AT_SYMLINK_NOFOLLOW, arg[1]);
}

int64_t mf_sys_fstat(struct mf_process *process, const uint64_t arg[6])
{
	struct subject subject;
	int ret = find_fd(process, arg[0], &subject);

	return ret ? ret : answer_stat(process, &subject, arg[1]);
}

int64_t mf_sys_newfstatat(struct mf_process *process, const uint64_t arg[6])
{
	if (arg[3] & ~(uint64_t)STAT_FLAGS)
		return -EINVAL;
	return stat_name(process, arg[0], arg[1], (int)arg[3], arg[2]);
}

static void stat_to_statx(const struct stat *st, struct statx *stx)
{
	*stx = (struct statx){
		.stx_mask = STATX_BASIC_STATS,
		.stx_blksize = (uint32_t)st->st_blksize,
		.stx_nlink = (uint32_t)st->st_nlink,
		.stx_mode = (uint16_t)st->st_mode,
		.stx_ino = st->st_ino,
		.stx_rdev_major = major(st->st_rdev),
		.stx_rdev_minor = minor(st->st_rdev),
	};
}

int64_t mf_sys_statx(struct mf_process *process, const uint64_t arg[6])
{
	int flags = (int)arg[2];
	struct subject subject;
	struct statx stx;
	int ret;

	if (flags & ~STAT_FLAGS || arg[3] & STATX__RESERVED ||
	    (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		return -EINVAL;
	ret = find(process, arg[0], arg[1], flags, &subject);
	if (ret)
		return ret;
	if (subject.fd < 0)
		stat_to_statx(&subject.st, &stx);
	else if (statx(subject.fd, "", AT_EMPTY_PATH | (flags & AT_STATX_SYNC_TYPE),
		       (uint32_t)arg[3], &stx))
		ret = -errno;
	let_go(&subject);
	return ret ? ret : mf_guest_write(process, arg[4], &stx, sizeof(stx));
}

/* Access to what the host is not asked about: devices and directories above. */
static int64_t access_described(const struct stat *st, uint64_t mode)
{
	uint64_t allowed = (st->st_mode & 0444 ? R_OK : 0) | (st->st_mode & 0222 ? W_OK : 0) |
			   (st->st_mode & 0111 ? X_OK : 0);

	return mode & ~allowed ? -EACCES : 0;
}

/* Of what a descriptor refers to; the permissions were looked at when it was opened. */
static int64_t access_fd(struct mf_process *process, uint64_t dirfd, uint64_t mode)
{
	struct subject subject;
	int64_t ret = find_fd(process, dirfd, &subject);

	if (ret)
		return ret;
	if (subject.fd < 0)
		return access_described(&subject.st, mode);
	return syscall(SYS_faccessat2, subject.fd, "", (int)mode, AT_EMPTY_PATH | AT_EACCESS)
		       ? -errno
		       : 0;
}

/* Allowed means: by the permissions given to the program and by the host, both. */
static int64_t access_name(struct mf_process *process, uint64_t dirfd, uint64_t va, uint64_t mode,
			   int flags)
{
	unsigned int need =
		(mode & R_OK ? MF_PERMIT_READ : 0) | (mode & W_OK ? MF_PERMIT_WRITE : 0);
	struct subject subject;
	struct mf_name name;
	int64_t ret;
	int fd;

	if (mode & ~(uint64_t)(R_OK | W_OK | X_OK) ||
	    flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	ret = is_empty(process, va, flags);
	if (ret < 0)
		return ret;
	if (ret && (int)dirfd != AT_FDCWD)
		return access_fd(process, dirfd, mode);
	if (ret)
		ret = mf_name_cwd(process, &name);
	else
		ret = mf_name_get(process, dirfd, va, &name);
	if (!ret)
		ret = find_name(process, &name, flags, &subject);
	if (ret)
		return ret;
	if (subject.fd < 0)
		return access_described(&subject.st, mode);
	if (syscall(SYS_faccessat2, subject.fd, "", (int)mode, AT_EMPTY_PATH | AT_EACCESS))
		ret = -errno;
	let_go(&subject);
	if (ret || !need || !subject.ours)
		return ret;
	fd = mf_name_open(process, &name, need,
			  O_PATH | (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0), 0);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

int64_t mf_sys_access(struct mf_process *process, const uint64_t arg[6])
{
	return access_name(process, (uint64_t)AT_FDCWD, arg[0], (uint32_t)arg[1], 0);
}

int64_t mf_sys_faccessat(struct mf_process *process, const uint64_t arg[6])
{
	return access_name(process, arg[0], arg[1], (uint32_t)arg[2], 0);
}

int64_t mf_sys_faccessat2(struct mf_process *process, const uint64_t arg[6])
{
	return access_name(process, arg[0], arg[1], (uint32_t)arg[2], (int)arg[3]);
}

static int64_t answer_statfs(struct mf_process *process, struct subject *subject, uint64_t to)
{
	struct statfs fs = {.f_type = PROC_SUPER_MAGIC,
			    .f_bsize = MF_PAGE,
			    .f_frsize = MF_PAGE,
			    .f_namelen = NAME_MAX};
	int64_t ret = 0;

	if (subject->fd >= 0 && fstatfs(subject->fd, &fs))
		ret = -errno;
	let_go(subject);
	return ret ? ret : mf_guest_write(process, to, &fs, sizeof(fs));
}

int64_t mf_sys_statfs(struct mf_process *process, const uint64_t arg[6])
{
	struct subject subject;
	int ret = find(process, (uint64_t)AT_FDCWD, arg[0], 0, &subject);

	return ret ? ret : answer_statfs(process, &subject, arg[1]);
}

int64_t mf_sys_fstatfs(struct mf_process *process, const uint64_t arg[6])
{
	struct subject subject;
	int ret = find_fd(process, arg[0], &subject);

	return ret ? ret : answer_statfs(process, &subject, arg[1]);
}
