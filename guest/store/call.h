/* SPDX-License-Identifier: MIT */
/* A call's payload, taken apart: struct mf_abi_kv and what follows it. */
#ifndef MF_GUEST_STORE_CALL_H
#define MF_GUEST_STORE_CALL_H

#include "txn.h"

/* Bytes of a payload without its value, at most. */
#define KV_CALL_MAX (sizeof(struct mf_abi_kv) + MF_KV_TABLE_MAX_BYTES + MF_KV_KEY_MAX_BYTES)

struct kv_args {
	char table[MF_KV_TABLE_MAX_BYTES + 1];
	struct kv_bytes key;
	struct kv_bytes value;
	uint64_t number;
};

/* What the caller says is checked before it is believed. `key_min`: 0 where the key may be empty.
 * -EINVAL. */
int kv_args_parse(const void *payload, size_t bytes, size_t key_min, struct kv_args *args);

/* The reply is, or goes on with, these bytes. -EOVERFLOW. */
int kv_give(struct mf_storage_call *call, const void *data, size_t bytes);

/* Declare the functions of <mayfly/abi/store.h>. 0, or a negative errno. */
int kv_calls_declare(void);
int kv_scan_calls_declare(void);
int kv_part_calls_declare(void);
int kv_batch_call_declare(void);
int kv_session_calls_declare(void);
int kv_stat_call_declare(void);

#endif
