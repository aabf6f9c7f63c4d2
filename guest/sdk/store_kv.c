/* SPDX-License-Identifier: MIT */
/* The functions of the key-value store, as calls over the channel. */
#include <errno.h>
#include <string.h>

#include <mayfly/abi/store.h>
#include <mayfly/store.h>

#include "hot.h"
#include "place.h"

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
	    key.length > MF_KV_KEY_MAX_BYTES || first.length > 2 * MF_KV_PART_MAX_BYTES ||
	    second.length > 2 * MF_KV_PART_MAX_BYTES)
		return -EINVAL;
	return mf_store_call(function, in, 5, out, room, out_bytes);
}

static const struct mf_bytes none;

/* A put that nobody waits for: all that the store could say of it is looked at here. -EOPNOTSUPP:
 * it is to be waited for, or is none. */
static int post(const char *table, struct mf_bytes key, struct mf_bytes value)
{
	size_t table_bytes = strlen(table);
	struct mf_abi_kv head = {.table_bytes = (uint16_t)table_bytes,
				 .key_bytes = (uint16_t)key.length,
				 .value_bytes = (uint32_t)value.length};
	struct mf_bytes in[] = {{&head, sizeof(head)}, {table, table_bytes}, key, value};

	if (!table_bytes || table_bytes > MF_KV_TABLE_MAX_BYTES || table[0] == '.' || !key.length ||
	    key.length > MF_KV_KEY_MAX_BYTES || value.length > MF_KV_POST_MAX_BYTES)
		return -EOPNOTSUPP;
	return mf_sdk_post(MF_KV_POST, in, 4);
}

/* A part of the value, from `at` on: into `to`, behind the head that comes with it. */
static int get_part(const char *table, struct mf_bytes key, size_t at, uint8_t *to, uint32_t room,
		    struct mf_abi_kv_whole *whole, size_t *got)
{
	int ret = kv_call(MF_KV_GET_PART, table, key, (struct mf_bytes){&room, sizeof(room)}, none,
			  at, to, room, got);

	if (!ret && *got < sizeof(*whole))
		ret = -EPROTO;
	if (ret)
		return ret;
	memcpy(whole, to, sizeof(*whole));
	*got -= sizeof(*whole);
	return *got <= whole->bytes - at && (*got || at == whole->bytes) ? 0 : -EPROTO;
}

/* The first part is copied; each other one is written with its head in front of it, over bytes that
 * are put back. */
static int get_parts(const char *table, struct mf_bytes key, uint8_t *value, size_t room,
		     size_t *bytes)
{
	struct mf_abi_kv_whole whole;
	uint8_t saved[sizeof(whole)];
	uint8_t first[4096];
	size_t got;
	int ret = get_part(table, key, 0, first, sizeof(first), &whole, &got);

	if (ret)
		return ret;
	*bytes = whole.bytes;
	if (whole.bytes > room)
		return -ENOBUFS;
	memcpy(value, first + sizeof(whole), got);
	for (size_t at = got; at < *bytes && !ret; at += got) {
		size_t left = *bytes - at + sizeof(whole);
		uint8_t *to = value + at - sizeof(whole);

		memcpy(saved, to, sizeof(saved));
		left = left < MF_KV_PART_MAX_BYTES ? left : MF_KV_PART_MAX_BYTES;
		ret = get_part(table, key, at, to, (uint32_t)left, &whole, &got);
		memcpy(to, saved, sizeof(saved));
		if (!ret && whole.bytes != *bytes)
			ret = -EPROTO;
	}
	return ret;
}

/* All parts must be of one value: a transaction, unless this is part of one. */
static int get_large(const char *table, struct mf_bytes key, void *value, size_t room,
		     size_t *bytes)
{
	int own = mf_store_begin();
	int ret = own && own != -EALREADY ? own : get_parts(table, key, value, room, bytes);

	if (!own)
		mf_store_rollback();
	return ret;
}

int mf_store_view(const char *table, struct mf_bytes key, struct mf_bytes *value)
{
	return place_find(table, key, value);
}

static int copy(struct mf_bytes found, void *value, size_t room, size_t *bytes)
{
	if (bytes)
		*bytes = found.length;
	if (found.length > room)
		return -ENOBUFS;
	if (found.length)
		memcpy(value, found.data, found.length);
	return 0;
}

int mf_store_get(const char *table, struct mf_bytes key, void *value, size_t room, size_t *bytes)
{
	struct mf_bytes found;
	size_t unused;
	int ret = place_find(table, key, &found);

	if (ret != -EOPNOTSUPP)
		return ret ? ret : copy(found, value, room, bytes);
	ret = kv_call(MF_KV_GET, table, key, none, none, 0, value, room, bytes);
	return ret == -EOVERFLOW ? get_large(table, key, value, room, bytes ? bytes : &unused)
				 : ret;
}

static int put_parts(const char *table, struct mf_bytes key, struct mf_bytes value,
		     uint64_t expires_ms)
{
	struct mf_abi_kv_whole whole = {value.length, expires_ms};
	int ret = 0;

	for (size_t at = 0; at < value.length && !ret; at += MF_KV_PART_MAX_BYTES) {
		size_t left = value.length - at;
		struct mf_bytes part = {(const uint8_t *)value.data + at,
					left < MF_KV_PART_MAX_BYTES ? left : MF_KV_PART_MAX_BYTES};

		ret = kv_call(MF_KV_PUT_PART, table, key, (struct mf_bytes){&whole, sizeof(whole)},
			      part, at, NULL, 0, NULL);
	}
	return ret;
}

int mf_store_put_until(const char *table, struct mf_bytes key, struct mf_bytes value,
		       uint64_t expires_ms)
{
	int ret;

	if (value.length > MF_KV_VALUE_MAX_BYTES)
		return -EINVAL;
	if (value.length > MF_KV_PART_MAX_BYTES)
		return put_parts(table, key, value, expires_ms);
	ret = expires_ms ? -EOPNOTSUPP : post(table, key, value);
	if (ret != -EOPNOTSUPP)
		return ret;
	return kv_call(MF_KV_PUT, table, key, value, none, expires_ms, NULL, 0, NULL);
}

int mf_store_put(const char *table, struct mf_bytes key, struct mf_bytes value)
{
	return mf_store_put_until(table, key, value, 0);
}

int mf_store_expire(const char *table, struct mf_bytes key, uint64_t expires_ms)
{
	return kv_call(MF_KV_EXPIRE, table, key, none, none, expires_ms, NULL, 0, NULL);
}

int mf_store_expires(const char *table, struct mf_bytes key, uint64_t *expires_ms)
{
	size_t bytes;
	int ret = kv_call(MF_KV_EXPIRES, table, key, none, none, 0, expires_ms, sizeof(*expires_ms),
			  &bytes);

	return !ret && bytes != sizeof(*expires_ms) ? -EPROTO : ret;
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

int mf_store_range(const char *table, struct mf_bytes begin, struct mf_bytes end, bool reverse,
		   unsigned limit, void *buffer, size_t room, size_t *bytes)
{
	uint32_t fits = room > UINT32_MAX ? UINT32_MAX : (uint32_t)room;

	return kv_call(MF_KV_RANGE, table, begin, (struct mf_bytes){&fits, sizeof(fits)}, end,
		       limit | (reverse ? MF_KV_REVERSE : 0), buffer, room, bytes);
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

int mf_store_begin(void)
{
	return mf_store_call(MF_KV_BEGIN, NULL, 0, NULL, 0, NULL);
}

int mf_store_commit(void)
{
	return mf_store_call(MF_KV_COMMIT, NULL, 0, NULL, 0, NULL);
}

int mf_store_rollback(void)
{
	return mf_store_call(MF_KV_ROLLBACK, NULL, 0, NULL, 0, NULL);
}

int mf_store_durability(enum mf_store_durability durability)
{
	uint32_t number = durability;
	struct mf_bytes in = {&number, sizeof(number)};

	return mf_store_call(MF_KV_DURABILITY, &in, 1, NULL, 0, NULL);
}
