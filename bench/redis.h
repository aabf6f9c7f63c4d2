/* SPDX-License-Identifier: MIT */
/* What users would take otherwise: redis-server on a Unix socket, asked by one client. */
#ifndef BENCH_REDIS_H
#define BENCH_REDIS_H

#include <stdbool.h>
#include <sys/types.h>

struct bench_redis {
	pid_t pid;
	int fd;
	char socket[96];
};

/* Start it on that CPU with nothing on disk; false when it is not installed or does not come up. */
bool bench_redis_open(struct bench_redis *redis, int cpu);
void bench_redis_close(struct bench_redis *redis);

/* The time of one GET of 64 bytes, in ns; 0 when it failed. */
double bench_redis_get(struct bench_redis *redis);

#endif
