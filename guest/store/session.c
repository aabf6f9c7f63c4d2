/* SPDX-License-Identifier: MIT */
#include "session.h"
#include "admin.h"
#include "place.h"
#include "sweep.h"

#include <errno.h>

#include <mayfly/sdk.h>

#define AGE_EVERY_NS     50000000ull /* between two looks for old transactions */
#define RECENT_MAX_BYTES (64u << 20)
#define FUNCTIONS_MAX    MF_STORAGE_FUNCTIONS_MAX

/* Somebody who is told when a version may be seen: the version is a commit's, or what was read. */
struct waiter {
	struct waiter *next;
	uint64_t version;
	uint32_t channel;
	int status;                   /* then */
	struct mf_storage_held *held; /* a call; NULL: an order */
};

static struct kv_session *sessions;
static uint32_t session_count;
static struct waiter *waiters;
static struct waiter **waiters_end = &waiters;
static struct kv_session_stats stats;

static const struct mf_abi_store_control *control(void)
{
	return (const struct mf_abi_store_control *)MF_STORE_CONTROL_VA;
}

struct kv_session *kv_session_of(uint32_t channel)
{
	return &sessions[channel];
}

const struct kv_session_stats *kv_session_stats(void)
{
	return &stats;
}

int kv_sessions_open(uint32_t channels)
{
	sessions = calloc(channels, sizeof(*sessions));
	session_count = channels;
	return sessions ? 0 : -ENOMEM;
}

/* ---- waiting ---- */

static void tell(struct waiter *waiter, int failure)
{
	int status = failure ? failure : waiter->status;

	sessions[waiter->channel].flights--;
	if (waiter->held)
		mf_storage_answer(waiter->held, status, !failure);
	else
		mf_storage_verdict(waiter->channel, status);
	free(waiter);
}

/* All whose version may be seen; with a failure, all. They wait in the order of versions. */
static void tell_waiters(int failure)
{
	while (waiters && (failure || waiters->version <= kv_commit_visible())) {
		struct waiter *waiter = waiters;

		waiters = waiter->next;
		if (!waiters)
			waiters_end = &waiters;
		tell(waiter, failure);
	}
}

static void await_version(struct waiter *waiter, uint64_t version)
{
	waiter->version = version;
	waiter->next = NULL;
	*waiters_end = waiter;
	waiters_end = &waiter->next;
	sessions[waiter->channel].flights++;
}

/* For a call, whose reply is complete, or an order (NULL). NULL: no memory. */
static struct waiter *make_waiter(const struct mf_storage_call *call, uint32_t channel)
{
	struct waiter *waiter = calloc(1, sizeof(*waiter));

	if (!waiter)
		return NULL;
	waiter->channel = channel;
	if (call)
		waiter->held = mf_storage_hold(call);
	if (!call || waiter->held)
		return waiter;
	free(waiter);
	return NULL;
}

static void drop_waiter(struct waiter *waiter)
{
	if (waiter->held)
		mf_storage_let_go(waiter->held);
	free(waiter);
}

/* ---- ends of transactions ---- */

/* MF_STORE_DURABLE is the smallest and the strongest. */
void kv_session_ask(uint32_t channel, uint32_t durability)
{
	struct kv_session *session = &sessions[channel];

	if (!session->asked || !session->txn || durability < session->durability)
		session->durability = durability;
	session->asked = true;
}

static struct kv_haste haste_of(const struct kv_session *session)
{
	return (struct kv_haste){.durability = session->asked ? session->durability
							      : control()->durability,
				 .group_ns = control()->group_us * 1000ull};
}

/* -ESTALE: the folder is another engine's by now; -EROFS: a VM's own store is never in the folder.
 */
static int may_commit(void)
{
	if (control()->fenced)
		return -ESTALE;
	return control()->scope == MF_STORE_OF_VM ? -EROFS : 0;
}

/* The waiter is told of the transaction's end, with `status` when that is good. It is the waiter's
 * from here on: MF_STORAGE_LATER, or what is to be said now. */
static int end_txn(struct kv_txn *txn, struct waiter *waiter, int status)
{
	uint64_t version = txn->version;
	int ret = 0;

	if (kv_txn_wrote(txn) && kv_txn_conflicts(txn)) {
		stats.conflicts++;
		ret = -EAGAIN;
	} else if (kv_txn_wrote(txn)) {
		ret = may_commit();
		if (!ret)
			ret = kv_commit_add(&txn->writes, haste_of(&sessions[waiter->channel]),
					    &version);
	}
	if (!ret && control()->evicts && kv_commit_excess())
		kv_evict(kv_commit_excess(), control()->quota_bytes);
	/* Made again before what it met is seen, it would meet that again. */
	if (ret == -EAGAIN)
		version = kv_commit_head();
	if ((!ret || ret == -EAGAIN) && version > kv_commit_visible()) {
		waiter->status = ret ? ret : status;
		await_version(waiter, version);
		return MF_STORAGE_LATER;
	}
	drop_waiter(waiter);
	return ret ? ret : status;
}

/* ---- the request's transaction ---- */

static void drop_txn(struct kv_session *session)
{
	stats.open -= session->txn != NULL;
	kv_txn_drop(session->txn);
	session->txn = NULL;
}

/* What it has read in place counts as read. Takes the waiter. */
static int end_request(struct kv_session *session, uint32_t channel, struct waiter *waiter)
{
	int ret = session->renewed ? 0 : kv_place_add_reads(channel, &session->txn->reads);

	if (!ret)
		return end_txn(session->txn, waiter, 0);
	drop_waiter(waiter);
	return ret;
}

/* Was it open for too long, is it now? Then there is none any more. */
static bool is_aged(struct kv_session *session, uint64_t now_ns)
{
	uint64_t most_ns = control()->age_ms * 1000000ull;

	if (session->txn && most_ns && now_ns - session->began_ns > most_ns) {
		drop_txn(session);
		session->aged = true;
		stats.aged++;
	}
	return session->aged;
}

/* Beside commits, which alone need the pages that old ones keep. */
static void drop_aged(void)
{
	static uint64_t next_ns;
	uint64_t now = control()->age_ms ? mf_clock_ns() : 0;

	if (!stats.open || now < next_ns)
		return;
	next_ns = now + AGE_EVERY_NS;
	for (uint32_t i = 0; i < session_count; i++)
		is_aged(&sessions[i], now);
}

static int order(uint32_t channel, void *arg)
{
	struct kv_session *session = &sessions[channel];
	struct waiter *waiter;
	int ret;

	(void)arg;
	if (session->failed)
		return session->failed;
	if (is_aged(session, mf_clock_ns()))
		return -ETIMEDOUT;
	if (!session->txn || !kv_txn_wrote(session->txn)) {
		drop_txn(session);
		return 0;
	}
	waiter = make_waiter(NULL, channel);
	ret = waiter ? end_request(session, channel, waiter) : -ENOMEM;
	drop_txn(session);
	return ret;
}

static void drop(uint32_t channel, void *arg)
{
	struct kv_session *session = &sessions[channel];

	(void)arg;
	stats.rollbacks += session->txn && kv_txn_wrote(session->txn);
	drop_txn(session);
	session->explicit = session->asked = session->renewed = session->aged = false;
	session->failed = 0;
	kv_assembly_drop(session->assembly);
	session->assembly = NULL;
}

int kv_session_begin(uint32_t channel)
{
	struct kv_session *session = &sessions[channel];

	if (session->explicit || session->txn)
		return -EALREADY;
	session->explicit = true;
	return 0;
}

int kv_session_commit(struct mf_storage_call *call)
{
	struct kv_session *session = &sessions[call->channel];
	int ret = 0;

	if (control()->scope == MF_STORE_OF_VM)
		return -EROFS; /* and what there is stays */
	if (session->failed)
		ret = session->failed;
	else if (is_aged(session, mf_clock_ns()))
		ret = -ETIMEDOUT;
	else if (session->txn && kv_txn_wrote(session->txn)) {
		struct waiter *waiter = make_waiter(call, call->channel);

		ret = waiter ? end_request(session, call->channel, waiter) : -ENOMEM;
	}
	drop_txn(session);
	session->explicit = session->asked = session->aged = false;
	session->failed = 0;
	session->renewed = true;
	mf_storage_set_pending(call->channel, 0);
	return ret;
}

void kv_session_rollback(uint32_t channel)
{
	drop(channel, NULL);
	sessions[channel].renewed = true;
	mf_storage_set_pending(channel, 0);
}

/* ---- calls ---- */

static int call_in_txn(struct mf_storage_call *call, const struct kv_function *function,
		       struct kv_txn *txn)
{
	size_t mark = kv_savepoint(txn);
	int ret = function->call(call, txn);

	if (ret)
		kv_rollback_to(txn, mark);
	kv_release(txn, mark);
	return ret;
}

/* A request that reads in place has its snapshot already. */
static int begin_txn(const struct mf_storage_call *call, struct kv_session *session)
{
	size_t pinned = session->renewed || !call->bound ? 0 : kv_place_pinned(call->channel);

	return pinned ? kv_txn_begin_pinned(&session->txn, pinned, kv_place_version(call->channel))
		      : kv_txn_begin(&session->txn, KV_TXN_KEPT);
}

static int call_of_many(struct mf_storage_call *call, const struct kv_function *function,
			struct kv_session *session)
{
	uint64_t now = mf_clock_ns();
	int ret = session->failed;

	if (ret)
		return ret;
	if (is_aged(session, now))
		return -ETIMEDOUT;
	if (!session->txn) {
		ret = begin_txn(call, session);
		session->began_ns = now;
		stats.open += !ret;
	}
	if (ret)
		return ret;
	ret = call_in_txn(call, function, session->txn);
	if (call->bound && kv_txn_wrote(session->txn))
		mf_storage_set_pending(call->channel, haste_of(session).durability == MF_STORE_ASYNC
							      ? MF_STORE_PENDING_ASYNC
							      : MF_STORE_PENDING);
	return ret;
}

/* What it has seen may not be on the disk yet: then the answer waits, whatever it is. */
static int call_of_its_own(struct mf_storage_call *call, const struct kv_function *function,
			   struct kv_session *session)
{
	bool newest = function->writes || session->flights;
	struct waiter *waiter;
	struct kv_txn *txn;
	int ret = kv_txn_begin(&txn, newest ? KV_TXN_HEAD : KV_TXN_READ);

	if (ret)
		return ret;
	ret = call_in_txn(call, function, txn);
	if (kv_txn_wrote(txn) || txn->version > kv_commit_visible()) {
		waiter = make_waiter(call, call->channel);
		ret = waiter ? end_txn(txn, waiter, ret) : -ENOMEM;
		call->out_bytes = ret == -ENOMEM ? 0 : call->out_bytes;
	}
	kv_txn_drop(txn);
	return ret;
}

static int enter(struct mf_storage_call *call, void *arg)
{
	const struct kv_function *function = arg;
	struct kv_session *session = &sessions[call->channel];

	/* Pages that a snapshot needs are another's to write now. */
	if (__atomic_load_n(&control()->fenced, __ATOMIC_ACQUIRE))
		return -ESTALE;
	if (call->bound || session->explicit)
		return call_of_many(call, function, session);
	return call_of_its_own(call, function, session);
}

/* What has failed is to be committed, too: that says so. */
void kv_session_post(struct mf_storage_call *call, const struct kv_function *function)
{
	struct kv_session *session = &sessions[call->channel];
	int ret = call->bound ? enter(call, (void *)function) : -EINVAL;

	if (!ret || !call->bound)
		return;
	session->failed = ret;
	mf_storage_set_pending(call->channel, MF_STORE_PENDING);
}

static const struct kv_function *functions[FUNCTIONS_MAX];
static unsigned int function_count;

const struct kv_function *kv_find(uint32_t number)
{
	for (unsigned int i = 0; i < function_count; i++)
		if (functions[i]->number == number)
			return functions[i];
	return NULL;
}

int kv_declare(const struct kv_function *function)
{
	const struct mf_storage_function declared = {
		.number = function->number,
		.name = function->name,
		.in_max = function->in_max,
		.out_max = function->out_max,
		.writes = function->writes,
		.call = enter,
		.arg = (void *)function,
	};

	int ret = mf_storage_declare(&declared);

	if (!ret)
		functions[function_count++] = function;
	return ret;
}

/* ---- the look ---- */

static bool is_ready(void *arg)
{
	(void)arg;
	return !kv_commit_is_stalled();
}

static bool turn(void *arg)
{
	struct mf_abi_store_control *area = (struct mf_abi_store_control *)MF_STORE_CONTROL_VA;
	uint64_t commits = kv_commit_stats()->commits;
	unsigned int open;
	uint64_t oldest;
	int ret = kv_commit_turn();

	(void)arg;
	tell_waiters(ret < 0 ? ret : 0);
	kv_admin_turn();
	area->commits += kv_commit_stats()->commits - commits;
	if (ret > 0)
		kv_sweep();
	if (ret) {
		drop_aged();
		oldest = kv_snapshot_oldest(&open);
		kv_recent_trim(oldest < kv_commit_durable() ? oldest : kv_commit_durable(),
			       RECENT_MAX_BYTES);
	}
	return ret;
}

static const uint32_t *leaves(void *arg)
{
	(void)arg;
	return kv_commit_leaves();
}

const struct mf_storage_transactions kv_transactions = {
	.order = order, .drop = drop, .is_ready = is_ready, .turn = turn, .leaves = leaves};
