/* SPDX-License-Identifier: MIT */
/* The router's table: which tenant has a host and a path. Plain data, no sockets. */
#ifndef MF_SUPERVISOR_ROUTES_H
#define MF_SUPERVISOR_ROUTES_H

#include <stddef.h>
#include <stdint.h>

#include "ipc/socket/scope.h"

struct mf_route {
	uint32_t tenant;
	const char *host; /* normalized; "": any */
	const char *path;
};

struct mf_routes {
	struct mf_route *routes; /* those with a host first, then the longer path */
	size_t count;
	char *texts;
};

/* From a message of kind MF_LINK_ROUTES; -EPROTO, -ENOMEM: unchanged. */
int mf_routes_read(struct mf_routes *routes, const char *bytes, size_t size, size_t count);
void mf_routes_finish(struct mf_routes *routes);

/* The tenant's number, or 0: nobody's. */
uint32_t mf_routes_find(const struct mf_routes *routes, const struct mf_asked *asked);

/* What may be asked on a connection to that host that is this tenant's; its bytes, 0 when they do
 * not fit. */
size_t mf_routes_scope(const struct mf_routes *routes, const char *host, uint32_t tenant, char *out,
		       size_t room);

/*
 * What the head of a request asks for, if it is complete: its bytes, or 0: more is to come. A head
 * that says nothing useful asks for "/" of no host: whoever has that answers what is wrong with it.
 */
size_t mf_head_read(const char *bytes, size_t size, struct mf_asked *asked);

#endif
