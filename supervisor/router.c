/* SPDX-License-Identifier: MIT */
#include "supervisor/router.h"
#include "supervisor/router_client.h"
#include "supervisor/link.h"

#include "ipc/socket/handoff.h"
#include "tenant/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of one address before the others have their turn: to pass one on takes as long as to answer a
 * short request. */
#define ACCEPTED_AT_A_TIME 2
/* Of one engine. */
#define AT_A_TIME 16

/* Without descriptors: look again after this. */
#define BREATH_MS 100

/* ---- engines ---- */

static void on_engine_closed(uv_handle_t *handle)
{
	struct router_engine *engine = handle->data;

	close(engine->fd);
	free(engine->buffer);
	free(engine);
}

static void drop_engine(struct router_engine *engine)
{
	if (engine->tenant && engine->tenant->engine == engine)
		engine->tenant->engine = NULL;
	if (!uv_is_closing((uv_handle_t *)&engine->poll))
		uv_close((uv_handle_t *)&engine->poll, on_engine_closed);
}

/* Connections that it gives back. */
static void on_engine(uv_poll_t *poll, int status, int events)
{
	struct router_engine *engine = poll->data;
	struct mf_handoff handoff;
	int taken;
	int fd = 0;

	(void)status;
	(void)events;
	for (taken = 0; taken < AT_A_TIME && fd != -EAGAIN; taken++) {
		fd = mf_handoff_receive(engine->fd, engine->buffer, &handoff);
		if (fd >= 0) {
			router_take_back(engine->router, fd, &handoff);
		} else if (fd != -EAGAIN && fd != -EINTR && fd != -EPROTO) {
			drop_engine(engine);
			return;
		}
	}
}

static struct router_engine *new_engine(struct router *router, int fd)
{
	struct router_engine *engine = calloc(1, sizeof(*engine));

	if (!engine || !(engine->buffer = malloc(MF_HANDOFF_MAX)) ||
	    uv_poll_init(&router->loop, &engine->poll, fd)) {
		if (engine)
			free(engine->buffer);
		free(engine);
		close(fd);
		return NULL;
	}
	engine->router = router;
	engine->fd = fd;
	engine->poll.data = engine;
	uv_poll_start(&engine->poll, UV_READABLE, on_engine);
	return engine;
}

/* The tenant of that number; made when it is not there. NULL without memory. */
static struct router_tenant *tenant_of(struct router *router, uint32_t id)
{
	struct router_tenant *tenant = router_tenant(router, id);

	if (!tenant && (tenant = calloc(1, sizeof(*tenant)))) {
		tenant->id = id;
		tenant->next = router->tenants;
		router->tenants = tenant;
	}
	return tenant;
}

/* `fd` is the socket to its new engine; -1: it has none. */
static void set_engine(struct router *router, uint32_t id, int fd, bool holds)
{
	struct router_tenant *tenant = tenant_of(router, id);
	struct router_engine *old = tenant ? tenant->engine : NULL;

	if (!tenant) {
		if (fd >= 0)
			close(fd);
		return;
	}
	tenant->engine = fd >= 0 ? new_engine(router, fd) : NULL;
	if (tenant->engine)
		tenant->engine->tenant = tenant;
	tenant->holds = holds;
	if (!holds)
		router_release(router);
	if (old) {
		/* It reads to the end of what was sent; what it gives back comes still. */
		old->tenant = NULL;
		shutdown(old->fd, SHUT_WR);
	}
}

/* ---- addresses ---- */

static void on_listener_closed(uv_handle_t *handle)
{
	struct router_listener *listener = handle->data;

	close(listener->fd);
	free(listener);
}

static void unlisten(struct router *router, uint32_t id)
{
	struct router_listener **at;

	for (at = &router->listeners; *at; at = &(*at)->next)
		if ((*at)->id == id) {
			struct router_listener *listener = *at;

			*at = listener->next;
			router_forget_listener(router, listener);
			uv_close((uv_handle_t *)&listener->poll, on_listener_closed);
			return;
		}
}

static void pause_listening(struct router *router)
{
	struct router_listener *listener;

	for (listener = router->listeners; listener; listener = listener->next)
		uv_poll_stop(&listener->poll);
	uv_timer_start(&router->breath, router_listen_again, BREATH_MS, 0);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
	struct router_listener *listener = poll->data;
	struct router *router = listener->router;
	int taken;

	(void)status;
	(void)events;
	for (taken = 0; taken < ACCEPTED_AT_A_TIME; taken++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 &&
		    (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
			router_evict(router);
			pause_listening(router);
		}
		if (fd < 0)
			return;
		router_accept(router, listener, fd);
	}
}

void router_listen_again(uv_timer_t *timer)
{
	struct router *router = timer->data;
	struct router_listener *listener;

	for (listener = router->listeners; listener; listener = listener->next)
		uv_poll_start(&listener->poll, UV_READABLE, on_connection);
}

static void listen_on(struct router *router, const struct mf_router_link *link, int fd)
{
	struct router_listener *listener = fd >= 0 ? calloc(1, sizeof(*listener)) : NULL;

	if (!listener || uv_poll_init(&router->loop, &listener->poll, fd)) {
		free(listener);
		if (fd >= 0)
			close(fd);
		return;
	}
	*listener = (struct router_listener){.router = router,
					     .next = router->listeners,
					     .fd = fd,
					     .id = link->id,
					     .tenant = link->tenant,
					     .poll = listener->poll};
	listener->poll.data = listener;
	router->listeners = listener;
	uv_poll_start(&listener->poll, UV_READABLE, on_connection);
}

/* ---- what mayflyd says ---- */

static void obey(struct router *router, int fd)
{
	const struct mf_router_link *link = (const struct mf_router_link *)router->message;
	const char *bytes = router->message + sizeof(*link);
	struct mf_link_settings settings;

	switch (link->kind) {
	case MF_LINK_SETTINGS:
		if (link->bytes == sizeof(settings)) {
			memcpy(&settings, bytes, sizeof(settings));
			router->head_timeout_ms = settings.head_timeout_ms;
			router->heads_max = settings.heads;
		}
		break;
	case MF_LINK_LISTEN:
		listen_on(router, link, fd);
		return;
	case MF_LINK_UNLISTEN:
		unlisten(router, link->id);
		break;
	case MF_LINK_ENGINE:
		set_engine(router, link->tenant, fd, false);
		return;
	case MF_LINK_NO_ENGINE:
		set_engine(router, link->tenant, -1, false);
		break;
	case MF_LINK_HOLD:
		set_engine(router, link->tenant, -1, true);
		break;
	case MF_LINK_ROUTES:
		mf_routes_read(&router->routes, bytes, link->bytes, link->id);
		break;
	default:
		break;
	}
	if (fd >= 0)
		close(fd);
}

static void on_link(uv_poll_t *poll, int status, int events)
{
	struct router *router = poll->data;
	int code = 0;
	int fd;

	(void)status;
	(void)events;
	while (!code || code == -EPROTO) {
		code = mf_link_receive(router->link_fd, router->message, &fd);
		if (!code)
			obey(router, fd);
	}
	if (code != -EAGAIN && code != -EINTR)
		uv_stop(&router->loop);
}

static int confine(void)
{
	struct mf_priority priority;
	static const struct mf_confine tightest;
	struct mf_error err;

	mf_priority_prepare(&priority);
	if (!mf_confine_enter(&tightest, NULL, &err))
		return 0;
	fprintf(stderr, "router: %s\n", err.text);
	return -1;
}

int mf_router_run(int link_fd)
{
	struct router *router = calloc(1, sizeof(*router));

	/* It ends when mayflyd does; the terminal's signals are mayflyd's. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (!router || !(router->message = malloc(MF_LINK_MAX)) || uv_loop_init(&router->loop) ||
	    confine())
		return 1;
	router->link_fd = link_fd;
	router->heads_max = 1024;
	router->head_timeout_ms = 10000;
	TAILQ_INIT(&router->clients);
	uv_timer_init(&router->loop, &router->clock);
	uv_timer_init(&router->loop, &router->breath);
	router->clock.data = router->breath.data = router;
	uv_poll_init(&router->loop, &router->link, link_fd);
	router->link.data = router;
	uv_poll_start(&router->link, UV_READABLE, on_link);
	uv_run(&router->loop, UV_RUN_DEFAULT);
	return 0;
}
