/* SPDX-License-Identifier: MIT */
/* How a serving engine is, for the control socket: gathered from its workers on another thread. */
#ifndef MF_TENANT_STATUS_H
#define MF_TENANT_STATUS_H

#include "ipc/control/status.h"
#include "ipc/control/times.h"
#include "tenant/serve.h"
#include "tenant/worker.h"

enum mf_serve_state {
	MF_SERVE_STARTING,
	MF_SERVE_SERVING,
	MF_SERVE_DRAINING,
};

/* All but the atomic ones is set before the control socket opens and stays. */
struct mf_status_source {
	const struct mf_serve_options *options;
	const char *listen;
	struct mf_store *store; /* NULL: none */
	enum mf_family family;
	uint64_t begun_ns;
	struct mf_worker *workers;
	unsigned int worker_count;
	unsigned int started;      /* atomic: of the workers, how many may be asked */
	struct mf_pool_load load;  /* of all workers together */
	enum mf_serve_state state; /* atomic */
};

#define MF_STATUS_PATIENCE_NS 1000000000ull

/*
 * Any thread. Asks all workers and waits so long at most: a worker that is stuck holds nobody up,
 * its last known numbers count and workers_answering tells. `times` (NULL: not wanted) is added to.
 */
void mf_status_gather(const struct mf_status_source *source, struct mf_control_status *status,
		      struct mf_control_times *times, uint64_t patience_ns);

#endif
