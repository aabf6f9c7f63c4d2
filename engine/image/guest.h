/* SPDX-License-Identifier: MIT */
/* The engine's own pages in a guest: tables, stubs, clock, vDSO. Written once, when a VM is blank.
 */
#ifndef MF_ENGINE_IMAGE_GUEST_H
#define MF_ENGINE_IMAGE_GUEST_H

#include "engine/image/vm.h"

#include <mayfly/abi/fast.h>

#define MF_GUEST_PID 100u

/* The fast area, in which nothing is to be believed; NULL: the guest's tables are damaged. Writing
 * there is announced by mf_mem_mark(). */
struct mf_fast_area *mf_guest_fast(const struct mf_vm *vm);

/* Does ring 3 stand in the code that answers calls there? */
static inline bool mf_guest_in_fast(uint64_t rip)
{
	return rip - MF_FAST_CODE_VA < MF_FAST_CODE_PAGES * MF_PAGE;
}

/* Put the engine's pages into blank memory and set the vCPU up to run ring 3 at rip 0. */
int mf_guest_install(struct mf_vm *vm);

/* Model-specific registers of a new vCPU (they are no part of struct mf_cpu_state). */
int mf_guest_install_msrs(struct mf_vm *vm);

/*
 * Where RIP still stands at the `out` of the last exit, KVM would step over it at the next entry;
 * with RIP replaced it does not. Step over it here: by its opcode, or by letting KVM do it.
 */
void mf_guest_step_over_out(struct mf_vm *vm);

/* What the entry stub says of the thread on the vCPU; `others`: it is not the only one. */
void mf_guest_set_thread(struct mf_vm *vm, uint32_t tid, bool others);

/* How far the monotonic clock of the vDSO is behind that of the clock page. */
void mf_guest_set_clock(struct mf_vm *vm, uint64_t behind_ns);

/* What it says of who the program is. */
struct mf_stub_ids;
void mf_guest_set_ids(struct mf_vm *vm, const struct mf_stub_ids *ids);

/* Redirect a vCPU on hardware KVM through the CR3 reload; registers stay as they are. */
void mf_guest_reload_cr3(struct mf_vm *vm);

#endif
