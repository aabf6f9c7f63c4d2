/* SPDX-License-Identifier: MIT */
#include "request-vm/slot.h"

#include "engine/image/delta.h"
#include "engine/kvm/probe.h"
#include "engine/kvm/stats.h"
#include "engine/mem/pt.h"

#include <mayfly/abi/ring.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void close_parking(struct mf_slot *slot);
static void park(struct mf_slot *slot, const struct mf_exit *exit);

/* Nothing to wait for but what others do with it. */
static const struct mf_exit until_then = {.wait_fd = -1, .wait_until_ns = UINT64_MAX};

uint64_t mf_slot_faults(const struct mf_slot *slot)
{
	const struct mf_kvm_vm *kvm = &slot->process.vm.kvm;

	return mf_kvm_vm_stat(kvm, kvm->kvm->stat_pf_taken);
}

/* So many pages were touched that the limit may be reached. */
static bool faulted_enough(const struct mf_slot *slot)
{
	return slot->faults_max && mf_slot_faults(slot) > slot->faults_max;
}

/* Each page that becomes private takes a fault at the least: so many more until it is worth a look.
 */
static uint64_t first_look(const struct mf_slot *slot)
{
	uint64_t limit = slot->pool->settings.private_pages;
	uint64_t held = slot->process.vm.mem.ws.held;

	return limit ? slot->faults_before + (held < limit ? limit - held : 0) : 0;
}

static struct mf_peer *peer_of(const struct mf_slot *slot)
{
	return slot->pool->settings.peer;
}

/* What is not committed yet is not told of; of what has no end, each call stands for itself. */
static void hold(struct mf_slot *slot, struct mf_front_request *front)
{
	struct mf_peer *peer = peer_of(slot);

	if (!peer || slot->pool->settings.private_store || slot->unbound)
		return;
	if (front->lasting) {
		slot->unbound = true;
		peer->renew(peer, slot->waiter.channel, false);
		mf_streams_renew(&slot->streams);
		return;
	}
	front->holds =
		peer->is_pending(peer, slot->waiter.channel) || mf_streams_wait(&slot->streams);
}

/* Bytes over the connection; who records the request is told what it has cost so far. */
static bool move(struct mf_slot *slot)
{
	struct mf_front_request *front = slot->exchange.front;

	if (front) {
		hold(slot, front);
		front->vm = (int)slot->waiter.channel;
		front->exits = slot->process.vm.kvm.user_exits - slot->exits_before;
	}
	return mf_exchange_move(&slot->exchange, &slot->process);
}

/* Between the program and the store. True: the program may go on with something. */
static bool move_streams(struct mf_slot *slot)
{
	return mf_streams_move(&slot->streams, &slot->process, slot->pool->watch);
}

/* Of a tunnel the front door says how long it may last. */
static void forget_deadline(struct mf_slot *slot)
{
	if (mf_exchange_lasts(&slot->exchange))
		slot->deadline_ns = 0;
}

static int deliver(struct mf_slot *slot, struct mf_job *job)
{
	if (!mf_slot_listens(slot))
		return mf_function_deliver(&slot->process, &slot->ready, job->request,
					   job->request_bytes);
	/* The program has closed, or sent what nobody asked for. */
	if (slot->lease && slot->exchange.open &&
	    !mf_exchange_may_follow(&slot->exchange, &slot->process))
		return -EPIPE;
	return mf_exchange_begin_pieces(&slot->exchange, &slot->process, job->pieces);
}

/* What counts from here on. */
static void note_begin(struct mf_slot *slot)
{
	mf_slot_spend(slot, MF_SPENT_TURN);
	slot->started_ns = mf_now_ns();
	slot->exits_before = slot->process.vm.kvm.user_exits;
	slot->faults_before = mf_slot_faults(slot);
	slot->owed = false;
	slot->owed_ns = 0;
}

/* What it has cost since then. */
static void account(struct mf_slot *slot)
{
	struct mf_pool_stats *stats = &slot->pool->stats;

	stats->user_exits += slot->process.vm.kvm.user_exits - slot->exits_before;
	stats->page_faults += mf_slot_faults(slot) - slot->faults_before;
	stats->run_ns += mf_now_ns() - slot->started_ns;
}

static void begin_channel(struct mf_slot *slot)
{
	slot->channel_faults = slot->faults_before;
	slot->commit = MF_COMMIT_NONE;
	slot->gone = slot->ordered = false;
	slot->unbound = mf_exchange_lasts(&slot->exchange) && !slot->pool->settings.private_store;
	if (!peer_of(slot))
		return;
	mf_place_grow(&slot->place, &slot->process.vm.mem, peer_of(slot), slot->waiter.channel);
	peer_of(slot)->begin(peer_of(slot), slot->waiter.channel, !slot->unbound);
}

static int start(struct mf_slot *slot, struct mf_job *job)
{
	int ret;

	MF_PROBE2(request__begin, slot, slot->waiter.channel);
	slot->job = job;
	slot->answered = false;
	slot->slow = job->slow;
	slot->yielded = false;
	slot->deadline_ns = job->deadline_ns;
	slot->process.out_of_memory = false;
	slot->process.cpu_from_ns = slot->process.cpu_ns;
	slot->process.output_bytes = 0;
	slot->kept_ready = false;
	if (peer_of(slot) && peer_of(slot)->is_fenced(peer_of(slot)))
		ret = job->store_status = -ESTALE;
	else
		ret = deliver(slot, job);
	if (!ret)
		forget_deadline(slot);
	return ret;
}

int mf_slot_begin(struct mf_slot *slot, struct mf_job *job)
{
	int ret;

	mf_pool_count_busy(slot->pool, 1);
	slot->lease = job->lease;
	if (slot->lease)
		slot->lease->slot = slot;
	slot->spoilt = slot->failed = false;
	note_begin(slot);
	slot->faults_max = first_look(slot);
	ret = start(slot, job);
	if (ret)
		return ret;
	slot->state = MF_SLOT_RUNNABLE;
	begin_channel(slot);
	return 0;
}

static void set_kept(struct mf_slot *slot, bool kept)
{
	if (kept != slot->kept)
		mf_pool_count_kept(slot->pool, kept ? 1 : -1);
	slot->kept = kept;
}

/* What has no limit of time gets the one of a request. */
static void bound(struct mf_slot *slot)
{
	uint64_t limit = slot->pool->settings.deadline_ns;

	if (!slot->deadline_ns && limit)
		slot->deadline_ns = mf_now_ns() + limit;
}

/* A kept one goes on: for a request, for something that its program waited for, or to its end. */
static void wake(struct mf_slot *slot)
{
	close_parking(slot);
	set_kept(slot, false);
	slot->state = MF_SLOT_RUNNABLE;
	note_begin(slot);
	begin_channel(slot);
	bound(slot);
}

enum mf_outcome mf_slot_refusal(int error)
{
	switch (error) {
	case -EMSGSIZE:
		return MF_OUTCOME_TOO_LARGE;
	case -EPIPE:
		return MF_OUTCOME_RESPONSE;
	case -ESTALE:
		return MF_OUTCOME_STORE;
	default:
		return MF_OUTCOME_CRASH;
	}
}

bool mf_slot_takes_next(const struct mf_slot *slot)
{
	return slot->kept || mf_slot_listens(slot);
}

int mf_slot_next(struct mf_slot *slot, struct mf_job *job)
{
	if (slot->kept) {
		wake(slot);
	} else {
		account(slot);
		note_begin(slot);
	}
	return start(slot, job);
}

void mf_slot_answer(struct mf_slot *slot, enum mf_outcome outcome,
		    const struct mf_function_response *response)
{
	struct mf_job *job = slot->job;

	slot->job = NULL;
	slot->answered = true;
	if (!job)
		return;
	mf_hist_note(&slot->pool->times.steps[MF_STEP_RUN], mf_now_ns() - slot->started_ns);
	MF_PROBE4(request__done, slot, slot->waiter.channel, outcome,
		  slot->process.vm.kvm.user_exits - slot->exits_before);
	slot->pool->stats.outcomes[outcome]++;
	MF_STATS_ADD(requests[outcome], 1);
	job->slot = NULL;
	job->slow = slot->yielded;
	job->vm = (int)slot->waiter.channel;
	job->exits = slot->process.vm.kvm.user_exits - slot->exits_before;
	job->done(job, outcome, response);
}

/* The connection that keeps it has it no more. Returns a request of that which still waited. */
static struct mf_job *lose_lease(struct mf_slot *slot)
{
	struct mf_lease *lease = slot->lease;
	struct mf_job *next;

	slot->lease = NULL;
	if (!lease)
		return NULL;
	next = lease->next;
	lease->next = NULL;
	lease->slot = NULL;
	lease->lost(lease);
	return next;
}

void mf_slot_end(struct mf_slot *slot, enum mf_outcome outcome,
		 const struct mf_function_response *response)
{
	struct mf_job *next = lose_lease(slot);

	close_parking(slot);
	mf_streams_end(&slot->streams);
	if (!slot->kept)
		account(slot);
	mf_slot_spend(slot, MF_SPENT_NOT);
	set_kept(slot, false);
	slot->spoilt = faulted_enough(slot);
	if (slot->commit && slot->ordered && slot->job)
		slot->job->store_status = -EINPROGRESS;
	slot->commit = MF_COMMIT_NONE;
	mf_slot_answer(slot, outcome, response);
	slot->job = next;
	mf_slot_answer(slot, outcome ? outcome : MF_OUTCOME_CRASH, NULL);
	mf_function_response_finish(&slot->response);
	mf_exchange_finish(&slot->exchange);
	mf_output_flush(&slot->output);
	mf_pool_count_busy(slot->pool, -1);
	slot->state = MF_SLOT_DIRTY;
}

/* The next request of a connection that keeps it waits already. */
static void go_on(struct mf_slot *slot, struct mf_job *job)
{
	int ret;

	job->slot = slot;
	ret = mf_slot_next(slot, job);
	if (ret)
		mf_slot_end(slot, mf_slot_refusal(ret), NULL);
}

/* Nothing of the last request may be left in its channel. False: not now, or the VM is lost. */
static bool empty_channel(struct mf_slot *slot)
{
	if (mf_slot_leave_channel(slot))
		return true;
	if (slot->state == MF_SLOT_EMPTY) {
		slot->job = lose_lease(slot);
		mf_slot_answer(slot, MF_OUTCOME_CRASH, NULL);
		mf_pool_count_busy(slot->pool, -1);
	}
	return false;
}

/* Between two requests of a connection: as its program waits, so does the VM. */
static void settle(struct mf_slot *slot, const struct mf_exit *exit)
{
	struct mf_job *next = slot->lease->next;

	slot->deadline_ns = 0;
	slot->lease->next = NULL;
	set_kept(slot, true);
	park(slot, exit);
	if (next)
		go_on(slot, next);
}

/* The request is over. False: there is no connection that keeps the VM, or none of use. */
static bool keep(struct mf_slot *slot, const struct mf_exit *exit)
{
	if (!slot->lease || slot->failed ||
	    (mf_slot_listens(slot) && !mf_exchange_may_follow(&slot->exchange, &slot->process)))
		return false;
	account(slot);
	note_begin(slot);
	mf_exchange_finish(&slot->exchange);
	mf_output_flush(&slot->output);
	if (empty_channel(slot))
		settle(slot, exit);
	return true;
}

void mf_slot_finish(struct mf_slot *slot, enum mf_outcome outcome,
		    const struct mf_function_response *response)
{
	if (!slot->lease || slot->failed || !slot->kept_ready) {
		mf_slot_end(slot, outcome, response);
		return;
	}
	mf_slot_answer(slot, outcome, response);
	mf_function_response_finish(&slot->response);
	if (!keep(slot, &until_then))
		mf_slot_end(slot, MF_OUTCOME_OK, NULL);
}

/* The response of this exit, sent or held; what is wrong with it is an outcome. True: run on. */
static bool respond(struct mf_slot *slot, const struct mf_exit *exit, bool last)
{
	struct mf_function_response response = {0};
	enum mf_outcome outcome = MF_OUTCOME_OK;
	enum mf_commit commit = last ? MF_COMMIT_LAST : MF_COMMIT_ANSWER;

	if (!slot->answered && mf_function_response(&slot->process, exit, &response))
		outcome = MF_OUTCOME_RESPONSE;
	slot->failed |= outcome != MF_OUTCOME_OK;
	if (slot->answered)
		commit = last ? MF_COMMIT_ALONE : MF_COMMIT_NONE;
	if (outcome == MF_OUTCOME_OK && commit &&
	    mf_slot_wants_commit(slot, commit, response.status)) {
		slot->response = response;
		return true;
	}
	if (last)
		mf_slot_finish(slot, outcome, &response);
	else
		mf_slot_answer(slot, outcome, &response);
	mf_function_response_finish(&response);
	if (!last)
		mf_vm_answer(&slot->process.vm, 0);
	return !last;
}

/* Work behind the answer has a deadline again, if a tunnel had none. */
void mf_slot_answered(struct mf_slot *slot)
{
	mf_slot_answer(slot, MF_OUTCOME_OK, NULL);
	bound(slot);
}

/* A client's connection that keeps VMs is over: its program reads the end of it. */
static void tell_end(struct mf_slot *slot)
{
	if (slot->pool->settings.end == MF_END_CONNECTION && !slot->lease)
		mf_exchange_hang_up(&slot->exchange, &slot->process);
}

/* What became of the exchange. True: the program may go on. */
static bool on_exchange(struct mf_slot *slot)
{
	struct mf_exchange *exchange = &slot->exchange;
	char text[160];

	if (exchange->state == MF_EXCHANGE_HELD) {
		if (mf_slot_wants_commit(slot, MF_COMMIT_PIECES, exchange->front->status))
			return true;
		mf_exchange_release(exchange);
	}
	if (exchange->state == MF_EXCHANGE_RUNS)
		return true;
	if (slot->job)
		slot->job->over = true;
	if (exchange->state == MF_EXCHANGE_DONE) {
		mf_slot_answered(slot);
		tell_end(slot);
		return true;
	}
	if (exchange->state == MF_EXCHANGE_GONE) {
		if (slot->pool->settings.end == MF_END_CONNECTION) {
			mf_slot_answer(slot, MF_OUTCOME_DEADLINE, NULL);
			mf_slot_drop(slot);
			bound(slot);
			tell_end(slot);
			return true;
		}
		mf_slot_end(slot, MF_OUTCOME_DEADLINE, NULL);
		return false;
	}
	snprintf(text, sizeof(text), "request ended: its answer is not valid: %s", exchange->why);
	mf_output_note(&slot->output, text);
	mf_slot_end(slot, MF_OUTCOME_RESPONSE, NULL);
	return false;
}

static void on_wait_over(struct mf_slot *slot);

/* Behind move(): what has come over the connection. True: the program may go on. */
static bool on_moved(struct mf_slot *slot)
{
	forget_deadline(slot);
	return slot->answered || on_exchange(slot);
}

static bool on_connection(struct mf_slot *slot)
{
	move(slot);
	return on_moved(slot);
}

/* Behind move() of one that waits: what it wrote behind the end of its answer must not keep it. */
static bool on_moved_waiting(struct mf_slot *slot)
{
	mf_exchange_drop_rest(&slot->exchange, &slot->process);
	return on_moved(slot);
}

void mf_slot_pieces(struct mf_slot *slot)
{
	/* One that is to run looks before it does; one at its channel or a fetch, behind its call.
	 */
	if (slot->state != MF_SLOT_PARKED || slot->at_channel || slot->fetch || slot->answered ||
	    (!move(slot) && slot->exchange.state == MF_EXCHANGE_RUNS))
		return;
	if (on_moved_waiting(slot))
		on_wait_over(slot);
	else
		mf_pool_wake(slot);
}

static void on_wait_over(struct mf_slot *slot)
{
	if (slot->kept)
		wake(slot);
	close_parking(slot);
	mf_slot_spend(slot, MF_SPENT_TURN);
	slot->state = MF_SLOT_RUNNABLE;
	mf_pool_wake(slot);
}

bool mf_slot_cancel(struct mf_slot *slot)
{
	if (!slot->lease || !mf_slot_listens(slot) || slot->at_channel || slot->fetch ||
	    slot->commit || slot->state == MF_SLOT_LEAVING || slot->state == MF_SLOT_DIRTY)
		return false;
	slot->lease->slot = NULL;
	slot->lease = NULL;
	slot->job = NULL;
	slot->answered = true;
	mf_slot_drop(slot);
	bound(slot);
	mf_exchange_finish(&slot->exchange);
	tell_end(slot);
	if (slot->state == MF_SLOT_PARKED)
		on_wait_over(slot);
	return true;
}

void mf_slot_release(struct mf_slot *slot)
{
	bool kept = slot->kept;

	slot->lease = NULL;
	if (kept && mf_slot_listens(slot)) {
		tell_end(slot);
		on_wait_over(slot);
	} else if (kept || slot->state == MF_SLOT_LEAVING || slot->state == MF_SLOT_DIRTY) {
		mf_slot_end(slot, MF_OUTCOME_OK, NULL);
		if (kept)
			mf_pool_wake(slot);
	} else if (slot->answered) {
		tell_end(slot);
	}
}

void mf_slot_go_on(struct mf_slot *slot)
{
	if (slot->state == MF_SLOT_PARKED && !slot->fetch &&
	    (slot->at_channel || mf_streams_wait(&slot->streams)))
		on_wait_over(slot);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	on_wait_over(handle->data);
}

static void on_timer(uv_timer_t *handle)
{
	struct mf_slot *slot = handle->data;

	if (!slot->deadline_ns || mf_now_ns() < slot->deadline_ns) {
		/* A fetch is no call that is made again: a timer that came early waits on. */
		if (slot->fetch)
			uv_timer_start(handle, on_timer, 1, 0);
		else
			on_wait_over(slot);
		return;
	}
	mf_slot_end(slot, MF_OUTCOME_DEADLINE, NULL);
	mf_pool_wake(slot);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct mf_slot *slot = handle->data;

	slot->handles--;
	mf_pool_wake(slot);
}

uint64_t mf_slot_owed_ns(const struct mf_slot *slot, uint64_t now_ns)
{
	if (slot->state != MF_SLOT_PARKED || !slot->owed)
		return 0;
	return slot->owed_ns + (now_ns - slot->parked_ns);
}

static void close_parking(struct mf_slot *slot)
{
	slot->owed_ns = slot->owed ? mf_slot_owed_ns(slot, mf_now_ns()) : slot->owed_ns;
	slot->owed = false;
	if (slot->polling)
		uv_close((uv_handle_t *)&slot->poll, on_handle_closed);
	if (slot->timing)
		uv_close((uv_handle_t *)&slot->timer, on_handle_closed);
	slot->polling = slot->timing = false;
	if (slot->at_channel)
		peer_of(slot)->cancel(peer_of(slot), &slot->waiter);
	slot->at_channel = false;
	if (slot->fetch)
		mf_fetch_cancel(slot->fetch);
	slot->fetch = NULL;
}

static void start_timer(struct mf_slot *slot, uint64_t until_ns)
{
	uint64_t now = mf_now_ns();
	uint64_t left = until_ns > now ? until_ns - now : 0;

	uv_timer_init(slot->pool->loop, &slot->timer);
	slot->timer.data = slot;
	slot->timing = true;
	slot->handles++;
	uv_update_time(slot->pool->loop);
	uv_timer_start(&slot->timer, on_timer, (left + 999999) / 1000000, 0);
}

/* Wait on the loop for what the program waits for, but never past its deadline. */
static void park(struct mf_slot *slot, const struct mf_exit *exit)
{
	uint64_t until = exit->wait_until_ns;
	int events = (exit->wait_events & ~(POLLOUT | POLLWRNORM | POLLWRBAND) ? UV_READABLE : 0) |
		     (exit->wait_events & (POLLOUT | POLLWRNORM | POLLWRBAND) ? UV_WRITABLE : 0);

	slot->state = MF_SLOT_PARKED;
	if (exit->wait_fd >= 0) {
		if (uv_poll_init(slot->pool->loop, &slot->poll, exit->wait_fd)) {
			mf_slot_end(slot, MF_OUTCOME_CRASH, NULL);
			return;
		}
		slot->poll.data = slot;
		slot->polling = true;
		slot->handles++;
		uv_poll_start(&slot->poll, events, on_poll);
	}
	if (slot->deadline_ns && until > slot->deadline_ns)
		until = slot->deadline_ns;
	if (until != UINT64_MAX)
		start_timer(slot, until);
}

/* Its turn is over: the others of this worker go first. */
static void yield(struct mf_slot *slot)
{
	slot->slow = slot->yielded = true;
	slot->state = MF_SLOT_RUNNABLE;
}

void mf_slot_park_at_channel(struct mf_slot *slot)
{
	slot->at_channel = true;
	park(slot, &until_then);
}

/* Nothing to do before the storage VM has answered. True: it has, run on. */
static bool wait_at_channel(struct mf_slot *slot)
{
	struct mf_peer *peer = peer_of(slot);

	if (!peer) {
		mf_vm_answer(&slot->process.vm, -ENXIO);
		return true;
	}
	mf_vm_answer(&slot->process.vm, 0);
	mf_slot_spend(slot, MF_SPENT_STORE);
	switch (peer->wait(peer, &slot->waiter, slot->pool->watch)) {
	case MF_PEER_GO_ON:
		mf_slot_spend(slot, MF_SPENT_RUN);
		return true;
	case MF_PEER_PARKED:
		mf_slot_park_at_channel(slot);
		return false;
	default:
		mf_output_note(&slot->output, "request ended: it broke the rules of its channel");
		mf_slot_end(slot, MF_OUTCOME_CRASH, NULL);
		return false;
	}
}

static void on_fetched(void *arg, int result)
{
	struct mf_slot *slot = arg;

	slot->fetch = NULL;
	mf_vm_answer(&slot->process.vm, result);
	on_wait_over(slot);
}

/* True: it cannot be, and the program knows. */
static bool fetch(struct mf_slot *slot, const struct mf_exit *exit)
{
	int ret = mf_fetch_begin(slot->pool->fetcher, &slot->process, exit->arg[0], on_fetched,
				 slot, &slot->fetch);

	if (ret)
		mf_vm_answer(&slot->process.vm, ret);
	else
		park(slot, &until_then);
	return ret != 0;
}

static bool over_memory(struct mf_slot *slot)
{
	uint64_t limit = slot->pool->settings.private_pages;
	long pages = mf_mem_private_pages(&slot->process.vm.mem);

	if (pages < 0 || (uint64_t)pages > limit)
		return true;
	slot->faults_max = mf_slot_faults(slot) + limit - (uint64_t)pages;
	return false;
}

static void end_at_limit(struct mf_slot *slot)
{
	mf_output_note(&slot->output,
		       "request ended: it holds more private memory than --request-memory allows");
	mf_slot_end(slot, MF_OUTCOME_MEMORY, NULL);
}

static void on_kick(struct mf_slot *slot, uint32_t kicks)
{
	if (kicks & (MF_KICK_DEADLINE | MF_KICK_STOP)) {
		mf_slot_end(slot, MF_OUTCOME_DEADLINE, NULL);
	} else if (kicks & MF_KICK_MEMORY && over_memory(slot)) {
		end_at_limit(slot);
	} else {
		yield(slot);
	}
}

/* The program waits, and what it asked for has not moved. Once it has answered, that is the end of
 * the request. True: run on. */
static bool on_wait(struct mf_slot *slot, const struct mf_exit *exit)
{
	if (move_streams(slot))
		return true;
	if (mf_slot_listens(slot) && !slot->answered) {
		if (move(slot) || slot->exchange.state != MF_EXCHANGE_RUNS)
			return on_moved_waiting(slot);
	} else if (mf_slot_listens(slot) && !mf_streams_wait(&slot->streams)) {
		if (faulted_enough(slot) && over_memory(slot)) {
			end_at_limit(slot);
			return false;
		}
		slot->kept_ready = true;
		if (mf_slot_wants_commit(slot, MF_COMMIT_ALONE, 0))
			return true;
		if (!keep(slot, exit))
			mf_slot_end(slot, MF_OUTCOME_OK, NULL);
		return false;
	}
	slot->owed = slot->exchange.front && !mf_exchange_lasts(&slot->exchange) &&
		     mf_front_owes(slot->exchange.front);
	slot->parked_ns = slot->owed ? mf_now_ns() : 0;
	park(slot, exit);
	return false;
}

/* What came over the connection at an exit. With the answer done, a program that waits is not
 * looked at again: what its timers would begin meanwhile is no work of this request. */
static bool on_news(struct mf_slot *slot, const struct mf_exit *exit)
{
	return on_connection(slot) &&
	       (!slot->answered || !mf_process_waits(&slot->process) || on_wait(slot, exit));
}

/* It may have answered before it exited. True: that is to be committed first. */
static bool last_words(struct mf_slot *slot)
{
	if (slot->exchange.front)
		hold(slot, slot->exchange.front);
	mf_exchange_exited(&slot->exchange, &slot->process);
	if (slot->exchange.state == MF_EXCHANGE_HELD) {
		slot->gone = true;
		if (mf_slot_wants_commit(slot, MF_COMMIT_PIECES, slot->exchange.front->status))
			return true;
		mf_exchange_release(&slot->exchange);
	}
	if (slot->job)
		slot->job->over = slot->exchange.state != MF_EXCHANGE_RUNS;
	if (slot->exchange.state == MF_EXCHANGE_DONE)
		mf_slot_answered(slot);
	return false;
}

/* True: there is something to be committed. */
static bool on_end(struct mf_slot *slot, const struct mf_exit *exit)
{
	char text[224];

	if (exit->kind == MF_EXIT_EXITED)
		move_streams(slot);
	if (exit->kind == MF_EXIT_EXITED && mf_slot_listens(slot) && !slot->answered &&
	    last_words(slot))
		return true;
	if (exit->kind == MF_EXIT_EXITED)
		snprintf(text, sizeof(text), "request ended: the program exited with status %d",
			 exit->status);
	else
		snprintf(text, sizeof(text), "request ended: %s", exit->text);
	if (!slot->answered || exit->kind != MF_EXIT_EXITED)
		mf_output_note(&slot->output, text);
	mf_slot_end(slot,
		    slot->process.out_of_cpu      ? MF_OUTCOME_DEADLINE
		    : slot->process.out_of_memory ? MF_OUTCOME_MEMORY
						  : MF_OUTCOME_CRASH,
		    NULL);
	return false;
}

/* Act on what the program came out with; true when it is to run on at once. */
static bool on_exit_of(struct mf_slot *slot, const struct mf_exit *exit)
{
	switch (exit->kind) {
	case MF_EXIT_READY:
		if (mf_slot_listens(slot)) {
			mf_vm_answer(&slot->process.vm, -EINVAL);
			return true;
		}
		/* It may have been faster than the watchdog looks. */
		if (faulted_enough(slot) && over_memory(slot)) {
			end_at_limit(slot);
			return false;
		}
		slot->kept_ready = !mf_function_ready(&slot->process, exit, &slot->ready);
		return respond(slot, exit, true);
	case MF_EXIT_RESPOND:
		return respond(slot, exit, false);
	case MF_EXIT_LOG:
		mf_process_log(&slot->process, exit);
		return true;
	case MF_EXIT_WAIT:
		return on_wait(slot, exit);
	case MF_EXIT_CONNECTION:
		if (exit->news & MF_NEWS_STORE)
			move_streams(slot);
		return !(exit->news & MF_NEWS_CLIENT) || on_news(slot, exit);
	case MF_EXIT_FETCH:
		return fetch(slot, exit);
	case MF_EXIT_CHANNEL_WAIT:
		return wait_at_channel(slot);
	case MF_EXIT_CHANNEL_WAKE:
		mf_vm_answer(&slot->process.vm, -ENXIO);
		return true;
	case MF_EXIT_KICKED:
		on_kick(slot, exit->kicks);
		return false;
	default:
		return on_end(slot, exit);
	}
}

/* What is to be committed is, before the program goes on. */
static bool may_go_on(struct mf_slot *slot)
{
	return !slot->commit || mf_slot_commit(slot);
}

static void run_slice(struct mf_slot *slot, uint64_t slice_ns)
{
	uint64_t end_ns = mf_now_ns() + slice_ns;
	struct mf_watch_limits limits = {.slice_ns = slice_ns, .faults_max = slot->faults_max};
	struct mf_exit exit;

	if (!may_go_on(slot))
		return;
	move_streams(slot);
	if (slot->exchange.front && (!on_connection(slot) || !may_go_on(slot)))
		return;
	limits.deadline_ns = slot->deadline_ns;
	mf_watch_enter(slot->pool->watch, &slot->process.vm, &limits);
	/* The watch is let go of where a request may end, or another VM run on this thread. */
	for (;;) {
		mf_process_run(&slot->process, &exit);
		if (exit.kind == MF_EXIT_RESPOND || exit.kind == MF_EXIT_LOG) {
			on_exit_of(slot, &exit);
			if (!slot->commit)
				continue;
			mf_watch_leave(slot->pool->watch);
		} else {
			mf_watch_leave(slot->pool->watch);
			if (!on_exit_of(slot, &exit))
				return;
		}
		if (!may_go_on(slot))
			return;
		/* Many short calls are no way to a longer turn. */
		if (mf_now_ns() >= end_ns) {
			yield(slot);
			return;
		}
		limits.deadline_ns = slot->deadline_ns;
		mf_watch_enter(slot->pool->watch, &slot->process.vm, &limits);
	}
}

void mf_slot_run(struct mf_slot *slot, uint64_t slice_ns)
{
	mf_slot_spend(slot, MF_SPENT_RUN);
	run_slice(slot, slice_ns);
	mf_slot_spend(slot, mf_slot_spends(slot));
}

/* What a program that listens waits for is found out by running it. */
void mf_slot_keep_later(struct mf_slot *slot)
{
	if (!empty_channel(slot))
		return;
	if (mf_slot_listens(slot))
		wake(slot);
	else
		settle(slot, &until_then);
}
