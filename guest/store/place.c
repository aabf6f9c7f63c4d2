/* SPDX-License-Identifier: MIT */
#include "place.h"
#include "check_own.h"
#include "env.h"

#include <mayfly/abi/barrier.h>
#include <mayfly/abi/place.h>

#define NEWER_MAX 512u /* keys: of more, the filter says too often that they are in it */

static size_t said;        /* the snapshot that is said; 0: none */
static unsigned int newer; /* keys that were put into its filter */

static struct mf_abi_store_control *control(void)
{
	return (struct mf_abi_store_control *)MF_STORE_CONTROL_VA;
}

/* ---- what is said ---- */

static bool can_add(unsigned int count, const struct kv_sealed *sealed)
{
	return sealed->count <= NEWER_MAX - count;
}

static void set_newer(uint64_t *words, uint32_t bit)
{
	words[bit / 64] |= 1ull << bit % 64;
}

static void add_newer(uint64_t *words, const struct kv_sealed *sealed)
{
	for (size_t i = 0; i < sealed->count; i++) {
		struct kv_bytes full = kv_node_key(sealed->writes[i].node);
		uint32_t hash = mf_place_hash(MF_PLACE_HASH, full.data, full.bytes);

		set_newer(words, MF_PLACE_NEWER_FIRST(hash));
		set_newer(words, MF_PLACE_NEWER_SECOND(hash));
	}
}

static void publish(const struct mf_abi_store_snapshot *now)
{
	struct mf_abi_store_snapshot *area = &control()->snapshot;

	__atomic_fetch_add(&area->sequence, 1, __ATOMIC_SEQ_CST);
	area->page_bytes = now->page_bytes;
	area->number = now->number;
	area->root = now->root;
	area->pages = now->pages;
	area->version = now->version;
	memcpy(area->newer, now->newer, sizeof(area->newer));
	__atomic_fetch_add(&area->sequence, 1, __ATOMIC_SEQ_CST);
	said = now->number;
}

static void hide(void)
{
	static const struct mf_abi_store_snapshot none;

	if (said)
		publish(&none);
}

void kv_place_show(const struct kv_sealed *sealed)
{
	struct mf_abi_store_snapshot *area = &control()->snapshot;

	if (!said)
		return;
	if (!can_add(newer, sealed)) {
		hide();
		return;
	}
	__atomic_fetch_add(&area->sequence, 1, __ATOMIC_SEQ_CST);
	add_newer(area->newer, sealed);
	area->version = sealed->version;
	__atomic_fetch_add(&area->sequence, 1, __ATOMIC_SEQ_CST);
	newer += (unsigned int)sealed->count;
}

/* Where LMDB has mapped the file: it gives out a value where it lies, in a page that says its
 * number. NULL: not found. */
static const uint8_t *find_map(const struct kv_snapshot *snapshot)
{
	MDB_val key = {sizeof("format") - 1, (void *)"format"};
	struct kv_disk_page page;
	uintptr_t at;
	MDB_val value;

	if (mdb_get(snapshot->txn, kv_head_dbi(), &key, &value))
		return NULL;
	at = (uintptr_t)value.mv_data & ~(uintptr_t)(kv_page_bytes() - 1);
	memcpy(&page, (const void *)at, sizeof(page));
	return (const uint8_t *)at - page.number * kv_page_bytes();
}

/* The head page of the snapshot: one of two. */
static bool find_head(const struct kv_snapshot *snapshot, struct kv_disk_meta *meta)
{
	const uint8_t *map = find_map(snapshot);

	for (unsigned int i = 0; map && i < 2; i++) {
		memcpy(meta, map + i * kv_page_bytes() + sizeof(struct kv_disk_page),
		       sizeof(*meta));
		if (meta->txn_id == snapshot->txn_id)
			return true;
	}
	return false;
}

/* What may be seen beside the snapshot. False: too much. */
static bool find_newer(struct mf_abi_store_snapshot *now)
{
	const struct kv_sealed *at = kv_commit_waiting();

	newer = 0;
	for (; at && at->version <= kv_commit_visible(); at = at->next) {
		if (!can_add(newer, at))
			return false;
		add_newer(now->newer, at);
		newer += (unsigned int)at->count;
	}
	return true;
}

static void say(const struct kv_snapshot *snapshot)
{
	struct mf_abi_store_snapshot now = {.page_bytes = (uint32_t)kv_page_bytes(),
					    .number = snapshot->txn_id,
					    .version = kv_commit_visible()};
	struct kv_disk_meta meta;

	if (snapshot->version != kv_commit_durable() || !find_head(snapshot, &meta) ||
	    !find_newer(&now)) {
		hide();
		return;
	}
	now.root = meta.dbs[1].root;
	now.pages = meta.last_page + 1;
	publish(&now);
}

/* A VM's own store is never in the file. */
void kv_place_say(void)
{
	struct kv_snapshot *snapshot;

	if (control()->scope == MF_STORE_OF_VM)
		return;
	if (kv_snapshot_get(&snapshot)) {
		hide();
		return;
	}
	say(snapshot);
	kv_snapshot_put(snapshot);
}

/* ---- who is pinned ---- */

size_t kv_place_pinned(uint32_t channel)
{
	return MF_STORE_CHANNEL(control(), channel)->pinned;
}

uint64_t kv_place_version(uint32_t channel)
{
	return MF_STORE_CHANNEL(control(), channel)->version;
}

static bool is_pinned(uint32_t channel, size_t txn_id, uint64_t from, uint64_t below)
{
	const struct mf_abi_store_channel *state = MF_STORE_CHANNEL(control(), channel);
	uint64_t version;

	if (__atomic_load_n(&state->pinned, __ATOMIC_SEQ_CST) != txn_id)
		return false;
	version = __atomic_load_n(&state->version, __ATOMIC_RELAXED);
	return version >= from && version < below;
}

/* Pairs with the engine: it pins, fences and looks at what is said. */
bool kv_place_is_pinned(size_t txn_id, uint64_t from, uint64_t below)
{
	if (txn_id == said && below == UINT64_MAX)
		return true;
	mf_fence();
	for (uint32_t i = 0; i < control()->channels; i++)
		if (is_pinned(i, txn_id, from, below))
			return true;
	return false;
}

/* ---- what was read ---- */

static int add_all(struct kv_reads *reads)
{
	static const uint8_t end[MF_KV_TABLE_MAX_BYTES + 1] = {[0 ... MF_KV_TABLE_MAX_BYTES] =
								       0xff};

	return kv_reads_add_range(reads, (struct kv_bytes){"", 0},
				  (struct kv_bytes){end, sizeof(end)});
}

/* A full key: a name, a zero, a key. */
static bool is_full_key(const uint8_t *at, size_t bytes)
{
	const uint8_t *zero = memchr(at, 0, bytes);

	return zero && bytes <= KV_NAME_MAX;
}

/* Copied out: the request VM may write there at any time. */
static int add_log(const uint8_t *log, size_t bytes, struct kv_reads *reads)
{
	uint16_t length;
	int ret = 0;

	for (size_t at = 0; at < bytes && !ret; at += sizeof(length) + length) {
		if (bytes - at < sizeof(length))
			return add_all(reads);
		memcpy(&length, log + at, sizeof(length));
		if (length > bytes - at - sizeof(length) ||
		    !is_full_key(log + at + sizeof(length), length))
			return add_all(reads);
		ret = kv_reads_add(reads, (struct kv_bytes){log + at + sizeof(length), length});
	}
	return ret;
}

int kv_place_add_reads(uint32_t channel, struct kv_reads *reads)
{
	const struct mf_abi_place *place =
		(const void *)(MF_STORE_CHANNELS_VA + channel * control()->window_bytes +
			       MF_PLACE_OFFSET);
	uint8_t log[MF_PLACE_LOG_BYTES];
	uint32_t bytes;

	if (!kv_place_pinned(channel))
		return 0;
	bytes = __atomic_load_n(&place->log_bytes, __ATOMIC_ACQUIRE);
	if (bytes > sizeof(log))
		return add_all(reads);
	memcpy(log, place->log, bytes);
	return add_log(log, bytes, reads);
}
