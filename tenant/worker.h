/* SPDX-License-Identifier: MIT */
/* A worker: a thread with an event loop, a front door and a pool of its own. */
#ifndef MF_TENANT_WORKER_H
#define MF_TENANT_WORKER_H

#include <pthread.h>

#include "request-vm/front/server.h"
#include "request-vm/pool.h"

struct mf_worker {
	unsigned int index;
	struct mf_pool_settings settings;
	struct mf_front_settings front_settings;
	struct mf_image *image;
	const struct mf_ready_point *ready;
	const struct mf_policy *policy;
	struct mf_watchdog *watchdog;
	int listen_fd; /* the worker's own copy */
	/* the worker's */
	pthread_t thread;
	uv_loop_t loop;
	uv_async_t stop;
	struct mf_front *front;
	struct mf_pool *pool;
	bool hurry;           /* close at once instead of draining */
	pthread_mutex_t lock; /* of `ended`: nobody may wake a loop that is gone */
	bool ended;
	struct mf_front_stats front_stats; /* at the end */
	struct mf_pool_stats pool_stats;
};

/* Fork the VMs and open the front door on the calling thread; serves once the thread runs. */
int mf_worker_open(struct mf_worker *worker, struct mf_error *err);

/* Start the thread. -errno: close with mf_worker_close. */
int mf_worker_start(struct mf_worker *worker, struct mf_error *err);

/* From any thread: finish what runs, take nothing new; `hurry`: drop what runs. */
void mf_worker_stop(struct mf_worker *worker, bool hurry);

/* Wait for the end of a stopped worker and free what it has. */
void mf_worker_join(struct mf_worker *worker);

#endif
