/* SPDX-License-Identifier: MIT */
/* Several calls in one message: one trip, and, outside of a request, one transaction. */
#include "call.h"

#include <errno.h>

#define BATCH_MAX_BYTES (1u << 20)

static size_t padded(size_t bytes)
{
	return (bytes + 7) & ~(size_t)7;
}

static const struct kv_function *find(uint32_t number)
{
	switch (number) {
	case MF_KV_BATCH: /* none within another */
	case MF_KV_PUT_PART:
	case MF_KV_STAT:
		return NULL;
	default:
		return kv_find(number);
	}
}

/* One call, and its reply behind what is there. -ENOBUFS: no room for it. */
static int make_one(struct mf_storage_call *call, struct kv_txn *txn,
		    const struct mf_abi_kv_one *one, const uint8_t *payload)
{
	const struct kv_function *function = find(one->function);
	struct mf_abi_kv_one head = {.function = one->function, .status = -ENOSYS};
	uint8_t *at = (uint8_t *)call->out + call->out_bytes;
	struct mf_storage_call own = *call;
	size_t room = call->out_room - call->out_bytes;
	size_t mark;

	if (room < sizeof(head))
		return -ENOBUFS;
	own.in = payload;
	own.in_bytes = one->bytes;
	own.out = at + sizeof(head);
	own.out_bytes = 0;
	own.out_room = room - sizeof(head);
	if (function && own.out_room > function->out_max)
		own.out_room = function->out_max;
	if (function) {
		mark = kv_savepoint(txn);
		head.status = one->bytes > function->in_max ? -E2BIG : function->call(&own, txn);
		if (head.status)
			kv_rollback_to(txn, mark);
		kv_release(txn, mark);
	}
	if (head.status == -EOVERFLOW)
		return -ENOBUFS;
	head.bytes = (uint32_t)own.out_bytes;
	if (sizeof(head) + padded(head.bytes) > room)
		return -ENOBUFS;
	memcpy(at, &head, sizeof(head));
	memset(at + sizeof(head) + head.bytes, 0, padded(head.bytes) - head.bytes);
	call->out_bytes += sizeof(head) + padded(head.bytes);
	return 0;
}

static int batch(struct mf_storage_call *call, struct kv_txn *txn)
{
	const uint8_t *in = call->in;
	struct mf_abi_kv_one one;
	size_t at = 0;
	int ret = 0;

	while (at < call->in_bytes && !ret) {
		if (call->in_bytes - at < sizeof(one))
			return -EINVAL;
		memcpy(&one, in + at, sizeof(one));
		at += sizeof(one);
		if (one.bytes > call->in_bytes - at)
			return -EINVAL;
		ret = make_one(call, txn, &one, in + at);
		at += padded(one.bytes);
	}
	if (ret)
		call->out_bytes = 0;
	return ret;
}

int kv_batch_call_declare(void)
{
	static const struct kv_function function = {MF_KV_BATCH,     "kv.batch", BATCH_MAX_BYTES,
						    BATCH_MAX_BYTES, true,       batch};

	return kv_declare(&function);
}
