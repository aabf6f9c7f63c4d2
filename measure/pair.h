/* SPDX-License-Identifier: MIT */
/* A pair without front door and pool: a storage VM in a folder of its own, and one request VM. */
#ifndef MF_MEASURE_PAIR_H
#define MF_MEASURE_PAIR_H

#include "measure/samples.h"
#include "measure/world.h"
#include "request-vm/place.h"
#include "tenant/store.h"

#include <semaphore.h>

struct mf_pair {
	struct mf_world *world;
	struct mf_watchdog *dog;
	struct mf_watch *watch;
	struct mf_tenant_store store;
	struct mf_peer *peer;
	struct mf_process vm;
	struct mf_waiter waiter;
	sem_t woken;
	char folder[256]; /* in TMPDIR, or in /tmp */
	struct mf_place place;
	bool in_place;       /* of requests that begin: they read in place; all calls are one
			      * transaction, which is dropped */
	uint64_t parks;      /* times that this thread slept */
	uint64_t ring_bytes; /* of requests' calls */
};

/* Channels of the store; the request VM has the first. */
#define MF_PAIR_CHANNELS 4u

/*
 * The store's thread on the first CPU, this one on the last, where it stays. -errno with a
 * sentence; close it then, too.
 */
int mf_pair_open(struct mf_pair *pair, struct mf_cpus cpus, enum mf_store_wait wait,
		 struct mf_error *err);
void mf_pair_close(struct mf_pair *pair);

/*
 * One request, served, reset, its channel wiped. What it responded is copied into `body`, at most
 * `room` bytes; *served_ns is the time until its response. 0 or a negative errno.
 */
int mf_pair_serve(struct mf_pair *pair, const struct mf_world_request *request, void *body,
		  size_t room, double *served_ns);

#endif
