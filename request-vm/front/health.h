/* SPDX-License-Identifier: MIT */
/*
 * The health endpoint: a small front door of its own, for whoever places and watches the process.
 *   GET /healthz   200 "ok" as long as the loop turns
 *   GET /readyz    200 "ready", or 503 with a reason, as a callback says
 *   GET /metrics   200 and what another callback gives
 * Loop's thread, like the front door.
 */
#ifndef REQUEST_VM_FRONT_HEALTH_H
#define REQUEST_VM_FRONT_HEALTH_H

#include "request-vm/front/server.h"

struct mf_health;

/* Returns NULL when ready, else why not: a short text that lives until the next call. */
typedef const char *mf_health_ready_fn(void *arg);

/* The metrics in Prometheus' text format, to be freed; NULL: not now (503). */
typedef char *mf_health_metrics_fn(void *arg);

/* As mf_front_open: takes the listener's descriptor, also on failure. */
int mf_health_open(struct mf_health **out, uv_loop_t *loop, struct mf_listener *listener,
		   mf_health_ready_fn *ready, mf_health_metrics_fn *metrics, void *arg,
		   struct mf_error *err);

/* Closes at once; frees itself, then calls done(arg) (may be NULL) from the loop. */
void mf_health_close(struct mf_health *health, void (*done)(void *arg), void *arg);

#endif
