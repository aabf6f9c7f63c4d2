/* SPDX-License-Identifier: MIT */
/*
 * The way to a store's storage program, for administration: through the engine that serves the
 * store, when there is one; else by itself, in a storage VM of this process, which is locked in for
 * it. The same functions either way (<mayfly/abi/store_admin.h>).
 */
#ifndef MF_TENANT_STORE_DOOR_H
#define MF_TENANT_STORE_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mayfly/error.h>

struct mf_store_door_options {
	const char *folder;
	const char *mode; /* by itself: what the program is started for; NULL: to serve */
	uint64_t
		size_bytes; /* by itself: the store may grow to this; 0: 1 GiB, or twice the file */
	uint64_t memory_bytes; /* by itself */
	bool may_make;         /* a store that is not there is made */
	bool must_be_new;      /* nothing is there yet */
	bool never_shared;     /* by itself alone */
};

struct mf_store_door;

/*
 * A process that opens one by itself is confined from here on: what else it needs is open already.
 * -errno with a sentence.
 */
int mf_store_door_open(struct mf_store_door **out, const struct mf_store_door_options *options,
		       struct mf_error *err);

/* Through an engine that goes on after this? */
bool mf_store_door_is_shared(const struct mf_store_door *door);

/*
 * One call. *reply_bytes: room at first, then what came. Returns what the function does; -EPIPE:
 * the engine is gone, or says no more.
 */
int mf_store_door_call(struct mf_store_door *door, uint32_t function, const void *payload,
		       size_t bytes, void *reply, size_t *reply_bytes);

/* NULL is fine. */
void mf_store_door_close(struct mf_store_door *door);

#endif
