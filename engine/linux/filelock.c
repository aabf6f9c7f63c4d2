/* SPDX-License-Identifier: MIT */
#include "engine/linux/filelock.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/io.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long a lock that somebody has is waited for before it is tried again. */
#define RETRY_NS 3000000ull

/* Another description of what `host` has open. */
static int open_again(int host, int flags)
{
	char path[40];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", host);
	fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* Try again soon: the host wakes nobody who does not sleep in the call. */
static int64_t wait_for_others(struct mf_process *process)
{
	return mf_wait_until(process, mf_vm_now_ns(&process->vm) + RETRY_NS);
}

static struct mf_lock *lock_rw(struct mf_process *process, uint32_t index)
{
	return &MF_DIRTY(process, locks[index]);
}

static bool same_file(const struct mf_lock *lock, const struct stat *st)
{
	return lock->used && lock->device == st->st_dev && lock->inode == st->st_ino;
}

/* The description for the process' locks on that file; NULL: it has none. */
static const struct mf_lock *lock_find(const struct mf_process *process, const struct stat *st)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < lx->locks_high && i < MF_LOCKS; i++) {
		if (same_file(&lx->locks[i], st))
			return &lx->locks[i];
	}
	return NULL;
}

static void lock_drop(struct mf_process *process, const struct mf_lock *lock)
{
	uint32_t index = (uint32_t)(lock - mf_linux(process)->locks);

	close(lock->host);
	*lock_rw(process, index) = (struct mf_lock){0};
}

/* One that is there, or a new one: *made. -ENOLCK when there are too many files with locks. */
static int lock_get(struct mf_process *process, const struct mf_fd *entry, const struct stat *st,
		    const struct mf_lock **lock)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;
	int host;

	*lock = lock_find(process, st);
	if (*lock)
		return 0;
	for (i = 0; i < MF_LOCKS && lx->locks[i].used; i++)
		;
	if (i == MF_LOCKS)
		return -ENOLCK;
	/* For both kinds of lock, if the file may be written: a lock of the other kind may follow.
	 */
	host = open_again(entry->host, O_RDWR);
	if (host < 0)
		host = open_again(entry->host, (int)(entry->flags & O_ACCMODE));
	if (host < 0)
		return -ENOLCK;
	if (process->policy->host_fd_end && host >= process->policy->host_fd_end) {
		close(host);
		return -ENOLCK;
	}
	*lock_rw(process, i) = (struct mf_lock){
		.device = st->st_dev, .inode = st->st_ino, .host = host, .used = 1};
	if (i >= lx->locks_high)
		MF_DIRTY(process, locks_high) = i + 1;
	*lock = &lx->locks[i];
	return 0;
}

void mf_lock_closed(struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_lock *lock;
	struct stat st;

	if (!mf_linux(process)->locks_high || entry->host < 0 ||
	    !(mf_fd_ops(entry)->traits & MF_FD_HAS_HOST) || fstat(entry->host, &st))
		return;
	lock = lock_find(process, &st);
	if (lock)
		lock_drop(process, lock);
}

void mf_lock_drop_all(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < lx->locks_high && i < MF_LOCKS; i++) {
		if (lx->locks[i].used)
			lock_drop(process, &lx->locks[i]);
	}
}

/* Give a fork its own description of what it shares with the image. */
static int own_host(struct mf_process *process, const struct mf_fd *entry)
{
	int host;

	if (!mf_fd_host_is_shared(process, entry))
		return 0;
	host = open_again(entry->host, (int)(entry->flags & (O_ACCMODE | O_DIRECTORY)));
	if (host < 0)
		return -ENOLCK;
	mf_fd_rw(process, entry)->host = host;
	return 0;
}

/* Make a range that begins at the file's beginning of one that is said otherwise. */
static int from_start(const struct mf_fd *entry, struct flock *range)
{
	struct stat st;
	int64_t base = 0;

	if (range->l_whence == SEEK_CUR)
		base = (int64_t)mf_file_offset(entry);
	else if (range->l_whence == SEEK_END)
		base = fstat(entry->host, &st) ? 0 : st.st_size;
	else if (range->l_whence != SEEK_SET)
		return -EINVAL;
	if (__builtin_add_overflow(base, range->l_start, &base))
		return -EOVERFLOW;
	range->l_start = base;
	range->l_whence = SEEK_SET;
	return 0;
}

static bool is_ask(int command)
{
	return command == F_GETLK || command == F_OFD_GETLK;
}

static bool is_of_description(int command)
{
	return command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
}

static int check(const struct mf_fd *entry, int command, const struct flock *range)
{
	uint32_t mode = entry->flags & O_ACCMODE;

	if (is_of_description(command) && range->l_pid)
		return -EINVAL;
	if (range->l_type != F_RDLCK && range->l_type != F_WRLCK &&
	    (range->l_type != F_UNLCK || is_ask(command)))
		return -EINVAL;
	if (is_ask(command))
		return 0;
	if (range->l_type == F_RDLCK && mode == O_WRONLY)
		return -EBADF;
	return range->l_type == F_WRLCK && mode == O_RDONLY ? -EBADF : 0;
}

/* Who has it is a matter of the host: only that somebody has it is told. */
static int64_t ask(struct mf_process *process, int host, struct flock *range, int whence,
		   uint64_t va)
{
	range->l_pid = 0;
	if (fcntl(host, F_OFD_GETLK, range))
		return -errno;
	if (range->l_type != F_UNLCK)
		range->l_pid = -1;
	else
		range->l_whence = (short)whence;
	return mf_guest_write(process, va, range, sizeof(*range));
}

static int64_t set(struct mf_process *process, int host, struct flock *range, bool waits)
{
	range->l_pid = 0;
	if (!fcntl(host, F_OFD_SETLK, range))
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return -errno;
	return waits ? wait_for_others(process) : -EAGAIN;
}

/* The host descriptor that the locks of a command go through, or a negative errno. */
static int host_for(struct mf_process *process, const struct mf_fd *entry, int command,
		    const struct flock *range)
{
	const struct mf_lock *lock;
	struct stat st;
	int ret;

	if (is_of_description(command)) {
		ret = own_host(process, entry);
		return ret ? ret : entry->host;
	}
	if (fstat(entry->host, &st))
		return -errno;
	if (is_ask(command) || range->l_type == F_UNLCK) {
		lock = lock_find(process, &st);
		return lock ? lock->host : entry->host;
	}
	ret = lock_get(process, entry, &st, &lock);
	return ret ? ret : lock->host;
}

int64_t mf_lock_fcntl(struct mf_process *process, const struct mf_fd *entry, int command,
		      uint64_t va)
{
	struct flock range;
	int host, ret, whence;

	if (entry->flags & O_PATH)
		return -EBADF;
	if (mf_guest_read(process, va, &range, sizeof(range)))
		return -EFAULT;
	/* What lives in this VM alone can be locked by nobody else. */
	if (!(mf_fd_ops(entry)->traits & MF_FD_HAS_HOST) || entry->host < 0)
		return -ENOLCK;
	whence = range.l_whence;
	ret = check(entry, command, &range);
	if (!ret)
		ret = from_start(entry, &range);
	if (ret)
		return ret;
	host = host_for(process, entry, command, &range);
	if (host < 0)
		return host;
	if (!is_ask(command))
		return set(process, host, &range, command == F_SETLKW || command == F_OFD_SETLKW);
	return ask(process, host, &range, whence, va);
}

int64_t mf_sys_flock(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_fd *entry = mf_fd_get(process, arg[0]);
	int how = (int)arg[1] & ~LOCK_NB;
	int ret;

	if (!entry || entry->flags & O_PATH)
		return -EBADF;
	if (how != LOCK_SH && how != LOCK_EX && how != LOCK_UN)
		return -EINVAL;
	if (!(mf_fd_ops(entry)->traits & MF_FD_HAS_HOST) || entry->host < 0)
		return -ENOLCK;
	ret = own_host(process, entry);
	if (ret)
		return ret;
	if (!flock(entry->host, how | LOCK_NB))
		return 0;
	if (errno != EWOULDBLOCK || (int)arg[1] & LOCK_NB)
		return -errno;
	return wait_for_others(process);
}
