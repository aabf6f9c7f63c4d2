/* SPDX-License-Identifier: MIT */
/* A VM of the pool between requests: forked, prepared, put back, given up. */
#include "request-vm/slot.h"

#include "engine/image/delta.h"
#include "engine/mem/pt.h"

#include <mayfly/abi/ring.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct mf_peer *peer_of(const struct mf_slot *slot)
{
	return slot->pool->settings.peer;
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
bool mf_slot_leave_channel(struct mf_slot *slot)
{
	struct mf_peer *peer = peer_of(slot);
	int ret;

	if (!peer)
		return true;
	ret = peer->end(peer, slot->waiter.channel, mf_slot_faults(slot) != slot->channel_faults);
	if (ret == -EBUSY)
		slot->state = MF_SLOT_LEAVING;
	else if (ret)
		give_up(slot);
	return !ret;
}

void mf_slot_restore(struct mf_slot *slot)
{
	struct mf_pool *pool = slot->pool;
	uint64_t start = mf_now_ns();

	if (slot->lease) {
		mf_slot_keep_later(slot);
		return;
	}
	if (!mf_slot_leave_channel(slot))
		return;
	if (pool->settings.end == MF_END_KEEP && slot->kept_ready) {
		mf_vm_take_kicks(
			&slot->process.vm); /* one that came too late is not for the next request */
		slot->state = MF_SLOT_CLEAN;
		return;
	}
	if (peer_of(slot))
		peer_of(slot)->forget(peer_of(slot), slot->waiter.channel);
	if (pool->settings.end == MF_END_DISCARD || slot->spoilt ||
	    (peer_of(slot) && mf_place_is_stale(&slot->place, peer_of(slot))) ||
	    mf_process_reset(&slot->process)) {
		give_up(slot);
		return;
	}
	pool->stats.resets++;
	pool->stats.pages_copied += slot->process.vm.mem.ws.run_pages;
	start = mf_now_ns() - start;
	pool->stats.reset_ns += start;
	mf_hist_note(&pool->times.steps[MF_STEP_RESET], start);
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
	peer->forget(peer, slot->waiter.channel);
	peer->window(peer, slot->waiter.channel, &fd, &offset);
	if (!mf_pt_lookup(mem, MF_GVA(MF_CHANNEL_VA), &gpa))
		return mf_error_set(err, -ENXIO, "the image has no place for a channel");
	ret = mf_mem_open_window(mem, gpa, fd, offset);
	mf_place_init(&slot->place, mem, peer, slot->waiter.channel);
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
