/* SPDX-License-Identifier: MIT */
/* A pair without front door and pool: a storage VM in a folder of its own, and one request VM. */
#ifndef BENCH_PAIR_H
#define BENCH_PAIR_H

#include "bench/world.h"
#include "tenant/store.h"

#include <semaphore.h>

struct bench_pair {
	struct bench_world *world;
	struct mf_watchdog *dog;
	struct mf_watch *watch;
	struct mf_tenant_store store;
	struct mf_peer *peer;
	struct mf_process vm;
	struct mf_waiter waiter;
	sem_t woken;
	char folder[64];
	uint64_t parks; /* times that this thread slept */
};

/* Channels of the store; the request VM has the first. */
#define BENCH_CHANNELS 4u

/* 0, or the case's result after saying why. The store's thread runs on the first CPU, this one on
 * the last. */
int bench_pair_open(struct bench_pair *pair, const struct bench_case *self,
		    enum mf_store_wait wait);
void bench_pair_close(struct bench_pair *pair);

/*
 * One request, served, reset, its channel wiped. What it responded is copied into `body`, at most
 * `room` bytes; *served_ns is the time until its response. 0 or a negative errno.
 */
int bench_pair_serve(struct bench_pair *pair, const struct bench_request *request, void *body,
		     size_t room, double *served_ns);

#endif
