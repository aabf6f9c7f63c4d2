/* SPDX-License-Identifier: MIT */
/*
 * Which requests of a connection are whose: the host of a request and the beginnings of its path,
 * as text that the router makes and an engine looks into. Pure functions over bytes.
 *
 * A scope is the connection's host, NUL-ended, then any number of path beginnings, each with '+'
 * (this tenant's) or '-' (another's) before it and a NUL behind it. The first that fits decides; if
 * none does, or the host is another, the request is not this tenant's. Hosts are compared in lower
 * case, without port and final dot; paths byte by byte: "/a" fits "/a", "/a/b" and "/a?b".
 */
#ifndef MF_IPC_SOCKET_SCOPE_H
#define MF_IPC_SOCKET_SCOPE_H

#include <stdbool.h>
#include <stddef.h>

#define MF_HOST_MAX 256u /* with its NUL; longer ones are cut, and fit nothing */

/* What of a request tells whose it is. */
struct mf_asked {
	char host[MF_HOST_MAX]; /* "" without one */
	const char *path;       /* within the target; "/" for one without */
	size_t path_bytes;
};

/* From the target and the value of Host (NULL: none). An absolute target counts more than Host. */
void mf_asked_read(struct mf_asked *asked, const char *target, size_t target_bytes,
		   const char *host, size_t host_bytes);

/* A host's name as it is compared. */
void mf_host_normalize(char out[MF_HOST_MAX], const char *host, size_t bytes);

bool mf_path_fits(const char *prefix, const char *path, size_t path_bytes);

/* Is this request this tenant's? An empty scope says yes to all, a broken one no. */
bool mf_scope_allows(const char *scope, size_t bytes, const struct mf_asked *asked);

#endif
