/* SPDX-License-Identifier: MIT */
/*
 * The one door that the storage program's files are written through. What waits for the disk is
 * refused to workers (-EAGAIN: the program is then run on by the store's thread and asks again).
 */
#include "storage-vm/internal.h"

#include <errno.h>
#include <unistd.h>

static ssize_t door_write(void *cookie, int fd, const struct iovec *pieces, int count,
			  uint64_t offset, int rwf_flags, bool durable)
{
	struct mf_store *store = cookie;
	const struct mf_file_door *next = store->settings.door;
	ssize_t got;

	if ((durable || next) && !mf_store_is_own_thread(store))
		return -EAGAIN;
	if (next)
		return next->write(next->cookie, fd, pieces, count, offset, rwf_flags, durable);
	got = TEMP_FAILURE_RETRY(pwritev2(fd, pieces, count, (off_t)offset, rwf_flags));
	return got < 0 ? -errno : got;
}

static int door_truncate(void *cookie, int fd, uint64_t bytes)
{
	struct mf_store *store = cookie;
	const struct mf_file_door *next = store->settings.door;

	if (!mf_store_is_own_thread(store))
		return -EAGAIN;
	if (next)
		return next->truncate(next->cookie, fd, bytes);
	return ftruncate(fd, (off_t)bytes) ? -errno : 0;
}

static int door_sync(void *cookie, int fd, bool data_only)
{
	struct mf_store *store = cookie;
	const struct mf_file_door *next = store->settings.door;

	if (!mf_store_is_own_thread(store))
		return -EAGAIN;
	if (next)
		return next->sync(next->cookie, fd, data_only);
	return (data_only ? fdatasync(fd) : fsync(fd)) ? -errno : 0;
}

void mf_store_init_door(struct mf_store *store)
{
	store->door = (struct mf_file_door){door_write, door_truncate, door_sync, store};
}
