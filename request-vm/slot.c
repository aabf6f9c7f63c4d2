/* SPDX-License-Identifier: MIT */
#include "request-vm/slot.h"

#include "engine/image/delta.h"
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
static bool leave_channel(struct mf_slot *slot);

/* Nothing to wait for but what others do with it. */
static const struct mf_exit until_then = {.wait_fd = -1, .wait_until_ns = UINT64_MAX};

static uint64_t faults(const struct mf_slot *slot)
{
	const struct mf_kvm_vm *kvm = &slot->process.vm.kvm;

	return mf_kvm_vm_stat(kvm, kvm->kvm->stat_pf_taken);
}

/* So many pages were touched that the limit may be reached. */
static bool faulted_enough(const struct mf_slot *slot)
{
	return slot->faults_max && faults(slot) > slot->faults_max;
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

/* Bytes over the connection; who records the request is told what it has cost so far. */
static bool move(struct mf_slot *slot)
{
	struct mf_front_request *front = slot->exchange.front;

	if (front) {
		front->vm = (int)slot->waiter.channel;
		front->exits = slot->process.vm.kvm.user_exits - slot->exits_before;
	}
	return mf_exchange_move(&slot->exchange, &slot->process);
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
	slot->started_ns = mf_now_ns();
	slot->exits_before = slot->process.vm.kvm.user_exits;
	slot->faults_before = faults(slot);
	slot->owed = false;
	slot->owed_ns = 0;
}

/* What it has cost since then. */
static void account(struct mf_slot *slot)
{
	struct mf_pool_stats *stats = &slot->pool->stats;

	stats->user_exits += slot->process.vm.kvm.user_exits - slot->exits_before;
	stats->page_faults += faults(slot) - slot->faults_before;
	stats->run_ns += mf_now_ns() - slot->started_ns;
}

static void begin_channel(struct mf_slot *slot)
{
	slot->channel_faults = slot->faults_before;
	if (peer_of(slot))
		peer_of(slot)->begin(peer_of(slot), slot->waiter.channel);
}

static int start(struct mf_slot *slot, struct mf_job *job)
{
	int ret;

	slot->job = job;
	slot->answered = false;
	slot->slow = job->slow;
	slot->yielded = false;
	slot->deadline_ns = job->deadline_ns;
	slot->process.out_of_memory = false;
	slot->process.cpu_from_ns = slot->process.cpu_ns;
	slot->process.output_bytes = 0;
	slot->kept_ready = false;
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

static void answer(struct mf_slot *slot, enum mf_outcome outcome,
		   const struct mf_function_response *response)
{
	struct mf_job *job = slot->job;

	slot->job = NULL;
	slot->answered = true;
	if (!job)
		return;
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
	if (!slot->kept)
		account(slot);
	set_kept(slot, false);
	slot->spoilt = faulted_enough(slot);
	answer(slot, outcome, response);
	slot->job = next;
	answer(slot, outcome ? outcome : MF_OUTCOME_CRASH, NULL);
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
	if (leave_channel(slot))
		return true;
	if (slot->state == MF_SLOT_EMPTY) {
		slot->job = lose_lease(slot);
		answer(slot, MF_OUTCOME_CRASH, NULL);
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

/* The response of this exit, sent; what is wrong with it is an outcome. */
static void respond(struct mf_slot *slot, const struct mf_exit *exit, bool last)
{
	struct mf_function_response response = {0};
	enum mf_outcome outcome = MF_OUTCOME_OK;

	if (!slot->answered && mf_function_response(&slot->process, exit, &response))
		outcome = MF_OUTCOME_RESPONSE;
	slot->failed |= outcome != MF_OUTCOME_OK;
	if (last && (!slot->lease || slot->failed || !slot->kept_ready)) {
		mf_slot_end(slot, outcome, &response);
	} else {
		answer(slot, outcome, &response);
		if (last && !keep(slot, &until_then))
			mf_slot_end(slot, MF_OUTCOME_OK, NULL);
	}
	mf_function_response_finish(&response);
}

/* Work behind the answer has a deadline again, if a tunnel had none. */
static void answered(struct mf_slot *slot)
{
	answer(slot, MF_OUTCOME_OK, NULL);
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
	const struct mf_exchange *exchange = &slot->exchange;
	char text[160];

	if (exchange->state == MF_EXCHANGE_RUNS)
		return true;
	if (slot->job)
		slot->job->over = true;
	if (exchange->state == MF_EXCHANGE_DONE) {
		answered(slot);
		tell_end(slot);
		return true;
	}
	if (exchange->state == MF_EXCHANGE_GONE) {
		if (slot->pool->settings.end == MF_END_CONNECTION) {
			answer(slot, MF_OUTCOME_DEADLINE, NULL);
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

/* What came over the connection. True: the program may go on. */
static bool on_connection(struct mf_slot *slot)
{
	move(slot);
	forget_deadline(slot);
	return slot->answered || on_exchange(slot);
}

void mf_slot_pieces(struct mf_slot *slot)
{
	/* One that is to run looks before it does; one at its channel or a fetch, behind its call.
	 */
	if (slot->state != MF_SLOT_PARKED || slot->at_channel || slot->fetch || slot->answered ||
	    (!move(slot) && slot->exchange.state == MF_EXCHANGE_RUNS))
		return;
	if (on_connection(slot))
		on_wait_over(slot);
	else
		mf_pool_wake(slot);
}

static void on_wait_over(struct mf_slot *slot)
{
	if (slot->kept)
		wake(slot);
	close_parking(slot);
	slot->state = MF_SLOT_RUNNABLE;
	mf_pool_wake(slot);
}

bool mf_slot_cancel(struct mf_slot *slot)
{
	if (!slot->lease || !mf_slot_listens(slot) || slot->at_channel || slot->fetch ||
	    slot->state == MF_SLOT_LEAVING || slot->state == MF_SLOT_DIRTY)
		return false;
	slot->lease->slot = NULL;
	slot->lease = NULL;
	slot->job = NULL;
	slot->answered = true;
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
	if (slot->state == MF_SLOT_PARKED && slot->at_channel)
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

/* Nothing to do before the storage VM has answered. True: it has, run on. */
static bool wait_at_channel(struct mf_slot *slot)
{
	struct mf_peer *peer = peer_of(slot);

	if (!peer) {
		mf_vm_answer(&slot->process.vm, -ENXIO);
		return true;
	}
	mf_vm_answer(&slot->process.vm, 0);
	switch (peer->wait(peer, &slot->waiter, slot->pool->watch)) {
	case MF_PEER_GO_ON:
		return true;
	case MF_PEER_PARKED:
		slot->at_channel = true;
		park(slot, &until_then);
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
	slot->faults_max = faults(slot) + limit - (uint64_t)pages;
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
	if (mf_slot_listens(slot) && !slot->answered) {
		if (move(slot) || slot->exchange.state != MF_EXCHANGE_RUNS)
			return on_connection(slot);
	} else if (mf_slot_listens(slot)) {
		if (faulted_enough(slot) && over_memory(slot)) {
			end_at_limit(slot);
			return false;
		}
		slot->kept_ready = true;
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

/* It may have answered before it exited. */
static void last_words(struct mf_slot *slot)
{
	mf_exchange_exited(&slot->exchange, &slot->process);
	if (slot->job)
		slot->job->over = slot->exchange.state != MF_EXCHANGE_RUNS;
	if (slot->exchange.state == MF_EXCHANGE_DONE)
		answered(slot);
}

static void on_end(struct mf_slot *slot, const struct mf_exit *exit)
{
	char text[224];

	if (exit->kind == MF_EXIT_EXITED && mf_slot_listens(slot) && !slot->answered)
		last_words(slot);
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
		respond(slot, exit, true);
		return false;
	case MF_EXIT_RESPOND:
		respond(slot, exit, false);
		mf_vm_answer(&slot->process.vm, 0);
		return true;
	case MF_EXIT_LOG:
		mf_process_log(&slot->process, exit);
		return true;
	case MF_EXIT_WAIT:
		return on_wait(slot, exit);
	case MF_EXIT_CONNECTION:
		return on_news(slot, exit);
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
		on_end(slot, exit);
		return false;
	}
}

void mf_slot_run(struct mf_slot *slot, uint64_t slice_ns)
{
	uint64_t end_ns = mf_now_ns() + slice_ns;
	struct mf_watch_limits limits = {.slice_ns = slice_ns, .faults_max = slot->faults_max};
	struct mf_exit exit;

	if (slot->exchange.front && !on_connection(slot))
		return;
	limits.deadline_ns = slot->deadline_ns;
	mf_watch_enter(slot->pool->watch, &slot->process.vm, &limits);
	/* The watch is let go of where a request may end, or another VM run on this thread. */
	for (;;) {
		mf_process_run(&slot->process, &exit);
		if (exit.kind == MF_EXIT_RESPOND || exit.kind == MF_EXIT_LOG) {
			on_exit_of(slot, &exit);
			continue;
		}
		mf_watch_leave(slot->pool->watch);
		if (!on_exit_of(slot, &exit))
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

static void give_up(struct mf_slot *slot)
{
	mf_process_finish(&slot->process);
	mf_exchange_forget(&slot->exchange);
	slot->pool->stats.discards++;
	slot->pool->stats.vms--;
	slot->state = MF_SLOT_EMPTY;
}

static bool passes_audit(struct mf_slot *slot)
{
	struct mf_error err = {0};
	char text[sizeof(err.text) + 64];

	slot->pool->stats.audits++;
	if (!mf_vm_audit(&slot->process.vm, NULL, NULL, &err))
		return true;
	slot->pool->stats.audit_failures++;
	snprintf(text, sizeof(text), "audit failed after reset, the VM is discarded: %s", err.text);
	mf_output_note(&slot->output, text);
	return false;
}

/* Nothing of the request may be left in its channel. False: not now, or not at all. */
static bool leave_channel(struct mf_slot *slot)
{
	struct mf_peer *peer = peer_of(slot);
	int ret;

	if (!peer)
		return true;
	ret = peer->end(peer, slot->waiter.channel, faults(slot) != slot->channel_faults);
	if (ret == -EBUSY)
		slot->state = MF_SLOT_LEAVING;
	else if (ret)
		give_up(slot);
	return !ret;
}

/* The storage VM was still at a call of it when it was to be kept. What a program that listens
 * waits for is found out by running it. */
static void keep_later(struct mf_slot *slot)
{
	if (!empty_channel(slot))
		return;
	if (mf_slot_listens(slot))
		wake(slot);
	else
		settle(slot, &until_then);
}

void mf_slot_restore(struct mf_slot *slot)
{
	struct mf_pool *pool = slot->pool;
	uint64_t start = mf_now_ns();

	if (slot->lease) {
		keep_later(slot);
		return;
	}
	if (!leave_channel(slot))
		return;
	if (pool->settings.end == MF_END_KEEP && slot->kept_ready) {
		mf_vm_take_kicks(
			&slot->process.vm); /* one that came too late is not for the next request */
		slot->state = MF_SLOT_CLEAN;
		return;
	}
	if (pool->settings.end == MF_END_DISCARD || slot->spoilt ||
	    mf_process_reset(&slot->process)) {
		give_up(slot);
		return;
	}
	pool->stats.resets++;
	pool->stats.pages_copied += slot->process.vm.mem.ws.run_pages;
	pool->stats.reset_ns += mf_now_ns() - start;
	slot->ready = slot->image_ready;
	mf_exchange_forget(&slot->exchange);
	slot->state = MF_SLOT_CLEAN;
	if (pool->settings.audit && !passes_audit(slot))
		give_up(slot);
}

void mf_slot_prepare(struct mf_slot *slot)
{
	slot->prepared = __atomic_load_n(&slot->pool->image->lessons, __ATOMIC_RELAXED);
	if (mf_vm_prepare(&slot->process.vm))
		give_up(slot);
}

static int open_channel(struct mf_slot *slot, struct mf_error *err)
{
	struct mf_mem *mem = &slot->process.vm.mem;
	struct mf_peer *peer = peer_of(slot);
	struct mf_gpa gpa;
	uint64_t offset;
	int fd;
	int ret;

	/* The VM before may have been given up because this failed. */
	ret = peer->end(peer, slot->waiter.channel, true);
	if (ret)
		return mf_error_set(err, ret, "cannot wipe the channel of a VM: %s",
				    strerror(-ret));
	peer->window(peer, slot->waiter.channel, &fd, &offset);
	if (!mf_pt_lookup(mem, MF_GVA(MF_CHANNEL_VA), &gpa))
		return mf_error_set(err, -ENXIO, "the image has no place for a channel");
	ret = mf_mem_open_window(mem, gpa, fd, offset);
	return ret ? mf_error_set(err, ret, "cannot map a channel into a VM: %s", strerror(-ret))
		   : 0;
}

int mf_slot_fork(struct mf_slot *slot, struct mf_error *err)
{
	int ret = mf_process_fork(&slot->process, slot->pool->image, &slot->policy, err);

	if (!ret && peer_of(slot)) {
		ret = open_channel(slot, err);
		if (ret)
			mf_process_finish(&slot->process);
	}
	if (ret)
		return ret;
	slot->pool->stats.vms++;
	slot->ready = slot->image_ready;
	slot->state = MF_SLOT_CLEAN;
	mf_slot_prepare(slot);
	if (slot->state == MF_SLOT_CLEAN)
		return 0;
	return mf_error_set(err, -EIO, "cannot prepare a VM: KVM does not let it be put back");
}
