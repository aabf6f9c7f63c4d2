/* SPDX-License-Identifier: MIT */
/*
 * An ordered map in memory, from bytes to a pointer of its owner's: a skip list. What transactions
 * have written, have read, and what was committed lately are such maps. One thread.
 */
#ifndef MF_GUEST_STORE_TREE_H
#define MF_GUEST_STORE_TREE_H

#include "bytes.h"

#define KV_TREE_LEVELS 14u

struct kv_node {
	void *item;         /* the owner's; NULL in a new node */
	uint16_t key_bytes; /* they follow the links */
	uint8_t levels;
	struct kv_node *next[];
};

struct kv_tree {
	struct kv_node *first[KV_TREE_LEVELS]; /* all zero: an empty map */
	size_t count;
	size_t bytes; /* of nodes and their keys */
};

static inline struct kv_bytes kv_node_key(const struct kv_node *node)
{
	return (struct kv_bytes){&node->next[node->levels], node->key_bytes};
}

static inline struct kv_node *kv_node_next(const struct kv_node *node)
{
	return node->next[0];
}

/* The node with that key, or NULL. */
struct kv_node *kv_tree_find(const struct kv_tree *tree, struct kv_bytes key);
/* The first whose key is not before `key`, or NULL. */
struct kv_node *kv_tree_from(const struct kv_tree *tree, struct kv_bytes key);
/* The last whose key is before `key`, or NULL. */
struct kv_node *kv_tree_before(const struct kv_tree *tree, struct kv_bytes key);

/* The node with that key, made when it is not there. The key is copied; it has at most 65535 bytes.
 * NULL: no memory. */
struct kv_node *kv_tree_add(struct kv_tree *tree, struct kv_bytes key);
/* Take out and free. */
void kv_tree_remove(struct kv_tree *tree, struct kv_node *node);

/* Free all; `drop` (may be NULL) is called with each item. */
void kv_tree_clear(struct kv_tree *tree, void (*drop)(void *item));

#endif
