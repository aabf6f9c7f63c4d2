/* SPDX-License-Identifier: MIT */
/*
 * What is kept about files: modes, times, owners, extended attributes. Changes need permission to
 * write. They are made on a descriptor that was opened under permission, for the host's calls by
 * name would follow a link that is put there in between.
 */
#include "engine/linux/credentials.h"
#include "engine/linux/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

#define NOW ((const struct timespec *)0)

int mf_name_open_to_change(const struct mf_process *process, const struct mf_name *name, int flags)
{
	int fd = mf_name_open(process, name, MF_PERMIT_WRITE, O_RDONLY | flags, 0);

	return fd == -EACCES ? mf_name_open(process, name, MF_PERMIT_WRITE, O_WRONLY | flags, 0)
			     : fd;
}

/*
 * The same for a descriptor of the program, -EPERM when it was opened under permission to read
 * only. *ours: to be closed.
 */
static int fd_to_change(const struct mf_process *process, uint64_t fd, bool *ours)
{
	const struct mf_fd *entry = mf_fd_get(process, fd);
	struct mf_name name;
	int opened;

	*ours = false;
	if (!entry)
		return -EBADF;
	if (entry->flags & O_PATH)
		return -EBADF;
	if (entry->kind == MF_FD_FILE)
		return (entry->flags & O_ACCMODE) == O_RDONLY ? -EPERM : entry->host;
	if (entry->kind != MF_FD_DIR)
		return -EPERM;
	strcpy(name.text, mf_linux(process)->dirs[entry->dir]);
	opened = mf_name_open_to_change(process, &name, O_DIRECTORY);
	*ours = opened >= 0;
	return opened;
}

/* Set-id bits on the host's files are not a guest's to set. */
static int64_t set_mode(int fd, uint64_t mode, bool ours)
{
	int64_t ret = 0;

	if (mode & (S_ISUID | S_ISGID))
		ret = -EPERM;
	else if (fchmod(fd, (mode_t)mode & (S_ISVTX | 0777)))
		ret = -errno;
	if (ours)
		close(fd);
	return ret;
}

static int64_t change_mode(struct mf_process *process, uint64_t dirfd, uint64_t va, uint64_t mode)
{
	struct mf_name name;
	int fd = mf_name_get(process, dirfd, va, &name);

	if (!fd)
		fd = mf_name_open_to_change(process, &name, 0);
	return fd < 0 ? fd : set_mode(fd, mode, true);
}

int64_t mf_sys_chmod(struct mf_process *process, const uint64_t arg[6])
{
	return change_mode(process, (uint64_t)AT_FDCWD, arg[0], arg[1]);
}

int64_t mf_sys_fchmodat(struct mf_process *process, const uint64_t arg[6])
{
	return change_mode(process, arg[0], arg[1], arg[2]);
}

/* A link itself has no mode to set; an empty name means the descriptor. */
int64_t mf_sys_fchmodat2(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t flags = (uint32_t)arg[3];
	uint8_t first = 1;
	struct mf_name name;
	int fd;

	if (flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (flags & AT_EMPTY_PATH && mf_guest_read(process, arg[1], &first, 1))
		return -EFAULT;
	if (!first && (int)arg[0] != AT_FDCWD)
		return mf_sys_fchmod(process, (const uint64_t[6]){arg[0], arg[2]});
	if (!(flags & AT_SYMLINK_NOFOLLOW))
		return change_mode(process, arg[0], arg[1], arg[2]);
	fd = mf_name_get(process, arg[0], arg[1], &name);
	fd = fd ? fd : mf_name_open_to_change(process, &name, O_NOFOLLOW);
	return fd < 0 ? (fd == -ELOOP ? -EOPNOTSUPP : fd) : set_mode(fd, arg[2], true);
}

int64_t mf_sys_fchmod(struct mf_process *process, const uint64_t arg[6])
{
	bool ours;
	int fd = fd_to_change(process, arg[0], &ours);

	return fd < 0 ? fd : set_mode(fd, arg[1], ours);
}

/* Times of a link itself are not supported: -EOPNOTSUPP. `times`: NULL is now. */
static int64_t set_times(struct mf_process *process, uint64_t dirfd, uint64_t va,
			 const struct timespec *times, int nofollow)
{
	struct mf_name name;
	bool ours = true;
	int64_t ret = 0;
	int fd;

	if (va) {
		fd = mf_name_get(process, dirfd, va, &name);
		fd = fd ? fd : mf_name_open_to_change(process, &name, nofollow);
	} else {
		fd = (int)dirfd == AT_FDCWD ? -EFAULT : fd_to_change(process, dirfd, &ours);
	}
	if (fd < 0)
		return fd == -ELOOP && nofollow ? -EOPNOTSUPP : fd;
	if (futimens(fd, times))
		ret = -errno;
	if (ours)
		close(fd);
	return ret;
}

int64_t mf_sys_utimensat(struct mf_process *process, const uint64_t arg[6])
{
	struct timespec times[2];

	if (arg[3] & ~(uint64_t)AT_SYMLINK_NOFOLLOW)
		return -EINVAL;
	if (arg[2] && mf_guest_read(process, arg[2], times, sizeof(times)))
		return -EFAULT;
	return set_times(process, arg[0], arg[1], arg[2] ? times : NOW,
			 arg[3] & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0);
}

int64_t mf_sys_utime(struct mf_process *process, const uint64_t arg[6])
{
	struct timespec times[2] = {{0}};
	struct utimbuf seconds;

	if (arg[1] && mf_guest_read(process, arg[1], &seconds, sizeof(seconds)))
		return -EFAULT;
	if (arg[1]) {
		times[0].tv_sec = seconds.actime;
		times[1].tv_sec = seconds.modtime;
	}
	if (!arg[0])
		return -EFAULT;
	return set_times(process, (uint64_t)AT_FDCWD, arg[0], arg[1] ? times : NOW, 0);
}

static int64_t set_timevals(struct mf_process *process, uint64_t dirfd, uint64_t va, uint64_t from)
{
	struct timespec times[2];
	struct timeval given[2];
	int i;

	if (from && mf_guest_read(process, from, given, sizeof(given)))
		return -EFAULT;
	for (i = 0; from && i < 2; i++) {
		if (given[i].tv_usec < 0 || given[i].tv_usec >= 1000000)
			return -EINVAL;
		times[i] = (struct timespec){given[i].tv_sec, given[i].tv_usec * 1000};
	}
	return set_times(process, dirfd, va, from ? times : NOW, 0);
}

int64_t mf_sys_utimes(struct mf_process *process, const uint64_t arg[6])
{
	return set_timevals(process, (uint64_t)AT_FDCWD, arg[0], arg[1]);
}

int64_t mf_sys_futimesat(struct mf_process *process, const uint64_t arg[6])
{
	return set_timevals(process, arg[0], arg[1], arg[2]);
}

/* An owner can always be set to what it is, by the owner. */
static int64_t check_owner(const struct mf_process *process, int fd, uint64_t uid, uint64_t gid)
{
	struct stat st;
	bool owner;

	if (fstat(fd, &st))
		return -errno;
	owner = mf_linux(process)->ids.uid[MF_ID_FILES] == st.st_uid ||
		mf_ids_can(process, CAP_CHOWN);
	if ((uint32_t)uid != UINT32_MAX && (!owner || (uint32_t)uid != st.st_uid))
		return -EPERM;
	if ((uint32_t)gid != UINT32_MAX && (!owner || (uint32_t)gid != st.st_gid))
		return -EPERM;
	return 0;
}

/* Another owner: the host says who may. The engine's own groups are none of the program's unless it
 * has begun as root. */
static int64_t change_owner(const struct mf_process *process, int fd, uint64_t uid, uint64_t gid)
{
	const struct mf_ids *ids = &mf_linux(process)->ids;

	if (!ids->changed && !mf_ids_can(process, CAP_CHOWN))
		return -EPERM;
	return fchown(fd, (uid_t)uid, (gid_t)gid) ? -errno : 0;
}

static int64_t set_owner(struct mf_process *process, uint64_t dirfd, uint64_t va, uint64_t uid,
			 uint64_t gid, int nofollow)
{
	struct mf_name name;
	int fd = mf_name_get(process, dirfd, va, &name);
	int64_t ret;

	if (!fd)
		fd = mf_name_open(process, &name, MF_PERMIT_WRITE, O_PATH | nofollow, 0);
	if (fd < 0)
		return fd;
	ret = check_owner(process, fd, uid, gid);
	close(fd);
	if (ret != -EPERM)
		return ret;
	fd = mf_name_open_to_change(process, &name, nofollow);
	if (fd < 0)
		return fd == -ELOOP ? -EPERM : fd; /* a link itself */
	ret = change_owner(process, fd, uid, gid);
	close(fd);
	return ret;
}

/* Of what a descriptor of the program refers to. */
static int64_t set_owner_of(struct mf_process *process, const struct mf_fd *entry,
			    const uint64_t arg[6], uint64_t uid, uint64_t gid)
{
	int64_t ret;
	bool ours;
	int fd;

	if (entry->host < 0 || !(mf_fd_ops(entry)->traits & MF_FD_HAS_HOST))
		return -EPERM;
	ret = check_owner(process, entry->host, uid, gid);
	if (ret != -EPERM)
		return ret;
	fd = fd_to_change(process, arg[0], &ours);
	if (fd < 0)
		return fd == -EBADF ? -EPERM : fd;
	ret = change_owner(process, fd, uid, gid);
	if (ours)
		close(fd);
	return ret;
}

int64_t mf_sys_chown(struct mf_process *process, const uint64_t arg[6])
{
	return set_owner(process, (uint64_t)AT_FDCWD, arg[0], arg[1], arg[2], 0);
}

int64_t mf_sys_lchown(struct mf_process *process, const uint64_t arg[6])
{
	return set_owner(process, (uint64_t)AT_FDCWD, arg[0], arg[1], arg[2], O_NOFOLLOW);
}

int64_t mf_sys_fchown(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);

	if (!entry || entry->flags & O_PATH)
		return -EBADF;
	return set_owner_of(process, entry, arg, arg[1], arg[2]);
}

int64_t mf_sys_fchownat(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *entry;
	uint8_t first = 1;

	if (arg[4] & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (arg[4] & AT_EMPTY_PATH && mf_guest_read(process, arg[1], &first, 1))
		return -EFAULT;
	entry = first ? NULL : mf_fd_get(process, arg[0]);
	if (!first && (int)arg[0] != AT_FDCWD) {
		if (!entry)
			return -EBADF;
		return set_owner_of(process, entry, arg, arg[2], arg[3]);
	}
	return set_owner(process, arg[0], arg[1], arg[2], arg[3],
			 arg[4] & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0);
}
