/* SPDX-License-Identifier: MIT */
/* The request VM's side of its channel: one call at a time, and the functions of the key-value
 * store. */
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

#include <mayfly/abi/store.h>
#include <mayfly/sdk.h>
#include <mayfly/store.h>

#include "hot.h"

#define LOOKS_MASK 31u /* looks between two at the clock */
#define PIECES_MAX 8u

static struct mf_abi_channel *const window = (void *)MF_CHANNEL_VA;

/* Of a program that never waits in mf_wait(): it has a listening socket. */
static struct hot_channel own;

/*
 * The channel of the request that is being served, or NULL. Who listens is told of no request:
 * there is one unless this is an image that is being built, and it is a new one when its channel
 * was wiped.
 */
static struct hot_channel *find_channel(void)
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
	channel = find_channel();
	*out = channel;
	if (!channel)
		return -ENOTCONN;
	if (channel->open)
		return 0;
	ret = mf_channel_open(window, mf_channel_bytes(MF_RING_BYTES_MAX), &channel->requests,
			      &channel->replies);
	channel->open = !ret;
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

int mf_store_call(uint32_t function, const struct mf_bytes *in, unsigned pieces, void *out,
		  size_t room, size_t *out_bytes)
{
	struct mf_piece parts[PIECES_MAX];
	struct mf_abi_message message;
	struct hot_channel *channel;
	uint32_t lost;
	int ret = open_channel(&channel);

	if (ret)
		return ret;
	if (pieces > PIECES_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < pieces; i++) {
		if (in[i].length > MF_RING_BYTES_MAX)
			return -EMSGSIZE;
		parts[i] = (struct mf_piece){in[i].data, (uint32_t)in[i].length};
	}
	lost = mf_load_acquire(&window->lost);
	ret = mf_ring_put(&channel->requests, function, ++channel->id, 0, parts, pieces);
	if (ret)
		return ret;
	ret = await_reply(&channel->replies, &message, lost);
	if (ret)
		return ret;
	if (message.id != channel->id || message.function != function)
		return -EPROTO;
	return take_reply(&channel->replies, &message, out, room, out_bytes);
}

int mf_store_resolve(const char *name, uint32_t *function)
{
	struct mf_bytes in = {name, strlen(name)};
	size_t bytes;
	int ret = mf_store_call(MF_STORE_RESOLVE, &in, 1, function, sizeof(*function), &bytes);

	return !ret && bytes != sizeof(*function) ? -EPROTO : ret;
}

/* A call of the key-value store: head, table, key and up to two parts of a value. */
static int kv_call(uint32_t function, const char *table, struct mf_bytes key, struct mf_bytes first,
		   struct mf_bytes second, uint64_t number, void *out, size_t room,
		   size_t *out_bytes)
{
	size_t table_bytes = strlen(table);
	struct mf_abi_kv head = {.table_bytes = (uint16_t)table_bytes,
				 .key_bytes = (uint16_t)key.length,
				 .value_bytes = (uint32_t)(first.length + second.length),
				 .number = number};
	struct mf_bytes in[] = {{&head, sizeof(head)}, {table, table_bytes}, key, first, second};

	if (!table_bytes || table_bytes > MF_KV_TABLE_MAX_BYTES ||
	    key.length > MF_KV_KEY_MAX_BYTES || first.length > MF_KV_VALUE_MAX_BYTES ||
	    second.length > MF_KV_VALUE_MAX_BYTES)
		return -EINVAL;
	return mf_store_call(function, in, 5, out, room, out_bytes);
}

static const struct mf_bytes none;

int mf_store_get(const char *table, struct mf_bytes key, void *value, size_t room, size_t *bytes)
{
	return kv_call(MF_KV_GET, table, key, none, none, 0, value, room, bytes);
}

int mf_store_put(const char *table, struct mf_bytes key, struct mf_bytes value)
{
	return kv_call(MF_KV_PUT, table, key, value, none, 0, NULL, 0, NULL);
}

int mf_store_delete(const char *table, struct mf_bytes key)
{
	return kv_call(MF_KV_DELETE, table, key, none, none, 0, NULL, 0, NULL);
}

int mf_store_swap(const char *table, struct mf_bytes key, struct mf_bytes expected,
		  struct mf_bytes value)
{
	uint64_t number = expected.data ? expected.length : MF_KV_ABSENT;

	if (!expected.data)
		expected.length = 0;
	return kv_call(MF_KV_CAS, table, key, expected, value, number, NULL, 0, NULL);
}

int mf_store_add(const char *table, struct mf_bytes key, int64_t add, int64_t *now)
{
	size_t bytes;
	int ret = kv_call(MF_KV_ADD, table, key, none, none, (uint64_t)add, now, sizeof(*now),
			  &bytes);

	return !ret && bytes != sizeof(*now) ? -EPROTO : ret;
}

int mf_store_scan(const char *table, struct mf_bytes prefix, struct mf_bytes after, unsigned limit,
		  void *buffer, size_t room, size_t *bytes)
{
	/* How much fits travels behind the key to start at: the reply is cut at whole records. */
	uint32_t fits = room > UINT32_MAX ? UINT32_MAX : (uint32_t)room;

	return kv_call(MF_KV_SCAN, table, prefix, (struct mf_bytes){&fits, sizeof(fits)}, after,
		       limit, buffer, room, bytes);
}

int mf_store_next(const void *buffer, size_t bytes, size_t *at, struct mf_bytes *key,
		  struct mf_bytes *value)
{
	struct mf_abi_kv_entry entry;
	const uint8_t *from = (const uint8_t *)buffer + *at;

	if (bytes - *at < sizeof(entry))
		return 0;
	memcpy(&entry, from, sizeof(entry));
	if (bytes - *at - sizeof(entry) < (size_t)entry.key_bytes + entry.value_bytes)
		return 0;
	*key = (struct mf_bytes){from + sizeof(entry), entry.key_bytes};
	*value = (struct mf_bytes){from + sizeof(entry) + entry.key_bytes, entry.value_bytes};
	*at += sizeof(entry) + entry.key_bytes + entry.value_bytes;
	return 1;
}
