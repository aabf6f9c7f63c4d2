/* SPDX-License-Identifier: MIT */
/* A worker: a thread with an event loop, a front door and a pool of its own. */
#ifndef MF_TENANT_WORKER_H
#define MF_TENANT_WORKER_H

#include <pthread.h>

#include "request-vm/access.h"
#include "request-vm/front/server.h"
#include "request-vm/journal.h"
#include "request-vm/pool.h"
#include "tenant/priority.h"
#include "tenant/rate.h"

/* What a worker says about itself. */
struct mf_worker_report {
	struct mf_front_stats front;
	struct mf_pool_stats pool;
	uint64_t limited; /* requests over the rate */
	uint64_t busy_ns; /* that its thread did not wait for something to do */
	uint64_t cpu_ns;  /* that it had a processor; what is missing of busy_ns, it waited for one
			   */
	struct mf_times times;
	struct mf_hist requests; /* as mf_front_times */
};

struct mf_worker {
	unsigned int index;
	struct mf_pool_settings settings;
	struct mf_front_settings front_settings;
	struct mf_image *image;
	const struct mf_ready_point *ready;
	const struct mf_policy *policy;
	const struct mf_priority *priority;
	struct mf_watchdog *watchdog;
	struct mf_journal *access_log; /* NULL: none */
	enum mf_access_form access_form;
	int listen_fd;        /* the worker's own copy */
	bool is_router;       /* listen_fd is a router's socket */
	struct mf_rate *rate; /* of all workers */
	/* the worker's */
	pthread_t thread;
	uv_loop_t loop;
	uv_async_t stop;
	uv_async_t ask;
	uv_prepare_t before_wait;
	uv_check_t behind_wait;
	struct mf_turns turns;
	struct mf_front *front;
	struct mf_pool *pool;
	uint64_t limited;
	uint64_t begun_ns;
	uint64_t asked_ns;    /* since when it waits for something to do */
	uint64_t idle_ns;     /* that it has waited for that */
	bool hurry;           /* close at once instead of draining */
	pthread_mutex_t lock; /* of what follows; nobody may wake a loop that is gone */
	bool ended;
	unsigned int asked; /* questions, and the last one that was answered */
	unsigned int told;
	struct mf_worker_report report; /* the last answer */
	pthread_cond_t answer;
	/* the loop's thread alone, others after the join */
	struct mf_front_stats front_stats; /* at the end */
	struct mf_pool_stats pool_stats;
	struct mf_times times;
	struct mf_hist requests;
};

/* Fork the VMs and open the front door on the calling thread; serves once the thread runs. */
int mf_worker_open(struct mf_worker *worker, struct mf_error *err);

/* Start the thread. -errno: close with mf_worker_close. */
int mf_worker_start(struct mf_worker *worker, struct mf_error *err);

/* From any thread: finish what runs, take nothing new; `hurry`: drop what runs. */
void mf_worker_stop(struct mf_worker *worker, bool hurry);

/*
 * From any one thread: ask a worker that was started how it is. It answers between two pieces of
 * work; mf_worker_told waits for that until a time of mf_now_ns() and gives the last answer. False
 * when it is an old one (none at all: zeros).
 */
void mf_worker_ask(struct mf_worker *worker);
bool mf_worker_told(struct mf_worker *worker, struct mf_worker_report *report, uint64_t until_ns);

/* Wait for the end of a stopped worker and free what it has. */
void mf_worker_join(struct mf_worker *worker);

#endif
