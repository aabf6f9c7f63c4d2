/* SPDX-License-Identifier: MIT */
/*
 * What can be dirty in a window is what the memfd has allocated there: a page that was never
 * allocated reads as zero. SEEK_DATA and SEEK_HOLE tell (shmem counts pages that were swapped out,
 * too; mincore would not). Rings begin at their first byte after each wipe, so what requests use
 * again and again is a beginning of each ring. Of that much a window keeps its pages: the first
 * KEPT_PAGES of the header with the request ring, and the first KEPT_PAGES of the reply ring, one
 * bit each in `kept`. All other pages are holes after every scan, and stay holes until somebody
 * faults on them, which is when the caller asks for the next scan.
 */
#include "ipc/ring/area.h"

#include <mayfly/abi/ring_ops.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE       4096u
#define KEPT_PAGES 32u /* of each of two beginnings: `kept` has two halves */

static int refuse(struct mf_error *err, unsigned int count, uint32_t ring_bytes)
{
	if (!count)
		return mf_error_set(err, -EINVAL, "a tenant needs at least one channel");
	return mf_error_set(
		err, -EINVAL,
		"a ring of %u bytes is not possible; choose a power of two from %u to %u",
		ring_bytes, MF_RING_BYTES_MIN, MF_RING_BYTES_MAX);
}

static int make_memfd(size_t bytes)
{
	int memfd = memfd_create("mayfly-channels", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int ret;

	if (memfd < 0)
		return -errno;
	/* Nobody may cut the file under a mapping: that would be SIGBUS for the others. */
	if (!ftruncate(memfd, (off_t)bytes) &&
	    !fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return memfd;
	ret = -errno;
	close(memfd);
	return ret;
}

static int map(struct mf_channels *channels)
{
	size_t bytes = channels->count * channels->window_bytes;
	void *base;

	channels->memfd = make_memfd(bytes);
	if (channels->memfd < 0)
		return channels->memfd;
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		    channels->memfd, 0);
	if (base == MAP_FAILED)
		return -errno;
	channels->base = base;
	return 0;
}

int mf_channels_create(struct mf_channels *channels, unsigned int count, uint32_t ring_bytes,
		       struct mf_error *err)
{
	int ret = -ENOMEM;

	*channels = (struct mf_channels){.memfd = -1};
	if (!count || !mf_ring_size_is_valid(ring_bytes))
		return refuse(err, count, ring_bytes);
	channels->count = count;
	channels->ring_bytes = ring_bytes;
	channels->window_bytes = mf_channel_bytes(ring_bytes);
	channels->kept = calloc(count, sizeof(*channels->kept));
	if (channels->kept)
		ret = map(channels);
	if (!ret)
		return 0;
	mf_channels_destroy(channels);
	if (ret == -EMFILE || ret == -ENFILE)
		return mf_error_set(err, ret,
				    "no descriptor is left for the channels; raise the "
				    "limit of open files (ulimit -n)");
	return mf_error_set(err, ret,
			    "cannot make %u channels with rings of %u bytes: %s; lower the number "
			    "of VMs or the size of the rings",
			    count, ring_bytes, strerror(-ret));
}

void mf_channels_destroy(struct mf_channels *channels)
{
	if (channels->base)
		munmap(channels->base, channels->count * channels->window_bytes);
	if (channels->count && channels->memfd >= 0)
		close(channels->memfd);
	free(channels->kept);
	*channels = (struct mf_channels){.memfd = -1};
}

void mf_channel_format(struct mf_channels *channels, unsigned int i, uint32_t poll_ns,
		       uint32_t lost)
{
	struct mf_abi_channel *channel = mf_channels_window(channels, i);

	channels->kept[i] |= 1; /* the page that this writes */
	channel->version = MF_CHANNEL_VERSION;
	channel->ring_bytes = channels->ring_bytes;
	channel->poll_ns = poll_ns;
	channel->lost = lost;
	/* Pairs with the load in mf_channel_open. */
	mf_store_release(&channel->magic, MF_CHANNEL_MAGIC);
}

/* One ring's part of a window, in bytes of the memfd; the request ring's has the header, too. */
struct part {
	uint64_t begin;
	uint64_t kept_end; /* up to here pages are kept */
	uint64_t end;
};

static struct part part_of(const struct mf_channels *channels, unsigned int i, unsigned int half)
{
	uint64_t window = mf_channels_offset(channels, i);
	uint64_t replies = window + MF_CHANNEL_HEAD_BYTES + channels->ring_bytes;
	struct part part = {.begin = half ? replies : window,
			    .end = half ? window + channels->window_bytes : replies};

	part.kept_end = part.begin + KEPT_PAGES * PAGE;
	if (part.kept_end > part.end)
		part.kept_end = part.end;
	return part;
}

/* The next data or hole at or after `at`, not after `end`. A negative errno. */
static int64_t seek(const struct mf_channels *channels, uint64_t at, int whence, uint64_t end)
{
	off_t found = lseek(channels->memfd, (off_t)at, whence);

	if (found < 0 && errno != ENXIO) /* that is: no data up to the end of the file */
		return -errno;
	return found < 0 || (uint64_t)found > end ? (int64_t)end : (int64_t)found;
}

/* Bits of the pages [from, to) of a part, counted from its begin. */
static uint32_t bits(uint64_t from, uint64_t to)
{
	return (uint32_t)((1ull << to / PAGE) - (1ull << from / PAGE));
}

/* The allocated pages that are kept. `rest`: whether there are others. A negative errno. */
static int find_pages(const struct mf_channels *channels, const struct part *part, uint32_t *kept,
		      bool *rest)
{
	int64_t hole = (int64_t)part->begin;
	int64_t data;

	*kept = 0;
	for (;;) {
		data = seek(channels, (uint64_t)hole, SEEK_DATA, part->end);
		if (data < 0 || (uint64_t)data >= part->kept_end)
			break;
		hole = seek(channels, (uint64_t)data, SEEK_HOLE, part->kept_end);
		if (hole < 0)
			return (int)hole;
		*kept |= bits((uint64_t)data - part->begin, (uint64_t)hole - part->begin);
	}
	*rest = data >= 0 && (uint64_t)data < part->end;
	return data < 0 ? (int)data : 0;
}

static int give_back(const struct mf_channels *channels, const struct part *part)
{
	int ret;

	do
		ret = fallocate(channels->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)part->kept_end, (off_t)(part->end - part->kept_end));
	while (ret && errno == EINTR);
	return ret ? -errno : 0;
}

/* Learn which pages are kept, and give back the rest. */
static int scan(struct mf_channels *channels, unsigned int i)
{
	uint32_t kept[2];
	unsigned int half;

	for (half = 0; half < 2; half++) {
		struct part part = part_of(channels, i, half);
		bool rest = false;
		int ret = find_pages(channels, &part, &kept[half], &rest);

		if (!ret && rest)
			ret = give_back(channels, &part);
		if (ret)
			return ret;
	}
	channels->kept[i] = kept[0] | (uint64_t)kept[1] << KEPT_PAGES;
	return 0;
}

/* Zero the pages of a part that have a bit. */
static void zero(const struct mf_channels *channels, const struct part *part, uint64_t kept)
{
	uint8_t *at = channels->base + part->begin;

	while (kept) {
		int skip = __builtin_ctzll(kept);
		int run = __builtin_ctzll(~(kept >> skip)); /* ends: only the low half is set */

		at += (size_t)skip * PAGE;
		memset(at, 0, (size_t)run * PAGE);
		at += (size_t)run * PAGE;
		kept >>= skip + run;
	}
}

int mf_channel_wipe(struct mf_channels *channels, unsigned int i, bool may_have_grown)
{
	unsigned int half;

	if (may_have_grown) {
		int ret = scan(channels, i);

		if (ret)
			return ret;
	}
	for (half = 0; half < 2; half++) {
		struct part part = part_of(channels, i, half);

		zero(channels, &part, (uint32_t)(channels->kept[i] >> half * KEPT_PAGES));
	}
	return 0;
}
