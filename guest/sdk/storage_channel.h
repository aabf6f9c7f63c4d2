/* SPDX-License-Identifier: MIT */
/*
 * The storage side of one channel: its rings, its replies, and who may touch it when. A channel's
 * own indices live in the control area alone; what else is known of it here is lost with the
 * program.
 */
#ifndef MF_GUEST_SDK_STORAGE_CHANNEL_H
#define MF_GUEST_SDK_STORAGE_CHANNEL_H

#include <mayfly/abi/ring_ops.h>
#include <mayfly/abi/store.h>
#include <mayfly/storage.h>

/* What this program knows of a channel. */
struct line {
	uint32_t request;  /* the request whose calls it takes */
	uint32_t flights;  /* calls and orders that are not answered */
	uint32_t reserved; /* bytes of the reply ring that their replies take */
	bool entered;      /* somebody is at it */
	bool open;         /* something of the request is known here */
	bool known;        /* this program has met it before */
	bool lost;         /* a program before this one knew of it, and is no more */
};

extern struct line *mf_lines; /* of all channels, those of streams behind the others */
extern bool mf_wake_somebody; /* somebody sleeps and has a reply */

static inline struct mf_abi_store_control *mf_control(void)
{
	return (struct mf_abi_store_control *)MF_STORE_CONTROL_VA;
}

static inline struct mf_abi_store_channel *mf_state_of(uint32_t channel)
{
	return MF_STORE_CHANNEL(mf_control(), channel);
}

/* How many channels there are, with those of streams. */
static inline uint32_t mf_line_count(void)
{
	return mf_control()->channels * (mf_control()->streams ? 2 : 1);
}

static inline bool mf_is_stream(uint32_t line)
{
	return line >= mf_control()->channels;
}

/* The channel whose transaction a channel's calls are part of. */
static inline uint32_t mf_owner_of(uint32_t line)
{
	return mf_is_stream(line) ? line - mf_control()->channels : line;
}

/* Learns the geometry. -ENXIO, -EPROTO, -ENOMEM. */
int mf_lines_open(void);

static inline struct mf_abi_channel *mf_window_of(uint32_t channel)
{
	return (struct mf_abi_channel *)(MF_STORE_CHANNELS_VA +
					 channel * mf_control()->window_bytes);
}

void mf_view_requests(uint32_t channel, struct mf_ring *ring);

/* The channel is this side's: the engine does not wipe it until it is let go. False: it is not in
 * use. */
bool mf_line_enter(uint32_t channel);
void mf_line_leave(uint32_t channel);
/* The request VM broke its ring: it is not heard again. */
void mf_line_give_up(uint32_t channel);

/* Is there room for a reply of so many bytes, beside those that are to come? */
bool mf_line_has_room(uint32_t channel, size_t bytes);

void mf_line_reply(uint32_t channel, uint32_t function, uint64_t id, int status, const void *out,
		   size_t bytes);

#endif
