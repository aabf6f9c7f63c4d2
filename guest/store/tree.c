/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <stdlib.h>

/* Each level has a quarter of the nodes of the one below. */
static uint8_t some_levels(void)
{
	static uint64_t dice = 0x9e3779b97f4a7c15ull;
	uint8_t levels = 1;

	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	for (uint64_t bits = dice; levels < KV_TREE_LEVELS && !(bits & 3); bits >>= 2)
		levels++;
	return levels;
}

/* Of each level the last link before `key`. */
static void find_links(struct kv_tree *tree, struct kv_bytes key,
		       struct kv_node **links[KV_TREE_LEVELS])
{
	struct kv_node **row = tree->first;

	for (unsigned int level = KV_TREE_LEVELS; level-- > 0;) {
		while (row[level] && kv_compare(kv_node_key(row[level]), key) < 0)
			row = row[level]->next;
		links[level] = &row[level];
	}
}

struct kv_node *kv_tree_from(const struct kv_tree *tree, struct kv_bytes key)
{
	struct kv_node *const *row = tree->first;

	for (unsigned int level = KV_TREE_LEVELS; level-- > 0;)
		while (row[level] && kv_compare(kv_node_key(row[level]), key) < 0)
			row = row[level]->next;
	return row[0];
}

struct kv_node *kv_tree_find(const struct kv_tree *tree, struct kv_bytes key)
{
	struct kv_node *node = kv_tree_from(tree, key);

	return node && kv_same(kv_node_key(node), key) ? node : NULL;
}

struct kv_node *kv_tree_before(const struct kv_tree *tree, struct kv_bytes key)
{
	struct kv_node *const *row = tree->first;
	struct kv_node *last = NULL;

	for (unsigned int level = KV_TREE_LEVELS; level-- > 0;)
		while (row[level] && kv_compare(kv_node_key(row[level]), key) < 0) {
			last = row[level];
			row = last->next;
		}
	return last;
}

static size_t node_bytes(uint8_t levels, size_t key_bytes)
{
	return sizeof(struct kv_node) + levels * sizeof(struct kv_node *) + key_bytes;
}

struct kv_node *kv_tree_add(struct kv_tree *tree, struct kv_bytes key)
{
	struct kv_node **links[KV_TREE_LEVELS];
	struct kv_node *node;
	uint8_t levels;

	find_links(tree, key, links);
	if (*links[0] && kv_same(kv_node_key(*links[0]), key))
		return *links[0];
	levels = some_levels();
	node = malloc(node_bytes(levels, key.bytes));
	if (!node)
		return NULL;
	node->item = NULL;
	node->key_bytes = (uint16_t)key.bytes;
	node->levels = levels;
	for (unsigned int level = 0; level < levels; level++) {
		node->next[level] = *links[level];
		*links[level] = node;
	}
	memcpy(&node->next[levels], key.data, key.bytes);
	tree->count++;
	tree->bytes += node_bytes(levels, key.bytes);
	return node;
}

void kv_tree_remove(struct kv_tree *tree, struct kv_node *node)
{
	struct kv_node **links[KV_TREE_LEVELS];

	find_links(tree, kv_node_key(node), links);
	for (unsigned int level = 0; level < node->levels; level++)
		*links[level] = node->next[level];
	tree->count--;
	tree->bytes -= node_bytes(node->levels, node->key_bytes);
	free(node);
}

void kv_tree_clear(struct kv_tree *tree, void (*drop)(void *item))
{
	struct kv_node *node = tree->first[0];

	while (node) {
		struct kv_node *next = kv_node_next(node);

		if (drop)
			drop(node->item);
		free(node);
		node = next;
	}
	*tree = (struct kv_tree){0};
}
