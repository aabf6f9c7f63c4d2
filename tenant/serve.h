/* SPDX-License-Identifier: MIT */
/* `mayfly serve`: a warm image of a program behind a front door; every request in a VM of its own.
 */
#ifndef MF_TENANT_SERVE_H
#define MF_TENANT_SERVE_H

#include "request-vm/access.h"
#include "request-vm/pool.h"
#include "tenant/program.h"
#include "tenant/rate.h"
#include "tenant/store.h"

enum mf_serve_protocol {
	MF_SERVE_HTTP,
	MF_SERVE_RAW, /* whatever the program speaks: a connection is a request */
};

struct mf_serve_options {
	enum mf_serve_protocol protocol;
	struct mf_program_options program;
	struct mf_tenant_store_options store;
	struct mf_pool_settings pool; /* vms and queue are for all workers together */
	const char *listen;           /* ADDR; NULL with a router */
	int router_fd;                /* connections come from there (taken over); else 0 */
	const char *health;           /* ADDR, NULL = none */
	const char *control;          /* path of the control socket, NULL = none */
	const char *version;          /* of this program */
	unsigned int workers;         /* 0 = one a core, no more than VMs */
	enum mf_front_forwarded forwarded;
	bool proxy_protocol;    /* who connects says first who its client is */
	bool log_json;          /* lines on standard error are objects */
	const char *access_log; /* a file, "-": standard output; NULL: none */
	enum mf_access_form access_form;
	unsigned int connections;    /* at once */
	struct mf_rate rate;         /* of all requests; each_ns 0: no limit */
	uint64_t connection_idle_ns; /* with MF_END_CONNECTION: then it is closed */
	uint64_t drain_ns;           /* how long a shutdown waits for running requests */
	bool quiet;                  /* no lines about start and end */
};

/* Serve until SIGTERM, SIGINT or a command on the control socket. 0, or MF_STATUS_FAILED with a
 * sentence. */
int mf_serve(const struct mf_serve_options *options, struct mf_error *err);

#endif
