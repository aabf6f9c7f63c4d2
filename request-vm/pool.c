/* SPDX-License-Identifier: MIT */
#include "request-vm/slot.h"

#include "engine/kvm/stats.h"

#include "engine/image/delta.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A guest runs this long before others of its worker get a turn. */
#define SLICE_FIRST_NS 4000000ull
#define SLICE_SLOW_NS  2000000ull

#define SWEEP_MS 50u

/* So long a request may let its VM wait for its client while others wait for a VM: less, the more
 * of them there are. */
#define PATIENCE_NS 1000000000ull

/* How soon a VM is asked for again that the storage VM was still at. */
#define RETRY_MS 1u

static void kick_idle(struct mf_pool *pool);
static void on_retry(uv_timer_t *handle);
static void free_pool(struct mf_pool *pool);
static void close_now(struct mf_pool *pool);

static void push(struct mf_slot **head, struct mf_slot *slot)
{
	slot->next = *head;
	*head = slot;
}

static struct mf_slot *pop(struct mf_slot **head)
{
	struct mf_slot *slot = *head;

	if (slot)
		*head = slot->next;
	return slot;
}

static void append(struct mf_slot **head, struct mf_slot **tail, struct mf_slot *slot)
{
	slot->next = NULL;
	if (*head)
		(*tail)->next = slot;
	else
		*head = slot;
	*tail = slot;
}

static void count_waiting(struct mf_pool *pool, int change)
{
	pool->stats.queued += (unsigned int)change;
	if (pool->stats.queued)
		mf_standing_add(&pool->standing, mf_now_ns());
	else
		mf_standing_end(&pool->standing);
	__atomic_add_fetch(&pool->settings.load->waiting, change, __ATOMIC_RELAXED);
}

void mf_pool_count_busy(struct mf_pool *pool, int change)
{
	pool->stats.busy += (unsigned int)change;
	__atomic_add_fetch(&pool->settings.load->busy, change, __ATOMIC_RELAXED);
}

void mf_pool_count_kept(struct mf_pool *pool, int change)
{
	pool->stats.kept += (unsigned int)change;
}

/* Nothing will be free before a connection that idles ends. */
static bool is_kept(const struct mf_pool *pool)
{
	return pool->stats.kept && pool->stats.kept == pool->stats.vms && !pool->empty;
}

static bool is_full(const struct mf_pool *pool)
{
	const struct mf_pool_load *load = pool->settings.load;
	uint64_t taken = (uint64_t)__atomic_load_n(&load->waiting, __ATOMIC_RELAXED) +
			 __atomic_load_n(&load->busy, __ATOMIC_RELAXED);

	return taken >=
	       (uint64_t)pool->settings.queue + __atomic_load_n(&load->vms, __ATOMIC_RELAXED);
}

/* There are VMs for those who wait, or they run: it is the processor that lacks. One for each VM
 * may wait even then, however unevenly they fell to the pools. */
static bool stands(const struct mf_pool *pool)
{
	const struct mf_pool_load *load = pool->settings.load;
	bool lacks_processor = pool->clean || pool->dirty || pool->fast_head || pool->slow_head;

	return pool->settings.queue_shrinks && lacks_processor &&
	       __atomic_load_n(&load->waiting, __ATOMIC_RELAXED) >=
		       __atomic_load_n(&load->vms, __ATOMIC_RELAXED) &&
	       mf_standing_is_long(&pool->standing, mf_now_ns(), pool->stats.queued);
}

/* Put a slot into the list that its state says; parked ones and those with open handles in none. */
static void file(struct mf_slot *slot)
{
	struct mf_pool *pool = slot->pool;

	switch (slot->state) {
	case MF_SLOT_EMPTY:
		push(&pool->empty, slot);
		break;
	case MF_SLOT_CLEAN:
		push(&pool->clean, slot);
		break;
	case MF_SLOT_DIRTY:
		if (!slot->handles)
			push(&pool->dirty, slot);
		break;
	case MF_SLOT_RUNNABLE:
		if (slot->slow)
			append(&pool->slow_head, &pool->slow_tail, slot);
		else
			append(&pool->fast_head, &pool->fast_tail, slot);
		break;
	case MF_SLOT_LEAVING:
		push(&pool->leaving, slot);
		if (!uv_is_active((uv_handle_t *)&pool->retry))
			uv_timer_start(&pool->retry, on_retry, RETRY_MS, RETRY_MS);
		break;
	case MF_SLOT_PARKED:
		break;
	}
	kick_idle(pool);
}

/* What the storage VM was still at may be over: they are dirty like all others. */
static void on_retry(uv_timer_t *handle)
{
	struct mf_pool *pool = handle->data;
	struct mf_slot *slot = pool->leaving;
	struct mf_slot *next;

	pool->leaving = NULL;
	uv_timer_stop(&pool->retry);
	for (; slot; slot = next) {
		next = slot->next;
		slot->state = MF_SLOT_DIRTY;
		file(slot);
	}
}

/* The storage VM has answered, or was started anew: any thread. */
static void wake_later(struct mf_slot *slot)
{
	struct mf_pool *pool = slot->pool;

	pthread_mutex_lock(&pool->woken_lock);
	if (!slot->is_woken) {
		slot->is_woken = true;
		slot->woken = pool->woken;
		pool->woken = slot;
	}
	pthread_mutex_unlock(&pool->woken_lock);
	uv_async_send(&pool->wake);
}

static struct mf_slot *pop_woken(struct mf_pool *pool)
{
	struct mf_slot *slot;

	pthread_mutex_lock(&pool->woken_lock);
	slot = pool->woken;
	if (slot) {
		pool->woken = slot->woken;
		slot->is_woken = false;
	}
	pthread_mutex_unlock(&pool->woken_lock);
	return slot;
}

static void on_wake(uv_async_t *handle)
{
	struct mf_pool *pool = handle->data;
	struct mf_slot *slot;

	while ((slot = pop_woken(pool)))
		mf_slot_go_on(slot);
}

static void wake_waiter(struct mf_waiter *waiter)
{
	wake_later((struct mf_slot *)((char *)waiter - offsetof(struct mf_slot, waiter)));
}

static void wake_streams(struct mf_waiter *waiter)
{
	wake_later((struct mf_slot *)((char *)waiter - offsetof(struct mf_slot, streams.waiter)));
}

/* A wait is over, or the last handle of a slot has closed. */
void mf_pool_wake(struct mf_slot *slot)
{
	struct mf_pool *pool = slot->pool;

	if (pool->closing) {
		if (!slot->handles && !--pool->closing_handles)
			free_pool(pool);
		return;
	}
	/* While handles close, the slot is in no list; the last of them files it. */
	if (!slot->handles)
		file(slot);
}

static void run(struct mf_slot *slot, uint64_t slice_ns)
{
	mf_slot_run(slot, slice_ns);
	file(slot);
}

/* A VM that can take a request now, or NULL. */
static struct mf_slot *take_clean(struct mf_pool *pool)
{
	struct mf_slot *slot = pop(&pool->clean);

	while (!slot && pool->dirty) {
		slot = pop(&pool->dirty);
		mf_slot_restore(slot);
		if (slot->state == MF_SLOT_CLEAN)
			break;
		file(slot);
		slot = NULL;
	}
	return slot;
}

/* It waits for a VM no more, or is looked at while it does. */
static void count_wait(struct mf_pool *pool, struct mf_job *job, uint64_t now_ns)
{
	pool->times.spent_ns[MF_SPENT_QUEUE] += now_ns - job->counted_ns;
	job->counted_ns = now_ns;
}

static void end_wait(struct mf_pool *pool, struct mf_job *job)
{
	uint64_t now_ns = mf_now_ns();

	count_wait(pool, job, now_ns);
	mf_hist_note(&pool->times.steps[MF_STEP_QUEUE], now_ns - job->arrived_ns);
}

static void begin(struct mf_pool *pool, struct mf_slot *slot, struct mf_job *job)
{
	int ret;

	end_wait(pool, job);
	job->slot = slot;
	ret = mf_slot_begin(slot, job);
	if (ret) {
		mf_slot_end(slot, mf_slot_refusal(ret), NULL);
		file(slot);
		return;
	}
	if (slot->slow)
		file(slot);
	else
		run(slot, SLICE_FIRST_NS);
}

static void unlink_slot(struct mf_slot **head, struct mf_slot **tail, struct mf_slot *slot)
{
	struct mf_slot **at = head;
	struct mf_slot *last = NULL;

	while (*at && *at != slot) {
		last = *at;
		at = &(*at)->next;
	}
	if (!*at)
		return;
	*at = slot->next;
	if (*tail == slot)
		*tail = last;
}

/* End what it does, wherever it is. */
static void end(struct mf_pool *pool, struct mf_slot *slot, enum mf_outcome outcome)
{
	bool is_filed = slot->state == MF_SLOT_DIRTY || slot->state == MF_SLOT_LEAVING;

	unlink_slot(&pool->fast_head, &pool->fast_tail, slot);
	unlink_slot(&pool->slow_head, &pool->slow_tail, slot);
	mf_slot_end(slot, outcome, NULL);
	if (!is_filed)
		file(slot);
}

/* A request of a connection that has a VM. */
static void begin_next(struct mf_pool *pool, struct mf_job *job)
{
	struct mf_slot *slot = job->lease->slot;
	bool was_kept = slot->kept;
	int ret;

	if (!mf_slot_takes_next(slot)) {
		job->lease->next = job;
		return;
	}
	job->slot = slot;
	ret = mf_slot_next(slot, job);
	if (ret)
		end(pool, slot, mf_slot_refusal(ret));
	else if (was_kept && slot->slow)
		mf_pool_wake(slot);
	else if (was_kept && !slot->handles)
		run(slot, SLICE_FIRST_NS);
}

static struct mf_job *dequeue(struct mf_pool *pool)
{
	struct mf_job *job = pool->queue_head;

	if (!job)
		return NULL;
	pool->queue_head = job->next;
	count_waiting(pool, -1);
	mf_standing_take(&pool->standing, mf_now_ns());
	return job;
}

static void serve_queue(struct mf_pool *pool)
{
	struct mf_slot *slot;

	if (!pool->queue_head)
		return;
	slot = take_clean(pool);
	if (slot)
		begin(pool, slot, dequeue(pool));
}

/* Requests wait, and a VM that was given up has not been replaced yet. */
static bool wants_fork(const struct mf_pool *pool)
{
	return pool->queue_head && !pool->clean && !pool->dirty && pool->empty && !pool->no_room;
}

static bool is_over(const struct mf_pool *pool)
{
	return pool->ending && !pool->stats.busy && !pool->queue_head;
}

/* Whether there is anything to do without waiting. */
static bool has_work(const struct mf_pool *pool)
{
	return pool->began || is_over(pool) || wants_fork(pool) || pool->dirty || pool->fast_head ||
	       pool->slow_head || (pool->queue_head && pool->clean);
}

static struct mf_slot *next_runnable(struct mf_pool *pool, uint64_t *slice_ns)
{
	struct mf_slot *slot = pop(&pool->fast_head);

	*slice_ns = SLICE_FIRST_NS;
	if (slot)
		return slot;
	*slice_ns = SLICE_SLOW_NS;
	return pop(&pool->slow_head);
}

static void fork_one(struct mf_pool *pool)
{
	struct mf_slot *slot = pop(&pool->empty);
	struct mf_error err;

	if (!slot)
		return;
	pool->no_room = mf_slot_fork(slot, &err) != 0; /* tried again at the next sweep */
	file(slot);
}

/* One piece of work a turn of the loop, so that clients are looked at in between. */
static void on_idle(uv_idle_t *handle)
{
	struct mf_pool *pool = handle->data;
	struct mf_slot *slot;
	uint64_t slice_ns;

	pool->began = false;
	if (is_over(pool)) {
		close_now(pool);
		return;
	}
	if (wants_fork(pool))
		fork_one(pool);
	if (pool->queue_head) {
		serve_queue(pool);
	} else if (pool->dirty) {
		slot = pop(&pool->dirty);
		mf_slot_restore(slot);
		file(slot);
	}
	slot = next_runnable(pool, &slice_ns);
	if (slot) {
		run(slot, slice_ns);
		/* Guests that compute for long must not starve the kernel's own threads of this
		 * CPU. */
		if (slice_ns == SLICE_SLOW_NS)
			sched_yield();
	}
	if (!has_work(pool))
		uv_idle_stop(&pool->idle);
}

static void kick_idle(struct mf_pool *pool)
{
	if (!pool->closing && has_work(pool) && !uv_is_active((uv_handle_t *)&pool->idle))
		uv_idle_start(&pool->idle, on_idle);
}

/* Those that wait for a VM while there will be none. */
static void refuse_queue(struct mf_pool *pool)
{
	struct mf_job *job;

	while ((job = dequeue(pool))) {
		pool->stats.rejected++;
		end_wait(pool, job);
		job->done(job, MF_OUTCOME_KEPT, NULL);
	}
}

/* Requests whose time ran out while they waited for a VM. */
static void expire_queue(struct mf_pool *pool, uint64_t now)
{
	struct mf_job **at = &pool->queue_head;

	pool->queue_tail = NULL;
	while (*at) {
		struct mf_job *job = *at;

		if (!job->deadline_ns || now < job->deadline_ns) {
			pool->queue_tail = job;
			at = &job->next;
			continue;
		}
		*at = job->next;
		count_waiting(pool, -1);
		end_wait(pool, job);
		pool->stats.outcomes[MF_OUTCOME_DEADLINE]++;
		MF_STATS_ADD(requests[MF_OUTCOME_DEADLINE], 1);
		job->done(job, MF_OUTCOME_DEADLINE, NULL);
	}
}

/* Give one idle VM what the others have learned since it was forked. */
static void prepare_one(struct mf_pool *pool)
{
	size_t lessons = __atomic_load_n(&pool->image->lessons, __ATOMIC_RELAXED);
	struct mf_slot **at = &pool->clean;
	struct mf_slot *slot;

	while (*at && (*at)->prepared == lessons)
		at = &(*at)->next;
	slot = *at;
	if (!slot || pool->settings.end == MF_END_KEEP)
		return;
	*at = slot->next;
	mf_slot_prepare(slot);
	file(slot);
}

/* Clients that send, or take, what goes to and fro too slowly do not keep VMs from others, unless
 * they are promised theirs (MF_END_KEEP, a lease). */
static void end_idlers(struct mf_pool *pool, uint64_t now)
{
	uint64_t vms = pool->settings.vms;
	unsigned int wanted = pool->stats.queued;
	uint64_t patience = PATIENCE_NS * vms / (vms + wanted);
	unsigned int i;

	if (pool->clean || pool->dirty || pool->settings.end == MF_END_KEEP)
		return;
	for (i = 0; i < vms && wanted; i++) {
		struct mf_slot *slot = &pool->slots[i];

		if (slot->lease || mf_slot_owed_ns(slot, now) <= patience)
			continue;
		mf_output_note(&slot->output, "request ended: it waited for its client, and others "
					      "for its VM");
		mf_slot_end(slot, MF_OUTCOME_DEADLINE, NULL);
		mf_pool_wake(slot);
		wanted--;
	}
}

static void on_sweep(uv_timer_t *handle)
{
	struct mf_pool *pool = handle->data;

	expire_queue(pool, mf_now_ns());
	if (is_kept(pool))
		refuse_queue(pool);
	end_idlers(pool, mf_now_ns());
	fork_one(pool);
	if (!has_work(pool))
		prepare_one(pool);
	kick_idle(pool);
}

static void enqueue(struct mf_pool *pool, struct mf_job *job)
{
	job->next = NULL;
	if (pool->queue_head)
		pool->queue_tail->next = job;
	else
		pool->queue_head = job;
	pool->queue_tail = job;
	count_waiting(pool, 1);
}

void mf_pool_again(struct mf_pool *pool, struct mf_job *job)
{
	job->slot = NULL;
	job->over = false;
	job->arrived_ns = job->counted_ns = mf_now_ns();
	job->next = pool->queue_head;
	if (!pool->queue_head)
		pool->queue_tail = job;
	pool->queue_head = job;
	count_waiting(pool, 1);
}

int mf_pool_submit(struct mf_pool *pool, struct mf_job *job)
{
	uint64_t deadline = pool->settings.deadline_ns;
	struct mf_slot *slot;

	if (pool->closing)
		return -ESHUTDOWN;
	pool->stats.requests++;
	job->arrived_ns = job->counted_ns = mf_now_ns();
	job->deadline_ns = deadline ? job->arrived_ns + deadline : 0;
	job->over = false;
	job->slot = NULL;
	job->vm = -1;
	job->exits = 0;
	job->tries = 0;
	job->store_status = 0;
	if (job->lease && job->lease->slot) {
		begin_next(pool, job);
		return 0;
	}
	/* One a turn of the loop: the others that have come are to be counted, and refused if they
	 * are too many, instead of waiting unread while those before them run. */
	slot = pool->queue_head || pool->began ? NULL : take_clean(pool);
	if (slot) {
		pool->began = true;
		begin(pool, slot, job);
		return 0;
	}
	if (is_kept(pool) || is_full(pool) || stands(pool)) {
		pool->stats.rejected++;
		return is_kept(pool) ? -EBUSY : -EAGAIN;
	}
	enqueue(pool, job);
	kick_idle(pool);
	return 0;
}

void mf_pool_go_on(struct mf_pool *pool, struct mf_job *job)
{
	(void)pool;
	if (job->slot)
		mf_slot_pieces(job->slot);
}

static void cancel_queued(struct mf_pool *pool, struct mf_job *job)
{
	struct mf_job **at = &pool->queue_head;
	struct mf_job *last = NULL;

	while (*at && *at != job) {
		last = *at;
		at = &(*at)->next;
	}
	if (!*at)
		return;
	*at = job->next;
	if (pool->queue_tail == job)
		pool->queue_tail = last;
	end_wait(pool, job);
	count_waiting(pool, -1);
}

void mf_pool_cancel(struct mf_pool *pool, struct mf_job *job)
{
	struct mf_slot *slot = job->slot;

	if (!slot) {
		if (job->lease && job->lease->next == job)
			job->lease->next = NULL;
		cancel_queued(pool, job);
		return;
	}
	if (mf_slot_cancel(slot))
		return;
	slot->job = NULL;
	end(pool, slot, MF_OUTCOME_DEADLINE);
}

void mf_pool_release(struct mf_pool *pool, struct mf_lease *lease)
{
	struct mf_slot *slot = lease->slot;

	(void)pool;
	lease->slot = NULL;
	if (slot)
		mf_slot_release(slot);
}

const struct mf_pool_stats *mf_pool_stats(struct mf_pool *pool)
{
	return &pool->stats;
}

const struct mf_times *mf_pool_times(struct mf_pool *pool)
{
	uint64_t now_ns = mf_now_ns();
	struct mf_job *job;
	unsigned int i;

	for (i = 0; i < pool->settings.vms; i++)
		mf_slot_settle(&pool->slots[i], now_ns);
	for (job = pool->queue_head; job; job = job->next)
		count_wait(pool, job, now_ns);
	return &pool->times;
}

static void init_slot(struct mf_pool *pool, unsigned int i, const struct mf_ready_point *ready)
{
	struct mf_slot *slot = &pool->slots[i];

	slot->pool = pool;
	slot->waiter =
		(struct mf_waiter){.wake = wake_waiter, .channel = pool->settings.first_vm + i};
	mf_streams_init(&slot->streams, pool->settings.peer, slot->waiter.channel, wake_streams);
	slot->image_ready = *ready;
	slot->output.meter = &pool->meter;
	snprintf(slot->output.tag, sizeof(slot->output.tag), "vm %u", pool->settings.first_vm + i);
	slot->policy = pool->policy;
	slot->policy.output = mf_output_write;
	slot->policy.output_cookie = &slot->output;
	slot->policy.stdin_fd = -1;
	slot->policy.private_pages = pool->settings.private_pages;
	slot->policy.stdio_is_host = false;
	slot->policy.fetches = pool->fetcher != NULL;
}

static void finish_slots(struct mf_pool *pool)
{
	unsigned int i;

	for (i = 0; i < pool->settings.vms; i++)
		if (pool->slots[i].state != MF_SLOT_EMPTY)
			mf_process_finish(&pool->slots[i].process);
}

#define OWN_HANDLES 4u

static void close_own_handles(struct mf_pool *pool, uv_close_cb closed)
{
	uv_close((uv_handle_t *)&pool->idle, closed);
	uv_close((uv_handle_t *)&pool->sweep, closed);
	uv_close((uv_handle_t *)&pool->retry, closed);
	uv_close((uv_handle_t *)&pool->wake, closed);
}

static void on_nothing(void *arg)
{
	(void)arg;
}

int mf_pool_create(struct mf_pool **out, uv_loop_t *loop, struct mf_image *image,
		   const struct mf_ready_point *ready, const struct mf_policy *policy,
		   const struct mf_pool_settings *settings, struct mf_watch *watch,
		   struct mf_error *err)
{
	struct mf_pool *pool = calloc(1, sizeof(*pool) + settings->vms * sizeof(pool->slots[0]));
	unsigned int i;
	int ret = 0;

	if (!pool)
		return mf_error_set(err, -ENOMEM, "not enough memory for a pool of %u VMs",
				    settings->vms);
	pool->loop = loop;
	pool->image = image;
	pool->policy = *policy;
	pool->settings = *settings;
	if (!settings->load)
		pool->settings.load = &pool->load;
	pool->watch = watch;
	uv_idle_init(loop, &pool->idle);
	uv_timer_init(loop, &pool->sweep);
	uv_timer_init(loop, &pool->retry);
	uv_async_init(loop, &pool->wake, on_wake);
	pthread_mutex_init(&pool->woken_lock, NULL);
	pool->idle.data = pool->sweep.data = pool->retry.data = pool->wake.data = pool;
	if (settings->fetches &&
	    mf_fetcher_create(&pool->fetcher, loop, settings->fetches, pool->policy.net))
		ret = mf_error_set(err, -ENOMEM, "not enough memory to fetch for programs");
	for (i = 0; i < settings->vms && !ret; i++) {
		init_slot(pool, i, ready);
		ret = mf_slot_fork(&pool->slots[i], err);
		if (!ret)
			push(&pool->clean, &pool->slots[i]);
	}
	if (ret) {
		pool->settings.vms = i ? i - 1 : 0;
		finish_slots(pool);
		close_own_handles(pool, NULL);
		if (pool->fetcher)
			mf_fetcher_close(pool->fetcher, on_nothing, NULL);
		uv_run(loop, UV_RUN_NOWAIT);
		pthread_mutex_destroy(&pool->woken_lock);
		free(pool);
		return ret;
	}
	__atomic_add_fetch(&pool->settings.load->vms, settings->vms, __ATOMIC_RELAXED);
	uv_timer_start(&pool->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
	*out = pool;
	return 0;
}

static void free_pool(struct mf_pool *pool)
{
	finish_slots(pool);
	pthread_mutex_destroy(&pool->woken_lock);
	pool->closed(pool->closed_arg);
	free(pool);
}

static void one_less(void *arg)
{
	struct mf_pool *pool = arg;

	if (!--pool->closing_handles)
		free_pool(pool);
}

static void on_own_handle_closed(uv_handle_t *handle)
{
	one_less(handle->data);
}

static void close_now(struct mf_pool *pool)
{
	struct mf_slot *slot;
	unsigned int i;

	/* Every request is accounted for, the last ones' resets and audits too. */
	while ((slot = pop(&pool->dirty)))
		mf_slot_restore(slot);
	pool->closing = true;
	pool->closing_handles = OWN_HANDLES;
	for (i = 0; i < pool->settings.vms; i++) {
		slot = &pool->slots[i];
		if (slot->state == MF_SLOT_PARKED)
			mf_slot_end(slot, MF_OUTCOME_DEADLINE, NULL);
		pool->closing_handles += slot->handles != 0;
	}
	close_own_handles(pool, on_own_handle_closed);
	if (pool->fetcher) {
		pool->closing_handles++;
		mf_fetcher_close(pool->fetcher, one_less, pool);
	}
}

void mf_pool_close(struct mf_pool *pool, bool now, void (*done)(void *arg), void *arg)
{
	if (pool->closing)
		return;
	pool->closed = done;
	pool->closed_arg = arg;
	pool->ending = true;
	if (now)
		close_now(pool);
	else
		kick_idle(pool);
}

const char *mf_outcome_name(enum mf_outcome outcome)
{
	static const char *const names[] = {"ok",       "crash",    "memory",
					    "response", "deadline", "too large",
					    "conflict", "store",    "kept"};

	return names[outcome];
}
