/* SPDX-License-Identifier: MIT */
#include "recent.h"

static struct kv_tree tree;
static struct kv_sealed *first;
static struct kv_sealed *last;
static uint64_t forgotten;
static size_t all_bytes;

static const struct kv_write *newest(const struct kv_node *node)
{
	return node->item;
}

/* Out of its key's versions; the last takes the key along. */
static void unlink_write(struct kv_write *write)
{
	struct kv_write **at = (struct kv_write **)&write->node->item;

	while (*at != write)
		at = &(*at)->older;
	*at = write->older;
	if (!write->node->item)
		kv_tree_remove(&tree, write->node);
	kv_item_drop(write->item);
}

static void drop(struct kv_sealed *sealed)
{
	for (size_t i = 0; i < sealed->count; i++)
		unlink_write(&sealed->writes[i]);
	all_bytes -= sealed->bytes;
	free(sealed);
}

struct kv_sealed *kv_recent_add(const struct kv_tree *writes, uint64_t version)
{
	size_t own = sizeof(struct kv_sealed) + writes->count * sizeof(struct kv_write);
	struct kv_sealed *sealed = calloc(1, own);

	if (!sealed)
		return NULL;
	sealed->version = version;
	sealed->bytes = own;
	all_bytes += own;
	for (struct kv_node *at = writes->first[0]; at; at = kv_node_next(at)) {
		struct kv_node *node = kv_tree_add(&tree, kv_node_key(at));
		struct kv_write *write = &sealed->writes[sealed->count];
		size_t bytes = ((struct kv_item *)at->item)->bytes + at->key_bytes;

		if (!node) {
			drop(sealed);
			return NULL;
		}
		*write = (struct kv_write){node, node->item, kv_item_share(at->item), version};
		node->item = write;
		sealed->count++;
		sealed->bytes += bytes;
		all_bytes += bytes;
	}
	*(first ? &last->next : &first) = sealed;
	last = sealed;
	return sealed;
}

void kv_recent_take_back(void)
{
	struct kv_sealed **at = &first;
	struct kv_sealed *sealed;

	last = NULL;
	for (; *at && (*at)->over; at = &(*at)->next)
		last = *at;
	sealed = *at;
	*at = NULL;
	while (sealed) {
		struct kv_sealed *next = sealed->next;

		drop(sealed);
		sealed = next;
	}
}

void kv_recent_trim(uint64_t version, size_t bytes_max)
{
	while (first && first->over && (first->version <= version || all_bytes > bytes_max)) {
		struct kv_sealed *sealed = first;

		if (sealed->version > version)
			forgotten = sealed->version;
		first = sealed->next;
		drop(sealed);
	}
	if (!first)
		last = NULL;
}

void kv_recent_forget(uint64_t version)
{
	forgotten = version;
}

uint64_t kv_recent_forgotten(void)
{
	return forgotten;
}

size_t kv_recent_bytes(void)
{
	return all_bytes;
}

const struct kv_tree *kv_recent_tree(void)
{
	return &tree;
}

const struct kv_item *kv_recent_item(const struct kv_node *node, uint64_t from, uint64_t to)
{
	const struct kv_write *write = newest(node);

	while (write && write->version > to)
		write = write->older;
	return write && write->version > from ? write->item : NULL;
}

const struct kv_item *kv_recent_find(struct kv_bytes full, uint64_t from, uint64_t to)
{
	const struct kv_node *node = from < to && tree.count ? kv_tree_find(&tree, full) : NULL;

	return node ? kv_recent_item(node, from, to) : NULL;
}

bool kv_recent_wrote(struct kv_bytes full, uint64_t version)
{
	const struct kv_node *node = kv_tree_find(&tree, full);

	return node && newest(node)->version > version;
}

bool kv_recent_wrote_range(struct kv_bytes begin, struct kv_bytes end, uint64_t version)
{
	for (const struct kv_node *node = kv_tree_from(&tree, begin);
	     node && kv_compare(kv_node_key(node), end) < 0; node = kv_node_next(node))
		if (newest(node)->version > version)
			return true;
	return false;
}
