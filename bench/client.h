/* SPDX-License-Identifier: MIT */
/* The client of the request cases: servers as child processes, and closed loops of keep-alive
 * clients, or of clients that connect anew each time. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include "bench/harness.h"

#include <sys/types.h>

#define BENCH_CLIENTS_MAX 16u

struct bench_server {
	pid_t pid;
	char address[128];
	const char *target; /* of the GETs; NULL: /hello */
	int clients[BENCH_CLIENTS_MAX];
	unsigned int client_count;
	bool reconnect; /* each request on a connection of its own, which its time includes */
	struct mf_samples samples;
	double busy_ns; /* of all bursts that were measured */
};

/* Start argv (a path) on a CPU, its output into nothing; wait until it answers. False when it does
 * not. The clients are bench_server_connect's: again, to measure the same server another way; the
 * samples start anew. */
bool bench_server_start(struct bench_server *server, const char *address, char *const *argv,
			int cpu, unsigned int clients);
bool bench_server_connect(struct bench_server *server, unsigned int clients, bool reconnect);
void bench_server_stop(struct bench_server *server);

/* Each client sends `requests` requests, the next when the answer to the last is there. False when
 * an answer was not 200. */
bool bench_burst(struct bench_server *server, unsigned int requests, bool measured);

#endif
