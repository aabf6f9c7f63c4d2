/* SPDX-License-Identifier: MIT */
/*
 * What mayflyd tells its router: one message of a SEQPACKET socket each, some with a descriptor.
 * Both ends are this program; the router never answers.
 */
#ifndef MF_SUPERVISOR_LINK_H
#define MF_SUPERVISOR_LINK_H

#include <stdint.h>

#define MF_LINK_MAX (128u << 10) /* bytes of a message */

enum mf_link_kind {
	MF_LINK_SETTINGS, /* struct mf_link_settings */
	MF_LINK_LISTEN,   /* id, tenant; with a socket that listens. tenant 0: shared */
	MF_LINK_UNLISTEN, /* id */
	MF_LINK_ENGINE,   /* tenant; with the socket to its engine: from now on that one */
	MF_LINK_HOLD, /* tenant: its next engine starts when the old one has ended; who comes waits
		       */
	MF_LINK_NO_ENGINE, /* tenant: it has none; the old one is told that no more will come */
	MF_LINK_ROUTES,    /* struct mf_link_route, then its texts; as often as `id` says */
};

struct mf_router_link {
	uint32_t kind;
	uint32_t id;
	uint32_t tenant;
	uint32_t bytes; /* behind this */
};
_Static_assert(sizeof(struct mf_router_link) == 16, "no padding");

struct mf_link_settings {
	uint64_t head_timeout_ms;
	uint64_t heads;
};

/* A line of the table of routes: the best fitting host, then the longest path, wins. */
struct mf_link_route {
	uint32_t tenant;
	uint16_t host_bytes; /* with its NUL; an empty host: any */
	uint16_t path_bytes; /* with its NUL */
};
_Static_assert(sizeof(struct mf_link_route) == 8, "no padding");

/* -errno of sendmsg(2); waits for a router that is slow, as long as the socket's time says. */
int mf_link_send(int socket, const struct mf_router_link *link, const void *bytes, int fd);

/*
 * Receive one into `buffer` (MF_LINK_MAX bytes), the head at its front. Its descriptor, or -1 in
 * *fd. -EAGAIN, -EPIPE (mayflyd is gone), -EPROTO.
 */
int mf_link_receive(int socket, char *buffer, int *fd);

#endif
