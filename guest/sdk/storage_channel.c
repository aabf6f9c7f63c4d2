/* SPDX-License-Identifier: MIT */
#include "storage_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mayfly/sdk.h>

/* A call that waits for its answer. */
struct mf_storage_held {
	uint32_t channel;
	uint32_t function;
	uint64_t id;
	size_t out_bytes;
	uint8_t out[];
};

struct line *mf_lines;
bool mf_wake_somebody;

static uint32_t ring_bytes;

int mf_lines_open(void)
{
	struct mf_abi_store_control *control = mf_control();

	if (!mf_inside() || control->magic != MF_STORE_MAGIC)
		return -ENXIO;
	if (control->version != MF_STORE_VERSION)
		return -EPROTO;
	ring_bytes = control->ring_bytes;
	mf_lines = calloc(mf_line_count(), sizeof(*mf_lines));
	return mf_lines ? 0 : -ENOMEM;
}

/* This side's view of the replies; false when what the other side says cannot be. */
static bool view_replies(uint32_t channel, struct mf_ring *ring)
{
	struct mf_abi_channel *window = mf_window_of(channel);

	mf_ring_init(ring, (uint8_t *)window + MF_CHANNEL_HEAD_BYTES + ring_bytes, ring_bytes,
		     &window->reply_tail, &window->reply_head);
	ring->mine = mf_state_of(channel)->reply_tail;
	ring->seen = mf_load_acquire(&window->reply_head.at);
	return ring->mine - ring->seen <= ring_bytes && ring->seen % MF_RING_ALIGN == 0;
}

void mf_view_requests(uint32_t channel, struct mf_ring *ring)
{
	struct mf_abi_channel *window = mf_window_of(channel);

	mf_ring_init(ring, (uint8_t *)window + MF_CHANNEL_HEAD_BYTES, ring_bytes,
		     &window->request_tail, &window->request_head);
	ring->mine = ring->seen = mf_state_of(channel)->request_head;
}

static bool is_active(uint32_t channel)
{
	return __atomic_load_n(&mf_control()->active[channel / 64], __ATOMIC_ACQUIRE) >>
		       (channel % 64) &
	       1;
}

bool mf_line_enter(uint32_t channel)
{
	struct mf_abi_store_channel *state = mf_state_of(channel);

	__atomic_store_n(&state->busy, 1, __ATOMIC_RELAXED);
	mf_fence();
	mf_lines[channel].entered = mf_lines[channel].flights || is_active(channel);
	if (!mf_lines[channel].entered)
		mf_store_release(&state->busy, 0);
	return mf_lines[channel].entered;
}

/* What is not answered keeps the channel from being wiped. */
static void settle(uint32_t channel)
{
	if (!mf_lines[channel].flights && !mf_lines[channel].entered)
		mf_store_release(&mf_state_of(channel)->busy, 0);
}

void mf_line_leave(uint32_t channel)
{
	mf_lines[channel].entered = false;
	settle(channel);
}

/* Whoever sleeps is to be woken: there is something to be seen. */
static void look_for_sleeper(uint32_t channel)
{
	mf_fence();
	if (mf_load_acquire(&mf_state_of(channel)->parked))
		mf_wake_somebody = true;
}

void mf_line_give_up(uint32_t channel)
{
	mf_state_of(channel)->broken = 1;
	look_for_sleeper(channel);
}

static uint32_t reply_bytes(size_t bytes)
{
	return mf_ring_padded((uint32_t)(sizeof(struct mf_abi_message) + bytes));
}

bool mf_line_has_room(uint32_t channel, size_t bytes)
{
	struct mf_ring replies;

	if (!view_replies(channel, &replies))
		return true; /* the reply will find it broken */
	return ring_bytes - (replies.mine - replies.seen) >=
	       (uint64_t)mf_lines[channel].reserved + reply_bytes(bytes);
}

void mf_line_reply(uint32_t channel, uint32_t function, uint64_t id, int status, const void *out,
		   size_t bytes)
{
	struct mf_abi_store_channel *state = mf_state_of(channel);
	struct mf_piece piece = {out, (uint32_t)bytes};
	struct mf_ring ring;

	if (state->broken || !view_replies(channel, &ring)) {
		mf_line_give_up(channel);
		return;
	}
	state->wrote |= MF_STORE_WROTE;
	state->reply_tail = ring.mine + reply_bytes(bytes);
	if (mf_ring_put(&ring, function, id, status, &piece, 1)) {
		mf_line_give_up(channel);
		return;
	}
	mf_control()->calls++;
	look_for_sleeper(channel);
}

/* ---- calls that are answered later ---- */

struct mf_storage_held *mf_storage_hold(const struct mf_storage_call *call)
{
	struct mf_storage_held *held = malloc(sizeof(*held) + call->out_bytes);

	if (!held)
		return NULL;
	*held = (struct mf_storage_held){call->line, call->function, call->id, call->out_bytes};
	if (call->out_bytes)
		memcpy(held->out, call->out, call->out_bytes);
	mf_lines[call->line].flights++;
	mf_lines[call->line].reserved += reply_bytes(call->out_bytes);
	return held;
}

void mf_storage_let_go(struct mf_storage_held *held)
{
	mf_lines[held->channel].flights--;
	mf_lines[held->channel].reserved -= reply_bytes(held->out_bytes);
	free(held);
}

void mf_storage_answer(struct mf_storage_held *held, int status, bool whole)
{
	uint32_t channel = held->channel;

	mf_line_reply(channel, held->function, held->id, status, held->out,
		      whole ? held->out_bytes : 0);
	mf_storage_let_go(held);
	settle(channel);
}

/* ---- orders ---- */

void mf_storage_set_pending(uint32_t channel, uint32_t pending)
{
	mf_store_release(&mf_state_of(channel)->pending, pending);
}

void mf_storage_verdict(uint32_t channel, int status)
{
	struct mf_abi_store_channel *state = mf_state_of(channel);

	mf_lines[channel].flights--;
	state->status = status;
	mf_store_release(&state->verdict, 1);
	look_for_sleeper(channel);
	settle(channel);
}
