/* SPDX-License-Identifier: MIT */
/*
 * The memory of all channels of a tenant: one sealed memfd, a window of it for each channel, mapped
 * shared into the engine. What lies in a window, and how its rings are used, is
 * mayfly/abi/ring_ops.h and docs/formats/ring.md; who maps a window into which VM is the caller's
 * business. Different channels may be used by different threads at the same time, one channel by
 * one.
 */
#ifndef MF_IPC_RING_AREA_H
#define MF_IPC_RING_AREA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mayfly/abi/ring.h>
#include <mayfly/error.h>

struct mf_channels {
	int memfd; /* owned; its size is sealed */
	uint8_t *base;
	unsigned int count;
	uint32_t ring_bytes;
	size_t window_bytes; /* of each channel: whole pages */
	uint64_t *kept;      /* of each channel: pages known to be allocated, see area.c */
};

/*
 * Memory for `count` channels with rings of ring_bytes. All of it reads as zero, so that every
 * channel leads nowhere until it is formatted, and none of it is allocated. -EINVAL: no channel, or
 * a size that is no power of two from MF_RING_BYTES_MIN to MF_RING_BYTES_MAX; -ENOMEM, -EMFILE and
 * the like with a sentence. Nothing is left behind on failure.
 */
int mf_channels_create(struct mf_channels *channels, unsigned int count, uint32_t ring_bytes,
		       struct mf_error *err);

/* Unmaps and closes; other maps of the memory stay. Zeroed and destroyed objects are fine. */
void mf_channels_destroy(struct mf_channels *channels);

/* Where channel i begins in the memfd: a multiple of a page. */
static inline uint64_t mf_channels_offset(const struct mf_channels *channels, unsigned int i)
{
	return (uint64_t)i * channels->window_bytes;
}

/* Channel i in the engine; window_bytes of it. */
static inline void *mf_channels_window(const struct mf_channels *channels, unsigned int i)
{
	return channels->base + mf_channels_offset(channels, i);
}

/*
 * Write the header of a wiped channel: from here on it can be opened, by each side once, with both
 * rings empty. poll_ns and lost are what struct mf_abi_channel says. No system call.
 */
void mf_channel_format(struct mf_channels *channels, unsigned int i, uint32_t poll_ns,
		       uint32_t lost);

/*
 * Make every byte of a channel's window zero, whoever wrote it, inside the rings' indices or not;
 * the channel then leads nowhere until it is formatted. Neither VM may run code that can write here
 * meanwhile.
 *
 * may_have_grown: false only when no page fault happened in either VM, and the engine itself wrote
 * nothing here but by mf_channel_format, since the last wipe that returned 0. Then pages are known
 * and this is memory writes alone. Otherwise the window's allocated pages are looked up (two system
 * calls or more) and those that an ordinary request does not use are given back to the system: a
 * later use faults. Returns 0, or a negative errno after which the window may hold old bytes and
 * must not be used again before a wipe has succeeded.
 */
int mf_channel_wipe(struct mf_channels *channels, unsigned int i, bool may_have_grown);

#endif
