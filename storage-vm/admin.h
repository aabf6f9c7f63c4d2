/* SPDX-License-Identifier: MIT */
/*
 * Calls of the engine itself to the storage program, over a channel of their own: what
 * administration is made of. One at a time; not on any request's path.
 */
#ifndef MF_STORAGE_VM_ADMIN_H
#define MF_STORAGE_VM_ADMIN_H

#include "storage-vm/store.h"

struct mf_store_admin;

/* For a store with an administrative channel (mf_store_settings.admin). -EINVAL, -ENOMEM. The store
 * outlives it. */
int mf_store_admin_create(struct mf_store_admin **out, struct mf_store *store);

/*
 * Call a function and wait for its reply, a minute at most (-ETIMEDOUT: the program is not up).
 * *reply_bytes: room at first, then what came. Returns the function's own status, 0 or a negative
 * errno; -ECONNRESET: the program died, it may or may not be done; -EMSGSIZE; -ENOBUFS: no room for
 * the reply; -ESHUTDOWN: mf_store_admin_stop(); -EPROTO. Any thread, not a worker's; may block.
 */
int mf_store_admin_call(struct mf_store_admin *admin, uint32_t function, const void *payload,
			size_t bytes, void *reply, size_t *reply_bytes);

/* From any thread: the call under way, and all that follow, end with -ESHUTDOWN. */
void mf_store_admin_stop(struct mf_store_admin *admin);

/* Nobody calls. NULL is fine. */
void mf_store_admin_destroy(struct mf_store_admin *admin);

#endif
