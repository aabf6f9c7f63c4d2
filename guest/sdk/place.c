/* SPDX-License-Identifier: MIT */
/*
 * Reads in place. What was read is written down in the channel's header page, where the storage VM
 * looks for it if the request has written: its transaction is in conflict with who wrote that
 * meanwhile. A log that is full says that everything was read.
 */
#include "place.h"
#include "tree.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>

#include <mayfly/abi/place.h>
#include <mayfly/abi/store.h>
#include <mayfly/sdk.h>

/* Of a record: when it expires, ms since 1970, 0: never; and what it is, 0: bytes. Others are the
 * store's affair. */
#define RECORD_HEAD  8u
#define EXPIRES_BITS 48u

static struct mf_abi_place *const place = (void *)(MF_CHANNEL_VA + MF_PLACE_OFFSET);

/* Another transaction than the one that is known: all of it may be read in place again. */
static void meet(struct hot_channel *channel)
{
	if (channel->place_number == place->number)
		return;
	channel->place_number = place->number;
	channel->place_past = false;
}

static bool only_reads(uint32_t function)
{
	return function == MF_KV_GET || function == MF_KV_SCAN || function == MF_KV_RANGE ||
	       function == MF_KV_GET_PART || function == MF_KV_EXPIRES || function == MF_KV_STAT ||
	       function == MF_STORE_RESOLVE;
}

int place_note_call(struct hot_channel *channel, uint32_t function)
{
	uint32_t state = mf_load_acquire(&place->state);

	if (state == MF_PLACE_LOST)
		return -ECONNRESET;
	if (state == MF_PLACE_NONE)
		return 0;
	meet(channel);
	channel->place_past |= !only_reads(function);
	return 0;
}

/* ---- the log ---- */

static uint32_t hash_of(const char *table, size_t table_bytes, struct mf_bytes key)
{
	return mf_place_hash(mf_place_hash(MF_PLACE_HASH, table, table_bytes + 1), key.data,
			     key.length);
}

/* Where it is looked for in `known`. */
static uint32_t slot_of(uint32_t hash)
{
	return (hash ^ hash >> 15) % MF_PLACE_KNOWN;
}

/* Was this key the last one logged with its hash? */
static bool is_known(uint32_t hash, const char *table, size_t table_bytes, struct mf_bytes key)
{
	size_t bytes = table_bytes + 1 + key.length;
	size_t at = place->known[slot_of(hash)];
	const uint8_t *entry = place->log + at + 1;
	uint16_t length;

	/* What lies there is this request's own, and as it wrote it. */
	if (!at || at - 1 + sizeof(length) + bytes > MF_PLACE_LOG_BYTES)
		return false;
	memcpy(&length, place->log + at - 1, sizeof(length));
	return length == bytes && !memcmp(entry, table, table_bytes + 1) &&
	       !memcmp(entry + table_bytes + 1, key.data, key.length);
}

static void log_read(uint32_t hash, const char *table, size_t table_bytes, struct mf_bytes key)
{
	uint16_t length = (uint16_t)(table_bytes + 1 + key.length);
	uint32_t at = place->log_bytes;

	if (at == MF_PLACE_LOG_ALL)
		return;
	if (at > MF_PLACE_LOG_BYTES || MF_PLACE_LOG_BYTES - at < sizeof(length) + length) {
		mf_store_release(&place->log_bytes, MF_PLACE_LOG_ALL);
		return;
	}
	memcpy(place->log + at, &length, sizeof(length));
	memcpy(place->log + at + sizeof(length), table, table_bytes + 1);
	memcpy(place->log + at + sizeof(length) + table_bytes + 1, key.data, key.length);
	place->known[slot_of(hash)] = (uint16_t)(at + 1);
	mf_store_release(&place->log_bytes, at + (uint32_t)sizeof(length) + length);
}

/* Whoever evicts is told of it. False: there is no room for more, and it must be asked for. */
static bool tell_used(uint32_t hash)
{
	uint32_t count = place->used_count;

	if (!place->counts)
		return true;
	for (uint32_t i = 0; i < count && i < MF_PLACE_USED; i++)
		if (place->used[i] == hash)
			return true;
	if (count >= MF_PLACE_USED)
		return false;
	place->used[count] = hash;
	place->used_count = count + 1;
	return true;
}

/* ---- reading ---- */

static bool is_open(void)
{
	struct hot_channel *channel;

	if (!mf_inside() || !(getauxval(MF_AUX_TYPE) & MF_AUX_CHANNEL))
		return false;
	channel = mf_sdk_channel();
	if (!channel || mf_load_acquire(&place->state) != MF_PLACE_OPEN)
		return false;
	meet(channel);
	return !channel->place_past && !channel->flights;
}

/* Written since the snapshot, maybe. */
static bool is_newer(uint32_t hash)
{
	uint32_t first = MF_PLACE_NEWER_FIRST(hash);
	uint32_t second = MF_PLACE_NEWER_SECOND(hash);

	return place->newer[first / 64] >> first % 64 & place->newer[second / 64] >> second % 64 &
	       1;
}

/* Bytes, and of now: what has expired may still be there for this transaction, as it began. */
static bool is_plain(uint64_t head)
{
	struct timespec now;

	if (head >> EXPIRES_BITS)
		return false;
	if (!head)
		return true;
	return !clock_gettime(CLOCK_REALTIME, &now) &&
	       head > (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int find(const char *table, size_t table_bytes, struct mf_bytes key, struct mf_bytes *value)
{
	const struct tree tree = {.base = (const void *)MF_PLACE_VA,
				  .bytes = place->bytes,
				  .pages = place->pages,
				  .page_bytes = place->page_bytes,
				  .root = place->root};
	const uint8_t *record;
	uint64_t head;
	size_t bytes;
	int ret = tree_find(&tree, table, table_bytes, key.data, key.length, &record, &bytes);

	if (ret)
		return ret == -ENOENT ? ret : -EOPNOTSUPP;
	if (bytes < RECORD_HEAD)
		return -EOPNOTSUPP;
	memcpy(&head, record, sizeof(head));
	*value = (struct mf_bytes){record + RECORD_HEAD, bytes - RECORD_HEAD};
	return is_plain(head) ? 0 : -EOPNOTSUPP;
}

int place_find(const char *table, struct mf_bytes key, struct mf_bytes *value)
{
	size_t table_bytes = strlen(table);
	uint32_t hash;
	int ret;

	if (!table_bytes || table_bytes > MF_KV_TABLE_MAX_BYTES || table[0] == '.' || !key.length ||
	    key.length > MF_KV_KEY_MAX_BYTES)
		return -EINVAL;
	if (!is_open())
		return -EOPNOTSUPP;
	hash = hash_of(table, table_bytes, key);
	if (is_newer(hash))
		return -EOPNOTSUPP;
	ret = find(table, table_bytes, key, value);
	if (ret == -EOPNOTSUPP)
		return ret;
	if (!is_known(hash, table, table_bytes, key)) {
		if (!ret && !tell_used(hash))
			return -EOPNOTSUPP;
		log_read(hash, table, table_bytes, key);
	}
	place->hits += !ret;
	place->misses += ret == -ENOENT;
	return ret;
}
