/* SPDX-License-Identifier: MIT */
/* The store's way in to the Redis protocol. */
#ifndef MF_GUEST_STORE_REDIS_CALLS_H
#define MF_GUEST_STORE_REDIS_CALLS_H

#include <mayfly/storage.h>

#include "guest/store/txn.h"

/* Behind kv_sessions_open(), for as many channels. `transactions`: the store's, with what the
 * connections of a request leave behind. -ENOMEM and what kv_declare() says. */
int redis_declare(uint32_t channels, struct mf_storage_transactions *transactions);

/* Is it a record that goes with another one: a hash's field? */
bool redis_is_part(const char *table, struct kv_bytes key);
/* The records that go with this one, if any can. `at` is room for the range's ends. */
bool redis_parts_of(const char *table, struct kv_bytes key, uint8_t kind,
		    uint8_t at[2][MF_KV_KEY_MAX_BYTES], struct kv_range *range);

#endif
