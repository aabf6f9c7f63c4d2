/* SPDX-License-Identifier: MIT */
/*
 * A request is a transaction (docs/decisions/0033-a-request-is-a-transaction.md): what it wrote to
 * the store is ordered to last when it has ended well, and its client waits for the verdict.
 */
#include "request-vm/slot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* How often a request is served that comes into conflict with others. */
#define TRIES_MAX 4u

static struct mf_peer *peer_of(const struct mf_slot *slot)
{
	return slot->pool->settings.peer;
}

/* What comes now is a transaction of its own; of what lasts, each call. */
static void renew(struct mf_slot *slot)
{
	struct mf_peer *peer = peer_of(slot);

	peer->renew(peer, slot->waiter.channel, !mf_exchange_lasts(&slot->exchange));
	mf_streams_renew(&slot->streams);
}

void mf_slot_drop(struct mf_slot *slot)
{
	struct mf_peer *peer = peer_of(slot);

	if (peer && !slot->pool->settings.private_store &&
	    peer->is_pending(peer, slot->waiter.channel))
		renew(slot);
}

bool mf_slot_wants_commit(struct mf_slot *slot, enum mf_commit commit, int status)
{
	struct mf_peer *peer = peer_of(slot);

	/* Commands that were sent and not answered yet may write. */
	if (!peer || slot->pool->settings.private_store ||
	    (!peer->is_pending(peer, slot->waiter.channel) && !mf_streams_wait(&slot->streams)))
		return false;
	if (status >= 500) {
		mf_slot_drop(slot);
		return false;
	}
	slot->commit = commit;
	slot->ordered = false;
	return true;
}

/* Of the request nothing is left but its bytes: another VM may serve it from its beginning. */
static bool may_run_again(struct mf_slot *slot, enum mf_commit commit)
{
	struct mf_job *job = slot->job;

	if (!job || slot->pool->settings.end == MF_END_KEEP || slot->lease ||
	    job->tries + 1 >= TRIES_MAX || commit == MF_COMMIT_ALONE)
		return false;
	return commit != MF_COMMIT_PIECES || mf_front_again(slot->exchange.front);
}

static void run_again(struct mf_slot *slot)
{
	struct mf_job *job = slot->job;

	slot->job = NULL;
	job->tries++;
	slot->pool->stats.reruns++;
	mf_slot_end(slot, MF_OUTCOME_CONFLICT, NULL);
	mf_pool_again(slot->pool, job);
}

static void say(struct mf_slot *slot, int status)
{
	char text[160];

	snprintf(text, sizeof(text), "what the program wrote behind its answer was not kept: %s",
		 strerror(-status));
	mf_output_note(&slot->output, text);
}

/* Behind an answer. A program that listens still waits as it did, or its next request has come. */
static bool go_on_alone(struct mf_slot *slot)
{
	if (mf_slot_listens(slot)) {
		renew(slot);
		return true;
	}
	mf_slot_finish(slot, MF_OUTCOME_OK, NULL);
	return false;
}

static bool failed(struct mf_slot *slot, enum mf_commit commit, int status)
{
	if (status == -EAGAIN && may_run_again(slot, commit)) {
		run_again(slot);
		return false;
	}
	if (commit == MF_COMMIT_ALONE) {
		say(slot, status);
		return go_on_alone(slot);
	}
	if (slot->job)
		slot->job->store_status = status;
	mf_slot_end(slot, status == -EAGAIN ? MF_OUTCOME_CONFLICT : MF_OUTCOME_STORE, NULL);
	return false;
}

static bool release(struct mf_slot *slot)
{
	bool lasts = mf_exchange_lasts(&slot->exchange);

	slot->unbound |= lasts;
	renew(slot);
	mf_exchange_release(&slot->exchange);
	if (slot->exchange.state == MF_EXCHANGE_RUNS)
		return true;
	if (slot->job)
		slot->job->over = true;
	if (slot->exchange.state == MF_EXCHANGE_DONE)
		mf_slot_answered(slot);
	if (slot->gone || slot->exchange.state != MF_EXCHANGE_DONE) {
		mf_slot_end(slot, slot->gone ? MF_OUTCOME_CRASH : MF_OUTCOME_DEADLINE, NULL);
		return false;
	}
	return true;
}

static bool done(struct mf_slot *slot, enum mf_commit commit)
{
	switch (commit) {
	case MF_COMMIT_ANSWER:
		mf_slot_answer(slot, MF_OUTCOME_OK, &slot->response);
		mf_function_response_finish(&slot->response);
		renew(slot);
		mf_vm_answer(&slot->process.vm, 0);
		return true;
	case MF_COMMIT_PIECES:
		return release(slot);
	case MF_COMMIT_ALONE:
		return go_on_alone(slot);
	default:
		mf_slot_finish(slot, MF_OUTCOME_OK, &slot->response);
		return false;
	}
}

bool mf_slot_commit(struct mf_slot *slot)
{
	struct mf_peer *peer = peer_of(slot);
	enum mf_commit commit = slot->commit;
	int status = 0;

	slot->ordered = true;
	mf_slot_spend(slot, MF_SPENT_STORE);
	switch (peer->commit(peer, &slot->waiter, slot->pool->watch, &status)) {
	case MF_PEER_PARKED:
		mf_slot_park_at_channel(slot);
		return false;
	case MF_PEER_BROKEN:
		slot->commit = MF_COMMIT_NONE;
		mf_output_note(&slot->output, "request ended: it broke the rules of its channel");
		mf_slot_end(slot, MF_OUTCOME_CRASH, NULL);
		return false;
	default:
		slot->commit = MF_COMMIT_NONE;
	}
	mf_slot_spend(slot, MF_SPENT_RUN);
	if (status)
		return failed(slot, commit, status);
	slot->pool->stats.commits++;
	return done(slot, commit);
}
