/* SPDX-License-Identifier: MIT */
/*
 * Time as a VM's program has it. Its monotonic clock goes on from the freeze of its image when the
 * VM is first entered after a fork or a reset: to a program that was put back nothing happened in
 * the meantime. From then on it goes as the host's does. CLOCK_REALTIME is the host's at all times.
 * Deadlines in a VM's state are by its clock; whoever waits for it outside of its state goes by the
 * host's.
 */
#ifndef MF_ENGINE_IMAGE_VM_CLOCK_H
#define MF_ENGINE_IMAGE_VM_CLOCK_H

#include <time.h>

#include "engine/image/vm.h"

/* Let the clock of a VM that was forked or reset go on from its image's freeze. The VM stands. */
void mf_vm_clock_begin(struct mf_vm *vm);

/* What its program reads of a clock of the host's, or of CLOCK_MONOTONIC. */
uint64_t mf_vm_clock_ns(const struct mf_vm *vm, clockid_t clock);
uint64_t mf_vm_now_ns(const struct mf_vm *vm);

/* No less than its program can have read by now: where the clock of an image goes on. */
uint64_t mf_vm_clock_stop_ns(const struct mf_vm *vm);

/* What mf_now_ns() says at that time of the VM's monotonic clock; UINT64_MAX is no time. */
uint64_t mf_vm_to_host_ns(const struct mf_vm *vm, uint64_t vm_ns);

#endif
