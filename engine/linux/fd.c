/* SPDX-License-Identifier: MIT */
#include "engine/linux/filelock.h"
#include "engine/linux/image.h"
#include "engine/linux/io.h"
#include "engine/linux/rlimit.h"
#include "engine/linux/watch.h"

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

/* What a kind without a table of its own gets: nothing works. */
static const struct mf_fd_ops no_ops = {.name = "anon_inode:[none]"};

static const struct mf_fd_ops *const kinds[MF_FD_KINDS] = {
	[MF_FD_STDIO] = &mf_stdio_ops,
	[MF_FD_FILE] = &mf_file_ops,
	[MF_FD_DIR] = &mf_dir_ops,
	[MF_FD_CHAR] = &mf_char_ops,
	[MF_FD_PIPE] = &mf_pipe_ops,
	[MF_FD_EVENTFD] = &mf_eventfd_ops,
	[MF_FD_TIMERFD] = &mf_timerfd_ops,
	[MF_FD_EPOLL] = &mf_epoll_ops,
	[MF_FD_SOCKET] = &mf_socket_ops,
	[MF_FD_PROC] = &mf_system_ops,
	[MF_FD_SIGNALFD] = &mf_signalfd_ops,
	[MF_FD_LISTENER] = &mf_listener_ops,
	[MF_FD_CONNECTION] = &mf_connection_ops,
	[MF_FD_INOTIFY] = &mf_inotify_ops,
};

const struct mf_fd_ops *mf_fd_ops(const struct mf_fd *entry)
{
	const struct mf_fd_ops *ops = entry->kind < MF_FD_KINDS ? kinds[entry->kind] : NULL;

	return ops ? ops : &no_ops;
}

const struct mf_fd *mf_fd_of(const struct mf_linux *lx, uint32_t index)
{
	return &lx->fd_chunks[index / MF_FD_CHUNK % (MF_FDS / MF_FD_CHUNK)]
			.fds[index % MF_FD_CHUNK];
}

const struct mf_fd *mf_fd_at(const struct mf_process *process, uint32_t index)
{
	return mf_fd_of(mf_linux(process), index);
}

uint32_t mf_fd_index(const struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_linux *lx = mf_linux(process);
	size_t bytes = (size_t)((const uint8_t *)entry - (const uint8_t *)lx->fd_chunks);
	const struct mf_fd_chunk *chunk = &lx->fd_chunks[bytes / sizeof(*chunk)];

	return (uint32_t)((size_t)(chunk - lx->fd_chunks) * MF_FD_CHUNK +
			  (size_t)(entry - chunk->fds));
}

static uint16_t slot_of(const struct mf_process *process, uint32_t fd)
{
	return mf_linux(process)->fd_chunks[fd / MF_FD_CHUNK].slots[fd % MF_FD_CHUNK];
}

static void set_slot(struct mf_process *process, uint32_t fd, uint16_t slot)
{
	MF_DIRTY(process, fd_chunks[fd / MF_FD_CHUNK].slots[fd % MF_FD_CHUNK]) = slot;
}

static void set_bit(struct mf_process *process, uint64_t *map, uint32_t bit, bool value)
{
	uint64_t mask = 1ull << (bit % 64);

	mf_mem_mark(&process->vm.mem, &map[bit / 64], sizeof(*map));
	map[bit / 64] = value ? map[bit / 64] | mask : map[bit / 64] & ~mask;
}

static uint64_t *numbers(struct mf_process *process)
{
	return (uint64_t *)mf_linux(process)->fd_numbers;
}

static uint64_t *taken(struct mf_process *process)
{
	return (uint64_t *)mf_linux(process)->fd_taken;
}

/* The first bit at or above `from` that is `value`; `end` when there is none below it. */
static uint32_t find_bit(const uint64_t *map, uint32_t from, uint32_t end, bool value)
{
	while (from < end) {
		uint64_t word = (value ? map[from / 64] : ~map[from / 64]) >> (from % 64);

		if (word) {
			from += (uint32_t)__builtin_ctzll(word);
			break;
		}
		from = (from / 64 + 1) * 64;
	}
	return from < end ? from : end;
}

bool mf_fd_has_host(const struct mf_fd *entry)
{
	return entry->users && entry->host >= 0 && mf_fd_ops(entry)->traits & MF_FD_HAS_HOST;
}

/* The number cannot mean anything else while the image holds it. */
bool mf_fd_of_image(const struct mf_process *process, int host)
{
	const struct mf_linux *image = image_linux(process);
	uint32_t i;

	if (!image)
		return false;
	for (i = 0; i < image->fds_high; i++) {
		if (mf_fd_has_host(mf_fd_of(image, i)) && mf_fd_of(image, i)->host == host)
			return true;
	}
	return false;
}

bool mf_fd_host_is_shared(const struct mf_process *process, const struct mf_fd *entry)
{
	return mf_fd_has_host(entry) && mf_fd_of_image(process, entry->host);
}

uint64_t mf_fd_hard_limit(const struct mf_process *process)
{
	uint64_t limit = process->policy->files_limit;

	return !limit ? MF_FDS_USUAL : limit < MF_FDS ? limit : MF_FDS;
}

uint64_t mf_fd_limit(const struct mf_process *process)
{
	return mf_limit_soft(process, RLIMIT_NOFILE);
}

uint32_t mf_fd_next(const struct mf_process *process, uint32_t from)
{
	return find_bit(mf_linux(process)->fd_numbers, from, MF_FDS, true);
}

const struct mf_fd *mf_fd_get(const struct mf_process *process, uint64_t fd)
{
	uint16_t slot;

	/* Descriptors are ints: the upper half of the register says nothing. */
	fd = (uint32_t)fd;
	slot = fd < MF_FDS ? slot_of(process, (uint32_t)fd) : 0;
	return slot ? mf_fd_at(process, (slot & MF_FD_SLOT_INDEX) - 1u) : NULL;
}

struct mf_fd *mf_fd_rw(struct mf_process *process, const struct mf_fd *entry)
{
	mf_mem_mark(&process->vm.mem, entry, sizeof(*entry));
	return (struct mf_fd *)entry;
}

int64_t mf_fd_free(const struct mf_process *process, uint64_t from)
{
	uint32_t limit = (uint32_t)mf_fd_limit(process);
	uint32_t fd =
		from < limit ? find_bit(mf_linux(process)->fd_numbers, (uint32_t)from, limit, false)
			     : limit;

	return fd < limit ? (int64_t)fd : -EMFILE;
}

bool mf_fd_has_room(const struct mf_process *process)
{
	return mf_fd_free(process, 0) >= 0;
}

static void put_number(struct mf_process *process, uint32_t fd, uint32_t index, bool cloexec)
{
	set_slot(process, fd, (uint16_t)((index + 1) | (cloexec ? MF_FD_SLOT_CLOEXEC : 0)));
	set_bit(process, numbers(process), fd, true);
}

int64_t mf_fd_install(struct mf_process *process, const struct mf_fd *entry, uint64_t from)
{
	int64_t fd = mf_fd_free(process, from);
	uint32_t index = find_bit(mf_linux(process)->fd_taken, 0, MF_FDS, false);
	struct mf_fd *to;

	if (fd < 0)
		return fd;
	/* Descriptions are held by others, too. */
	if (index == MF_FDS)
		return -ENFILE;
	/* The rest of the host's descriptors are the engine's: clients, VMs. */
	if (process->policy->host_fd_end && mf_fd_ops(entry)->traits & MF_FD_HAS_HOST &&
	    entry->host >= process->policy->host_fd_end)
		return -ENFILE;
	to = mf_fd_rw(process, mf_fd_at(process, index));
	*to = *entry;
	to->flags &= ~(uint32_t)O_CLOEXEC;
	to->users = 1;
	to->watches = 0;
	set_bit(process, taken(process), index, true);
	if (index >= mf_linux(process)->fds_high)
		MF_DIRTY(process, fds_high) = index + 1;
	put_number(process, (uint32_t)fd, index, entry->flags & O_CLOEXEC);
	return fd;
}

void mf_fd_init(struct mf_process *process)
{
	int32_t i;

	for (i = 0; i <= 2; i++) {
		struct mf_fd entry = mf_stdio_entry(process, i);

		mf_fd_install(process, &entry, (uint64_t)i);
	}
}

void mf_fd_hold(struct mf_process *process, const struct mf_fd *entry)
{
	mf_fd_rw(process, entry)->users++;
}

void mf_fd_drop(struct mf_process *process, const struct mf_fd *entry)
{
	struct mf_fd *gone = mf_fd_rw(process, entry);

	if (--gone->users)
		return;
	gone->users = 1; /* it is still itself while it is closed */
	mf_watch_forget(process, gone);
	if (mf_fd_ops(gone)->close)
		mf_fd_ops(gone)->close(process, gone);
	if (mf_fd_has_host(gone) && !mf_fd_of_image(process, gone->host))
		close(gone->host);
	*gone = (struct mf_fd){.host = -1};
	set_bit(process, taken(process), mf_fd_index(process, gone), false);
}

int64_t mf_fd_share(struct mf_process *process, const struct mf_fd *entry, uint64_t from,
		    bool cloexec)
{
	int64_t fd = mf_fd_free(process, from);

	if (fd < 0)
		return fd;
	mf_fd_hold(process, entry);
	put_number(process, (uint32_t)fd, mf_fd_index(process, entry), cloexec);
	return fd;
}

int64_t mf_fd_share_at(struct mf_process *process, const struct mf_fd *entry, uint64_t fd,
		       bool cloexec)
{
	fd = (uint32_t)fd;
	if (fd >= mf_fd_limit(process))
		return -EBADF;
	mf_fd_hold(process, entry); /* first: `fd` may be its last user */
	mf_fd_close(process, fd);
	put_number(process, (uint32_t)fd, mf_fd_index(process, entry), cloexec);
	return (int64_t)fd;
}

int64_t mf_fd_close(struct mf_process *process, uint64_t fd)
{
	const struct mf_fd *entry = mf_fd_get(process, fd);

	if (!entry)
		return -EBADF;
	set_slot(process, (uint32_t)fd, 0);
	set_bit(process, numbers(process), (uint32_t)fd, false);
	mf_lock_closed(process, entry);
	mf_fd_drop(process, entry);
	return 0;
}

bool mf_fd_cloexec(const struct mf_process *process, uint64_t fd)
{
	return slot_of(process, (uint32_t)fd) & MF_FD_SLOT_CLOEXEC;
}

void mf_fd_set_cloexec(struct mf_process *process, uint64_t fd, bool cloexec)
{
	uint16_t slot = slot_of(process, (uint32_t)fd);

	set_slot(process, (uint32_t)fd,
		 (uint16_t)((slot & MF_FD_SLOT_INDEX) | (cloexec ? MF_FD_SLOT_CLOEXEC : 0)));
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

int64_t mf_fd_install_dir(struct mf_process *process, int host, int flags, const char *path)
{
	struct mf_fd entry = {.kind = MF_FD_DIR, .host = host, .flags = (uint32_t)flags};
	int64_t ret = note_dir(process, path);

	if (ret >= 0) {
		entry.dir = (uint16_t)ret;
		ret = mf_fd_install(process, &entry, 0);
		if (ret < 0)
			MF_DIRTY(process, dirs[entry.dir][0]) = 0;
	}
	if (ret < 0 && host >= 0)
		close(host);
	return ret;
}

int64_t mf_fd_install_host(struct mf_process *process, int host, int flags, const char *path)
{
	struct mf_fd entry = {.kind = MF_FD_FILE, .host = host, .flags = (uint32_t)flags};
	struct stat st;
	int64_t ret = 0;

	if (fstat(host, &st))
		ret = -errno;
	else if (S_ISDIR(st.st_mode))
		return mf_fd_install_dir(process, host, flags, path);
	else if (!S_ISREG(st.st_mode) && !(flags & O_PATH))
		ret = -EACCES;
	if (!ret)
		ret = mf_fd_install(process, &entry, 0);
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
	return mf_fd_has_host(entry) ? entry->host : -1;
}

void mf_fd_close_own(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	mf_lock_drop_all(process);
	for (i = 0; i < lx->fds_high && i < MF_FDS; i++) {
		if (mf_fd_has_host(mf_fd_of(lx, i)) &&
		    !mf_fd_of_image(process, mf_fd_of(lx, i)->host))
			close(mf_fd_of(lx, i)->host);
	}
}

void mf_fd_close_image(const struct mf_image *image)
{
	const struct mf_arena *arena = (const struct mf_arena *)image->backing.map;
	const struct mf_linux *lx = (const void *)(image->backing.map + arena->linux_offset);
	uint32_t i;

	for (i = 0; i < lx->fds_high && i < MF_FDS; i++)
		if (mf_fd_has_host(mf_fd_of(lx, i)))
			close(mf_fd_of(lx, i)->host);
}

void mf_fd_settle(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < lx->fds_high && i < MF_FDS; i++) {
		const struct mf_fd *entry = mf_fd_of(lx, i);
		int there;

		if (!mf_fd_has_host(entry) || entry->host >= MF_IMAGE_FDS_FROM)
			continue;
		there = fcntl(entry->host, F_DUPFD_CLOEXEC, MF_IMAGE_FDS_FROM);
		if (there < 0)
			continue;
		close(entry->host);
		mf_fd_rw(process, entry)->host = there;
	}
}

int mf_fd_check_freeze(const struct mf_process *process, struct mf_error *err)
{
	const struct mf_linux *lx = mf_linux(process);
	int ret = 0;
	uint32_t i;

	for (i = 0; i < lx->fds_high && i < MF_FDS && !ret; i++) {
		const struct mf_fd *entry = mf_fd_of(lx, i);

		if (entry->users && mf_fd_ops(entry)->freeze)
			ret = mf_fd_ops(entry)->freeze(process, entry, err);
	}
	return ret;
}
