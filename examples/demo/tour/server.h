/* SPDX-License-Identifier: MIT */
/*
 * Programs that the tour starts: `mayfly serve` on a free port of the loopback device, and a
 * program run once with its input. They die with the process that started them.
 */
#ifndef MAYFLY_DEMO_SERVER_H
#define MAYFLY_DEMO_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tour.h"

struct server {
	pid_t pid;
	int log; /* its stderr */
	uint16_t port;
};

/* What it says at its end. */
struct server_end {
	unsigned long long requests;
	unsigned long long failed;
	unsigned long long resets;
	unsigned long long audits; /* 0 without --audit */
	unsigned long long unclean;
	char why[160]; /* of an audit that failed, the last; else empty */
};

/* `mayfly serve` over the demo's program with these options (NULL-ended). A failed claim when it
 * does not come up. */
bool server_start(struct server *server, const struct tour *tour, const char *const *options);

/* Give it the time to put back and audit what has just served. */
void server_settle(const struct tour *tour);

/* End it. A failed claim, with its last words, when it did not end well. */
bool server_stop(struct server *server, struct server_end *end);

/* Run `program` once. Returns the bytes of its output (malloc'ed) or -errno; -EPROTO: it failed. */
long run_program(const char *program, const void *input, size_t bytes, char **output);

/* A child that dies with us; as fork(). */
pid_t fork_bound(void);

#endif
