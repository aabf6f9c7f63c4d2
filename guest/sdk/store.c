/* SPDX-License-Identifier: MIT */
/* The request VM's side of its channel: calls, one at a time or several in flight. */
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

#include <mayfly/abi/store.h>
#include <mayfly/sdk.h>
#include <mayfly/store.h>

#include "hot.h"
#include "place.h"

#define LOOKS_MASK 31u /* looks between two at the clock */
#define PIECES_MAX 8u
#define POSTED_MAX 65536u /* bytes of calls that nobody has waited for */

static struct mf_abi_channel *const window = (void *)MF_CHANNEL_VA;

/* Of a program that never waits in mf_wait(): it has a listening socket. */
static struct hot_channel own;

/*
 * The channel of the request that is being served, or NULL. Who listens is told of no request:
 * there is one unless this is an image that is being built, and it is a new one when its channel
 * was wiped.
 */
struct hot_channel *mf_sdk_channel(void)
{
	if (mf_sdk_hot)
		return mf_sdk_hot->state == RESPONSE_IMPOSSIBLE ? NULL : &mf_sdk_hot->channel;
	if (!mf_generation())
		return NULL;
	if (!__atomic_load_n(&window->request_tail.at, __ATOMIC_RELAXED))
		own.open = false;
	return &own;
}

/* The engine maps no more than the header says, and says no more than it maps. */
static int open_channel(struct hot_channel **out)
{
	struct hot_channel *channel;
	int ret;

	if (!mf_inside() || !(getauxval(MF_AUX_TYPE) & MF_AUX_CHANNEL))
		return -ENOTCONN;
	channel = mf_sdk_channel();
	*out = channel;
	if (!channel)
		return -ENOTCONN;
	if (channel->open)
		return 0;
	ret = mf_channel_open(window, mf_channel_bytes(MF_RING_BYTES_MAX), &channel->requests,
			      &channel->replies);
	channel->open = !ret;
	channel->flights = channel->posted = 0;
	channel->waits_for_puts = false;
	return ret == -ENXIO ? -ENOTCONN : ret;
}

/* Look for as long as it pays. 1: a reply is there. */
static int poll_reply(struct mf_ring *replies, struct mf_abi_message *message)
{
	uint32_t poll_ns = __atomic_load_n(&window->poll_ns, __ATOMIC_RELAXED);
	int found = mf_ring_peek(replies, message);
	uint64_t end;

	if (found || !poll_ns)
		return found;
	end = mf_clock_ns() + poll_ns;
	for (uint32_t looks = 1; !found; looks++) {
		mf_relax();
		found = mf_ring_peek(replies, message);
		if (!found && !(looks & LOOKS_MASK) && mf_clock_ns() >= end)
			break;
	}
	return found;
}

static int await_reply(struct mf_ring *replies, struct mf_abi_message *message, uint32_t lost)
{
	for (;;) {
		int found = poll_reply(replies, message);

		if (found)
			return found < 0 ? found : 0;
		if (mf_load_acquire(&window->lost) != lost)
			return -ECONNRESET;
		if (mf_sdk_exit(MF_CALL_CHANNEL_WAIT, NULL, 0, 0) < 0)
			return -ENOTCONN;
	}
}

static int take_reply(struct mf_ring *replies, const struct mf_abi_message *message, void *out,
		      size_t room, size_t *out_bytes)
{
	uint32_t bytes = message->size_bytes - (uint32_t)sizeof(*message);
	int status = message->status;

	if (out_bytes)
		*out_bytes = bytes;
	if (bytes <= room)
		mf_ring_read(replies, 0, out, bytes);
	mf_ring_next(replies, message->size_bytes);
	return bytes > room && !status ? -ENOBUFS : status;
}

static int put_call(struct hot_channel *channel, uint32_t function, const struct mf_bytes *in,
		    unsigned pieces)
{
	struct mf_piece parts[PIECES_MAX];

	if (pieces > PIECES_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < pieces; i++) {
		if (in[i].length > MF_RING_BYTES_MAX)
			return -EMSGSIZE;
		parts[i] = (struct mf_piece){in[i].data, (uint32_t)in[i].length};
	}
	return mf_ring_put(&channel->requests, function, ++channel->id, 0, parts, pieces);
}

/* The reply of the last call. One that was posted has none, unless it is that nothing is known of
 * it. */
static int await_own(struct hot_channel *channel, struct mf_abi_message *message, uint32_t lost)
{
	for (;;) {
		int ret = await_reply(&channel->replies, message, lost);

		if (ret || message->function != MF_KV_POST)
			return ret;
		mf_ring_next(&channel->replies, message->size_bytes);
	}
}

/* Behind this all that was posted has been taken. */
static int settle(struct hot_channel *channel)
{
	uint32_t lost = mf_load_acquire(&window->lost);
	struct mf_abi_message message;
	int ret = put_call(channel, MF_STORE_RESOLVE, NULL, 0);

	if (!ret)
		ret = await_own(channel, &message, lost);
	if (ret)
		return ret;
	mf_ring_next(&channel->replies, message.size_bytes);
	channel->posted = 0;
	return 0;
}

void mf_sdk_settle(void)
{
	struct hot_channel *channel = mf_sdk_channel();

	if (channel && channel->open && channel->posted && !channel->flights)
		settle(channel);
}

/* As put_call(); what was posted makes room when there is none. */
static int put_or_settle(struct hot_channel *channel, uint32_t function, const struct mf_bytes *in,
			 unsigned pieces)
{
	int ret = put_call(channel, function, in, pieces);

	if (ret != -EAGAIN || !channel->posted || channel->flights)
		return ret;
	ret = settle(channel);
	return ret ? ret : put_call(channel, function, in, pieces);
}

/* Has what was posted died with the storage program? */
static int look_at_posted(const struct hot_channel *channel)
{
	return channel->posted && mf_load_acquire(&window->lost) != channel->posted_lost
		       ? -ECONNRESET
		       : 0;
}

int mf_sdk_post(uint32_t function, const struct mf_bytes *in, unsigned pieces)
{
	struct hot_channel *channel;
	int ret = open_channel(&channel);

	if (ret)
		return ret;
	if (!mf_sdk_hot || !__atomic_load_n(&window->posts, __ATOMIC_RELAXED) ||
	    channel->waits_for_puts || channel->flights || channel->posted >= POSTED_MAX)
		return -EOPNOTSUPP;
	ret = place_note_call(channel, function);
	if (!ret)
		ret = look_at_posted(channel);
	if (ret)
		return ret;
	if (!channel->posted)
		channel->posted_lost = mf_load_acquire(&window->lost);
	ret = put_call(channel, function, in, pieces);
	if (ret)
		return ret == -EAGAIN ? -EOPNOTSUPP : ret;
	for (unsigned i = 0; i < pieces; i++)
		channel->posted += (uint32_t)in[i].length;
	return 0;
}

int mf_store_call(uint32_t function, const struct mf_bytes *in, unsigned pieces, void *out,
		  size_t room, size_t *out_bytes)
{
	struct mf_abi_message message;
	struct hot_channel *channel;
	uint32_t lost;
	int ret = open_channel(&channel);

	if (ret)
		return ret;
	if (channel->flights)
		return -EBUSY;
	ret = place_note_call(channel, function);
	if (!ret)
		ret = look_at_posted(channel);
	if (ret)
		return ret;
	/* What it asks for may be that the end waits for no disk, which the engine is to know. */
	channel->waits_for_puts |= function == MF_KV_DURABILITY;
	lost = mf_load_acquire(&window->lost);
	ret = put_or_settle(channel, function, in, pieces);
	if (ret)
		return ret;
	ret = await_own(channel, &message, lost);
	if (ret)
		return ret;
	channel->posted = 0;
	if (message.id != channel->id || message.function != function)
		return -EPROTO;
	return take_reply(&channel->replies, &message, out, room, out_bytes);
}

int mf_store_submit(uint32_t function, const struct mf_bytes *in, unsigned pieces, uint64_t *id)
{
	struct hot_channel *channel;
	int ret = open_channel(&channel);

	if (!ret)
		ret = place_note_call(channel, function);
	if (ret)
		return ret;
	if (!channel->flights)
		ret = look_at_posted(channel);
	if (ret)
		return ret;
	if (!channel->flights)
		channel->lost = mf_load_acquire(&window->lost);
	ret = put_or_settle(channel, function, in, pieces);
	if (ret)
		return ret;
	channel->flights++;
	*id = channel->id;
	return 0;
}

int mf_store_collect(uint64_t *id, void *out, size_t room, size_t *out_bytes)
{
	struct mf_abi_message message;
	struct hot_channel *channel;
	int ret = open_channel(&channel);

	if (ret)
		return ret;
	if (!channel->flights)
		return -ECHILD;
	ret = await_own(channel, &message, channel->lost);
	if (ret) {
		channel->flights = 0; /* none of them is answered any more */
		return ret;
	}
	channel->flights--;
	*id = message.id;
	return take_reply(&channel->replies, &message, out, room, out_bytes);
}

int mf_store_resolve(const char *name, uint32_t *function)
{
	struct mf_bytes in = {name, strlen(name)};
	size_t bytes;
	int ret = mf_store_call(MF_STORE_RESOLVE, &in, 1, function, sizeof(*function), &bytes);

	return !ret && bytes != sizeof(*function) ? -EPROTO : ret;
}
