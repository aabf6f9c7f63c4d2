/* SPDX-License-Identifier: MIT */
/* A value in memory, as it will stand in the store, shared by whoever still needs it. */
#ifndef MF_GUEST_STORE_ITEM_H
#define MF_GUEST_STORE_ITEM_H

#include <stdlib.h>

#include "bytes.h"

struct kv_item {
	size_t bytes; /* of the record: head and value */
	uint32_t users;
	bool deleted; /* there is none: the record means nothing */
	struct kv_record record;
};

static inline struct kv_item *kv_item_make(size_t value_bytes)
{
	struct kv_item *item = malloc(sizeof(*item) + value_bytes);

	if (item) {
		item->bytes = sizeof(item->record) + value_bytes;
		item->users = 1;
		item->deleted = false;
		item->record.word = 0;
	}
	return item;
}

static inline struct kv_item *kv_item_share(struct kv_item *item)
{
	if (item)
		item->users++;
	return item;
}

/* NULL is fine. */
static inline void kv_item_drop(void *at)
{
	struct kv_item *item = at;

	if (item && !--item->users)
		free(item);
}

#endif
