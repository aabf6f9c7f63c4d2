/* SPDX-License-Identifier: MIT */
/* Calls that are about the transaction itself. */
#include "call.h"
#include "session.h"

#include <errno.h>

static int begin(struct mf_storage_call *call, void *arg)
{
	(void)arg;
	return call->bound ? -EALREADY : kv_session_begin(call->channel);
}

static int commit(struct mf_storage_call *call, void *arg)
{
	(void)arg;
	return kv_session_commit(call);
}

static int rollback(struct mf_storage_call *call, void *arg)
{
	(void)arg;
	kv_session_rollback(call->channel);
	return 0;
}

static int durability(struct mf_storage_call *call, void *arg)
{
	uint32_t wanted;

	(void)arg;
	if (call->in_bytes != sizeof(wanted))
		return -EINVAL;
	memcpy(&wanted, call->in, sizeof(wanted));
	if (wanted > MF_STORE_ASYNC)
		return -EINVAL;
	kv_session_ask(call->channel, wanted);
	return 0;
}

static int post(struct mf_storage_call *call, void *arg)
{
	(void)arg;
	kv_session_post(call, kv_find(MF_KV_PUT));
	return 0;
}

int kv_session_calls_declare(void)
{
	static const struct mf_storage_function functions[] = {
		{MF_KV_BEGIN, "kv.begin", 0, 0, false, begin, NULL, false},
		{MF_KV_COMMIT, "kv.commit", 0, 0, true, commit, NULL, false},
		{MF_KV_ROLLBACK, "kv.rollback", 0, 0, false, rollback, NULL, false},
		{MF_KV_DURABILITY, "kv.durability", sizeof(uint32_t), 0, false, durability, NULL,
		 false},
		{MF_KV_POST, "kv.post", KV_CALL_MAX + MF_KV_POST_MAX_BYTES, 0, true, post, NULL,
		 true},
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]) && !ret; i++)
		ret = mf_storage_declare(&functions[i]);
	if (!ret)
		((struct mf_abi_store_control *)MF_STORE_CONTROL_VA)->posts = 1;
	return ret;
}
