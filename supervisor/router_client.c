/* SPDX-License-Identifier: MIT */
#include "supervisor/router_client.h"

#include "request-vm/front/response.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* An answered client may still send so long: closing at once would take the answer back. */
#define LINGER_MS 1000

struct router_tenant *router_tenant(const struct router *router, uint32_t id)
{
	struct router_tenant *tenant = router->tenants;

	while (tenant && tenant->id != id)
		tenant = tenant->next;
	return tenant;
}

/* ---- those who stay for a while ---- */

static void on_closed(uv_handle_t *handle)
{
	struct router_client *client = handle->data;

	free(client->head);
	free(client);
}

/* Its descriptor was passed on, or is closed here. */
static void drop(struct router_client *client)
{
	struct router *router = client->router;

	if (client->fd < 0)
		return;
	uv_poll_stop(&client->poll);
	close(client->fd);
	client->fd = -1;
	TAILQ_REMOVE(&router->clients, client, all);
	router->client_count--;
	client->listener->client_count--;
	uv_close((uv_handle_t *)&client->poll, on_closed);
}

void router_evict(struct router *router)
{
	const struct router_listener *listener, *fullest = router->listeners;
	struct router_client *client;

	for (listener = router->listeners; listener; listener = listener->next)
		if (listener->client_count > fullest->client_count)
			fullest = listener;
	TAILQ_FOREACH(client, &router->clients, all)
	if (client->listener == fullest) {
		drop(client);
		return;
	}
}

void router_forget_listener(struct router *router, const struct router_listener *listener)
{
	struct router_client *client, *next;

	for (client = TAILQ_FIRST(&router->clients); client; client = next) {
		next = TAILQ_NEXT(client, all);
		if (client->listener == listener)
			drop(client);
	}
}

/* ---- answers of the router's own ---- */

static void answer(int fd, int status, bool is_head)
{
	struct mf_http_response_frame frame = {.is_head = is_head, .close = true};
	char out[MF_HTTP_RESPONSE_HEAD_MAX];
	ssize_t bytes = mf_http_response_error(out, sizeof(out), status, NULL, &frame);

	/* It is the first that this client hears: the socket's buffer is empty. */
	if (bytes > 0 && send(fd, out, (size_t)bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
	shutdown(fd, SHUT_WR);
}

static bool asks_for_head(const char *bytes, size_t size)
{
	return size >= 5 && !memcmp(bytes, "HEAD ", 5);
}

static void on_clock(uv_timer_t *timer);

static void answer_client(struct router_client *client, int status)
{
	struct router *router = client->router;

	answer(client->fd, status,
	       asks_for_head(client->head ? client->head : "", client->head_bytes));
	client->lingers = true;
	client->until_ms = uv_now(&router->loop) + LINGER_MS;
	if (uv_timer_get_due_in(&router->clock) > LINGER_MS)
		uv_timer_start(&router->clock, on_clock, LINGER_MS, 0);
}

/* ---- time ---- */

/* All wait for the same time for their heads: the oldest is the first. */
static void set_clock(struct router *router)
{
	struct router_client *oldest = TAILQ_FIRST(&router->clients);
	uint64_t now = uv_now(&router->loop);

	if (oldest && !uv_is_active((uv_handle_t *)&router->clock))
		uv_timer_start(&router->clock, on_clock,
			       oldest->until_ms > now ? oldest->until_ms - now : 1, 0);
}

static void on_clock(uv_timer_t *timer)
{
	struct router *router = timer->data;
	uint64_t now = uv_now(&router->loop);
	struct router_client *client, *next;

	for (client = TAILQ_FIRST(&router->clients); client; client = next) {
		next = TAILQ_NEXT(client, all);
		if (client->until_ms > now)
			continue;
		if (client->lingers || (!client->head_bytes && !client->held))
			drop(client);
		else
			answer_client(client, client->held ? 503 : 408);
	}
	set_clock(router);
}

/* ---- where to ---- */

/* 0: passed on, and `fd` can be closed; -EBUSY: it has to wait; else what to answer. */
static int pass(struct router *router, uint32_t id, int fd, const struct mf_handoff *handoff)
{
	struct router_tenant *tenant = router_tenant(router, id);

	if (tenant && tenant->holds)
		return -EBUSY;
	if (!tenant || !tenant->engine)
		return 503;
	return mf_handoff_send(tenant->engine->fd, fd, handoff) ? 503 : 0;
}

/* By its head. 0, what to answer, -EAGAIN: the head is not complete, or -EBUSY. */
static int route(struct router *router, const struct router_listener *listener, int fd,
		 const char *bytes, size_t size)
{
	struct mf_handoff handoff = {
		.origin = listener->id, .first = bytes, .first_bytes = (uint32_t)size};
	struct mf_asked asked;
	uint32_t tenant = listener->tenant;

	if (!tenant) {
		if (!mf_head_read(bytes, size, &asked))
			return size >= ROUTER_HEAD_MAX ? 431 : -EAGAIN;
		tenant = mf_routes_find(&router->routes, &asked);
		if (!tenant)
			return 404;
		handoff.scope_bytes = (uint32_t)mf_routes_scope(
			&router->routes, asked.host, tenant, router->scope, sizeof(router->scope));
		handoff.scope = router->scope;
		if (!handoff.scope_bytes)
			return 503;
	}
	return pass(router, tenant, fd, &handoff);
}

/* ---- heads that come in pieces ---- */

static bool keep(struct router_client *client, const char *bytes, size_t size)
{
	char *grown = size ? realloc(client->head, client->head_bytes + size) : NULL;

	if (!size)
		return true;
	if (!grown)
		return false;
	memcpy(grown + client->head_bytes, bytes, size);
	client->head = grown;
	client->head_bytes += size;
	return true;
}

/* What route() said of a client that stays. */
static void settle(struct router_client *client, int status)
{
	client->held = status == -EBUSY;
	if (client->held)
		uv_poll_stop(&client->poll); /* what it sends is the engine's to read */
	else if (status != -EAGAIN)
		answer_client(client, status);
}

static void judge(struct router_client *client)
{
	int status = route(client->router, client->listener, client->fd, client->head,
			   client->head_bytes);

	if (!status)
		drop(client);
	else
		settle(client, status);
}

static void on_bytes(uv_poll_t *poll, int code, int events)
{
	struct router_client *client = poll->data;
	struct router *router = client->router;
	size_t room = ROUTER_HEAD_MAX - (client->lingers ? 0 : client->head_bytes);
	ssize_t got = recv(client->fd, router->input, room, MSG_DONTWAIT);

	(void)code;
	(void)events;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0 || (!client->lingers && !keep(client, router->input, (size_t)got)))
		drop(client);
	else if (!client->lingers)
		judge(client);
	explicit_bzero(router->input, got > 0 ? (size_t)got : 0);
}

/* Wait for (more of) its head. Takes the descriptor. */
static struct router_client *await(struct router *router, struct router_listener *listener, int fd,
				   const char *bytes, size_t size)
{
	struct router_client *client;

	if (router->client_count >= router->heads_max)
		router_evict(router);
	client = calloc(1, sizeof(*client));
	if (!client || uv_poll_init(&router->loop, &client->poll, fd)) {
		free(client);
		close(fd);
		return NULL;
	}
	client->router = router;
	client->listener = listener;
	client->fd = fd;
	client->until_ms = uv_now(&router->loop) + router->head_timeout_ms;
	client->poll.data = client;
	TAILQ_INSERT_TAIL(&router->clients, client, all);
	router->client_count++;
	listener->client_count++;
	set_clock(router);
	if (!keep(client, bytes, size) || uv_poll_start(&client->poll, UV_READABLE, on_bytes)) {
		drop(client);
		return NULL;
	}
	return client;
}

/* A connection with what was read of it. Takes the descriptor. */
static void begin(struct router *router, struct router_listener *listener, int fd,
		  const char *bytes, size_t size)
{
	int status = route(router, listener, fd, bytes, size);
	struct router_client *client;

	if (!status) {
		close(fd);
		return;
	}
	client = await(router, listener, fd, bytes, size);
	if (client)
		settle(client, status);
}

void router_release(struct router *router)
{
	struct router_client *client, *next;

	for (client = TAILQ_FIRST(&router->clients); client; client = next) {
		next = TAILQ_NEXT(client, all);
		if (!client->held)
			continue;
		uv_poll_start(&client->poll, UV_READABLE, on_bytes);
		judge(client);
	}
}

void router_accept(struct router *router, struct router_listener *listener, int fd)
{
	ssize_t got = 0;

	/* Most send their request at once. */
	if (!listener->tenant) {
		got = recv(fd, router->input, ROUTER_HEAD_MAX, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
			close(fd);
			return;
		}
	}
	begin(router, listener, fd, router->input, got > 0 ? (size_t)got : 0);
	explicit_bzero(router->input, got > 0 ? (size_t)got : 0);
}

void router_take_back(struct router *router, int fd, const struct mf_handoff *handoff)
{
	struct router_listener *listener = router->listeners;
	struct router_tenant *tenant;

	while (listener && listener->id != handoff->origin)
		listener = listener->next;
	tenant = listener && listener->tenant ? router_tenant(router, listener->tenant) : NULL;
	/* Nobody asked anything: it may be closed like any connection that idles. */
	if (!listener || (!handoff->first_bytes && tenant && !tenant->engine && !tenant->holds)) {
		close(fd);
		return;
	}
	begin(router, listener, fd, handoff->first, handoff->first_bytes);
}
