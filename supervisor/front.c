/* SPDX-License-Identifier: MIT */
/* The router as mayflyd sees it: a process that is told what it has to know, also after it died. */
#include "supervisor/supervisor.h"
#include "supervisor/link.h"

#include "ipc/socket/scope.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* A router that hears nothing for so long is ended, and started again. */
#define PATIENCE_S 5

#define AGAIN_MS 100

static void tell(struct mf_supervisor *supervisor, const struct mf_router_link *link,
		 const void *bytes, int fd)
{
	if (supervisor->link_fd < 0)
		return; /* it hears all when it is there again */
	if (mf_link_send(supervisor->link_fd, link, bytes, fd))
		syscall(SYS_pidfd_send_signal, supervisor->router_pidfd, SIGKILL, NULL, 0);
}

void mf_front_tell_address(struct mf_supervisor *supervisor, const struct mf_address *address,
			   bool gone)
{
	struct mf_router_link link = {.kind = gone ? MF_LINK_UNLISTEN : MF_LINK_LISTEN,
				      .id = address->id,
				      .tenant = address->tenant};

	tell(supervisor, &link, NULL, gone ? -1 : address->listener.fd);
}

void mf_front_tell_engine(struct mf_supervisor *supervisor, const struct mf_tenant *tenant)
{
	struct mf_router_link link = {.kind = tenant->current    ? MF_LINK_ENGINE
					      : tenant->swapping ? MF_LINK_HOLD
								 : MF_LINK_NO_ENGINE,
				      .tenant = tenant->id};

	tell(supervisor, &link, NULL, tenant->current ? tenant->current->router_end : -1);
}

/* ---- routes ---- */

struct table {
	char *bytes;
	size_t used;
	uint32_t count;
	bool overflows;
};

static void add_route(struct table *table, uint32_t tenant, const char *host, const char *path)
{
	char name[MF_HOST_MAX];
	struct mf_link_route route = {.tenant = tenant};

	mf_host_normalize(name, host, strlen(host));
	route.host_bytes = (uint16_t)(strlen(name) + 1);
	route.path_bytes = (uint16_t)(strlen(path) + 1);
	if (table->used + sizeof(route) + route.host_bytes + route.path_bytes >
	    MF_LINK_MAX - sizeof(struct mf_router_link)) {
		table->overflows = true;
		return;
	}
	memcpy(table->bytes + table->used, &route, sizeof(route));
	table->used += sizeof(route);
	memcpy(table->bytes + table->used, name, route.host_bytes);
	table->used += route.host_bytes;
	memcpy(table->bytes + table->used, path, route.path_bytes);
	table->used += route.path_bytes;
	table->count++;
}

static void add_routes(struct table *table, const struct mf_tenant *tenant)
{
	const struct mf_tenant_values *values = &tenant->config->values.tenant;
	size_t hosts = values->hosts.count ? values->hosts.count : 1;
	size_t paths = values->paths.count ? values->paths.count : 1;
	size_t i;
	size_t j;

	for (i = 0; i < hosts; i++)
		for (j = 0; j < paths; j++)
			add_route(table, tenant->id,
				  values->hosts.count ? values->hosts.texts[i] : "",
				  values->paths.count ? values->paths.texts[j] : "/");
}

void mf_front_tell_routes(struct mf_supervisor *supervisor)
{
	struct table table = {.bytes = malloc(MF_LINK_MAX)};
	const struct mf_tenant *tenant;
	struct mf_router_link link = {.kind = MF_LINK_ROUTES};

	if (!table.bytes)
		return;
	TAILQ_FOREACH(tenant, &supervisor->tenants, all)
	if (!tenant->removed && mf_tenant_is_shared(supervisor->config, tenant->config))
		add_routes(&table, tenant);
	if (table.overflows)
		mf_log(supervisor, MF_LOG_ERROR, "too-many-routes", NULL, NULL,
		       "hosts and paths need more than %u bytes: the last ones are not served",
		       MF_LINK_MAX);
	link.id = table.count;
	link.bytes = (uint32_t)table.used;
	tell(supervisor, &link, table.bytes, -1);
	free(table.bytes);
}

/* ---- the process ---- */

void mf_front_tell_settings(struct mf_supervisor *supervisor)
{
	const struct mf_daemon_values *values = &supervisor->config->values.daemon;
	struct mf_link_settings settings = {values->head_timeout_ns / 1000000, values->heads};
	struct mf_router_link link = {.kind = MF_LINK_SETTINGS, .bytes = sizeof(settings)};

	tell(supervisor, &link, &settings, -1);
}

static void tell_all(struct mf_supervisor *supervisor)
{
	const struct mf_tenant *tenant;
	const struct mf_address *address;

	mf_front_tell_settings(supervisor);
	TAILQ_FOREACH(tenant, &supervisor->tenants, all)
	if (tenant->current || tenant->swapping)
		mf_front_tell_engine(supervisor, tenant);
	mf_front_tell_routes(supervisor);
	TAILQ_FOREACH(address, &supervisor->addresses, all)
	if (!address->is_new)
		mf_front_tell_address(supervisor, address, false);
}

static void on_again(uv_timer_t *timer)
{
	struct mf_supervisor *supervisor = timer->data;
	struct mf_error err;

	if (!supervisor->stopping && mf_front_start(supervisor, &err)) {
		mf_log(supervisor, MF_LOG_ERROR, "router-failed", NULL, NULL, "%s", err.text);
		uv_timer_start(timer, on_again, 10 * AGAIN_MS, 0);
	}
}

static void on_router_closed(uv_handle_t *handle)
{
	struct mf_supervisor *supervisor = handle->data;

	close(supervisor->router_pidfd);
	supervisor->router_pidfd = -1;
	if (!supervisor->stopping)
		uv_timer_start(&supervisor->router_again, on_again,
			       AGAIN_MS << (supervisor->router_failures < 8
						    ? supervisor->router_failures
						    : 8),
			       0);
}

static void on_exited(uv_poll_t *poll, int code, int events)
{
	struct mf_supervisor *supervisor = poll->data;
	struct mf_engine *engine;
	int status = 0;

	(void)code;
	(void)events;
	if (waitpid(supervisor->router_pid, &status, WNOHANG) != supervisor->router_pid)
		return;
	close(supervisor->link_fd);
	supervisor->link_fd = -1;
	TAILQ_FOREACH(engine, &supervisor->engines, all)
	if (engine->state == MF_ENGINE_DRAINING)
		shutdown(engine->router_end, SHUT_WR);
	supervisor->router_pid = 0;
	if (uv_now(&supervisor->loop) - supervisor->router_started_ms > 30000)
		supervisor->router_failures = 0;
	else
		supervisor->router_failures++;
	if (!supervisor->stopping)
		mf_log(supervisor, MF_LOG_ERROR, "router-died", NULL, NULL,
		       "the router ended (status %d): connections that it had not passed on are "
		       "lost",
		       status);
	uv_close((uv_handle_t *)poll, on_router_closed);
}

static int spawn(struct mf_supervisor *supervisor, int link_fd)
{
	char number[16];
	char *argv[] = {"mayflyd", "--router", number, NULL};
	int keep[] = {link_fd, -1};
	struct mf_spawn how = {.program = "/proc/self/exe",
			       .argv = argv,
			       .env = environ,
			       .keep = keep,
			       .output = -1};

	snprintf(number, sizeof(number), "%d", link_fd);
	return mf_spawn(&how, &supervisor->router_pidfd);
}

int mf_front_start(struct mf_supervisor *supervisor, struct mf_error *err)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return mf_error_set(err, -errno, "cannot make the router's socket: %s",
				    strerror(errno));
	setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &(int){2 * MF_LINK_MAX}, sizeof(int));
	supervisor->router_pid = spawn(supervisor, pair[1]);
	close(pair[1]);
	if (supervisor->router_pid < 0) {
		int code = supervisor->router_pid;

		supervisor->router_pid = 0;
		close(pair[0]);
		return mf_error_set(err, code, "cannot start the router: %s", strerror(-code));
	}
	supervisor->link_fd = pair[0];
	supervisor->router_started_ms = uv_now(&supervisor->loop);
	uv_poll_init(&supervisor->loop, &supervisor->router_exited, supervisor->router_pidfd);
	supervisor->router_exited.data = supervisor;
	uv_poll_start(&supervisor->router_exited, UV_READABLE, on_exited);
	tell_all(supervisor);
	return 0;
}

void mf_front_stop(struct mf_supervisor *supervisor)
{
	/* It has nothing left to route. */
	if (supervisor->router_pid)
		syscall(SYS_pidfd_send_signal, supervisor->router_pidfd, SIGKILL, NULL, 0);
}
