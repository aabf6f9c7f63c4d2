/* SPDX-License-Identifier: MIT */
/* From transactions in memory to LMDB: what the committing thread does. */
#ifndef MF_GUEST_STORE_APPLY_H
#define MF_GUEST_STORE_APPLY_H

#include "recent.h"

/* A group that is committed together. */
struct kv_batch {
	const struct kv_sealed *first;
	size_t count;
	/* how it ended */
	int status; /* 0 or a negative errno: nothing was done */
	uint64_t version;
	size_t txn_id;     /* LMDB's; set before the commit is visible */
	size_t last_page;  /* of the file, that was ever used */
	size_t kept_pages; /* of all tables */
};

/* Write all of it and sync once. A disk that cannot be trusted any more ends the program. */
void kv_apply(struct kv_batch *batch);

/* Pages that a transaction may take, at most; and those that are left to others. */
size_t kv_pages_of(const struct kv_sealed *sealed);
size_t kv_reserve_pages(void);

#endif
