/* SPDX-License-Identifier: MIT */
/* The store's way in to the Redis protocol. */
#ifndef MF_GUEST_STORE_REDIS_CALLS_H
#define MF_GUEST_STORE_REDIS_CALLS_H

#include <mayfly/storage.h>

/* Behind kv_sessions_open(), for as many channels. `transactions`: the store's, with what the
 * connections of a request leave behind. -ENOMEM and what kv_declare() says. */
int redis_declare(uint32_t channels, struct mf_storage_transactions *transactions);

#endif
