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
	unsigned long long exits;    /* user exits of its request VMs */
	unsigned long long calls;    /* the rest is 0 without --store */
	unsigned long long in_place; /* and what was read without a call */
	unsigned long long commits;
	unsigned long long restarts;
	unsigned long long store_exits; /* user exits of its storage VM */
	char why[160];                  /* of an audit that failed, the last; else empty */
};

/* `mayfly serve` over the demo's program with these options (NULL-ended). A failed claim when it
 * does not come up. */
bool server_start(struct server *server, const struct tour *tour, const char *const *options);

/* Give it the time to put back and audit what has just served. */
void server_settle(const struct tour *tour);

/* End it. A failed claim, with its last words, when it did not end well. */
bool server_stop(struct server *server, struct server_end *end);

/* Kill it, as a power cut would, and wait until it is gone. */
void server_kill(struct server *server);

/* Run `program` once. Returns the bytes of its output (malloc'ed) or -errno; -EPROTO: it failed. */
long run_program(const char *program, const void *input, size_t bytes, char **output);

/* Run a program without input. Its exit status, 128 + N after signal N, -errno; with `output`, what
 * it printed, stderr too, as a string (malloc'ed, or NULL). */
int run_quietly(const char *const *argv, char **output);

/* A child that dies with us; as fork(). */
pid_t fork_bound(void);

#endif
