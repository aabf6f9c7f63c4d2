/* SPDX-License-Identifier: MIT */
/* Calls that read many records. */
#include "call.h"

#include <errno.h>

#define SCAN_VALUE (sizeof(uint32_t) + MF_KV_KEY_MAX_BYTES)
#define SCAN_REPLY (MF_KV_PART_MAX_BYTES + 4096u)

/* A reply of records that is being put together. */
struct reply {
	struct mf_storage_call *call;
	size_t room;
	uint64_t left; /* records that are wanted */
	bool full;     /* one did not fit */
};

static bool append(void *arg, struct kv_bytes key, const struct kv_value *value)
{
	struct reply *reply = arg;
	struct mf_abi_kv_entry entry = {(uint32_t)key.bytes, (uint32_t)value->bytes};

	if (!reply->left)
		return false;
	reply->full =
		reply->room - reply->call->out_bytes < sizeof(entry) + key.bytes + value->bytes;
	if (reply->full)
		return false;
	kv_give(reply->call, &entry, sizeof(entry));
	kv_give(reply->call, key.data, key.bytes);
	kv_give(reply->call, value->data, value->bytes);
	return --reply->left;
}

static int answer(struct mf_storage_call *call, struct kv_txn *txn, const char *table,
		  const struct kv_range *range, uint64_t limit, uint32_t fits)
{
	struct reply reply = {.call = call,
			      .room = fits < call->out_room ? fits : call->out_room,
			      .left = limit < MF_KV_SCAN_MAX ? limit : MF_KV_SCAN_MAX};
	int ret = kv_scan(txn, table, range, append, &reply);

	if (ret)
		return ret;
	return reply.full && !call->out_bytes ? -ENOBUFS : 0;
}

static int scan(struct mf_storage_call *call, struct kv_txn *txn)
{
	uint8_t behind[MF_KV_KEY_MAX_BYTES + 1];
	uint8_t end[MF_KV_KEY_MAX_BYTES];
	struct kv_range range;
	struct kv_bytes after;
	struct kv_args args;
	uint32_t fits;
	int ret = kv_args_parse(call->in, call->in_bytes, 0, &args);

	if (!ret && (args.value.bytes < sizeof(fits) || args.value.bytes > SCAN_VALUE))
		ret = -EINVAL;
	if (ret)
		return ret;
	memcpy(&fits, args.value.data, sizeof(fits));
	after.bytes = args.value.bytes - sizeof(fits);
	memcpy(behind, (const uint8_t *)args.value.data + sizeof(fits), after.bytes);
	behind[after.bytes] = 0; /* the first key behind it */
	after = (struct kv_bytes){behind, after.bytes ? after.bytes + 1 : 0};
	range.begin = kv_compare(args.key, after) < 0 ? after : args.key;
	range.end = kv_prefix_end(args.key, end);
	range.reverse = false;
	return answer(call, txn, args.table, &range, args.number, fits);
}

/* From the end: `end` is where the last answer's first key was. */
static int range(struct mf_storage_call *call, struct kv_txn *txn)
{
	struct kv_range wanted;
	struct kv_args args;
	uint32_t fits;
	int ret = kv_args_parse(call->in, call->in_bytes, 0, &args);

	if (!ret && (args.value.bytes < sizeof(fits) || args.value.bytes > SCAN_VALUE + 1))
		ret = -EINVAL;
	if (ret)
		return ret;
	memcpy(&fits, args.value.data, sizeof(fits));
	wanted = (struct kv_range){.begin = args.key,
				   .end = {(const uint8_t *)args.value.data + sizeof(fits),
					   args.value.bytes - sizeof(fits)},
				   .reverse = args.number & MF_KV_REVERSE};
	return answer(call, txn, args.table, &wanted, args.number & ~MF_KV_REVERSE, fits);
}

int kv_scan_calls_declare(void)
{
	static const struct kv_function functions[] = {
		{MF_KV_SCAN, "kv.scan", KV_CALL_MAX + SCAN_VALUE, SCAN_REPLY, false, scan},
		{MF_KV_RANGE, "kv.range", KV_CALL_MAX + SCAN_VALUE + 1, SCAN_REPLY, false, range},
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]) && !ret; i++)
		ret = kv_declare(&functions[i]);
	return ret;
}
