/* SPDX-License-Identifier: MIT */
#include "request-vm/streams.h"

#include <errno.h>
#include <string.h>

#include <mayfly/abi/store.h>

#include "engine/image/watchdog.h"

#define PART_BYTES 16384u
#define LOOKS_MASK 31u /* looks between two at the clock */

void mf_streams_init(struct mf_streams *streams, struct mf_peer *peer, unsigned int channel,
		     void (*wake)(struct mf_waiter *waiter))
{
	*streams = (struct mf_streams){.peer = peer, .channel = channel, .waiter.wake = wake};
}

static bool open_stream(struct mf_streams *streams)
{
	struct mf_peer_stream stream;

	if (streams->open)
		return true;
	if (!streams->peer || !streams->peer->stream(streams->peer, streams->channel, &stream) ||
	    mf_channel_open(stream.window, stream.window_bytes, &streams->requests,
			    &streams->replies))
		return false;
	streams->window = stream.window;
	streams->waiter.channel = stream.channel;
	streams->lost = mf_load_acquire(&streams->window->lost);
	streams->open = true;
	return true;
}

static int lowest(uint64_t bits)
{
	return __builtin_ctzll(bits);
}

/* The program finds these reset: what became of what it has sent is not known. */
static void reset(struct mf_streams *streams, struct mf_process *process, uint64_t bits)
{
	/* What has the number of one that has left is another. */
	uint64_t left = bits & ~streams->leaving & mf_connection_stores(process);

	for (; left; left &= left - 1) {
		uint32_t number = (uint32_t)lowest(left);

		mf_connection_reset(process, number);
		mf_connection_close(process, number);
	}
	streams->known &= ~bits;
	streams->asked &= ~bits;
	streams->leaving &= ~bits;
	streams->more &= ~bits;
	streams->last &= ~bits;
}

/* ---- replies ---- */

/* The bytes of the reply at hand; there is room for them, as was told. False: there is not. */
static bool give(struct mf_streams *streams, struct mf_process *process, uint32_t number,
		 uint32_t bytes)
{
	char part[PART_BYTES];
	uint32_t done = 0;

	while (done < bytes) {
		uint32_t count = bytes - done < PART_BYTES ? bytes - done : PART_BYTES;

		mf_ring_read(&streams->replies, (uint32_t)sizeof(struct mf_abi_stream) + done, part,
			     count);
		if (mf_connection_put(process, number, part, count) != (int64_t)count)
			break;
		done += count;
	}
	explicit_bzero(part, sizeof(part));
	return done == bytes;
}

/* What the reply says of the connection. False: it is to be reset. */
static bool hear(struct mf_streams *streams, struct mf_process *process,
		 const struct mf_abi_message *message, uint32_t number)
{
	uint32_t bytes = message->size_bytes - (uint32_t)sizeof(*message);
	uint64_t bit = 1ull << number;
	struct mf_abi_stream head;

	if (message->status || bytes < sizeof(head))
		return false;
	mf_ring_read(&streams->replies, 0, &head, sizeof(head));
	if (!(streams->stale & bit))
		streams->known |= bit;
	streams->stale &= ~bit;
	streams->more &= ~bit;
	if (head.flags & MF_STREAM_MORE)
		streams->more |= bit;
	if (head.flags & MF_STREAM_CLOSE)
		streams->last |= bit;
	mf_connection_set_word(process, number, head.state);
	if (!give(streams, process, number, bytes - (uint32_t)sizeof(head)))
		return false;
	if (streams->more & bit)
		mf_connection_want_room(process, number);
	return true;
}

/* One reply. False: the storage VM broke the rules. */
static bool take_reply(struct mf_streams *streams, struct mf_process *process,
		       const struct mf_abi_message *message)
{
	uint32_t number = (uint32_t)message->id % MF_STREAM_CONNECTIONS;
	uint64_t bit = 1ull << number;
	bool left = streams->leaving & bit;

	if (message->id >= MF_STREAM_CONNECTIONS || !(streams->asked & bit))
		return false;
	streams->asked &= ~bit;
	if (left) {
		streams->leaving &= ~bit;
		streams->known &= ~bit;
	} else if (!hear(streams, process, message, number)) {
		reset(streams, process, bit);
	}
	mf_ring_next(&streams->replies, message->size_bytes);
	return true;
}

/* All that are there. True: some. */
static bool take_replies(struct mf_streams *streams, struct mf_process *process)
{
	struct mf_abi_message message;
	bool any = false;
	int found;

	while ((found = mf_ring_peek(&streams->replies, &message)) > 0) {
		any = true;
		if (!take_reply(streams, process, &message)) {
			found = -EPROTO;
			break;
		}
	}
	if (found < 0)
		reset(streams, process, UINT64_MAX);
	return any || found < 0;
}

/* ---- calls ---- */

/* False: there is no room in the ring now. */
static bool ask(struct mf_streams *streams, struct mf_process *process, uint32_t number,
		uint32_t flags, uint32_t bytes, uint32_t room)
{
	uint64_t bit = 1ull << number;
	struct mf_abi_stream head = {.connection = number,
				     .flags = flags | (streams->known & bit ? 0 : MF_STREAM_FIRST) |
					      (streams->read_only ? MF_STREAM_READ_ONLY : 0),
				     .room = room,
				     .state = mf_connection_word(process, number)};
	char part[PART_BYTES];
	struct mf_piece pieces[] = {{&head, sizeof(head)}, {part, 0}};
	int ret;

	pieces[1].bytes = (uint32_t)mf_connection_peek(process, number, part,
						       bytes < PART_BYTES ? bytes : PART_BYTES);
	ret = mf_ring_put(&streams->requests, MF_KV_STREAM, number, 0, pieces, 2);
	explicit_bzero(part, sizeof(part));
	if (ret)
		return false;
	mf_connection_taken(process, number, pieces[1].bytes);
	streams->asked |= bit;
	return true;
}

/* The program has let go of it, and all that it sent is on its way. False: no room in the ring. */
static bool leave(struct mf_streams *streams, struct mf_process *process, uint32_t number)
{
	uint64_t bit = 1ull << number;

	if (streams->known & bit) {
		if (!ask(streams, process, number, MF_STREAM_GONE, 0, 0))
			return false;
		streams->leaving |= bit;
	}
	streams->more &= ~bit;
	streams->last &= ~bit;
	mf_connection_close(process, number);
	return true;
}

/* What is to be done for a connection that no call of is on its way. True: something was; false
 * with nothing left to do, or no room in the ring. */
static bool serve(struct mf_streams *streams, struct mf_process *process, uint32_t number)
{
	uint64_t bit = 1ull << number;
	struct mf_connection_state state;
	uint32_t room;

	mf_connection_look(process, number, &state);
	if (state.closed && (!state.output || state.aborted || streams->last & bit))
		return leave(streams, process, number);
	if (streams->last & bit) {
		mf_connection_end(process, number);
		if (state.output)
			mf_connection_reset(process, number);
		return false;
	}
	room = state.room < MF_STREAM_BYTES_MAX && !state.closed ? (uint32_t)state.room
								 : MF_STREAM_BYTES_MAX;
	if (streams->more & bit)
		return room && ask(streams, process, number, 0, 0, room);
	if (state.output)
		return ask(streams, process, number, 0, MF_STREAM_BYTES_MAX, room);
	if (state.ended)
		mf_connection_end(process, number);
	return false;
}

static bool serve_all(struct mf_streams *streams, struct mf_process *process)
{
	uint64_t left = mf_connection_stores(process) & ~streams->asked;
	bool any = false;

	for (; left; left &= left - 1)
		any |= serve(streams, process, (uint32_t)lowest(left));
	return any;
}

/* Look for as long as it pays, where the storage VM polls on a core of its own. */
static bool poll_reply(struct mf_streams *streams)
{
	uint32_t poll_ns = __atomic_load_n(&streams->window->poll_ns, __ATOMIC_RELAXED);
	uint64_t end = poll_ns ? mf_now_ns() + poll_ns : 0;
	struct mf_abi_message message;
	uint32_t looks;

	for (looks = 1; poll_ns; looks++) {
		if (mf_ring_peek(&streams->replies, &message))
			return true;
		mf_relax();
		if (!(looks & LOOKS_MASK) && mf_now_ns() >= end)
			break;
	}
	return false;
}

/* The storage VM was started anew: what it knew is gone. */
static bool is_lost(struct mf_streams *streams, struct mf_process *process)
{
	uint32_t lost = mf_load_acquire(&streams->window->lost);

	if (lost == streams->lost)
		return false;
	streams->lost = lost;
	reset(streams, process, streams->known | streams->asked);
	return true;
}

/* A call is on its way. True: look again. */
static bool await(struct mf_streams *streams, struct mf_process *process, struct mf_watch *watch)
{
	struct mf_peer *peer = streams->peer;

	if (poll_reply(streams))
		return true;
	peer->cancel(peer, &streams->waiter);
	switch (peer->wait(peer, &streams->waiter, watch)) {
	case MF_PEER_GO_ON:
		return true;
	case MF_PEER_PARKED:
		return false;
	default:
		reset(streams, process, UINT64_MAX);
		return false;
	}
}

bool mf_streams_move(struct mf_streams *streams, struct mf_process *process, struct mf_watch *watch)
{
	bool moved = false;

	if ((!streams->asked && !mf_connection_stores(process)) || !open_stream(streams))
		return false;
	for (;;) {
		bool heard = take_replies(streams, process) || is_lost(streams, process);
		bool asked = serve_all(streams, process);

		moved |= heard;
		if (!streams->asked || (!asked && !heard && streams->waiter.waits) ||
		    !await(streams, process, watch))
			return moved;
	}
}

void mf_streams_renew(struct mf_streams *streams)
{
	streams->stale = streams->asked;
	streams->known = 0;
}

void mf_streams_end(struct mf_streams *streams)
{
	if (streams->open)
		streams->peer->cancel(streams->peer, &streams->waiter);
	streams->open = false;
	streams->known = streams->asked = streams->leaving = streams->more = streams->last = 0;
	streams->stale = 0;
}
