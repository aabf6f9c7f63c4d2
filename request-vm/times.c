/* SPDX-License-Identifier: MIT */
#include "request-vm/slot.h"

void mf_slot_settle(struct mf_slot *slot, uint64_t now_ns)
{
	slot->pool->times.spent_ns[slot->spends] += now_ns - slot->settled_ns;
	slot->settled_ns = now_ns;
}

void mf_slot_spend(struct mf_slot *slot, enum mf_spent spends)
{
	uint64_t now_ns;

	if (spends == slot->spends)
		return;
	now_ns = mf_now_ns();
	mf_slot_settle(slot, now_ns);
	if (slot->spends == MF_SPENT_STORE)
		mf_hist_note(&slot->pool->times.steps[MF_STEP_STORE], now_ns - slot->since_ns);
	slot->spends = spends;
	slot->since_ns = now_ns;
}

enum mf_spent mf_slot_spends(const struct mf_slot *slot)
{
	if (slot->kept)
		return MF_SPENT_NOT;
	if (slot->state == MF_SLOT_RUNNABLE)
		return MF_SPENT_TURN;
	if (slot->state != MF_SLOT_PARKED)
		return MF_SPENT_NOT;
	if (slot->at_channel || mf_streams_wait(&slot->streams))
		return MF_SPENT_STORE;
	return slot->owed ? MF_SPENT_CLIENT : MF_SPENT_CALLS;
}
