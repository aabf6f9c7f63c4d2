/* SPDX-License-Identifier: MIT */
/*
 * The format is LMDB's (mdb.c: MDB_page, MDB_node, MDB_db), version 1 of its files, with 64-bit
 * page numbers, little-endian. All numbers are copied out once and checked before they are used: a
 * page may be anything.
 */
#include "tree.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define PAGE_BRANCH   0x01u
#define PAGE_LEAF     0x02u
#define PAGE_OVERFLOW 0x04u
#define PAGE_KINDS    0x67u /* with leaves of fixed size, and trees in a page: the store has none */

#define NODE_BIG   0x01u /* the value has pages of its own; their first one's number is here */
#define NODE_TABLE 0x02u /* the value is a struct table */

#define DEPTH_MAX 32u
#define NO_PAGE   UINT64_MAX

struct page {
	uint64_t number;
	uint16_t pad;
	uint16_t flags;
	uint16_t lower; /* where the places of nodes end; of a large value: how many pages, */
	uint16_t upper; /* with this */
};

/* The key follows, and then a leaf's value. */
struct node {
	uint16_t low; /* of the value's length, or of the number of a page */
	uint16_t high;
	uint16_t flags; /* or the page's upper bits */
	uint16_t key_bytes;
};

struct table {
	uint32_t pad;
	uint16_t flags;
	uint16_t depth;
	uint64_t counts[4];
	uint64_t root;
};
_Static_assert(sizeof(struct page) == 16 && sizeof(struct node) == 8 && sizeof(struct table) == 48,
	       "LMDB's format");

/* A branch's or leaf's page that is looked at. */
struct view {
	const uint8_t *at;
	const uint8_t *end;
	unsigned int count; /* of nodes */
	bool leaf;
};

struct found {
	struct node node;
	const uint8_t *key;
	const uint8_t *rest; /* behind the key, up to the page's end */
	size_t room;
};

struct name {
	const uint8_t *data;
	size_t bytes;
};

static int find_page(const struct tree *tree, uint64_t number, struct page *page,
		     const uint8_t **at)
{
	if (number >= tree->pages)
		return -EILSEQ;
	if (number >= tree->bytes / tree->page_bytes)
		return -ERANGE;
	*at = tree->base + number * tree->page_bytes;
	memcpy(page, *at, sizeof(*page));
	return page->number == number ? 0 : -EILSEQ;
}

static int open_page(const struct tree *tree, uint64_t number, struct view *view)
{
	struct page page;
	int ret = find_page(tree, number, &page, &view->at);

	if (ret)
		return ret;
	view->leaf = (page.flags & PAGE_KINDS) == PAGE_LEAF;
	if ((!view->leaf && (page.flags & PAGE_KINDS) != PAGE_BRANCH) ||
	    page.lower < sizeof(page) || page.lower % 2 || page.lower > tree->page_bytes)
		return -EILSEQ;
	view->end = view->at + tree->page_bytes;
	view->count = (page.lower - (unsigned int)sizeof(page)) / 2;
	return view->count ? 0 : -EILSEQ;
}

static int open_node(const struct view *view, unsigned int i, struct found *found)
{
	size_t room = (size_t)(view->end - view->at);
	uint16_t place;

	memcpy(&place, view->at + sizeof(struct page) + 2ul * i, sizeof(place));
	if (place < sizeof(struct page) || place % 2 || place > room - sizeof(struct node))
		return -EILSEQ;
	memcpy(&found->node, view->at + place, sizeof(found->node));
	room -= place + sizeof(struct node);
	if (found->node.key_bytes > room)
		return -EILSEQ;
	found->key = view->at + place + sizeof(struct node);
	found->rest = found->key + found->node.key_bytes;
	found->room = room - found->node.key_bytes;
	return 0;
}

static int compare(struct name name, const struct found *found)
{
	size_t other = found->node.key_bytes;
	int order = memcmp(name.data, found->key, name.bytes < other ? name.bytes : other);

	return order ? order : (name.bytes > other) - (name.bytes < other);
}

/* The last node whose key is not behind the name; of a branch the first has no key, and is before
 * everything. *order: 0 when it is the name's. -ENOENT: there is none. */
static int search(const struct view *view, struct name name, struct found *found, int *order)
{
	unsigned int low = view->leaf ? 0 : 1; /* nodes before it are not behind the name */
	unsigned int high = view->count;       /* this and all after it are */
	int ret;

	*order = 1;
	while (low < high) {
		unsigned int middle = (low + high) / 2;

		ret = open_node(view, middle, found);
		if (ret)
			return ret;
		*order = compare(name, found);
		if (!*order)
			return 0;
		if (*order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	*order = 1;
	return low ? open_node(view, low - 1, found) : -ENOENT;
}

static uint64_t child_of(const struct node *node)
{
	return node->low | (uint64_t)node->high << 16 | (uint64_t)node->flags << 32;
}

/* The name's node in the tree that begins at the page. */
static int descend(const struct tree *tree, uint64_t number, struct name name, struct found *found)
{
	unsigned int depth;
	struct view view;
	int order;
	int ret;

	if (number == NO_PAGE)
		return -ENOENT;
	for (depth = 0; depth < DEPTH_MAX; depth++) {
		ret = open_page(tree, number, &view);
		if (!ret)
			ret = search(&view, name, found, &order);
		if (ret || view.leaf)
			return ret ? ret : order ? -ENOENT : 0;
		number = child_of(&found->node);
	}
	return -EILSEQ;
}

/* A value on pages of its own, one behind the other. */
static int find_large(const struct tree *tree, const struct found *found, size_t bytes,
		      const uint8_t **value)
{
	struct page page;
	const uint8_t *at;
	uint64_t number;
	uint64_t pages;
	int ret;

	if (found->room < sizeof(number))
		return -EILSEQ;
	memcpy(&number, found->rest, sizeof(number));
	ret = find_page(tree, number, &page, &at);
	if (ret)
		return ret;
	pages = (sizeof(page) + bytes + tree->page_bytes - 1) / tree->page_bytes;
	if ((page.flags & PAGE_KINDS) != PAGE_OVERFLOW ||
	    pages > (page.lower | (uint64_t)page.upper << 16) || pages > tree->pages - number)
		return -EILSEQ;
	if (pages > tree->bytes / tree->page_bytes - number)
		return -ERANGE;
	*value = at + sizeof(page);
	return 0;
}

static int find_table(const struct tree *tree, struct name name, uint64_t *root)
{
	struct table table;
	struct found found;
	int ret = descend(tree, tree->root, name, &found);

	if (ret)
		return ret;
	if (found.node.flags != NODE_TABLE || found.room < sizeof(table))
		return -EILSEQ;
	memcpy(&table, found.rest, sizeof(table));
	*root = table.root;
	return table.flags ? -EILSEQ : 0;
}

int tree_find(const struct tree *tree, const void *table, size_t table_bytes, const void *key,
	      size_t key_bytes, const uint8_t **value, size_t *value_bytes)
{
	struct found found;
	uint64_t root;
	int ret;

	if (tree->page_bytes < 512 || tree->page_bytes > 65536 ||
	    tree->page_bytes & (tree->page_bytes - 1))
		return -EILSEQ;
	ret = find_table(tree, (struct name){table, table_bytes}, &root);
	if (!ret)
		ret = descend(tree, root, (struct name){key, key_bytes}, &found);
	if (ret)
		return ret;
	*value_bytes = found.node.low | (size_t)found.node.high << 16;
	if (found.node.flags == NODE_BIG)
		return find_large(tree, &found, *value_bytes, value);
	*value = found.rest;
	return found.node.flags || *value_bytes > found.room ? -EILSEQ : 0;
}
