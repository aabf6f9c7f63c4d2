/* SPDX-License-Identifier: MIT */
/*
 * The watchdog: one thread that ends time slices, deadlines and runaway copy-on-write of VMs that
 * do not leave guest code by themselves. A worker announces what it is about to run and that it
 * came back; that costs an uncontended lock and no system call.
 */
#ifndef MF_ENGINE_IMAGE_WATCHDOG_H
#define MF_ENGINE_IMAGE_WATCHDOG_H

#include <signal.h>

#include "engine/image/vm.h"

enum mf_kick {
	MF_KICK_SLICE = 1,    /* others want to run */
	MF_KICK_DEADLINE = 2, /* its time is up */
	MF_KICK_MEMORY = 4,   /* it has faulted more often than it may hold pages */
	MF_KICK_STOP = 8,     /* the engine is ending */
	MF_KICK_RELAY = 32,   /* signals from outside wait for the program */
	MF_KICK_TURN = 16,    /* another thread of the same program wants to run: mf_watch_turn */
};

/* Any signal with a handler makes KVM_RUN return; this one has no other use. Worker threads let it
 * in. */
#define MF_KICK_SIGNAL (SIGRTMIN + 3)

/* How often it looks, while anything runs: deadlines and slices are that coarse. */
#define MF_WATCHDOG_TICK_NS 2000000ull

struct mf_watchdog;
struct mf_watch; /* one a worker thread */

/* -ENOMEM, -EAGAIN (no thread). */
int mf_watchdog_create(struct mf_watchdog **out, unsigned int workers, struct mf_error *err);
/* No worker may be running any more. */
void mf_watchdog_destroy(struct mf_watchdog *watchdog);

/* The calling thread becomes worker `index`. */
struct mf_watch *mf_watchdog_worker(struct mf_watchdog *watchdog, unsigned int index);

struct mf_watch_limits {
	uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0 = none */
	uint64_t slice_ns;    /* from now; 0 = none */
	uint64_t faults_max;  /* value of the vCPU's fault counter; 0 = none */
};

void mf_watch_enter(struct mf_watch *watch, struct mf_vm *vm, const struct mf_watch_limits *limits);
void mf_watch_leave(struct mf_watch *watch);

/*
 * From inside the run, on its thread: kick the VM with MF_KICK_TURN at that time of its own clock
 * (vm_clock.h), or before when that was said already. Nothing happens when nobody watches the VM.
 */
void mf_watch_turn(struct mf_vm *vm, uint64_t end_ns);

/* Kick that VM, if anybody runs it now: from any other thread. */
void mf_watch_kick(struct mf_watchdog *watchdog, const struct mf_vm *vm, uint32_t reason);

/* Kick whatever this worker runs now. Any thread. */
void mf_watch_stop(struct mf_watchdog *watchdog);

/* The host's CLOCK_MONOTONIC. */
uint64_t mf_now_ns(void);

#endif
