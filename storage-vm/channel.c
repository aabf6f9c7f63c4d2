/* SPDX-License-Identifier: MIT */
/*
 * The channels' other end, as the request role calls it. The engine and the storage VM agree about
 * a channel by two words that no request VM can reach: `active` (engine) and `busy` (storage VM).
 * Each sets its own, fences, and looks at the other's: never are both at it.
 */
#include "storage-vm/internal.h"

#include "engine/kvm/probe.h"

#include <mayfly/abi/ring_ops.h>

#include <errno.h>

/* A worker runs the storage VM for so long at most: longer than any ordinary call takes, and than a
 * vCPU takes to move to another thread (16 ms on emulated SVM). */
#define HAND_OFF_SLICE_NS 30000000ull
/* And so often in a row, when others have parked meanwhile. */
#define HAND_OFF_ROUNDS 4u

static struct mf_store *store_of(struct mf_peer *peer)
{
	return (struct mf_store *)peer;
}

static struct mf_abi_channel *window_of(struct mf_store *store, unsigned int channel)
{
	return mf_channels_window(&store->channels, channel);
}

/* What the request VM says of its own index is its own affair: at worst it looks once too often. */
static bool has_reply(struct mf_store *store, unsigned int channel)
{
	return mf_load_acquire(&MF_STORE_CHANNEL(store->control, channel)->reply_tail) !=
		       mf_load_acquire(&window_of(store, channel)->reply_head.at) &&
	       mf_load_acquire(&window_of(store, channel)->reply_tail.at) !=
		       mf_load_acquire(&window_of(store, channel)->reply_head.at);
}

static bool is_broken(const struct mf_store *store, unsigned int channel)
{
	return mf_load_acquire(&MF_STORE_CHANNEL(store->control, channel)->broken);
}

/* Is there a call that nobody waits for and that was not taken yet? It comes before the order. In
 * the ring they are before any other; what the request VM says there is about itself. */
static bool has_posts(struct mf_store *store, unsigned int channel)
{
	const uint32_t tail = mf_load_acquire(&window_of(store, channel)->request_tail.at);
	const uint32_t head =
		mf_load_acquire(&MF_STORE_CHANNEL(store->control, channel)->request_head);
	const uint32_t at = head & (store->channels.ring_bytes - 1) & ~(MF_RING_ALIGN - 1);
	const struct mf_abi_message *message =
		(const void *)((const uint8_t *)window_of(store, channel) + MF_CHANNEL_HEAD_BYTES +
			       at);

	return head != tail && __atomic_load_n(&store->control->posts, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&message->function, __ATOMIC_RELAXED) == MF_KV_POST;
}

static bool is_bereft(const struct mf_store *store, unsigned int channel)
{
	return __atomic_load_n(&store->bereft[channel], __ATOMIC_RELAXED);
}

/* What was asked in it is not answered any more. Whoever waits there may have looked before this
 * was said, and come to wait behind it: so it is kept until he comes. */
static void bereave(struct mf_store *store, unsigned int channel)
{
	mf_store_release(&window_of(store, channel)->lost, store->lost_count);
	__atomic_store_n(&store->bereft[channel], true, __ATOMIC_RELAXED);
}

/* The program that had the channel's transaction has died. */
static bool is_orphaned(const struct mf_store *store, unsigned int channel)
{
	return store->began[channel] != __atomic_load_n(&store->lost_count, __ATOMIC_RELAXED);
}

/* Is there a verdict on its order, or will there be none? */
static bool is_decided(const struct mf_store *store, unsigned int channel)
{
	const struct mf_abi_store_channel *state = MF_STORE_CHANNEL(store->control, channel);

	return mf_load_acquire(&state->verdict) || is_orphaned(store, channel) ||
	       (is_broken(store, channel) && !mf_load_acquire(&state->busy));
}

uint64_t mf_store_oldest_order(const struct mf_store *store)
{
	uint64_t oldest = UINT64_MAX;

	for (unsigned int i = 0; i < store->settings.channels; i++)
		if (mf_load_acquire(&MF_STORE_CHANNEL(store->control, i)->order) ==
			    MF_STORE_ORDER_COMMIT &&
		    !is_decided(store, i) && store->ordered_ns[i] < oldest)
			oldest = store->ordered_ns[i];
	return oldest;
}

bool mf_store_has_answer(struct mf_store *store, const struct mf_waiter *waiter)
{
	if (waiter->commits)
		return is_decided(store, waiter->channel);
	return has_reply(store, waiter->channel) || is_broken(store, waiter->channel) ||
	       is_bereft(store, waiter->channel);
}

static void unpark(struct mf_store *store, struct mf_waiter *waiter)
{
	struct mf_waiter **at = &store->waiters;

	if (!waiter->waits)
		return;
	while (*at != waiter)
		at = &(*at)->next;
	*at = waiter->next;
	waiter->waits = false;
	mf_store_release(&MF_STORE_CHANNEL(store->control, waiter->channel)->parked, 0);
}

static void park(struct mf_store *store, struct mf_waiter *waiter)
{
	waiter->waits = true;
	waiter->next = store->waiters;
	store->waiters = waiter;
	mf_store_release(&MF_STORE_CHANNEL(store->control, waiter->channel)->parked, 1);
	mf_fence();
}

void mf_store_notify(struct mf_store *store, bool all)
{
	struct mf_waiter *waiter;
	struct mf_waiter *next;

	for (waiter = store->waiters; waiter; waiter = next) {
		next = waiter->next;
		if (!all && !mf_store_has_answer(store, waiter))
			continue;
		unpark(store, waiter);
		waiter->wake(waiter);
	}
}

static unsigned int count_active(const struct mf_store *store)
{
	unsigned int count = 0;
	unsigned int i;

	for (i = 0; i < store->settings.channels; i += 64) {
		uint64_t bits = __atomic_load_n(&store->control->active[i / 64], __ATOMIC_RELAXED);

		if (store->settings.channels - i < 64) /* those of streams come behind */
			bits &= (1ull << store->settings.channels % 64) - 1;
		count += (unsigned int)__builtin_popcountll(bits);
	}
	return count;
}

/*
 * Does polling pay? Waits come as often as a few hand-offs take, and a core is left for the poller
 * beside those whose requests run.
 */
static bool polling_pays(struct mf_store *store)
{
	uint64_t now = mf_now_ns();
	uint64_t since = now - store->last_wait_ns;

	store->last_wait_ns = now;
	since = since < 1000000000ull ? since : 1000000000ull;
	store->interval_ns = (7 * store->interval_ns + since) / 8;
	return store->settings.wait == MF_STORE_AUTO && !mf_store_listens(store) &&
	       store->interval_ns < 4 * store->hand_off_ns && count_active(store) < store->cores;
}

/* Run the storage VM here, for this waiter and whoever comes meanwhile. Lock held, let go within.
 */
static void hand_off(struct mf_store *store, struct mf_waiter *waiter, struct mf_watch *watch)
{
	struct mf_abi_store_channel *state = MF_STORE_CHANNEL(store->control, waiter->channel);
	enum store_end end = STORE_IDLE;
	unsigned int rounds = 0;

	store->running = true;
	/* With calls of others to answer it tells when this one is, and the store's thread goes on
	 * with those. */
	mf_store_release(&state->parked, 1);
	do {
		store->wanted = store->calls = false;
		store->stats.hand_offs++;
		pthread_mutex_unlock(&store->lock);
		end = mf_store_run(store, watch, HAND_OFF_SLICE_NS, true, waiter, store->death);
		pthread_mutex_lock(&store->lock);
		mf_store_notify(store, false);
	} while (end == STORE_IDLE && store->wanted && ++rounds < HAND_OFF_ROUNDS);
	mf_store_release(&state->parked, 0);
	mf_store_ran(store, end);
}

/* Lock held: somebody waits who cannot run it himself. */
static void call(struct mf_store *store)
{
	store->calls = true;
	if (!store->running && store->up) {
		mf_store_call_thread(store);
		return;
	}
	store->wanted = true;
	/* Whoever runs it now may be at something else. */
	if (store->up && mf_process_news(&store->process))
		mf_watch_kick(store->watchdog, &store->process.vm, MF_KICK_TURN);
}

/* Lock held. */
static enum mf_peer_state state_of(struct mf_store *store, const struct mf_waiter *waiter)
{
	if (waiter->commits)
		return is_decided(store, waiter->channel) ? MF_PEER_GO_ON : MF_PEER_PARKED;
	if (is_broken(store, waiter->channel))
		return MF_PEER_BROKEN;
	if (__atomic_exchange_n(&store->bereft[waiter->channel], false, __ATOMIC_RELAXED))
		return MF_PEER_GO_ON;
	return has_reply(store, waiter->channel) ? MF_PEER_GO_ON : MF_PEER_PARKED;
}

static bool may_hand_off(const struct mf_store *store)
{
	return !store->running && !store->work && store->up &&
	       (store->settings.wait == MF_STORE_HAND_OFF || store->settings.wait == MF_STORE_AUTO);
}

/* An order that is carried out with the next commit, while one is under way: nobody runs the vCPU
 * for it. When that commit is over the program looks at all that have come. */
static bool waits_for_commit(struct mf_store *store, const struct mf_waiter *waiter)
{
	uint32_t pending =
		mf_load_acquire(&MF_STORE_CHANNEL(store->control, waiter->channel)->pending);

	/* Of what is only posted it was not asked how it is to be kept. */
	if (!pending && has_posts(store, waiter->channel) &&
	    store->settings.promise.durability != MF_STORE_ASYNC)
		pending = MF_STORE_PENDING;
	return waiter->commits && store->up && pending == MF_STORE_PENDING &&
	       __atomic_load_n(&store->control->commits_now, __ATOMIC_SEQ_CST);
}

static enum mf_peer_state wait_locked(struct mf_store *store, struct mf_waiter *waiter,
				      struct mf_watch *watch, enum mf_probe_mode *mode)
{
	enum mf_peer_state state = state_of(store, waiter);
	bool poll;

	*mode = MF_PROBE_MODE_ANSWERED;
	if (state != MF_PEER_PARKED)
		return state;
	poll = polling_pays(store);
	*mode = MF_PROBE_MODE_PARKED;
	if (waits_for_commit(store, waiter)) {
		park(store, waiter);
	} else if (watch && may_hand_off(store) && !poll) {
		*mode = MF_PROBE_MODE_HAND_OFF;
		hand_off(store, waiter, watch);
		state = state_of(store, waiter);
		if (state != MF_PEER_PARKED)
			return state;
		park(store, waiter);
	} else {
		park(store, waiter);
		if (poll)
			*mode = MF_PROBE_MODE_POLLED;
		if (poll && !store->running)
			mf_store_set_polling(store, mf_store_poll_span(store));
		call(store);
	}
	/* It may have answered before it could see that somebody sleeps. */
	state = state_of(store, waiter);
	if (state != MF_PEER_PARKED)
		unpark(store, waiter);
	return state;
}

static enum mf_peer_state peer_wait(struct mf_peer *peer, struct mf_waiter *waiter,
				    struct mf_watch *watch)
{
	struct mf_store *store = store_of(peer);
	enum mf_peer_state state;
	enum mf_probe_mode mode;

	MF_PROBE2(call__begin, store, waiter->channel);
	pthread_mutex_lock(&store->lock);
	waiter->commits = false;
	state = wait_locked(store, waiter, watch, &mode);
	pthread_mutex_unlock(&store->lock);
	MF_PROBE4(call__done, store, waiter->channel, mode, state);
	return state;
}

static bool peer_is_fenced(struct mf_peer *peer)
{
	return mf_store_is_fenced(store_of(peer), MF_DISK_LATELY);
}

static bool peer_is_pending(struct mf_peer *peer, unsigned int channel)
{
	struct mf_store *store = store_of(peer);

	const struct mf_abi_store_channel *state = MF_STORE_CHANNEL(store->control, channel);

	/* What is no more in the ring was said to be taken before. */
	return mf_load_acquire(&state->pending) || has_posts(store, channel) ||
	       mf_load_acquire(&state->wrote) & MF_STORE_TOOK;
}

/* What became of the order. Decided. */
static int verdict_of(struct mf_store *store, unsigned int channel)
{
	struct mf_abi_store_channel *state = MF_STORE_CHANNEL(store->control, channel);
	int32_t status;

	if (!mf_load_acquire(&state->verdict))
		return is_orphaned(store, channel) ? -ECONNRESET : -EPROTO;
	status = __atomic_load_n(&state->status, __ATOMIC_RELAXED);
	return status > 0 || status < -4095 ? -EIO : status;
}

static enum mf_peer_state peer_commit(struct mf_peer *peer, struct mf_waiter *waiter,
				      struct mf_watch *watch, int *status)
{
	struct mf_store *store = store_of(peer);
	struct mf_abi_store_channel *state = MF_STORE_CHANNEL(store->control, waiter->channel);
	enum mf_peer_state came = MF_PEER_GO_ON;
	enum mf_probe_mode mode;

	MF_PROBE2(commit__begin, store, waiter->channel);
	pthread_mutex_lock(&store->lock);
	waiter->commits = true;
	*status = -EAGAIN;
	if (state->order == MF_STORE_ORDER_NONE && is_broken(store, waiter->channel))
		came = MF_PEER_BROKEN;
	else if (state->order == MF_STORE_ORDER_NONE && !is_orphaned(store, waiter->channel)) {
		store->ordered_ns[waiter->channel] = mf_now_ns();
		__atomic_store_n(&state->order, MF_STORE_ORDER_COMMIT, __ATOMIC_SEQ_CST);
		store->stats.orders++;
	}
	if (state->order == MF_STORE_ORDER_COMMIT) {
		came = wait_locked(store, waiter, watch, &mode);
		*status = is_decided(store, waiter->channel) ? verdict_of(store, waiter->channel)
							     : -EINPROGRESS;
		if (*status != -EINPROGRESS)
			store->last_verdict_ns = mf_now_ns();
		if (*status == -EPROTO)
			came = MF_PEER_BROKEN;
	}
	pthread_mutex_unlock(&store->lock);
	MF_PROBE4(commit__done, store, waiter->channel, *status, came);
	return came;
}

static void peer_cancel(struct mf_peer *peer, struct mf_waiter *waiter)
{
	struct mf_store *store = store_of(peer);

	pthread_mutex_lock(&store->lock);
	if (waiter->waits && waiter->commits)
		MF_PROBE4(commit__done, store, waiter->channel, -ECANCELED, MF_PEER_BROKEN);
	else if (waiter->waits)
		MF_PROBE4(call__done, store, waiter->channel, MF_PROBE_MODE_PARKED, MF_PEER_BROKEN);
	unpark(store, waiter);
	pthread_mutex_unlock(&store->lock);
}

static void peer_window(struct mf_peer *peer, unsigned int channel, int *fd, uint64_t *offset)
{
	struct mf_store *store = store_of(peer);

	*fd = store->channels.memfd;
	*offset = mf_channels_offset(&store->channels, channel);
}

/* The request's number comes last: who reads it sees the rest as it is now. */
static void set_transaction(struct mf_store *store, unsigned int channel, bool bound)
{
	struct mf_abi_store_channel *state = MF_STORE_CHANNEL(store->control, channel);

	store->began[channel] = __atomic_load_n(&store->lost_count, __ATOMIC_RELAXED);
	state->bound = bound;
	state->order = MF_STORE_ORDER_NONE;
	state->pending = state->verdict = 0;
	state->status = 0;
	mf_store_release(&state->request, state->request + 1);
}

/* Each VM has a store of its own: one transaction that is never ordered to be committed. */
static bool is_private(const struct mf_store *store)
{
	return store->settings.scope == MF_STORE_OF_VM;
}

static void peer_forget(struct mf_peer *peer, unsigned int channel)
{
	struct mf_store *store = store_of(peer);

	if (is_private(store))
		set_transaction(store, channel, true);
}

/* A request that is a transaction, and is ordered to be committed at its end. */
static void allow_posts(struct mf_store *store, unsigned int channel, bool bound)
{
	uint32_t posts = __atomic_load_n(&store->control->posts, __ATOMIC_RELAXED);

	__atomic_store_n(&window_of(store, channel)->posts, posts && bound && !is_private(store),
			 __ATOMIC_RELAXED);
}

static void peer_renew(struct mf_peer *peer, unsigned int channel, bool bound)
{
	allow_posts(store_of(peer), channel, bound);
	mf_store_unpin(store_of(peer), channel);
	set_transaction(store_of(peer), channel, bound);
	mf_store_pin(store_of(peer), channel, bound);
}

/* It may be looked into, by both sides, from here on. */
static void open_channel(struct mf_store *store, unsigned int channel)
{
	mf_channel_format(&store->channels, channel,
			  __atomic_load_n(&store->polling, __ATOMIC_RELAXED),
			  __atomic_load_n(&store->lost_count, __ATOMIC_RELAXED));
	__atomic_store_n(&store->bereft[channel], false, __ATOMIC_RELAXED);
	__atomic_fetch_or(&store->control->active[channel / 64], 1ull << (channel % 64),
			  __ATOMIC_SEQ_CST);
}

/* What somebody else may have changed is told to the program. */
static void take_bound(struct mf_store *store)
{
	const struct mf_store_bound *bound = store->settings.bound;
	uint64_t quota;
	uint32_t evicts;

	if (!bound)
		return;
	quota = __atomic_load_n(&bound->quota_bytes, __ATOMIC_RELAXED);
	evicts = __atomic_load_n(&bound->evicts, __ATOMIC_RELAXED) != 0;
	if (__atomic_load_n(&store->control->quota_bytes, __ATOMIC_RELAXED) != quota)
		__atomic_store_n(&store->control->quota_bytes, quota, __ATOMIC_RELAXED);
	if (__atomic_load_n(&store->control->evicts, __ATOMIC_RELAXED) != evicts)
		__atomic_store_n(&store->control->evicts, evicts, __ATOMIC_RELAXED);
}

static void peer_begin(struct mf_peer *peer, unsigned int channel, bool bound)
{
	take_bound(store_of(peer));
	if (!is_private(store_of(peer)))
		set_transaction(store_of(peer), channel, bound);
	open_channel(store_of(peer), channel);
	allow_posts(store_of(peer), channel, bound);
	mf_store_pin(store_of(peer), channel, bound);
}

static unsigned int stream_of(const struct mf_store *store, unsigned int channel)
{
	return store->settings.channels + channel;
}

static bool peer_stream(struct mf_peer *peer, unsigned int channel, struct mf_peer_stream *stream)
{
	struct mf_store *store = store_of(peer);
	unsigned int own = stream_of(store, channel);

	*stream = (struct mf_peer_stream){.window = window_of(store, own),
					  .window_bytes = store->channels.window_bytes,
					  .channel = own};
	mf_store_end_place(store, channel);
	if (!store->streams[channel])
		open_channel(store, own);
	store->streams[channel] = true;
	return true;
}

/* -EBUSY: the storage VM is in it. */
static int close_channel(struct mf_store *store, unsigned int channel)
{
	__atomic_fetch_and(&store->control->active[channel / 64], ~(1ull << (channel % 64)),
			   __ATOMIC_SEQ_CST);
	mf_fence();
	return mf_load_acquire(&MF_STORE_CHANNEL(store->control, channel)->busy) ? -EBUSY : 0;
}

/* Closed before. The storage VM's first write to a page faults there and not here: look always. Its
 * index does not tell: what was not published may have been written. */
static int wipe_channel(struct mf_store *store, unsigned int channel, bool grown)
{
	struct mf_abi_store_channel *state = MF_STORE_CHANNEL(store->control, channel);
	int ret = mf_channel_wipe(&store->channels, channel,
				  grown || mf_load_acquire(&state->wrote) & MF_STORE_WROTE);

	state->request_head = state->reply_tail = state->broken = state->parked = 0;
	state->wrote = 0;
	if (store->calls_of)
		__atomic_add_fetch(&store->calls_of->lives[channel], 1, __ATOMIC_RELEASE);
	return ret;
}

/* Both of them are closed, whatever comes of it. */
static int close_both(struct mf_store *store, unsigned int channel)
{
	struct mf_abi_store_channel *state = MF_STORE_CHANNEL(store->control, channel);
	int ret = close_channel(store, channel);

	if (store->streams[channel] && close_channel(store, stream_of(store, channel)))
		ret = -EBUSY;
	return state->order == MF_STORE_ORDER_COMMIT && !is_decided(store, channel) ? -EBUSY : ret;
}

static int peer_end(struct mf_peer *peer, unsigned int channel, bool faulted)
{
	struct mf_store *store = store_of(peer);
	int ret;

	mf_store_unpin(store, channel);
	ret = close_both(store, channel);
	if (ret)
		return ret;
	/* What was not ordered to be committed is dropped. */
	if (!is_private(store))
		set_transaction(store, channel, true);
	/* The engine has written into a stream. */
	if (store->streams[channel])
		ret = wipe_channel(store, stream_of(store, channel), true);
	store->streams[channel] = ret != 0;
	return ret ? ret : wipe_channel(store, channel, faulted);
}

/* Has a program before this one done anything over it, or begun to? */
static bool is_used(const struct mf_store *store, unsigned int channel)
{
	const struct mf_abi_store_channel *state = MF_STORE_CHANNEL(store->control, channel);

	return state->wrote || state->busy;
}

/* Nobody knows any more what was read and written; of an order, whether it was carried out. */
static void lose_transaction(struct mf_store *store, unsigned int channel)
{
	struct mf_abi_store_channel *state = MF_STORE_CHANNEL(store->control, channel);
	bool reads = mf_store_lose_place(store, channel);

	if (state->order == MF_STORE_ORDER_COMMIT && !state->verdict) {
		state->status = -ECONNRESET;
		mf_store_release(&state->verdict, 1);
	} else if (state->order == MF_STORE_ORDER_NONE && state->bound &&
		   (reads || is_used(store, channel) ||
		    is_used(store, stream_of(store, channel)))) {
		state->order = MF_STORE_ORDER_LOST;
	}
}

/* True: a call was under way. */
static bool lose_call(struct mf_store *store, unsigned int channel)
{
	struct mf_abi_store_channel *state = MF_STORE_CHANNEL(store->control, channel);
	struct mf_abi_channel *window = window_of(store, channel);

	if (!state->busy) {
		/* It reads in place, and must come to its end. */
		if (channel < store->settings.channels && mf_store_lose_place(store, channel))
			bereave(store, channel);
		return false;
	}
	if (has_posts(store, channel))
		state->wrote |= MF_STORE_TOOK;
	/* Its indices are the request VM's claims now, and of use to nobody else. */
	state->request_head = mf_load_acquire(&window->request_tail.at);
	state->reply_tail = mf_load_acquire(&window->reply_tail.at);
	state->broken |= state->request_head % MF_RING_ALIGN || state->reply_tail % MF_RING_ALIGN;
	bereave(store, channel);
	mf_store_release(&state->busy, 0);
	return true;
}

unsigned int mf_store_lose_calls(struct mf_store *store)
{
	unsigned int lost = 0;
	unsigned int i;

	__atomic_add_fetch(&store->lost_count, 1, __ATOMIC_RELAXED);
	for (i = 0; i < store->settings.channels; i++)
		lose_transaction(store, i);
	for (i = 0; i < 2 * store->settings.channels; i++)
		lost += lose_call(store, i);
	store->stats.lost += lost;
	return lost;
}

void mf_store_init_peer(struct mf_store *store)
{
	store->peer = (struct mf_peer){
		.window = peer_window,
		.begin = peer_begin,
		.forget = peer_forget,
		.renew = peer_renew,
		.is_fenced = peer_is_fenced,
		.is_pending = peer_is_pending,
		.stream = peer_stream,
		.wait = peer_wait,
		.commit = peer_commit,
		.cancel = peer_cancel,
		.end = peer_end,
	};
	mf_store_init_files(store);
}
