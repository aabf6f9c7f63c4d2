/* SPDX-License-Identifier: MIT */
#include "tenant/status.h"

#include <mayfly/abi/place.h>

#include <stdio.h>
#include <unistd.h>

static const char *state_name(enum mf_serve_state state)
{
	static const char *const names[] = {"starting", "serving", "draining"};

	return names[state];
}

static void describe(const struct mf_status_source *source, struct mf_control_status *status)
{
	const struct mf_serve_options *options = source->options;

	snprintf(status->version, sizeof(status->version), "%s", options->version);
	snprintf(status->state, sizeof(status->state), "%s",
		 state_name(__atomic_load_n(&source->state, __ATOMIC_RELAXED)));
	snprintf(status->kvm, sizeof(status->kvm), "%s", mf_family_name(source->family));
	snprintf(status->program, sizeof(status->program), "%s", options->program.argv[0]);
	snprintf(status->listen, sizeof(status->listen), "%s", source->listen);
	status->pid = (uint64_t)getpid();
	status->uptime_ms = (mf_now_ns() - source->begun_ns) / 1000000;
	status->workers = source->worker_count;
	status->vms = options->pool.vms;
	status->queued = __atomic_load_n(&source->load.waiting, __ATOMIC_RELAXED);
	status->queue_limit = options->pool.queue;
}

static void add_pool(struct mf_control_status *status, const struct mf_pool_stats *pool)
{
	status->vms_forked += pool->vms;
	status->vms_busy += pool->busy;
	status->vms_idle += pool->vms - pool->busy;
	status->vms_discarded += pool->discards;
	status->requests += pool->requests;
	status->ok += pool->outcomes[MF_OUTCOME_OK];
	status->crash += pool->outcomes[MF_OUTCOME_CRASH];
	status->memory += pool->outcomes[MF_OUTCOME_MEMORY];
	status->response += pool->outcomes[MF_OUTCOME_RESPONSE];
	status->deadline += pool->outcomes[MF_OUTCOME_DEADLINE];
	status->too_large += pool->outcomes[MF_OUTCOME_TOO_LARGE];
	status->conflict += pool->outcomes[MF_OUTCOME_CONFLICT];
	status->store_failed += pool->outcomes[MF_OUTCOME_STORE];
	status->committed += pool->commits;
	status->reruns += pool->reruns;
	status->rejected += pool->rejected;
	status->resets += pool->resets;
	status->audits += pool->audits;
	status->audit_failures += pool->audit_failures;
	status->pages_copied += pool->pages_copied;
	status->reset_us += pool->reset_ns / 1000;
	status->user_exits += pool->user_exits;
	status->page_faults += pool->page_faults;
}

static void add_front(struct mf_control_status *status, const struct mf_front_stats *front)
{
	status->accepted += front->accepted;
	status->connections += front->connections;
	status->running += front->running;
	status->refused += front->refused;
	status->unavailable += front->unavailable;
	status->cancelled += front->cancelled;
	status->invalid += front->invalid;
	status->timeouts += front->timeouts;
	status->dropped += front->dropped;
	status->unsent_bytes += front->unsent_bytes;
	status->given_back += front->given_back;
}

static void add_window(struct mf_control_status *status, uint64_t bytes)
{
	unsigned int slots = mf_place_pieces(bytes);

	status->store_window_slots = slots;
	status->store_window_bytes = MF_PLACE_PIECE_AT(slots);
	status->store_window_kernel_bytes = MF_PLACE_KERNEL_BYTES(MF_PLACE_PIECE_AT(slots));
}

static void add_store(struct mf_control_status *status, struct mf_store *store)
{
	struct mf_store_stats stats;

	if (!store)
		return;
	mf_store_stats(store, &stats);
	status->store_up = stats.up;
	status->store_polling = stats.polling;
	status->store_restarts = stats.starts ? stats.starts - 1 : 0;
	status->store_calls = stats.calls;
	status->store_commits = stats.commits;
	status->store_lost = stats.lost;
	status->store_hand_offs = stats.hand_offs;
	status->store_wakes = stats.wakes;
	status->store_user_exits = stats.user_exits;
	status->store_in_place = stats.in_place;
	status->store_fenced = stats.fenced;
	add_window(status, stats.in_place_bytes);
}

static void add_spent(struct mf_control_status *status, const struct mf_worker_report *report)
{
	const uint64_t *spent_ns = report->times.spent_ns;

	status->queue_ns += spent_ns[MF_SPENT_QUEUE];
	status->turn_ns += spent_ns[MF_SPENT_TURN];
	status->run_ns += spent_ns[MF_SPENT_RUN];
	status->store_ns += spent_ns[MF_SPENT_STORE];
	status->calls_ns += spent_ns[MF_SPENT_CALLS];
	status->client_ns += spent_ns[MF_SPENT_CLIENT];
	status->busy_ns += report->busy_ns;
	status->cpu_ns += report->cpu_ns;
}

static void add_times(struct mf_control_times *times, const struct mf_worker_report *report)
{
	mf_hist_add(&times->of[MF_CONTROL_TIME_REQUEST], &report->requests);
	mf_hist_add(&times->of[MF_CONTROL_TIME_QUEUE], &report->times.steps[MF_STEP_QUEUE]);
	mf_hist_add(&times->of[MF_CONTROL_TIME_RUN], &report->times.steps[MF_STEP_RUN]);
	mf_hist_add(&times->of[MF_CONTROL_TIME_STORE], &report->times.steps[MF_STEP_STORE]);
	mf_hist_add(&times->of[MF_CONTROL_TIME_RESET], &report->times.steps[MF_STEP_RESET]);
}

void mf_status_gather(const struct mf_status_source *source, struct mf_control_status *status,
		      struct mf_control_times *times, uint64_t patience_ns)
{
	/* Pairs with the release in serve(): these workers' locks and loops exist. */
	unsigned int started = __atomic_load_n(&source->started, __ATOMIC_ACQUIRE);
	uint64_t until = mf_now_ns() + patience_ns;
	struct mf_worker_report report;
	unsigned int i;

	describe(source, status);
	add_store(status, source->store);
	for (i = 0; i < started; i++)
		mf_worker_ask(&source->workers[i]);
	for (i = 0; i < started; i++) {
		status->workers_answering += mf_worker_told(&source->workers[i], &report, until);
		status->limited += report.limited;
		add_pool(status, &report.pool);
		add_front(status, &report.front);
		add_spent(status, &report);
		if (times)
			add_times(times, &report);
	}
}
