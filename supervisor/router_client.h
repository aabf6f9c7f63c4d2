/* SPDX-License-Identifier: MIT */
/* The router's state, for its two halves: what it is told (router.c), and clients
 * (router_client.c).
 */
#ifndef MF_SUPERVISOR_ROUTER_CLIENT_H
#define MF_SUPERVISOR_ROUTER_CLIENT_H

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

#include "ipc/socket/handoff.h"
#include "supervisor/routes.h"

struct router_tenant {
	struct router_tenant *next;
	uint32_t id;
	struct router_engine *engine; /* NULL: none */
	bool holds;                   /* there will be one soon: clients wait */
};

struct router_engine {
	struct router *router;
	struct router_tenant *tenant; /* NULL: another has its place */
	int fd;
	uv_poll_t poll;
	char *buffer; /* of what it gives back */
};

struct router_listener {
	struct router *router;
	struct router_listener *next;
	int fd;
	uint32_t id;
	uint32_t tenant;       /* 0: told apart by the head */
	uint64_t client_count; /* of those who stay, by this address */
	uv_poll_t poll;
};

/* A connection whose head is awaited, or that was answered and lingers. */
struct router_client {
	struct router *router;
	TAILQ_ENTRY(router_client) all; /* in router->clients, the oldest first */
	struct router_listener *listener;
	int fd; /* -1: passed on or closed */
	uv_poll_t poll;
	uint64_t until_ms;
	char *head; /* what has come of it; owned */
	size_t head_bytes;
	bool held; /* its head is complete, its tenant's next engine starts */
	bool lingers;
};
TAILQ_HEAD(router_clients, router_client);

#define ROUTER_HEAD_MAX (16u << 10)

struct router {
	uv_loop_t loop;
	int link_fd;
	uv_poll_t link;
	char *message;
	struct mf_routes routes;
	struct router_tenant *tenants;
	struct router_listener *listeners;
	struct router_clients clients;
	uint64_t client_count;
	uint64_t heads_max;
	uint64_t head_timeout_ms;
	uv_timer_t clock;  /* of the oldest client */
	uv_timer_t breath; /* without descriptors */
	char input[MF_HANDOFF_FIRST_MAX];
	char scope[MF_HANDOFF_SCOPE_MAX];
};

struct router_tenant *router_tenant(const struct router *router, uint32_t id);

/* A connection was accepted; the descriptor is the router's. */
void router_accept(struct router *router, struct router_listener *listener, int fd);

/* An engine gave it back. */
void router_take_back(struct router *router, int fd, const struct mf_handoff *handoff);

/* The address is gone: so are those who came by it and have not been passed on. */
void router_forget_listener(struct router *router, const struct router_listener *listener);

/* There is an engine, or there will be none: who was held goes on. */
void router_release(struct router *router);

/* Let the oldest one go of the address that has most of them: who floods ends his own. */
void router_evict(struct router *router);

void router_listen_again(uv_timer_t *timer);

#endif
