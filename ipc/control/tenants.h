/* SPDX-License-Identifier: MIT */
/* What mayflyd tells of its tenants, and of what happens to them: docs/formats/control.md. */
#ifndef MF_IPC_CONTROL_TENANTS_H
#define MF_IPC_CONTROL_TENANTS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <mayfly/error.h>

struct mf_control_tenant {
	char name[40]; /* texts are cut to fit */
	char state[16];
	char program[256];
	char trouble[160]; /* the last one; "" */
	char control[108]; /* path of its engine's socket; "": there is none */
	uint64_t pid;      /* 0: no process */
	uint64_t uptime_ms;
	uint64_t restarts;
	uint64_t engines; /* processes, the ending ones included */
};

struct mf_control_event {
	char event[24];  /* "ready", "died", ...: docs/operations.md has them all */
	char level[12];  /* "info", "warning", "error" */
	char tenant[40]; /* "": none */
	char text[1200];
	uint64_t pid; /* 0: none */
	double time;  /* seconds since 1970 */
};

/* An accepted request's reply, a text to be freed; NULL without memory. */
char *mf_control_tenants(const struct mf_control_tenant *tenants, size_t count);

/* For people: a line a tenant. Control characters are replaced. */
void mf_control_tenants_print(const struct mf_control_tenant *tenants, size_t count, FILE *to);

/* An event as JSON in one line, to be freed; and back (false: it is none). */
char *mf_control_event_text(const struct mf_control_event *event);
int mf_control_event_read(struct mf_control_event *event, const char *text, size_t bytes);
void mf_control_event_print(const struct mf_control_event *event, FILE *to);

/* Events are told on a socket of their own, as nng's PUB does: who is slow misses some. One thread.
 */
struct mf_events;

/* Set-up: the path is claimed and made 0600. 0, or with a sentence and *out NULL. */
int mf_events_open(struct mf_events **out, const char *path, struct mf_error *err);
/* To be watched: readable when somebody new wants to follow. */
int mf_events_fd(const struct mf_events *events);
void mf_events_accept(struct mf_events *events);
/* Never waits. */
void mf_events_send(struct mf_events *events, const char *text);
void mf_events_close(struct mf_events *events);

/*
 * Follow the events at a path until `take` says no (false) or the process is ended. 0, or with a
 * sentence: -ECONNREFUSED and the like: nobody tells any there, or not any more.
 */
int mf_events_follow(const char *path, int (*take)(void *arg, const char *text, size_t bytes),
		     void *arg, struct mf_error *err);

#endif
