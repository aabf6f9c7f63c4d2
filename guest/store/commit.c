/* SPDX-License-Identifier: MIT */
#include "commit.h"
#include "apply.h"
#include "env.h"
#include "place.h"
#include "table.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <mayfly/sdk.h>

#define STACK_BYTES (256u << 10)
#define BATCH_PAGES 65536u /* LMDB keeps a list of those that a commit has changed, with an end */

/* A futex, at which whoever has nothing to do waits: the other thread unless it is BUSY, and now
 * and then the serving thread while it is. */
enum state {
	IDLE,
	TIMED, /* the other thread waits until timer_ns */
	BUSY,  /* it has the batch */
	OVER,  /* and is done with it */
};

static pthread_t thread;
static uint32_t state;
static uint64_t timer_ns; /* of TIMED */
static bool is_awaited;   /* the serving thread waits for OVER */
static bool is_called;    /* the other thread is to be woken; the serving thread's own */
static struct kv_batch batch;

/* The serving thread's. */
static uint64_t head = 1;
static uint64_t visible = 1;
static uint64_t durable = 1;      /* the version of the last commit that is over */
static size_t durable_txn_id;     /* and LMDB's number of it */
static struct kv_sealed *waiting; /* the first that is not over */
static struct kv_sealed *hidden;  /* the first that may not be seen yet */
static size_t waiting_pages;
static int64_t waiting_growth; /* bytes, about */
static bool stalled;
static struct kv_commit_stats stats;

uint64_t kv_commit_head(void)
{
	return head;
}

uint64_t kv_commit_visible(void)
{
	return visible;
}

uint64_t kv_commit_durable(void)
{
	return durable;
}

const struct kv_sealed *kv_commit_waiting(void)
{
	return waiting;
}

size_t kv_commit_txn_id(void)
{
	return durable_txn_id;
}

bool kv_commit_is_stalled(void)
{
	return stalled;
}

const struct kv_commit_stats *kv_commit_stats(void)
{
	return &stats;
}

static struct mf_abi_store_control *control(void)
{
	return (struct mf_abi_store_control *)MF_STORE_CONTROL_VA;
}

static uint32_t look_at_state(void)
{
	return __atomic_load_n(&state, __ATOMIC_SEQ_CST);
}

static void set_state(enum state now)
{
	__atomic_store_n(&state, now, __ATOMIC_SEQ_CST);
}

/* While it is `now`, and for so long at most; NULL: for ever. */
static void wait_at_state(uint32_t now, const struct timespec *span)
{
	syscall(SYS_futex, &state, FUTEX_WAIT_PRIVATE, now, span, NULL, 0);
}

static void await_batch(void)
{
	const uint32_t *word = kv_commit_leaves();

	if (word)
		syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	__atomic_store_n(&is_awaited, true, __ATOMIC_SEQ_CST);
	while (look_at_state() == BUSY)
		wait_at_state(BUSY, NULL);
	__atomic_store_n(&is_awaited, false, __ATOMIC_SEQ_CST);
}

/* LMDB shows a commit a moment before the other thread has said that it is over. */
uint64_t kv_commit_version(size_t txn_id)
{
	if (txn_id == durable_txn_id)
		return durable;
	await_batch();
	return batch.version;
}

/* Until the batch's time has come, or it is begun before. */
static void sleep_until_due(void)
{
	uint64_t now = mf_clock_ns();
	uint64_t left = timer_ns > now ? timer_ns - now : 0;
	struct timespec span = {(time_t)(left / 1000000000ull), (long)(left % 1000000000ull)};
	uint32_t timed = TIMED;

	if (left)
		wait_at_state(TIMED, &span);
	else if (__atomic_compare_exchange_n(&state, &timed, IDLE, false, __ATOMIC_SEQ_CST,
					     __ATOMIC_SEQ_CST))
		__atomic_store_n(&control()->news, 1, __ATOMIC_SEQ_CST);
}

static void do_batch(void)
{
	kv_apply(&batch);
	set_state(OVER);
	__atomic_store_n(&control()->news, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&is_awaited, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *work(void *arg)
{
	for (;;) {
		uint32_t now = look_at_state();

		if (now == BUSY)
			do_batch();
		else if (now == TIMED)
			sleep_until_due();
		else
			wait_at_state(now, NULL);
	}
	return arg;
}

int kv_commit_start(void)
{
	pthread_attr_t small;
	MDB_envinfo info;

	mdb_env_info(kv_env(), &info);
	durable_txn_id = info.me_last_txnid;
	stats.last_page = info.me_last_pgno;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, STACK_BYTES);
	return -pthread_create(&thread, &small, work, NULL);
}

/* ---- adding ---- */

static bool may_lack_room(size_t pages)
{
	size_t used = stats.last_page + 1 + waiting_pages + pages + kv_reserve_pages();

	return used > kv_map_pages();
}

/* Every table that is put into is known, or can be made. */
static int know_tables(const struct kv_tree *writes)
{
	const char *known = "";

	for (const struct kv_node *at = writes->first[0]; at; at = kv_node_next(at)) {
		const char *name = kv_table_of(kv_node_key(at));

		if (((const struct kv_item *)at->item)->deleted || !strcmp(name, known))
			continue;
		if (!kv_table_add(name)) {
			if (!waiting)
				kv_tables_forget();
			return -ENOSPC;
		}
		known = name;
	}
	return 0;
}

/* What it adds, about; what it replaces is not known, so that a delete counts as nothing. */
static int64_t growth_of(const struct kv_tree *writes)
{
	int64_t bytes = 0;

	for (const struct kv_node *at = writes->first[0]; at; at = kv_node_next(at)) {
		const struct kv_item *item = at->item;

		if (!item->deleted)
			bytes += (int64_t)(item->bytes + at->key_bytes);
	}
	return bytes;
}

static uint64_t excess(int64_t growth)
{
	int64_t kept = (int64_t)stats.kept_bytes + waiting_growth + growth;
	uint64_t quota = control()->quota_bytes;

	return quota && kept > 0 && (uint64_t)kept > quota ? (uint64_t)kept - quota : 0;
}

uint64_t kv_commit_excess(void)
{
	return excess(0);
}

static bool is_over_quota(int64_t growth)
{
	return growth > 0 && !control()->evicts && excess(growth);
}

static void see(void)
{
	while (hidden && (hidden->over || hidden->early)) {
		visible = hidden->version;
		hidden = hidden->next;
	}
}

int kv_commit_add(const struct kv_tree *writes, struct kv_haste haste, uint64_t *version)
{
	int64_t growth = growth_of(writes) - (int64_t)haste.frees;
	struct kv_sealed *sealed;
	int ret = is_over_quota(growth) ? -ENOSPC : know_tables(writes);

	if (ret)
		return ret;
	sealed = kv_recent_add(writes, head + 1);
	if (!sealed)
		return -ENOMEM;
	head++;
	sealed->pages = kv_pages_of(sealed);
	sealed->alone = stalled = may_lack_room(sealed->pages);
	sealed->early = haste.durability == MF_STORE_ASYNC && !sealed->alone;
	if (haste.durability == MF_STORE_GROUP)
		sealed->until_ns = mf_clock_ns() + haste.group_ns;
	waiting_pages += sealed->pages;
	waiting_growth += sealed->growth = growth;
	stats.waiting++;
	waiting = waiting ? waiting : sealed;
	hidden = hidden ? hidden : sealed;
	see();
	if (visible == sealed->version)
		kv_place_show(sealed);
	*version = sealed->version;
	return 0;
}

/* ---- committing ---- */

static void settle(void)
{
	size_t count = batch.count;

	durable = batch.version;
	durable_txn_id = batch.txn_id;
	stats.last_page = batch.last_page;
	stats.kept_bytes = batch.kept_pages * kv_page_bytes();
	stats.commits++;
	stats.transactions += count;
	stats.waiting -= count;
	while (count--) {
		waiting->over = true;
		waiting_pages -= waiting->pages;
		waiting_growth -= waiting->growth;
		stalled &= !waiting->alone;
		waiting = waiting->next;
	}
	see();
}

/* What has read what is not to be may not be committed either. The next version is what was there
 * before. */
static void take_back(void)
{
	kv_recent_take_back();
	kv_tables_forget();
	waiting = hidden = NULL;
	waiting_pages = 0;
	waiting_growth = 0;
	stats.waiting = 0;
	stalled = false;
	durable = visible = ++head;
	kv_recent_forget(head);
}

static int finish(void)
{
	set_state(IDLE); /* the other thread waits, or is about to */
	__atomic_store_n(&control()->news, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&control()->commits_now, 0, __ATOMIC_SEQ_CST);
	if (!batch.status)
		settle();
	else
		take_back();
	kv_place_say();
	return batch.status ? batch.status : 1;
}

/* When the first one has waited for company long enough. */
static uint64_t next_due(void)
{
	uint64_t due = UINT64_MAX;

	for (const struct kv_sealed *at = waiting; at && due; at = at->next)
		due = at->until_ns < due ? at->until_ns : due;
	return due;
}

static void gather(void)
{
	const struct kv_sealed *at = waiting;
	size_t pages = 0;

	batch = (struct kv_batch){.first = at};
	do {
		batch.count++;
		pages += at->pages;
		at = at->next;
	} while (at && !at->alone && !batch.first->alone && pages + at->pages <= BATCH_PAGES);
}

/* The other thread is to commit the batch, or to wait until it is time. */
static void call_thread(enum state now)
{
	set_state(now);
	is_called = true;
}

static void begin(void)
{
	uint64_t due = next_due();

	if (due > mf_clock_ns() && waiting_pages < BATCH_PAGES) {
		if (look_at_state() == TIMED)
			return;
		timer_ns = due;
		call_thread(TIMED);
		return;
	}
	gather();
	__atomic_store_n(&control()->commits_now, 1, __ATOMIC_SEQ_CST);
	call_thread(BUSY);
}

int kv_commit_turn(void)
{
	uint32_t now;
	int ret = 0;

	if (!waiting)
		return 0;
	now = look_at_state();
	if (now == OVER)
		ret = finish();
	if (waiting && now != BUSY)
		begin();
	return ret;
}

const uint32_t *kv_commit_leaves(void)
{
	const uint32_t *word = is_called ? &state : NULL;

	is_called = false;
	return word;
}
