/* SPDX-License-Identifier: MIT */
#include "txn_own.h"
#include "sweep.h"
#include "table.h"

#include <errno.h>
#include <time.h>

#define WRITES_MAX_BYTES (96u << 20) /* of one transaction */

static size_t all_bytes;
static struct kv_read_stats stats;

const struct kv_read_stats *kv_read_stats(void)
{
	return &stats;
}

size_t kv_txn_bytes(void)
{
	return all_bytes;
}

static uint64_t time_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int kv_txn_begin(struct kv_txn **out, enum kv_txn_kind kind)
{
	struct kv_txn *txn = calloc(1, sizeof(*txn));
	int ret;

	if (!txn)
		return -ENOMEM;
	ret = kv_snapshot_get(&txn->snapshot);
	if (ret) {
		free(txn);
		return ret;
	}
	txn->version = kind == KV_TXN_HEAD ? kv_commit_head() : kv_commit_visible();
	if (txn->version < txn->snapshot->version)
		txn->version = txn->snapshot->version;
	txn->reads.kept = kind == KV_TXN_KEPT;
	txn->now_ms = time_ms();
	*out = txn;
	return 0;
}

int kv_txn_begin_pinned(struct kv_txn **out, size_t txn_id, uint64_t version)
{
	struct kv_txn *txn = calloc(1, sizeof(*txn));
	int ret = txn ? kv_snapshot_get_pinned(&txn->snapshot, txn_id, version) : -ENOMEM;

	if (ret) {
		free(txn);
		return ret;
	}
	txn->version = version;
	txn->reads.kept = true;
	txn->now_ms = time_ms();
	*out = txn;
	return 0;
}

void kv_txn_drop(struct kv_txn *txn)
{
	if (!txn)
		return;
	kv_rollback_to(txn, 0);
	free(txn->undo);
	kv_tree_clear(&txn->writes, kv_item_drop);
	all_bytes -= txn->bytes;
	kv_reads_clear(&txn->reads);
	kv_snapshot_put(txn->snapshot);
	free(txn);
}

bool kv_txn_conflicts(const struct kv_txn *txn)
{
	if (txn->lost || txn->version < kv_recent_forgotten() || !kv_txn_is_intact(txn))
		return true;
	return txn->version < kv_commit_head() && kv_reads_conflict(&txn->reads, txn->version);
}

uint64_t kv_now_ms(const struct kv_txn *txn)
{
	return txn->now_ms;
}

bool kv_is_name(const char *table, struct kv_bytes key)
{
	return kv_is_table_name(table, strnlen(table, MF_KV_TABLE_MAX_BYTES + 1)) && key.bytes &&
	       key.bytes <= MF_KV_KEY_MAX_BYTES;
}

/* ---- reading ---- */

/* The record as this transaction has it. */
static int find(struct kv_txn *txn, const char *table, struct kv_bytes key,
		const struct kv_name *name, struct kv_bytes *record)
{
	const struct kv_node *own =
		txn->writes.count ? kv_tree_find(&txn->writes, kv_name_all(name)) : NULL;
	const struct kv_item *item = own ? own->item : NULL;
	int ret;

	if (!item) {
		ret = kv_reads_add(&txn->reads, kv_name_all(name));
		if (ret)
			return ret;
		if (!kv_txn_is_intact(txn))
			return -EAGAIN;
		item = kv_recent_find(kv_name_all(name), txn->snapshot->version, txn->version);
	}
	if (!item)
		return kv_snapshot_find(txn->snapshot, table, key, record);
	*record = (struct kv_bytes){&item->record, item->bytes};
	return item->deleted ? -ENOENT : 0;
}

int kv_get(struct kv_txn *txn, const char *table, struct kv_bytes key, struct kv_value *value)
{
	struct kv_bytes record;
	struct kv_name name;
	int ret;

	if (!kv_is_name(table, key))
		return -EINVAL;
	kv_name_set(&name, table, key);
	ret = find(txn, table, key, &name, &record);
	stats.misses += ret == -ENOENT;
	if (ret)
		return ret;
	if (kv_value_of(record, txn->now_ms, value)) {
		stats.hits++;
		kv_sweep_touch(kv_name_all(&name));
		return 0;
	}
	stats.misses++;
	stats.expired++;
	return -ENOENT;
}

/* ---- writing ---- */

/* Remember what the key had; the item is the log's then. */
static int log_undo(struct kv_txn *txn, struct kv_node *node)
{
	if (txn->undo_count == txn->undo_room) {
		size_t room = txn->undo_room ? 2 * txn->undo_room : 64;
		struct kv_undo *undo = realloc(txn->undo, room * sizeof(*undo));

		if (!undo)
			return -ENOMEM;
		txn->undo = undo;
		txn->undo_room = room;
	}
	txn->undo[txn->undo_count++] = (struct kv_undo){node, kv_item_share(node->item)};
	return 0;
}

static void count_item(struct kv_txn *txn, const struct kv_item *item, bool more)
{
	size_t bytes = item ? item->bytes : 0;

	txn->bytes += more ? bytes : 0 - bytes;
	all_bytes += more ? bytes : 0 - bytes;
}

/* The node has this item from now on, and the one before no more. */
static void set_item(struct kv_txn *txn, struct kv_node *node, struct kv_item *item)
{
	count_item(txn, node->item, false);
	count_item(txn, item, true);
	kv_item_drop(node->item);
	node->item = item;
}

/* Takes the item. */
static int write(struct kv_txn *txn, const char *table, struct kv_bytes key, struct kv_item *item)
{
	struct kv_node *node;
	struct kv_name name;

	if (txn->bytes + item->bytes > WRITES_MAX_BYTES) {
		kv_item_drop(item);
		return -EFBIG;
	}
	kv_name_set(&name, table, key);
	node = kv_tree_add(&txn->writes, kv_name_all(&name));
	if (node && txn->marks && log_undo(txn, node)) {
		if (!node->item)
			kv_tree_remove(&txn->writes, node);
		node = NULL;
	}
	if (!node) {
		kv_item_drop(item);
		return -ENOMEM;
	}
	if (!item->deleted)
		kv_sweep_touch(kv_name_all(&name));
	if (item->record.word & KV_EXPIRES_MAX)
		kv_sweep_expects();
	set_item(txn, node, item);
	return 0;
}

int kv_put_item(struct kv_txn *txn, const char *table, struct kv_bytes key, struct kv_item *item)
{
	if (kv_is_name(table, key))
		return write(txn, table, key, item);
	kv_item_drop(item);
	return -EINVAL;
}

int kv_put(struct kv_txn *txn, const char *table, struct kv_bytes key, const struct kv_value *value)
{
	struct kv_item *item;

	if (!kv_is_name(table, key))
		return -EINVAL;
	if (value->bytes > MF_KV_VALUE_MAX_BYTES)
		return -EFBIG;
	item = kv_item_make(value->bytes);
	if (!item)
		return -ENOMEM;
	item->record.word = kv_word(value->expires_ms, value->kind);
	if (value->bytes)
		memcpy(item->record.data, value->data, value->bytes);
	return write(txn, table, key, item);
}

int kv_delete(struct kv_txn *txn, const char *table, struct kv_bytes key)
{
	struct kv_item *item;

	if (!kv_is_name(table, key))
		return -EINVAL;
	item = kv_item_make(0);
	if (!item)
		return -ENOMEM;
	item->deleted = true;
	return write(txn, table, key, item);
}

/* ---- taking back ---- */

size_t kv_savepoint(struct kv_txn *txn)
{
	txn->marks++;
	return txn->undo_count;
}

void kv_rollback_to(struct kv_txn *txn, size_t mark)
{
	while (txn->undo_count > mark) {
		struct kv_undo *undo = &txn->undo[--txn->undo_count];

		set_item(txn, undo->node, undo->item);
		if (!undo->item)
			kv_tree_remove(&txn->writes, undo->node);
	}
}

/* The outermost one's release is the end of the log. */
void kv_release(struct kv_txn *txn, size_t mark)
{
	(void)mark;
	if (--txn->marks)
		return;
	while (txn->undo_count)
		kv_item_drop(txn->undo[--txn->undo_count].item);
}
