/* SPDX-License-Identifier: MIT */
/*
 * What the front door adds to a request, because the program cannot know it: who the client is, how
 * it came, and a name for the request. No socket; private to the front door, its settings aside.
 *
 *   X-Request-Id        the client's, if it is one word of 1 to 64 letters, digits and -._~; or
 * made X-Forwarded-For     the client's address (none over a Unix socket) X-Forwarded-Proto   http
 *   X-Forwarded-Host    Host
 *
 * What the client says of these (and Forwarded, X-Real-IP and whatever else begins with
 * X-Forwarded-) is dropped. Behind a proxy that is trusted it is kept: the address is added to the
 * list of X-Forwarded-For, the other two are added where they are missing.
 */
#ifndef REQUEST_VM_FRONT_EDGE_H
#define REQUEST_VM_FRONT_EDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "request-vm/front/reading.h"

#define MF_HTTP_ID_BYTES     65u
#define MF_HTTP_CLIENT_BYTES 48u
#define MF_HTTP_ADDED        4u
#define MF_HTTP_FROM_BYTES   1024u

/* Of a connection. */
struct mf_http_edge {
	char client[MF_HTTP_CLIENT_BYTES]; /* address, without port; "": not known */
	bool trust;                        /* the client is a proxy that is believed */
	uint64_t seed;                     /* of the ids that are made; random */
	uint64_t *made;                    /* how many there were */
};

/* What is to be added to one request. */
struct mf_http_added {
	struct {
		struct mf_http_span name, value;
	} list[MF_HTTP_ADDED];
	uint32_t count;
	char id[MF_HTTP_ID_BYTES];
	char from[MF_HTTP_FROM_BYTES];
};

/* Is this a header of the client's that is not passed on? `edge` may be NULL. */
bool mf_http_edge_drops(const struct mf_http_edge *edge, struct mf_http_span name);

/*
 * Fills *added; nothing with an edge that is NULL. Returns 0 or the status to refuse with: 431,
 * when X-Forwarded-For is too long.
 */
int mf_http_edge_add(struct mf_http_added *added, const struct mf_http_edge *edge,
		     const struct mf_http_reading *reading, struct mf_http_span host);

#endif
