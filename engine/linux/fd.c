/* SPDX-License-Identifier: MIT */
#include "engine/linux/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct mf_linux *image_linux(const struct mf_process *process)
{
	const struct mf_backing *backing = process->vm.mem.backing;

	if (!backing)
		return NULL;
	return (const void *)(backing->map + ((const struct mf_arena *)backing->map)->linux_offset);
}

static bool has_host(const struct mf_fd *entry)
{
	return entry->users && entry->host >= 0 &&
	       (entry->kind == MF_FD_FILE || entry->kind == MF_FD_DIR || entry->kind == MF_FD_PIPE);
}

/* Does the image hold this host descriptor? The number cannot mean anything else while it does. */
static bool is_of_image(const struct mf_process *process, int host)
{
	const struct mf_linux *image = image_linux(process);
	uint32_t i;

	if (!image)
		return false;
	for (i = 0; i < image->fds_high; i++) {
		if (has_host(&image->fds[i]) && image->fds[i].host == host)
			return true;
	}
	return false;
}

uint64_t mf_fd_limit(const struct mf_process *process)
{
	uint64_t limit = mf_linux(process)->nofile;

	return limit < MF_FDS ? limit : MF_FDS;
}

const struct mf_fd *mf_fd_get(const struct mf_process *process, uint64_t fd)
{
	const struct mf_linux *lx = mf_linux(process);

	/* Descriptors are ints: the upper half of the register says nothing. */
	fd = (uint32_t)fd;
	if (fd >= MF_FDS || !lx->fd_slots[fd])
		return NULL;
	return &lx->fds[(lx->fd_slots[fd] & MF_FD_SLOT_INDEX) - 1];
}

struct mf_fd *mf_fd_rw(struct mf_process *process, const struct mf_fd *entry)
{
	return &MF_DIRTY(process, fds[entry - mf_linux(process)->fds]);
}

/* The lowest free number >= from, or -EMFILE. */
static int64_t free_number(const struct mf_process *process, uint64_t from)
{
	uint64_t limit = mf_fd_limit(process);
	uint64_t fd;

	for (fd = from; fd < limit; fd++) {
		if (!mf_linux(process)->fd_slots[fd])
			return (int64_t)fd;
	}
	return -EMFILE;
}

/* As many descriptions as descriptors: when a number is free, so is one of these. */
static uint32_t free_index(const struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < MF_FDS - 1; i++) {
		if (!lx->fds[i].users)
			break;
	}
	return i;
}

static void set_slot(struct mf_process *process, uint64_t fd, uint32_t index, bool cloexec)
{
	uint32_t slot = (index + 1) | (cloexec ? MF_FD_SLOT_CLOEXEC : 0);

	MF_DIRTY(process, fd_slots[fd]) = (uint16_t)slot;
}

int64_t mf_fd_install(struct mf_process *process, const struct mf_fd *entry, uint64_t from)
{
	int64_t fd = free_number(process, from);
	uint32_t index;
	struct mf_fd *to;

	if (fd < 0)
		return fd;
	/* The rest of the host's descriptors are the engine's: clients, VMs. */
	if (process->policy->host_fd_end && has_host(entry) &&
	    entry->host >= process->policy->host_fd_end)
		return -ENFILE;
	index = free_index(process);
	to = &MF_DIRTY(process, fds[index]);
	*to = *entry;
	to->flags &= ~(uint32_t)O_CLOEXEC;
	to->users = 1;
	if (index >= mf_linux(process)->fds_high)
		MF_DIRTY(process, fds_high) = index + 1;
	set_slot(process, (uint64_t)fd, index, entry->flags & O_CLOEXEC);
	return fd;
}

void mf_fd_init(struct mf_process *process)
{
	int32_t i;

	for (i = 0; i <= 2; i++) {
		struct mf_fd entry = {
			.kind = MF_FD_STDIO, .host = i, .flags = i ? O_WRONLY : O_RDONLY};

		mf_fd_install(process, &entry, (uint64_t)i);
	}
}

int64_t mf_fd_share(struct mf_process *process, const struct mf_fd *entry, uint64_t from,
		    bool cloexec)
{
	int64_t fd = free_number(process, from);

	if (fd < 0)
		return fd;
	mf_fd_rw(process, entry)->users++;
	set_slot(process, (uint64_t)fd, (uint32_t)(entry - mf_linux(process)->fds), cloexec);
	return fd;
}

int64_t mf_fd_share_at(struct mf_process *process, const struct mf_fd *entry, uint64_t fd,
		       bool cloexec)
{
	fd = (uint32_t)fd;
	if (fd >= mf_fd_limit(process))
		return -EBADF;
	mf_fd_rw(process, entry)->users++; /* first: `fd` may be its last user */
	mf_fd_close(process, fd);
	set_slot(process, fd, (uint32_t)(entry - mf_linux(process)->fds), cloexec);
	return (int64_t)fd;
}

static void drop(struct mf_process *process, const struct mf_fd *entry)
{
	struct mf_fd *gone = mf_fd_rw(process, entry);

	if (--gone->users)
		return;
	if (gone->kind == MF_FD_DIR)
		MF_DIRTY(process, dirs[gone->dir][0]) = 0;
	gone->users = 1;
	if (has_host(gone) && !is_of_image(process, gone->host))
		close(gone->host);
	*gone = (struct mf_fd){.host = -1};
}

int64_t mf_fd_close(struct mf_process *process, uint64_t fd)
{
	const struct mf_fd *entry = mf_fd_get(process, fd);

	if (!entry)
		return -EBADF;
	MF_DIRTY(process, fd_slots[(uint32_t)fd]) = 0;
	drop(process, entry);
	return 0;
}

bool mf_fd_cloexec(const struct mf_process *process, uint64_t fd)
{
	return mf_linux(process)->fd_slots[(uint32_t)fd] & MF_FD_SLOT_CLOEXEC;
}

void mf_fd_set_cloexec(struct mf_process *process, uint64_t fd, bool cloexec)
{
	uint16_t *slot = &MF_DIRTY(process, fd_slots[(uint32_t)fd]);

	*slot = (uint16_t)((*slot & MF_FD_SLOT_INDEX) | (cloexec ? MF_FD_SLOT_CLOEXEC : 0));
}

/* Note the directory's name; its index or -errno. */
static int note_dir(struct mf_process *process, const char *path)
{
	const struct mf_linux *lx = mf_linux(process);
	size_t bytes = strlen(path) + 1;
	uint32_t i;

	if (bytes > MF_PATH_MAX)
		return -ENAMETOOLONG;
	for (i = 0; i < MF_DIRS; i++) {
		if (lx->dirs[i][0])
			continue;
		mf_mem_mark(&process->vm.mem, lx->dirs[i], bytes);
		memcpy((char *)lx->dirs[i], path, bytes);
		return (int)i;
	}
	return -EMFILE;
}

int64_t mf_fd_install_host(struct mf_process *process, int host, int flags, const char *path)
{
	struct mf_fd entry = {.kind = MF_FD_FILE, .host = host, .flags = (uint32_t)flags};
	struct stat st;
	int64_t ret = 0;

	if (fstat(host, &st))
		ret = -errno;
	else if (S_ISDIR(st.st_mode))
		ret = note_dir(process, path);
	else if (!S_ISREG(st.st_mode) && !(flags & O_PATH))
		ret = -EACCES;
	if (ret >= 0) {
		if (S_ISDIR(st.st_mode)) {
			entry.kind = MF_FD_DIR;
			entry.dir = (uint8_t)ret;
		}
		ret = mf_fd_install(process, &entry, 0);
		if (ret < 0 && entry.kind == MF_FD_DIR)
			MF_DIRTY(process, dirs[entry.dir][0]) = 0;
	}
	if (ret < 0)
		close(host);
	return ret;
}

const char *mf_fd_dir_path(const struct mf_process *process, uint64_t fd, int *ret)
{
	const struct mf_fd *entry = mf_fd_get(process, fd);

	*ret = !entry ? -EBADF : entry->kind != MF_FD_DIR ? -ENOTDIR : 0;
	return *ret ? NULL : mf_linux(process)->dirs[entry->dir];
}

int mf_fd_host(const struct mf_process *process, const struct mf_fd *entry)
{
	if (entry->kind == MF_FD_STDIO)
		return entry->host == 0 ? process->policy->stdin_fd : entry->host;
	return has_host(entry) ? entry->host : -1;
}

void mf_fd_close_own(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < lx->fds_high && i < MF_FDS; i++) {
		if (has_host(&lx->fds[i]) && !is_of_image(process, lx->fds[i].host))
			close(lx->fds[i].host);
	}
}

void mf_fd_close_image(const struct mf_image *image)
{
	const struct mf_arena *arena = (const struct mf_arena *)image->backing.map;
	const struct mf_linux *lx = (const void *)(image->backing.map + arena->linux_offset);
	uint32_t i;

	for (i = 0; i < lx->fds_high && i < MF_FDS; i++)
		if (has_host(&lx->fds[i]))
			close(lx->fds[i].host);
}

int mf_fd_check_freeze(const struct mf_process *process, struct mf_error *err)
{
	uint32_t fd;

	for (fd = 0; fd < MF_FDS; fd++) {
		const struct mf_fd *entry = mf_fd_get(process, fd);

		if (entry && entry->kind == MF_FD_PIPE)
			return mf_error_set(err, -EBUSY,
					    "the program holds a pipe (descriptor %u) at its ready "
					    "point, and forks cannot share it: close it before",
					    fd);
	}
	return 0;
}

ssize_t mf_fd_pread(const struct mf_process *process, uint64_t fd, void *to, size_t bytes,
		    uint64_t offset)
{
	const struct mf_fd *entry = mf_fd_get(process, fd);
	size_t done = 0;

	if (!entry)
		return -EBADF;
	if (entry->kind != MF_FD_FILE)
		return -EACCES;
	while (done < bytes) {
		ssize_t got =
			pread(entry->host, (char *)to + done, bytes - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return done ? (ssize_t)done : -errno;
		if (!got)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

int mf_fd_file(const struct mf_process *process, uint64_t fd, uint64_t *size_bytes)
{
	const struct mf_fd *entry = mf_fd_get(process, fd);
	struct stat st;

	if (!entry)
		return -EBADF;
	if (entry->kind != MF_FD_FILE)
		return -ENODEV;
	if ((entry->flags & O_ACCMODE) == O_WRONLY)
		return -EACCES;
	if (fstat(entry->host, &st))
		return -errno;
	*size_bytes = (uint64_t)st.st_size;
	return entry->host;
}
