/* SPDX-License-Identifier: MIT */
/* The function that the engine calls for connections to the store: they speak the Redis protocol.
 */
#ifndef MF_GUEST_STORE_REDIS_STREAM_H
#define MF_GUEST_STORE_REDIS_STREAM_H

#include <mayfly/abi/store.h>
#include <mayfly/storage.h>

#define STREAM_CALL_MAX (sizeof(struct mf_abi_stream) + MF_STREAM_BYTES_MAX)

/* For so many channels. -ENOMEM. */
int stream_open(uint32_t channels);

/* MF_KV_STREAM: a call of a stream channel, whose records are those of its transaction. -EINVAL,
 * -ENOMEM, -ECONNRESET: what was known of the connection is not known any more. */
int stream_call(struct mf_storage_call *call);

/* The channel's request is over: its connections are forgotten. */
void stream_drop(uint32_t channel);

#endif
