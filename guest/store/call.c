/* SPDX-License-Identifier: MIT */
/* The functions of the key-value store that are about one key. */
#include "call.h"
#include "table.h"

#include <errno.h>

#define CAS_VALUE (2u * MF_KV_PART_MAX_BYTES - 4096u)

int kv_args_parse(const void *payload, size_t bytes, size_t key_min, struct kv_args *args)
{
	const uint8_t *at = (const uint8_t *)payload + sizeof(struct mf_abi_kv);
	struct mf_abi_kv head;

	if (bytes < sizeof(head))
		return -EINVAL;
	memcpy(&head, payload, sizeof(head));
	if ((size_t)head.table_bytes + head.key_bytes + head.value_bytes != bytes - sizeof(head))
		return -EINVAL;
	if (!kv_is_table_name((const char *)at, head.table_bytes) || head.key_bytes < key_min ||
	    head.key_bytes > MF_KV_KEY_MAX_BYTES)
		return -EINVAL;
	memcpy(args->table, at, head.table_bytes);
	args->table[head.table_bytes] = 0;
	at += head.table_bytes;
	args->key = (struct kv_bytes){at, head.key_bytes};
	args->value = (struct kv_bytes){at + head.key_bytes, head.value_bytes};
	args->number = head.number;
	return 0;
}

int kv_give(struct mf_storage_call *call, const void *data, size_t bytes)
{
	if (bytes > call->out_room - call->out_bytes)
		return -EOVERFLOW;
	if (bytes)
		memcpy((uint8_t *)call->out + call->out_bytes, data, bytes);
	call->out_bytes += bytes;
	return 0;
}

static int parse(const struct mf_storage_call *call, struct kv_args *args)
{
	return kv_args_parse(call->in, call->in_bytes, 1, args);
}

static int get(struct mf_storage_call *call, struct kv_txn *txn)
{
	struct kv_value value;
	struct kv_args args;
	int ret = parse(call, &args);

	if (!ret)
		ret = kv_get(txn, args.table, args.key, &value);
	if (!ret && value.bytes > call->out_room)
		return -EOVERFLOW;
	return ret ? ret : kv_give(call, value.data, value.bytes);
}

static int put_bytes(struct kv_txn *txn, const struct kv_args *args, struct kv_bytes bytes,
		     uint64_t expires_ms)
{
	const struct kv_value value = {
		.data = bytes.data, .bytes = bytes.bytes, .expires_ms = expires_ms};

	if (bytes.bytes > MF_KV_PART_MAX_BYTES || expires_ms > KV_EXPIRES_MAX)
		return -EINVAL;
	return kv_put(txn, args->table, args->key, &value);
}

static int put(struct mf_storage_call *call, struct kv_txn *txn)
{
	struct kv_args args;
	int ret = parse(call, &args);

	return ret ? ret : put_bytes(txn, &args, args.value, args.number);
}

static int delete (struct mf_storage_call *call, struct kv_txn *txn)
{
	struct kv_value value;
	struct kv_args args;
	int ret = parse(call, &args);

	if (!ret)
		ret = kv_get(txn, args.table, args.key, &value);
	return ret ? ret : kv_delete(txn, args.table, args.key);
}

static int cas(struct mf_storage_call *call, struct kv_txn *txn)
{
	struct kv_bytes expected;
	struct kv_value now;
	struct kv_args args;
	bool absent;
	int ret = parse(call, &args);

	if (ret)
		return ret;
	absent = args.number == MF_KV_ABSENT;
	expected = (struct kv_bytes){args.value.data, absent ? 0 : args.number};
	if (expected.bytes > args.value.bytes)
		return -EINVAL;
	args.value.data = (const uint8_t *)args.value.data + expected.bytes;
	args.value.bytes -= expected.bytes;
	ret = kv_get(txn, args.table, args.key, &now);
	if (ret && ret != -ENOENT)
		return ret;
	if (ret)
		return absent ? put_bytes(txn, &args, args.value, 0) : -ENOENT;
	if (!absent && kv_same((struct kv_bytes){now.data, now.bytes}, expected))
		return put_bytes(txn, &args, args.value, now.expires_ms);
	kv_give(call, now.data, now.bytes);
	return -EAGAIN;
}

/* A counter keeps when it expires. */
static int add(struct mf_storage_call *call, struct kv_txn *txn)
{
	struct kv_value now = {0};
	struct kv_args args;
	uint64_t sum = 0;
	int ret = parse(call, &args);

	if (!ret)
		ret = kv_get(txn, args.table, args.key, &now);
	if (ret && ret != -ENOENT)
		return ret;
	if (args.value.bytes || (!ret && now.bytes != sizeof(sum)))
		return -EINVAL;
	if (!ret)
		memcpy(&sum, now.data, sizeof(sum));
	sum += args.number;
	now.data = &sum;
	now.bytes = sizeof(sum);
	ret = kv_put(txn, args.table, args.key, &now);
	return ret ? ret : kv_give(call, &sum, sizeof(sum));
}

static int expire(struct mf_storage_call *call, struct kv_txn *txn)
{
	struct kv_value value;
	struct kv_args args;
	int ret = parse(call, &args);

	if (!ret && args.number > KV_EXPIRES_MAX)
		ret = -EINVAL;
	if (!ret)
		ret = kv_get(txn, args.table, args.key, &value);
	if (ret)
		return ret;
	value.expires_ms = args.number;
	return kv_put(txn, args.table, args.key, &value);
}

static int expires(struct mf_storage_call *call, struct kv_txn *txn)
{
	struct kv_value value;
	struct kv_args args;
	int ret = parse(call, &args);

	if (!ret)
		ret = kv_get(txn, args.table, args.key, &value);
	return ret ? ret : kv_give(call, &value.expires_ms, sizeof(value.expires_ms));
}

int kv_calls_declare(void)
{
	static const struct kv_function functions[] = {
		{MF_KV_GET, "kv.get", KV_CALL_MAX, MF_KV_PART_MAX_BYTES, false, get},
		{MF_KV_PUT, "kv.put", KV_CALL_MAX + MF_KV_PART_MAX_BYTES, 0, true, put},
		{MF_KV_DELETE, "kv.delete", KV_CALL_MAX, 0, true, delete},
		{MF_KV_CAS, "kv.cas", KV_CALL_MAX + CAS_VALUE, MF_KV_PART_MAX_BYTES, true, cas},
		{MF_KV_ADD, "kv.add", KV_CALL_MAX, sizeof(int64_t), true, add},
		{MF_KV_EXPIRE, "kv.expire", KV_CALL_MAX, 0, true, expire},
		{MF_KV_EXPIRES, "kv.expires", KV_CALL_MAX, sizeof(uint64_t), false, expires},
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]) && !ret; i++)
		ret = kv_declare(&functions[i]);
	return ret;
}
