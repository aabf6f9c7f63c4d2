/* SPDX-License-Identifier: MIT */
#include "engine/image/vm_clock.h"
#include "engine/image/clock.h"
#include "engine/image/guest.h"
#include "engine/image/image.h"

static bool is_of_day(clockid_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

void mf_vm_clock_begin(struct mf_vm *vm)
{
	uint64_t least;
	uint64_t most;

	if (!vm->image)
		return;
	mf_clock_bounds(&least, &most);
	vm->behind_ns = least - vm->image->frozen_ns;
	mf_guest_set_clock(vm, vm->behind_ns);
}

uint64_t mf_vm_clock_ns(const struct mf_vm *vm, clockid_t clock)
{
	return mf_clock_ns(clock) - (is_of_day(clock) ? 0 : vm->behind_ns);
}

uint64_t mf_vm_now_ns(const struct mf_vm *vm)
{
	return mf_vm_clock_ns(vm, CLOCK_MONOTONIC);
}

uint64_t mf_vm_clock_stop_ns(const struct mf_vm *vm)
{
	uint64_t least;
	uint64_t most;

	mf_clock_bounds(&least, &most);
	return most - vm->behind_ns;
}

uint64_t mf_vm_to_host_ns(const struct mf_vm *vm, uint64_t vm_ns)
{
	uint64_t host = vm_ns + vm->behind_ns;

	if (vm_ns == UINT64_MAX)
		return vm_ns;
	/* An image of another host may be ahead. */
	if (vm->behind_ns >> 63)
		return host < vm_ns ? host : 0;
	return host >= vm_ns ? host : UINT64_MAX;
}
