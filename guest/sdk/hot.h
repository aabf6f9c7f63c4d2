/* SPDX-License-Identifier: MIT */
/* The page that every request of a program writes to anyway; private to the SDK. */
#ifndef MF_GUEST_SDK_HOT_H
#define MF_GUEST_SDK_HOT_H

#include <mayfly/abi/call.h>
#include <mayfly/abi/ring_ops.h>
#include <mayfly/store.h>

#define HOT_BYTES 2048

enum response_state {
	RESPONSE_IMPOSSIBLE, /* no request is being served */
	RESPONSE_NONE,
	RESPONSE_BEGUN,
	RESPONSE_SENT,
};

/* This side of the channel; opened by a request's first call. */
struct hot_channel {
	struct mf_ring requests;
	struct mf_ring replies;
	uint32_t flights; /* calls that were submitted and not collected */
	uint32_t lost;    /* mf_abi_channel.lost when the first of them was */
	uint64_t id;
	bool open;
	bool place_past;       /* nothing more of this transaction is read in place */
	bool waits_for_puts;   /* none is posted any more */
	uint32_t posted;       /* bytes of calls that were, since the last that was answered */
	uint32_t posted_lost;  /* mf_abi_channel.lost when the first of them was */
	uint32_t place_number; /* the transaction that this is about */
};

struct hot {
	struct mf_abi_ready ready;
	uint32_t state; /* enum response_state */
	uint32_t reserved;
	struct hot_channel channel;
	char headers[HOT_BYTES - sizeof(struct mf_abi_ready) - 8 - sizeof(struct hot_channel)];
};
_Static_assert(sizeof(struct hot) == HOT_BYTES, "the request follows, 16-byte aligned");

/* NULL before the ready point. */
extern struct hot *mf_sdk_hot;

/* store.c: no call that was posted is left in the channel. Nothing in a program without calls. */
void mf_sdk_settle(void);
/* store.c: a call that has no reply. -EOPNOTSUPP: it is to be made as all others are. */
int mf_sdk_post(uint32_t function, const struct mf_bytes *in, unsigned pieces);

/* store.c: of the request that is being served, whether it has opened it or not; or NULL. */
struct hot_channel *mf_sdk_channel(void);

#endif
