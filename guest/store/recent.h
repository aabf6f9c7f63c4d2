/* SPDX-License-Identifier: MIT */
/*
 * What was committed lately, in memory: of each key the versions that an open transaction may still
 * want to know of. It serves both to see that a transaction is in conflict and to read what is not
 * on the disk yet. Bounded: what is older is forgotten, and with it goes who needed it.
 */
#ifndef MF_GUEST_STORE_RECENT_H
#define MF_GUEST_STORE_RECENT_H

#include "item.h"
#include "tree.h"

/* One write of one transaction. */
struct kv_write {
	struct kv_node *node; /* its item is the newest kv_write of the key */
	struct kv_write *older;
	struct kv_item *item;
	uint64_t version;
};

/* A transaction that is to be committed: its writes in the order of their keys. Nothing of it
 * changes until it is over, so that another thread may read it. */
struct kv_sealed {
	struct kv_sealed *next; /* in the order of versions */
	uint64_t version;
	uint64_t until_ns; /* may wait so long for company */
	int64_t growth;    /* of what is kept, about */
	size_t bytes;
	size_t pages; /* that it may take, at most */
	bool alone;   /* whether there is room for it is not known: nothing may follow before */
	bool early;   /* may be seen before it is on the disk */
	bool over;    /* it is on the disk */
	size_t count;
	struct kv_write writes[];
};

/* Take a transaction's writes (a map of struct kv_item) as the newest version. NULL: no memory. */
struct kv_sealed *kv_recent_add(const struct kv_tree *writes, uint64_t version);

/* Take back what is not over: from the first such one on. */
void kv_recent_take_back(void);

/* Forget what is over and not newer than `version`, and, when there is too much, more than that. */
void kv_recent_trim(uint64_t version, size_t bytes_max);

/* Whoever began before that version is not told any more what was written since. */
void kv_recent_forget(uint64_t version);

/* Versions up to this one were forgotten though somebody may have needed them. */
uint64_t kv_recent_forgotten(void);
size_t kv_recent_bytes(void);

/* The newest write of the key that is after `from` and not after `to`, or NULL. */
const struct kv_item *kv_recent_find(struct kv_bytes full, uint64_t from, uint64_t to);

/* The same of a node of the map, for scans. */
const struct kv_item *kv_recent_item(const struct kv_node *node, uint64_t from, uint64_t to);
const struct kv_tree *kv_recent_tree(void);

/* Was the key, or any key from `begin` on and before `end`, written after `version`? */
bool kv_recent_wrote(struct kv_bytes full, uint64_t version);
bool kv_recent_wrote_range(struct kv_bytes begin, struct kv_bytes end, uint64_t version);

#endif
