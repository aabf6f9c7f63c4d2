/* SPDX-License-Identifier: MIT */
/*
 * The floor under every request VM: a VM that KVM made, with one vCPU set up as the engine's are,
 * that ran ring-3 code once in seven pages and left by `out`. Nothing of the engine's image layer
 * is in it.
 */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include "engine/kvm/kvm.h"

struct bench_floor {
	const struct mf_kvm *kvm;
	int memfd;
	struct floor_vm {
		struct mf_kvm_vm vm;
		uint8_t *memory;
	} * vms;
	size_t count;
};

/* -errno with a sentence; bench_floor_close() afterwards in any case. */
int bench_floor_open(struct bench_floor *floor, const struct mf_kvm *kvm, size_t count,
		     struct mf_error *err);
/* Give each another slot of that size, over address space that is not touched. */
int bench_floor_add_slots(struct bench_floor *floor, size_t bytes);
void bench_floor_close(struct bench_floor *floor);

#endif
