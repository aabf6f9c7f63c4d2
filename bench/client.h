/* SPDX-License-Identifier: MIT */
/* The client of the request cases: servers as child processes, and closed loops of keep-alive
 * clients. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include "bench/harness.h"

#include <sys/types.h>

#define BENCH_CLIENTS_MAX 16u

struct bench_server {
	pid_t pid;
	char address[128];
	int clients[BENCH_CLIENTS_MAX];
	unsigned int client_count;
	struct bench_samples samples;
	double busy_ns; /* of all bursts that were measured */
};

/* Start argv on a CPU, its output into nothing; wait until it answers. False when it does not. */
bool bench_server_start(struct bench_server *server, const char *address, char *const *argv,
			int cpu, unsigned int clients);
void bench_server_stop(struct bench_server *server);

/* Each client sends `requests` requests, the next when the answer to the last is there. False when
 * an answer was not 200. */
bool bench_burst(struct bench_server *server, unsigned int requests, bool measured);

#endif
