/* SPDX-License-Identifier: MIT */
/*
 * The storage side of the channels, in the engine: what guest/sdk/storage_channel.c is in a program
 * with the SDK. The words of the control area are used as such a program would; what it may write
 * there meanwhile can spoil its own tenant's calls and nothing else.
 */
#include "storage-vm/calls.h"
#include "storage-vm/internal.h"

#include <mayfly/abi/ring_ops.h>

#include <errno.h>
#include <string.h>

#define TAKE_MAX (2 * MF_STREAM_CONNECTIONS)

static struct mf_abi_store_channel *state_of(struct mf_store *store, uint32_t line)
{
	return MF_STORE_CHANNEL(store->control, line);
}

/* An index of this side's, as it stands in the control area. */
static uint32_t aligned(uint32_t index)
{
	return index & ~(MF_RING_ALIGN - 1);
}

static void view_requests(struct mf_store *store, uint32_t line, struct mf_ring *ring)
{
	struct mf_abi_channel *window = mf_channels_window(&store->channels, line);

	mf_ring_init(ring, (uint8_t *)window + MF_CHANNEL_HEAD_BYTES, store->channels.ring_bytes,
		     &window->request_tail, &window->request_head);
	ring->mine = ring->seen = aligned(state_of(store, line)->request_head);
}

/* False: what the other side says cannot be. */
static bool view_replies(struct mf_store *store, uint32_t line, struct mf_ring *ring)
{
	struct mf_abi_channel *window = mf_channels_window(&store->channels, line);
	uint32_t bytes = store->channels.ring_bytes;

	mf_ring_init(ring, (uint8_t *)window + MF_CHANNEL_HEAD_BYTES + bytes, bytes,
		     &window->reply_tail, &window->reply_head);
	ring->mine = aligned(state_of(store, line)->reply_tail);
	ring->seen = mf_load_acquire(&window->reply_head.at);
	return ring->mine - ring->seen <= bytes && ring->seen % MF_RING_ALIGN == 0;
}

static void give_up(struct mf_store *store, uint32_t line)
{
	mf_store_release(&state_of(store, line)->broken, 1);
	store->calls_of->answered = true;
}

/* Bytes that the replies to so many calls take at the least: they are kept for them. */
static uint64_t least(uint32_t flights)
{
	return (uint64_t)flights * sizeof(struct mf_abi_message);
}

/* Into the ring; without the pieces where there is no room. `others`: what of the line is yet to be
 * answered. */
static void put_reply(struct mf_store *store, uint32_t line, struct mf_abi_message head,
		      const struct mf_piece *pieces, unsigned int count, uint32_t others)
{
	struct mf_abi_store_channel *state = state_of(store, line);
	uint32_t size = sizeof(head);
	struct mf_ring ring;

	if (mf_load_acquire(&state->broken) || !view_replies(store, line, &ring)) {
		give_up(store, line);
		return;
	}
	for (unsigned int i = 0; i < count; i++)
		size += pieces[i].bytes;
	if (ring.mine - ring.seen + mf_ring_padded(size) + least(others) >
	    store->channels.ring_bytes) {
		head.status = -ENOBUFS;
		count = 0;
		size = sizeof(head);
	}
	state->wrote |= MF_STORE_WROTE;
	state->reply_tail = ring.mine + mf_ring_padded(size);
	if (mf_ring_put(&ring, head.function, head.id, head.status, pieces, count)) {
		give_up(store, line);
		return;
	}
	store->control->calls++;
	store->control->turns++;
	store->calls_of->answered = true;
}

static bool is_stream(const struct mf_store *store, uint32_t line)
{
	return line >= store->settings.channels;
}

/* What is not answered keeps the channel from being wiped. */
static void settle(struct mf_store *store, uint32_t line)
{
	if (!store->calls_of->of_line[line])
		mf_store_release(&state_of(store, line)->busy, 0);
}

void mf_calls_give(struct mf_store *store, uint32_t line, uint64_t id,
		   const struct mf_piece pieces[2])
{
	uint32_t others = --store->calls_of->of_line[line];

	put_reply(store, line, (struct mf_abi_message){.function = MF_KV_STREAM, .id = id}, pieces,
		  2, others);
	settle(store, line);
}

void mf_calls_answer(struct mf_store *store, struct mf_calls_flight *flight, int status,
		     const void *payload, uint32_t bytes)
{
	struct mf_calls *calls = store->calls_of;
	uint32_t line = flight->line;
	uint32_t others = --calls->of_line[line];

	flight->used = false;
	calls->flying--;
	if (flight->client)
		mf_calls_answer_client(store, flight->client, flight->id, status, payload, bytes);
	else if (!is_stream(store, line))
		put_reply(store, line,
			  (struct mf_abi_message){
				  .function = flight->function, .id = flight->id, .status = status},
			  &(struct mf_piece){payload, bytes}, 1, others);
	settle(store, line);
}

/* ---- taking ---- */

static struct mf_calls_flight *find_place(struct mf_calls *calls)
{
	for (unsigned int i = 0; i < MF_CALLS_FLIGHTS; i++) {
		uint32_t at = (calls->serial + i) % MF_CALLS_FLIGHTS;

		if (!calls->flights[at].used)
			return &calls->flights[at];
	}
	return NULL;
}

uint8_t *mf_calls_fly(struct mf_store *store, const struct mf_calls_flight *call, uint32_t bytes)
{
	struct mf_calls *calls = store->calls_of;
	struct mf_calls_flight *flight = find_place(calls);
	uint32_t owner = call->line % store->settings.channels;
	struct mf_abi_calls_call head = {
		.size_bytes = (uint32_t)sizeof(head) + bytes,
		.function = call->function,
		.id = (uint64_t)++calls->serial << 32 | (uint32_t)(flight - calls->flights),
		.vm = owner,
		.request = state_of(store, owner)->request,
	};

	*flight = *call;
	flight->used = true;
	flight->serial = calls->serial;
	flight->since_ns = mf_now_ns();
	calls->flying++;
	calls->of_line[call->line]++;
	memcpy(calls->out, &head, sizeof(head));
	calls->out_bytes = head.size_bytes;
	calls->out_done = 0;
	return calls->out + sizeof(head);
}

/* The message at hand of a request VM: 0: it is a call now; a negative errno: it is none. */
static int hear(struct mf_store *store, uint32_t line, const struct mf_ring *ring,
		const struct mf_abi_message *message, bool *taken)
{
	uint32_t payload = message->size_bytes - (uint32_t)sizeof(*message);
	struct mf_calls_flight call = {
		.line = line, .function = message->function, .id = message->id};

	*taken = payload <= MF_CALLS_PAYLOAD_MAX;
	if (!*taken)
		return -E2BIG;
	mf_ring_read(ring, 0, mf_calls_fly(store, &call, payload), payload);
	return 0;
}

/* The next message of a channel that this side has entered. *taken: a call is in calls->out. False:
 * there is none. */
static bool take_one(struct mf_store *store, uint32_t line, bool *taken)
{
	struct mf_calls *calls = store->calls_of;
	struct mf_abi_message message;
	struct mf_ring requests;
	struct mf_ring replies;
	int found;
	int ret;

	view_requests(store, line, &requests);
	found = mf_ring_peek(&requests, &message);
	if (found < 0 || !view_replies(store, line, &replies)) {
		give_up(store, line);
		return false;
	}
	if (!found || store->channels.ring_bytes - (replies.mine - replies.seen) <
			      least(calls->of_line[line] + 1))
		return false;
	ret = is_stream(store, line) ? mf_calls_hear_stream(store, line, &requests, &message, taken)
				     : hear(store, line, &requests, &message, taken);
	mf_ring_next(&requests, message.size_bytes);
	state_of(store, line)->request_head = requests.mine;
	if (!ret)
		return true;
	message.status = ret == MF_CALLS_DONE ? 0 : ret;
	put_reply(store, line, message, NULL, 0, calls->of_line[line]);
	return true;
}

static bool is_active(const struct mf_store *store, uint32_t line)
{
	return __atomic_load_n(&store->control->active[line / 64], __ATOMIC_ACQUIRE) >>
		       (line % 64) &
	       1;
}

/* The channel is this side's: the engine does not wipe it until it is let go. */
static bool enter(struct mf_store *store, uint32_t line)
{
	__atomic_store_n(&state_of(store, line)->busy, 1, __ATOMIC_RELAXED);
	mf_fence();
	if (store->calls_of->of_line[line] || is_active(store, line))
		return true;
	mf_store_release(&state_of(store, line)->busy, 0);
	return false;
}

/* No call is part of a request's transaction: there is nothing to be committed. */
static void carry_out(struct mf_store *store, uint32_t line)
{
	struct mf_abi_store_channel *state = state_of(store, line);

	if (mf_load_acquire(&state->order) != MF_STORE_ORDER_COMMIT ||
	    mf_load_acquire(&state->verdict))
		return;
	state->status = 0;
	mf_store_release(&state->verdict, 1);
	store->calls_of->answered = true;
}

static bool visit(struct mf_store *store, uint32_t line)
{
	struct mf_abi_store_channel *state = state_of(store, line);
	struct mf_abi_channel *window = mf_channels_window(&store->channels, line);
	bool taken = false;

	/* An unlocked look first: most channels have nothing. */
	if (!is_active(store, line) || mf_load_acquire(&state->broken))
		return false;
	carry_out(store, line);
	if (mf_load_acquire(&window->request_tail.at) == state->request_head ||
	    (!is_stream(store, line) && store->calls_of->of_line[line] >= MF_CALLS_LINE_FLIGHTS) ||
	    !enter(store, line))
		return false;
	/* Messages that are no call for the program: as many as a ring can hold of them. */
	for (unsigned int i = 0; !taken && i < TAKE_MAX; i++)
		if (!take_one(store, line, &taken))
			break;
	settle(store, line);
	return taken;
}

bool mf_calls_take(struct mf_store *store)
{
	struct mf_calls *calls = store->calls_of;
	uint32_t lines = 2 * store->settings.channels;

	if (calls->flying == MF_CALLS_FLIGHTS)
		return false;
	if (mf_calls_take_frame(store))
		return true;
	for (uint32_t i = 0; i < lines; i++) {
		uint32_t line = calls->next_line++ % lines;

		if (calls->next_line >= lines)
			calls->next_line = 0;
		if (visit(store, line))
			return true;
	}
	return false;
}
