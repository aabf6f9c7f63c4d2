/* SPDX-License-Identifier: MIT */
/* A client of a server on this machine: HTTP/1.1 over loopback, connections kept. One thread at a
 * time. */
#ifndef MAYFLY_DEMO_CLIENT_H
#define MAYFLY_DEMO_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stanzas.h"

struct ask {
	const char *method;
	const char *target;
	const char *headers; /* "Name: value\r\n" lines, or NULL */
	const void *body;
	size_t length;
};

struct client {
	uint16_t port;
	int fd;    /* -1: the next request connects */
	char *out; /* owned */
	char *in;  /* owned: the last answer */
	size_t in_room;
};

struct answer {
	int status;
	const char *body; /* the client's, until its next request */
	size_t length;
};

/* The request as it goes over the wire; the caller frees it. NULL: no memory. */
char *ask_text(const struct ask *ask, size_t *length);

void client_init(struct client *client, uint16_t port);
void client_finish(struct client *client);

/* Ask and wait for the answer. -errno: there was none, the connection is closed. */
int client_ask(struct client *client, const struct ask *ask, struct answer *answer);

/* Post a stanza: whether the answer is what the program gives natively. */
bool client_post(struct client *client, const struct stanza *stanza);

/* Into the store and from there: whether it was kept, whether the same bytes come back. */
bool client_put(struct client *client, const struct stanza *stanza);
bool client_get(struct client *client, const struct stanza *stanza);

#endif
