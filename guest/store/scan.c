/* SPDX-License-Identifier: MIT */
/*
 * Scans: three ordered sources as one, in either direction. A transaction's own writes hide what
 * was committed lately, and that hides what is on the disk.
 */
#include "env.h"
#include "table.h"
#include "txn_own.h"

#include <errno.h>

/* Where a source stands; no record: it is at its end. */
struct place {
	bool is;
	struct kv_bytes key; /* without the table */
	struct kv_bytes record;
	bool deleted;
	const struct kv_node *node;
};

enum source {
	OWN,
	RECENT,
	DISK,
	SOURCES,
};

struct merge {
	struct kv_txn *txn;
	const struct kv_range *range;
	size_t table_bytes; /* of full keys before the key */
	MDB_cursor *cursor;
	struct kv_name begin;
	struct kv_name end;
	struct place places[SOURCES];
	bool all; /* what has expired, too */
};

/* ---- nodes ---- */

static bool is_in(const struct merge *merge, const struct kv_node *node)
{
	return node && kv_compare(kv_node_key(node), kv_name_all(&merge->begin)) >= 0 &&
	       kv_compare(kv_node_key(node), kv_name_all(&merge->end)) < 0;
}

/* Where the node's record is not to be seen, the next one that is. */
static void set_node(struct merge *merge, enum source source, const struct kv_node *node)
{
	const struct kv_tree *tree = source == OWN ? &merge->txn->writes : kv_recent_tree();
	struct place *place = &merge->places[source];
	const struct kv_item *item = NULL;

	while (is_in(merge, node)) {
		item = source == OWN ? node->item
				     : kv_recent_item(node, merge->txn->snapshot->version,
						      merge->txn->version);
		if (item)
			break;
		node = merge->range->reverse ? kv_tree_before(tree, kv_node_key(node))
					     : kv_node_next(node);
	}
	*place = (struct place){.is = item != NULL, .node = node};
	if (!item)
		return;
	place->key = kv_node_key(node);
	place->key.data = (const uint8_t *)place->key.data + merge->table_bytes;
	place->key.bytes -= merge->table_bytes;
	place->record = (struct kv_bytes){&item->record, item->bytes};
	place->deleted = item->deleted;
}

static void start_nodes(struct merge *merge, enum source source)
{
	const struct kv_tree *tree = source == OWN ? &merge->txn->writes : kv_recent_tree();

	set_node(merge, source,
		 merge->range->reverse ? kv_tree_before(tree, kv_name_all(&merge->end))
				       : kv_tree_from(tree, kv_name_all(&merge->begin)));
}

/* ---- the disk ---- */

static int set_disk(struct merge *merge, int code, const MDB_val *key, const MDB_val *value)
{
	struct place *place = &merge->places[DISK];
	struct kv_bytes name = {key->mv_data, key->mv_size};

	*place = (struct place){0};
	if (code)
		return code == MDB_NOTFOUND ? 0 : kv_errno_of(code);
	if (value->mv_size < sizeof(struct kv_record))
		return -EIO;
	if (merge->range->reverse
		    ? kv_compare(name, merge->range->begin) < 0
		    : merge->range->end.bytes && kv_compare(name, merge->range->end) >= 0)
		return 0;
	*place =
		(struct place){.is = true, .key = name, .record = {value->mv_data, value->mv_size}};
	return 0;
}

static int start_disk(struct merge *merge, const struct kv_table *table)
{
	const struct kv_bytes *from =
		merge->range->reverse ? &merge->range->end : &merge->range->begin;
	MDB_val key = {from->bytes, (void *)from->data};
	MDB_val value = {0, NULL};
	int code;

	if (kv_snapshot_is_hidden() || !kv_table_is_open(table))
		return 0;
	code = mdb_cursor_open(merge->txn->snapshot->txn, table->dbi, &merge->cursor);
	if (code == MDB_BAD_DBI || code == EINVAL || code == MDB_NOTFOUND) {
		merge->cursor = NULL;
		return 0; /* the table is younger than the snapshot */
	}
	if (code)
		return kv_errno_of(code);
	if (!from->bytes)
		code = mdb_cursor_get(merge->cursor, &key, &value,
				      merge->range->reverse ? MDB_LAST : MDB_FIRST);
	else
		code = mdb_cursor_get(merge->cursor, &key, &value, MDB_SET_RANGE);
	if (merge->range->reverse && from->bytes)
		code = mdb_cursor_get(merge->cursor, &key, &value,
				      code == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
	return set_disk(merge, code, &key, &value);
}

static int advance_disk(struct merge *merge)
{
	MDB_val key = {0, NULL};
	MDB_val value = {0, NULL};
	int code = mdb_cursor_get(merge->cursor, &key, &value,
				  merge->range->reverse ? MDB_PREV : MDB_NEXT);

	return set_disk(merge, code, &key, &value);
}

/* ---- together ---- */

static int advance(struct merge *merge, enum source source)
{
	const struct kv_node *node = merge->places[source].node;

	if (source == DISK)
		return advance_disk(merge);
	set_node(merge, source,
		 !merge->range->reverse ? kv_node_next(node)
		 : source == OWN        ? kv_tree_before(&merge->txn->writes, kv_node_key(node))
					: kv_tree_before(kv_recent_tree(), kv_node_key(node)));
	return 0;
}

/* The source whose key comes next; of the same key the one that hides the others. */
static const struct place *next_place(const struct merge *merge)
{
	const struct place *best = NULL;

	for (unsigned int i = 0; i < SOURCES; i++) {
		const struct place *place = &merge->places[i];
		int order = place->is && best ? kv_compare(place->key, best->key) : 0;

		if (place->is && (!best || (merge->range->reverse ? order > 0 : order < 0)))
			best = place;
	}
	return best;
}

static int pass(struct merge *merge, struct kv_bytes key)
{
	int ret = 0;

	for (unsigned int i = 0; i < SOURCES && !ret; i++)
		if (merge->places[i].is && kv_same(merge->places[i].key, key))
			ret = advance(merge, (enum source)i);
	return ret;
}

/* Up to the last key that was come by, or all of the range. */
static int remember(struct merge *merge, const struct kv_name *seen)
{
	struct kv_bytes begin = kv_name_all(&merge->begin);
	struct kv_bytes end = kv_name_all(&merge->end);

	if (seen && merge->range->reverse)
		begin = kv_name_all(seen);
	else if (seen)
		end = kv_name_all(seen);
	return kv_reads_add_range(&merge->txn->reads, begin, end);
}

/* The key of a record is the caller's to keep: what is written meanwhile may move it. */
static int run(struct merge *merge, const char *table, kv_scan_fn *fn, void *arg)
{
	const struct place *place;
	struct kv_name name;
	int ret = 0;

	while (!ret && (place = next_place(merge))) {
		struct kv_bytes key = {name.at + merge->table_bytes, place->key.bytes};
		struct kv_value value;
		bool go_on = true;

		kv_name_set(&name, table, place->key);
		if (!place->deleted &&
		    (kv_value_of(place->record, merge->txn->now_ms, &value) || merge->all))
			go_on = fn(arg, key, &value);
		if (!go_on) {
			name.at[name.bytes] = 0; /* just behind it */
			name.bytes += !merge->range->reverse;
			return remember(merge, &name);
		}
		ret = pass(merge, key);
	}
	return ret ? ret : remember(merge, NULL);
}

static int scan(struct kv_txn *txn, const char *table, const struct kv_range *range, bool all,
		kv_scan_fn *fn, void *arg)
{
	struct merge merge = {
		.txn = txn, .range = range, .table_bytes = strlen(table) + 1, .all = all};
	int ret;

	if (!kv_is_name(table, (struct kv_bytes){"k", 1}) ||
	    range->begin.bytes > MF_KV_KEY_MAX_BYTES + 1 ||
	    range->end.bytes > MF_KV_KEY_MAX_BYTES + 1)
		return -EINVAL;
	if (!kv_txn_is_intact(txn))
		return -EAGAIN;
	kv_name_set(&merge.begin, table, range->begin);
	if (range->end.bytes)
		kv_name_set(&merge.end, table, range->end);
	else
		kv_name_set_end(&merge.end, table);
	start_nodes(&merge, OWN);
	start_nodes(&merge, RECENT);
	ret = start_disk(&merge, kv_table_find(table));
	if (!ret)
		ret = run(&merge, table, fn, arg);
	if (merge.cursor)
		mdb_cursor_close(merge.cursor);
	return ret;
}

int kv_scan(struct kv_txn *txn, const char *table, const struct kv_range *range, kv_scan_fn *fn,
	    void *arg)
{
	return scan(txn, table, range, false, fn, arg);
}

int kv_scan_all(struct kv_txn *txn, const char *table, const struct kv_range *range, kv_scan_fn *fn,
		void *arg)
{
	return scan(txn, table, range, true, fn, arg);
}

struct kv_bytes kv_prefix_end(struct kv_bytes prefix, uint8_t at[MF_KV_KEY_MAX_BYTES])
{
	size_t bytes = prefix.bytes;

	if (bytes)
		memcpy(at, prefix.data, bytes);
	while (bytes && at[bytes - 1] == 0xff)
		bytes--;
	if (bytes)
		at[bytes - 1]++;
	return (struct kv_bytes){at, bytes};
}
