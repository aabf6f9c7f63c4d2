/* SPDX-License-Identifier: MIT */
/* One table's tree: its pages, the order of its keys, its records. */
#include "bytes.h"
#include "check_own.h"

#include <errno.h>
#include <stdlib.h>

#define FORMAT_KEY  "format"
#define UPGRADE_KEY "upgrade" /* some records are of the format before */

static struct kv_check_level *level_of(struct kv_check *check)
{
	return &check->levels[check->depth - 1];
}

static struct kv_disk_page head_of(const struct kv_check_level *level)
{
	struct kv_disk_page page;

	memcpy(&page, level->bytes, sizeof(page));
	return page;
}

static bool is_leaf(const struct kv_check_level *level)
{
	return head_of(level).flags & KV_PAGE_LEAF;
}

static void fault_at(struct kv_check *check, uint64_t page, const char *what)
{
	kv_check_fault(check, "%s: page %llu: %s", kv_check_where(check), (unsigned long long)page,
		       what);
}

/* ---- nodes ---- */

struct node {
	struct kv_disk_node head;
	const uint8_t *key;
	const uint8_t *value; /* of a leaf */
	size_t value_bytes;   /* likewise; of the whole value */
	size_t bytes;         /* in the page */
};

static uint64_t child_of(const struct node *node)
{
	return node->head.low | (uint64_t)node->head.high << 16 | (uint64_t)node->head.flags << 32;
}

/* False: it does not lie in its page. */
static bool find_node(const struct kv_check *check, const struct kv_check_level *level,
		      unsigned int i, struct node *node)
{
	struct kv_disk_page page = head_of(level);
	uint16_t at;

	memcpy(&at, level->bytes + sizeof(page) + i * sizeof(at), sizeof(at));
	if (at < page.upper || at + sizeof(node->head) > check->page_bytes)
		return false;
	memcpy(&node->head, level->bytes + at, sizeof(node->head));
	node->key = level->bytes + at + sizeof(node->head);
	node->value = node->key + node->head.key_bytes;
	node->value_bytes = node->head.low | (size_t)node->head.high << 16;
	node->bytes = sizeof(node->head) + node->head.key_bytes;
	if (page.flags & KV_PAGE_LEAF)
		node->bytes +=
			node->head.flags & KV_NODE_BIG ? sizeof(uint64_t) : node->value_bytes;
	return at + node->bytes <= check->page_bytes;
}

/* ---- pages ---- */

static bool is_sound(struct kv_check *check, struct kv_check_level *level)
{
	struct kv_disk_page page = head_of(level);
	size_t bytes = 0;
	struct node node;

	if (page.number != level->page)
		return fault_at(check, level->page, "it says that it is another page"), false;
	if (page.flags != KV_PAGE_LEAF && page.flags != KV_PAGE_BRANCH)
		return fault_at(check, level->page, "it is no page of a tree"), false;
	if (page.lower < sizeof(page) || page.lower > page.upper || page.lower % 2 ||
	    page.upper > check->page_bytes)
		return fault_at(check, level->page, "its bounds cannot be"), false;
	level->count = (uint16_t)((page.lower - sizeof(page)) / 2);
	if (level->count < (page.flags & KV_PAGE_BRANCH ? 2 : 1))
		return fault_at(check, level->page, "it has too few records"), false;
	for (unsigned int i = 0; i < level->count; i++) {
		if (!find_node(check, level, i, &node))
			return fault_at(check, level->page, "a record is not within it"), false;
		bytes += (node.bytes + 1) & ~(size_t)1;
	}
	if (bytes != (size_t)check->page_bytes - page.upper)
		return fault_at(check, level->page, "its records are not all of it"), false;
	return true;
}

static void count_page(struct kv_check *check, const struct kv_check_level *level)
{
	if (is_leaf(level))
		check->now.leaf_pages++;
	else
		check->now.branch_pages++;
}

int kv_check_descend(struct kv_check *check, uint64_t page)
{
	struct kv_check_level *level;

	if (check->depth == KV_CHECK_DEPTH) {
		fault_at(check, page, "the tree is too deep");
		return 0;
	}
	level = &check->levels[check->depth];
	if (!level->bytes)
		level->bytes = malloc(check->page_bytes);
	if (!level->bytes)
		return -ENOMEM;
	if (!kv_check_mark(check, page, 1))
		return 0;
	level->page = page;
	level->next = 0;
	if (!kv_check_read(check, page, level->bytes, check->page_bytes)) {
		fault_at(check, page,
			 "it cannot be read: the file is too short, or the disk fails");
		return 0;
	}
	if (!is_sound(check, level))
		return 0;
	check->depth++;
	count_page(check, level);
	return 0;
}

/* ---- keys ---- */

static int compare(const struct kv_check *check, struct kv_bytes a, struct kv_bytes b)
{
	uint64_t x;
	uint64_t y;

	if (check->table)
		return kv_compare(a, b);
	memcpy(&x, a.data, sizeof(x)); /* of free pages: a transaction's number */
	memcpy(&y, b.data, sizeof(y));
	return (x > y) - (x < y);
}

static struct kv_bytes bytes_of(const struct kv_check_key *key)
{
	return (struct kv_bytes){key->at, key->bytes};
}

static void set_key(struct kv_check_key *key, struct kv_bytes bytes)
{
	key->bytes = (uint16_t)bytes.bytes;
	memcpy(key->at, bytes.data, bytes.bytes);
}

static bool is_key(const struct kv_check *check, struct kv_bytes key)
{
	return check->table ? key.bytes && key.bytes <= MF_KV_KEY_MAX_BYTES
			    : key.bytes == sizeof(uint64_t);
}

/* A record's key comes behind the one before it, and not before its page's separator. */
static void check_key(struct kv_check *check, const struct kv_check_level *level,
		      struct kv_bytes key)
{
	if (!is_key(check, key)) {
		fault_at(check, level->page, "a key of a length that cannot be");
		return;
	}
	if (check->has_last && compare(check, bytes_of(&check->last), key) >= 0)
		fault_at(check, level->page, "its keys are not in order");
	else if (check->has_least && compare(check, bytes_of(&check->least), key) > 0)
		fault_at(check, level->page, "a key is before what leads to its page");
	set_key(&check->last, key);
	check->has_last = true;
	check->has_least = false;
}

/* What leads to a page is behind all keys of the pages before it. */
static void check_separator(struct kv_check *check, const struct kv_check_level *level,
			    const struct node *node)
{
	struct kv_bytes key = {node->key, node->head.key_bytes};

	if (!is_key(check, key)) {
		fault_at(check, level->page, "a key of a length that cannot be");
		return;
	}
	if (check->has_last && compare(check, bytes_of(&check->last), key) >= 0)
		fault_at(check, level->page, "what leads to a page is not behind the one before");
	set_key(&check->least, key);
	check->has_least = true;
}

/* ---- records ---- */

/* Its first page. False: it is none. */
static bool check_large(struct kv_check *check, const struct kv_check_level *level,
			const struct node *node, uint64_t *first)
{
	size_t need = (sizeof(struct kv_disk_page) - 1 + node->value_bytes) / check->page_bytes + 1;
	struct kv_disk_page page;

	memcpy(first, node->value, sizeof(*first));
	if (*first > check->last_page || !kv_check_read(check, *first, &page, sizeof(page))) {
		fault_at(check, level->page, "a large value is not in the file");
		return false;
	}
	if (page.number != *first || page.flags != KV_PAGE_OVERFLOW || page.pages < need ||
	    page.pages > check->last_page) {
		fault_at(check, level->page, "a large value's pages are none");
		return false;
	}
	check->now.overflow_pages += page.pages;
	if (!kv_check_mark(check, *first, page.pages))
		return false;
	if (check->file_bytes < (*first + need) * check->page_bytes &&
	    check->file_bytes < *first * check->page_bytes + sizeof(page) + node->value_bytes) {
		fault_at(check, level->page, "a large value is cut off: the file is too short");
		return false;
	}
	return true;
}

/* The record's first bytes. */
static bool peek(struct kv_check *check, const struct node *node, uint64_t first, void *to,
		 size_t bytes)
{
	uint8_t head[sizeof(struct kv_disk_page) + 64];

	if (node->value_bytes < bytes || bytes > 64)
		return false;
	if (!(node->head.flags & KV_NODE_BIG)) {
		memcpy(to, node->value, bytes);
		return true;
	}
	if (!kv_check_read(check, first, head, sizeof(struct kv_disk_page) + bytes))
		return false;
	memcpy(to, head + sizeof(struct kv_disk_page), bytes);
	return true;
}

/* A list of free pages: how many, then their numbers. */
static int take_free(struct kv_check *check, const struct kv_check_level *level,
		     const struct node *node, uint64_t first)
{
	size_t head = node->head.flags & KV_NODE_BIG ? sizeof(struct kv_disk_page) : 0;
	uint8_t *copy = malloc(head + node->value_bytes);
	uint64_t count = 0;
	int ret = copy ? 0 : -ENOMEM;

	if (copy && !head)
		memcpy(copy, node->value, node->value_bytes);
	if (copy && head && !kv_check_read(check, first, copy, head + node->value_bytes))
		fault_at(check, level->page, "a list of free pages cannot be read");
	else if (copy && node->value_bytes >= sizeof(count))
		memcpy(&count, copy + head, sizeof(count));
	if (copy &&
	    (node->value_bytes < sizeof(count) || count > node->value_bytes / sizeof(count) - 1)) {
		fault_at(check, level->page, "a list of free pages is longer than it can be");
		count = 0;
	}
	for (uint64_t i = 1; i <= count && !ret; i++) {
		uint64_t page;

		memcpy(&page, copy + head + i * sizeof(page), sizeof(page));
		if (!kv_check_mark(check, page, 1))
			break;
	}
	free(copy);
	return ret;
}

static void take_table(struct kv_check *check, const struct kv_check_level *level,
		       const struct node *node)
{
	struct kv_check_table *table = &check->tables[check->table_count];

	if (!(node->head.flags & KV_NODE_TABLE))
		return; /* a record among the tables is nobody's */
	if (node->head.flags != KV_NODE_TABLE || node->value_bytes != sizeof(table->db) ||
	    node->head.key_bytes > MF_KV_TABLE_MAX_BYTES || check->table_count == KV_CHECK_TABLES) {
		fault_at(check, level->page, "a table's head is none");
		return;
	}
	memcpy(table->name, node->key, node->head.key_bytes);
	memcpy(&table->db, node->value, sizeof(table->db));
	check->table_count++;
}

static bool is_named(const struct node *node, const char *name)
{
	return node->head.key_bytes == strlen(name) && !memcmp(node->key, name, strlen(name));
}

/* Of the store's own table. */
static void take_own(struct kv_check *check, const struct node *node, uint64_t first,
		     const char *table)
{
	uint64_t word;

	if (strcmp(table, KV_CHECK_OWN))
		return;
	if (is_named(node, FORMAT_KEY) && peek(check, node, first, &word, sizeof(word)))
		check->format = word;
	check->is_mixed |= is_named(node, UPGRADE_KEY);
}

static void take_record(struct kv_check *check, const struct kv_check_level *level,
			const struct node *node, uint64_t first)
{
	const char *name = check->tables[check->table - 2].name;
	uint64_t word;

	if (node->head.flags & ~KV_NODE_BIG) {
		fault_at(check, level->page, "a record that is none of a table's");
		return;
	}
	if (name[0] == '.') {
		take_own(check, node, first, name);
		return;
	}
	if (check->format < 2 || check->is_mixed)
		return; /* the first format's values have no head */
	if (!peek(check, node, first, &word, sizeof(word)) ||
	    node->value_bytes > sizeof(word) + MF_KV_VALUE_MAX_BYTES)
		fault_at(check, level->page, "a value of a length that cannot be");
	else if (word >> 56)
		fault_at(check, level->page, "a value whose head cannot be");
}

static int take_leaf(struct kv_check *check, const struct kv_check_level *level,
		     const struct node *node)
{
	uint64_t first = 0;

	check->now.entries++;
	check_key(check, level, (struct kv_bytes){node->key, node->head.key_bytes});
	if (node->head.flags & KV_NODE_BIG && !check_large(check, level, node, &first))
		return 0;
	if (!check->table)
		return take_free(check, level, node, first);
	if (check->table == 1)
		take_table(check, level, node);
	else
		take_record(check, level, node, first);
	return 0;
}

int kv_check_node(struct kv_check *check)
{
	struct kv_check_level *level = level_of(check);
	struct node node;
	unsigned int i = level->next++;

	if (i == level->count) {
		check->depth--;
		return 0;
	}
	if (!find_node(check, level, i, &node))
		return 0;
	if (is_leaf(level))
		return take_leaf(check, level, &node);
	/* The first one leads to whatever is before the second. */
	if (i)
		check_separator(check, level, &node);
	return kv_check_descend(check, child_of(&node));
}
