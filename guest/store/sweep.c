/* SPDX-License-Identifier: MIT */
#include "sweep.h"
#include "redis/redis_calls.h"
#include "table.h"
#include "txn_own.h"

#include <mayfly/sdk.h>

#define EVERY_NS   100000000ull
#define LOOK_AT    256u  /* records, a sweep */
#define EVICT_LOOK 4096u /* likewise an eviction */
#define FAR_PART                                                                        \
	16u /* of the bound: who is beyond it by that much looks at as many as it takes \
	     */
#define PARTS_MAX 16384u /* of a record, that go with it in one turn */

/* A hand that goes round all records, table after table. */
struct hand {
	unsigned int table;
	size_t key_bytes;
	uint8_t key[MF_KV_KEY_MAX_BYTES + 1]; /* where it goes on */
};

/* One turn of a hand. */
struct round {
	struct kv_txn *txn;
	struct hand *hand;
	const char *table;
	unsigned int left; /* records to look at */
	uint64_t wanted;   /* bytes to free; 0: what has expired */
	uint64_t freed;
	uint64_t removed;
	unsigned int parts; /* of the record that is looked at */
};

static struct hand sweep_hand;
static struct hand evict_hand;
static struct kv_sweep_stats stats;
static uint64_t next_ns;
static bool expects = true; /* something that expires may be there */
static bool met;            /* in this round of the hand */

const struct kv_sweep_stats *kv_sweep_stats(void)
{
	return &stats;
}

void kv_sweep_expects(void)
{
	expects = met = true;
}

/* Two records may share a bit: then one is spared for the other. The engine sets those of what was
 * read in place. */
static uint64_t *word_of(struct kv_bytes full, uint64_t *mask)
{
	struct mf_abi_store_control *area = (struct mf_abi_store_control *)MF_STORE_CONTROL_VA;
	uint32_t bit = MF_STORE_USED_BIT(mf_place_hash(MF_PLACE_HASH, full.data, full.bytes));

	*mask = 1ull << bit % 64;
	return &area->used[bit / 64];
}

void kv_sweep_touch(struct kv_bytes full)
{
	uint64_t mask;
	uint64_t *word = word_of(full, &mask);

	if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & mask))
		__atomic_fetch_or(word, mask, __ATOMIC_RELAXED);
}

static bool was_touched(const char *table, struct kv_bytes key)
{
	struct kv_name name;
	uint64_t mask;
	uint64_t *word;

	kv_name_set(&name, table, key);
	word = word_of(kv_name_all(&name), &mask);
	return __atomic_fetch_and(word, ~mask, __ATOMIC_RELAXED) & mask;
}

static bool is_to_go(struct round *round, struct kv_bytes key, const struct kv_value *value)
{
	if (round->wanted)
		return !redis_is_part(round->table, key) && !was_touched(round->table, key);
	met |= value->expires_ms != 0;
	return value->expires_ms && value->expires_ms <= round->txn->now_ms;
}

static bool remove_part(void *arg, struct kv_bytes key, const struct kv_value *value)
{
	struct round *round = arg;
	size_t bytes = key.bytes + value->bytes;

	if (kv_delete(round->txn, round->table, key))
		return false;
	round->freed += bytes;
	round->removed++;
	return ++round->parts < PARTS_MAX;
}

/* What belongs to it, first. False: there is too much of that for this turn, and the record stays.
 */
static bool remove_parts(struct round *round, struct kv_bytes key, const struct kv_value *value)
{
	uint8_t at[2][MF_KV_KEY_MAX_BYTES];
	struct kv_range range;

	if (!redis_parts_of(round->table, key, value->kind, at, &range))
		return true;
	round->parts = 0;
	return !kv_scan_all(round->txn, round->table, &range, remove_part, round) &&
	       round->parts < PARTS_MAX;
}

static bool look_at(void *arg, struct kv_bytes key, const struct kv_value *value)
{
	struct round *round = arg;
	size_t bytes = key.bytes + value->bytes;

	/* Just behind it the next turn goes on. */
	memcpy(round->hand->key, key.data, key.bytes);
	round->hand->key[key.bytes] = 0;
	round->hand->key_bytes = key.bytes + 1;
	if (is_to_go(round, key, value) && (!round->wanted || remove_parts(round, key, value)) &&
	    !kv_delete(round->txn, round->table, key)) {
		round->freed += bytes;
		round->removed++;
	}
	return --round->left && (!round->wanted || round->freed < round->wanted);
}

/* False: nothing more is to be looked at in this turn. */
static bool turn_in_table(struct round *round)
{
	struct hand *hand = round->hand;
	struct kv_range range = {.begin = {hand->key, hand->key_bytes}};

	if (hand->table >= kv_table_count())
		hand->table = 0;
	if (hand->table >= kv_table_count())
		return false;
	round->table = kv_table_at(hand->table)->name;
	if (kv_scan_all(round->txn, round->table, &range, look_at, round))
		return false;
	if (!round->left || (round->wanted && round->freed >= round->wanted))
		return false;
	hand->table++;
	hand->key_bytes = 0;
	return true;
}

static void run(struct round *round, struct kv_haste haste)
{
	uint64_t version;
	unsigned int tables = kv_table_count() + 1;

	if (kv_txn_begin(&round->txn, KV_TXN_HEAD))
		return;
	while (tables-- && turn_in_table(round))
		;
	haste.frees = round->freed;
	if (kv_txn_wrote(round->txn) && kv_commit_add(&round->txn->writes, haste, &version))
		round->removed = 0;
	kv_txn_drop(round->txn);
}

void kv_sweep(void)
{
	struct round round = {.hand = &sweep_hand, .left = LOOK_AT};
	uint64_t now = expects ? mf_clock_ns() : 0;
	unsigned int from = sweep_hand.table;

	if (!expects || now < next_ns || kv_commit_is_stalled())
		return;
	next_ns = now + EVERY_NS;
	run(&round, (struct kv_haste){.durability = MF_STORE_ASYNC});
	stats.swept += round.removed;
	/* Once round, and nothing expires. */
	if (sweep_hand.table < from || (round.left && !round.removed)) {
		expects = met;
		met = false;
	}
}

/* Where much has to go, the hand goes round until it has met every bit. */
void kv_evict(uint64_t bytes, uint64_t bound)
{
	struct round round = {.hand = &evict_hand,
			      .left = bytes > bound / FAR_PART ? MF_STORE_USED_BITS : EVICT_LOOK,
			      .wanted = bytes};

	run(&round, (struct kv_haste){.durability = MF_STORE_ASYNC});
	stats.evicted += round.removed;
}
