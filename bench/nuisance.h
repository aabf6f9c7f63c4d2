/* SPDX-License-Identifier: MIT */
/* A process of clients that never stop asking: the noise of the tenants' cases. */
#ifndef BENCH_NUISANCE_H
#define BENCH_NUISANCE_H

#include <stdbool.h>
#include <sys/types.h>

struct bench_nuisance {
	const char *address;
	const char *target; /* of their GETs */
	unsigned int clients;
	bool reconnect; /* each request on a connection of its own */
	pid_t pid;
};

/* It takes only the time that nobody else wants: what is measured is the server's doing, and real
 * clients are on other machines. */
bool bench_nuisance_start(struct bench_nuisance *nuisance);
/* Its connections stay. */
void bench_nuisance_pause(const struct bench_nuisance *nuisance, bool pause);
void bench_nuisance_stop(struct bench_nuisance *nuisance);

#endif
