/* SPDX-License-Identifier: MIT */
/*
 * A real storage VM over a folder of the test's own, with the recording door, and the requests'
 * side of its channels, played from here: no request VM.
 */
#ifndef TESTS_STORE_DURABILITY_REPLAY_RUN_H
#define TESTS_STORE_DURABILITY_REPLAY_RUN_H

#include "ipc/ring/peer.h"
#include "storage-vm/store.h"
#include "tests/store/durability/replay_log.h"
#include "tests/store/durability/replay_model.h"
#include "tests/store/durability/replay_reader.h"

#include <mayfly/abi/ring_ops.h>

#define CHANNELS    8u
#define ROUND_MAX   16u /* calls that are put before any is waited for: one look takes them */
#define STORE_BYTES (32u << 20)

struct line {
	struct mf_waiter waiter; /* first */
	struct mf_ring requests;
	struct mf_ring replies;
	unsigned int open; /* calls that are not answered */
};

struct run {
	struct recorder recorder;
	char folder[64];
	struct mf_kvm kvm;
	struct mf_permit *permit;
	struct mf_watchdog *watchdog;
	struct mf_watch *watch;
	struct mf_store *store;
	struct line lines[CHANNELS];
	pthread_mutex_t wake_lock;
	pthread_cond_t wake_cond;
	bool woken;
	struct call *calls;
	size_t count;
	struct model seen; /* what the calls are planned after: all that was answered */
	uint64_t sequence;
};

/* Start a storage VM in a new folder. False when there is no /dev/kvm; other failures end the
 * program. */
bool run_open(struct run *run, const struct fault *fault, size_t calls);

/* Make calls until so many were made in all, several at a time. False: the storage program died. */
bool run_calls(struct run *run, size_t calls, uint64_t *dice);

/* The program died and was started again: what the file holds now. NULL, or what is wrong. */
const char *run_read(struct run *run, struct contents *contents);

/* Stop the storage VM and remove the folder. The log and the calls stay. */
void run_stop(struct run *run);

void run_close(struct run *run);

/* Start the storage VM over an image and end it. NULL, or what it said. */
const char *run_try(struct run *run, int image);

#endif
