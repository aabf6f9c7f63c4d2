/* SPDX-License-Identifier: MIT */
/* Values that are larger than a message: written and read in parts. */
#include "call.h"
#include "item.h"
#include "session.h"

#include <errno.h>

/* Between two parts of a value the one that is being put together is its channel's. */
struct kv_assembly {
	struct kv_name name;
	size_t have;
	struct kv_item *item;
};

void kv_assembly_drop(struct kv_assembly *assembly)
{
	if (!assembly)
		return;
	kv_item_drop(assembly->item);
	free(assembly);
}

static int begin(struct kv_session *session, const struct kv_args *args,
		 const struct mf_abi_kv_whole *whole)
{
	struct kv_assembly *assembly = calloc(1, sizeof(*assembly));

	kv_assembly_drop(session->assembly);
	session->assembly = NULL;
	if (!assembly)
		return -ENOMEM;
	assembly->item = kv_item_make(whole->bytes);
	if (!assembly->item) {
		free(assembly);
		return -ENOMEM;
	}
	assembly->item->record.word = kv_word(whole->expires_ms, 0);
	kv_name_set(&assembly->name, args->table, args->key);
	session->assembly = assembly;
	return 0;
}

/* -EINVAL: it does not follow the part before it. */
static int append(struct kv_session *session, const struct kv_args *args,
		  const struct mf_abi_kv_whole *whole, struct kv_bytes part)
{
	struct kv_assembly *assembly = session->assembly;
	struct kv_name name;

	kv_name_set(&name, args->table, args->key);
	if (!assembly || args->number != assembly->have ||
	    whole->bytes + sizeof(struct kv_record) != assembly->item->bytes ||
	    part.bytes > whole->bytes - assembly->have ||
	    !kv_same(kv_name_all(&name), kv_name_all(&assembly->name)))
		return -EINVAL;
	if (part.bytes)
		memcpy(assembly->item->record.data + assembly->have, part.data, part.bytes);
	assembly->have += part.bytes;
	return 0;
}

static int put_part(struct mf_storage_call *call, struct kv_txn *txn)
{
	struct kv_session *session = kv_session_of(call->channel);
	struct mf_abi_kv_whole whole;
	struct kv_bytes part;
	struct kv_args args;
	int ret = kv_args_parse(call->in, call->in_bytes, 1, &args);

	if (!ret && args.value.bytes < sizeof(whole))
		ret = -EINVAL;
	if (ret)
		return ret;
	memcpy(&whole, args.value.data, sizeof(whole));
	part = (struct kv_bytes){(const uint8_t *)args.value.data + sizeof(whole),
				 args.value.bytes - sizeof(whole)};
	if (whole.bytes > MF_KV_VALUE_MAX_BYTES || whole.expires_ms > KV_EXPIRES_MAX)
		return -EINVAL;
	if (!args.number)
		ret = begin(session, &args, &whole);
	if (!ret)
		ret = append(session, &args, &whole, part);
	if (!ret && session->assembly->have < whole.bytes)
		return 0;
	if (!ret)
		ret = kv_put_item(txn, args.table, args.key,
				  kv_item_share(session->assembly->item));
	kv_assembly_drop(session->assembly);
	session->assembly = NULL;
	return ret;
}

static int get_part(struct mf_storage_call *call, struct kv_txn *txn)
{
	struct mf_abi_kv_whole whole;
	struct kv_value value;
	struct kv_args args;
	uint32_t fits;
	size_t room;
	int ret = kv_args_parse(call->in, call->in_bytes, 1, &args);

	if (!ret && args.value.bytes != sizeof(fits))
		ret = -EINVAL;
	if (!ret)
		ret = kv_get(txn, args.table, args.key, &value);
	if (ret)
		return ret;
	memcpy(&fits, args.value.data, sizeof(fits));
	room = fits < call->out_room ? fits : call->out_room;
	if (room < sizeof(whole))
		return -ENOBUFS;
	if (args.number > value.bytes)
		return -EINVAL;
	whole = (struct mf_abi_kv_whole){value.bytes, value.expires_ms};
	kv_give(call, &whole, sizeof(whole));
	room -= sizeof(whole);
	value.bytes -= args.number;
	return kv_give(call, (const uint8_t *)value.data + args.number,
		       value.bytes < room ? value.bytes : room);
}

int kv_part_calls_declare(void)
{
	static const struct kv_function functions[] = {
		{MF_KV_PUT_PART, "kv.put-part",
		 KV_CALL_MAX + sizeof(struct mf_abi_kv_whole) + MF_KV_PART_MAX_BYTES, 0, true,
		 put_part},
		{MF_KV_GET_PART, "kv.get-part", KV_CALL_MAX + sizeof(uint32_t),
		 sizeof(struct mf_abi_kv_whole) + MF_KV_PART_MAX_BYTES, false, get_part},
	};
	int ret = kv_declare(&functions[0]);

	return ret ? ret : kv_declare(&functions[1]);
}
