/* SPDX-License-Identifier: MIT */
/* The records of Redis keys are those of one table of the store, in the transaction of the call. */
#include "guest/store/redis/records.h"

#include <errno.h>
#include <string.h>

#include "guest/store/redis/keys.h"
#include "guest/store/redis/redis_calls.h"
#include "guest/store/redis/stream.h"
#include "guest/store/session.h"

#define TABLE     "redis"
#define MARKS_MAX 8u

static struct kv_txn *txn; /* of the call under way */
static size_t marks[MARKS_MAX];
static unsigned int mark_count;

static struct kv_bytes kv_of(struct mf_bytes bytes)
{
	return (struct kv_bytes){bytes.data, bytes.length};
}

static void take(const struct kv_value *value, struct record *record)
{
	*record = (struct record){.value = {value->data, value->bytes},
				  .expires_ms = (int64_t)value->expires_ms,
				  .kind = value->kind};
}

int records_get(struct mf_bytes key, struct record *record)
{
	struct kv_value value;
	int ret = kv_get(txn, TABLE, kv_of(key), &value);

	if (!ret)
		take(&value, record);
	return ret;
}

int records_put(struct mf_bytes key, const struct record *record)
{
	const struct kv_value value = {.data = record->value.data,
				       .bytes = record->value.length,
				       .expires_ms = (uint64_t)record->expires_ms < KV_EXPIRES_MAX
							     ? (uint64_t)record->expires_ms
							     : KV_EXPIRES_MAX,
				       .kind = record->kind};

	return kv_put(txn, TABLE, kv_of(key), &value);
}

int records_delete(struct mf_bytes key)
{
	return kv_delete(txn, TABLE, kv_of(key));
}

struct found {
	struct mf_bytes after;
	uint8_t *key;
	size_t *key_bytes;
	struct record *record;
	bool any;
};

static bool on_record(void *arg, struct kv_bytes key, const struct kv_value *value)
{
	struct found *found = arg;

	if (found->after.length && kv_same(key, kv_of(found->after)))
		return true;
	found->any = true;
	take(value, found->record);
	memmove(found->key, key.data, key.bytes);
	*found->key_bytes = key.bytes;
	return false;
}

int records_next(struct mf_bytes prefix, struct mf_bytes after, uint8_t *key, size_t *key_bytes,
		 struct record *record)
{
	struct found found = {after, key, key_bytes, record, false};
	uint8_t end[MF_KV_KEY_MAX_BYTES];
	const struct kv_range range = {.begin = kv_of(after.length ? after : prefix),
				       .end = kv_prefix_end(kv_of(prefix), end)};
	int ret = kv_scan(txn, TABLE, &range, on_record, &found);

	return ret ? ret : found.any ? 0 : -ENOENT;
}

int64_t records_now_ms(void)
{
	return (int64_t)kv_now_ms(txn);
}

int records_save(void)
{
	if (mark_count == MARKS_MAX)
		return -ENOMEM;
	marks[mark_count++] = kv_savepoint(txn);
	return 0;
}

int records_keep(void)
{
	kv_release(txn, marks[--mark_count]);
	return 0;
}

void records_undo(void)
{
	size_t mark = marks[--mark_count];

	kv_rollback_to(txn, mark);
	kv_release(txn, mark);
}

bool redis_is_part(const char *table, struct kv_bytes key)
{
	return !strcmp(table, TABLE) && key.bytes && *(const uint8_t *)key.data == FIELD_MARK;
}

bool redis_parts_of(const char *table, struct kv_bytes key, uint8_t kind,
		    uint8_t at[2][MF_KV_KEY_MAX_BYTES], struct kv_range *range)
{
	size_t length = key.bytes - 1; /* without its mark */

	if (strcmp(table, TABLE) || kind != KIND_HASH || length > FIELD_MAX)
		return false;
	at[0][0] = FIELD_MARK;
	at[0][1] = (uint8_t)(length >> 8);
	at[0][2] = (uint8_t)length;
	memcpy(at[0] + 3, (const uint8_t *)key.data + 1, length);
	range->begin = (struct kv_bytes){at[0], length + 3};
	range->end = kv_prefix_end(range->begin, at[1]);
	range->reverse = false;
	return true;
}

static int call_stream(struct mf_storage_call *call, struct kv_txn *of)
{
	txn = of;
	mark_count = 0;
	return stream_call(call);
}

/* What a channel's request leaves behind: its transaction, and its connections. */
static void drop(uint32_t channel, void *arg)
{
	stream_drop(channel);
	kv_transactions.drop(channel, arg);
}

int redis_declare(uint32_t channels, struct mf_storage_transactions *transactions)
{
	static const struct kv_function function = {MF_KV_STREAM,    "redis", STREAM_CALL_MAX,
						    STREAM_CALL_MAX, true,    call_stream};
	int ret = stream_open(channels);

	*transactions = kv_transactions;
	transactions->drop = drop;
	return ret ? ret : kv_declare(&function);
}
