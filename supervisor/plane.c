/* SPDX-License-Identifier: MIT */
#include "supervisor/plane.h"
#include "supervisor/supervisor.h"

#include "ipc/control/client.h"
#include "ipc/control/server.h"
#include "ipc/control/tenants.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* How long an engine is waited for when it is asked how it is. */
#define ENGINE_MS 2000

/*
 * Commands come on the control socket's thread and are done on the loop's: the thread puts one
 * down, wakes the loop and waits. There is one at a time.
 */
struct mf_plane {
	struct mf_supervisor *supervisor;
	struct mf_control *control;
	struct mf_events *events;
	uv_async_t asked;
	uv_poll_t followers;
	unsigned int handles;
	pthread_mutex_t lock;
	pthread_cond_t done;
	const struct mf_control_request *request; /* NULL: none, or it is done */
	struct mf_error *why;
	char *reply;
	char engine[MF_PATH_ROOM]; /* who knows the answer */
	bool stop;
	bool closed;
};

static char *accept_text(void)
{
	return mf_control_tenants(NULL, 0);
}

/* ---- on the loop's thread ---- */

static struct mf_tenant *tenant_of(struct mf_plane *plane, struct mf_error *why)
{
	const char *name = plane->request->tenant;
	struct mf_tenant *tenant = mf_tenant_find(plane->supervisor, name);

	if (!*name)
		mf_error_set(why, -EINVAL, "which tenant? None is named");
	else if (!tenant)
		mf_error_set(why, -ENOENT, "there is no tenant %s", name);
	return tenant;
}

static void describe(const struct mf_tenant *tenant, struct mf_control_tenant *row)
{
	const struct mf_engine *engine = tenant->current ? tenant->current : tenant->next;

	memcpy(row->name, tenant->name, sizeof(tenant->name));
	snprintf(row->state, sizeof(row->state), "%s", mf_tenant_state(tenant));
	snprintf(row->program, sizeof(row->program), "%s",
		 tenant->config->values.tenant.program.texts[0]);
	snprintf(row->trouble, sizeof(row->trouble), "%s", tenant->trouble);
	row->restarts = tenant->restarts;
	row->engines = tenant->engines;
	if (tenant->current)
		snprintf(row->control, sizeof(row->control), "%s", tenant->current->control);
	if (engine) {
		row->pid = (uint64_t)engine->pid;
		row->uptime_ms = uv_now(&tenant->supervisor->loop) - engine->started_ms;
	}
}

static char *do_list(struct mf_plane *plane, struct mf_error *why)
{
	const struct mf_tenant *tenant;
	struct mf_control_tenant *rows;
	size_t count = 0;
	char *text;

	TAILQ_FOREACH(tenant, &plane->supervisor->tenants, all)
	count++;
	rows = calloc(count + 1, sizeof(*rows));
	count = 0;
	TAILQ_FOREACH(tenant, &plane->supervisor->tenants, all)
	if (rows)
		describe(tenant, &rows[count++]);
	text = rows ? mf_control_tenants(rows, count) : NULL;
	free(rows);
	if (text && strlen(text) > MF_CONTROL_MESSAGE_MAX) {
		free(text);
		text = NULL;
		mf_error_set(why, -EMSGSIZE, "there are too many tenants for one answer");
	}
	return text;
}

/* Its engine is asked, on the other thread. */
static char *do_status(struct mf_plane *plane, struct mf_error *why)
{
	const struct mf_tenant *tenant = tenant_of(plane, why);

	if (!tenant)
		return NULL;
	if (!tenant->current) {
		mf_error_set(why, -ESRCH, "tenant %s is %s: no engine serves it", tenant->name,
			     mf_tenant_state(tenant));
		return NULL;
	}
	memcpy(plane->engine, tenant->current->control, sizeof(plane->engine));
	return NULL;
}

static char *apply(struct mf_plane *plane, struct mf_config *config, enum mf_origin origin,
		   struct mf_error *why)
{
	int code = mf_tenants_apply(plane->supervisor, config, origin, why);

	mf_config_put(config);
	return code ? NULL : accept_text();
}

static char *do_add(struct mf_plane *plane, struct mf_error *why)
{
	const char *text = plane->request->text;
	struct mf_config *config;

	if (!text || mf_config_load_tenants(&config, plane->supervisor->config, "what is added",
					    text, why)) {
		if (!text)
			mf_error_set(why, -EINVAL, "no configuration given");
		return NULL;
	}
	if (!config->tenant_count)
		mf_error_set(why, -EINVAL, "there is no tenant in what is added");
	return config->tenant_count ? apply(plane, config, MF_BY_COMMAND, why) : NULL;
}

static char *do_limits(struct mf_plane *plane, struct mf_error *why)
{
	const struct mf_tenant *tenant = tenant_of(plane, why);
	struct mf_config *config;

	if (!tenant || mf_config_change(&config, tenant->config,
					plane->request->text ? plane->request->text : "", why))
		return NULL;
	return apply(plane, config, MF_BY_CHANGE, why);
}

static char *do_reload(struct mf_plane *plane, struct mf_error *why)
{
	struct mf_tenant *tenant;

	if (!*plane->request->tenant)
		return mf_supervisor_reload(plane->supervisor, why) ? NULL : accept_text();
	tenant = tenant_of(plane, why);
	if (!tenant)
		return NULL;
	mf_tenant_replace(tenant);
	return accept_text();
}

static char *do_end(struct mf_plane *plane, struct mf_error *why, void (*end)(struct mf_tenant *))
{
	struct mf_tenant *tenant = tenant_of(plane, why);

	if (!tenant)
		return NULL;
	end(tenant);
	mf_front_tell_routes(plane->supervisor);
	mf_tenants_sweep(plane->supervisor);
	return accept_text();
}

static void remove_with_addresses(struct mf_tenant *tenant)
{
	mf_tenant_remove(tenant);
	mf_addresses_forget(tenant->supervisor, tenant);
}

static char *obey(struct mf_plane *plane, struct mf_error *why)
{
	if (plane->supervisor->stopping) {
		mf_error_set(why, -ESHUTDOWN, "mayflyd is ending");
		return NULL;
	}
	switch (plane->request->command) {
	case MF_CONTROL_LIST:
		return do_list(plane, why);
	case MF_CONTROL_STATUS:
	case MF_CONTROL_TIMES:
		return do_status(plane, why);
	case MF_CONTROL_ADD:
		return do_add(plane, why);
	case MF_CONTROL_REMOVE:
		return do_end(plane, why, remove_with_addresses);
	case MF_CONTROL_DRAIN:
		return do_end(plane, why, mf_tenant_drain);
	case MF_CONTROL_RELOAD:
		return do_reload(plane, why);
	case MF_CONTROL_LIMITS:
		return do_limits(plane, why);
	default:
		mf_error_set(why, -EINVAL, "mayflyd has no such command");
		return NULL;
	}
}

static void on_asked(uv_async_t *handle)
{
	struct mf_plane *plane = handle->data;
	bool stop;

	pthread_mutex_lock(&plane->lock);
	if (plane->request) {
		plane->reply = obey(plane, plane->why);
		plane->request = NULL;
		pthread_cond_signal(&plane->done);
	}
	stop = plane->stop;
	plane->stop = false;
	pthread_mutex_unlock(&plane->lock);
	if (stop)
		mf_supervisor_stop(plane->supervisor, "told to stop");
}

/* ---- on the control socket's thread ---- */

static char *ask_engine(const char *path, const char *command, struct mf_error *why)
{
	struct mf_control_reply reply;
	char *text;

	if (mf_control_ask(path, command, ENGINE_MS, &reply, why))
		return NULL;
	text = reply.text;
	reply.text = NULL;
	mf_control_reply_finish(&reply);
	return text;
}

static char *on_ask(void *arg, const struct mf_control_request *request, struct mf_error *why)
{
	struct mf_plane *plane = arg;
	char *reply;

	pthread_mutex_lock(&plane->lock);
	plane->request = request;
	plane->why = why;
	plane->engine[0] = '\0';
	if (!plane->closed)
		uv_async_send(&plane->asked);
	while (plane->request && !plane->closed)
		pthread_cond_wait(&plane->done, &plane->lock);
	reply = plane->request ? NULL : plane->reply;
	plane->request = NULL;
	pthread_mutex_unlock(&plane->lock);
	return plane->engine[0]
		       ? ask_engine(plane->engine,
				    request->command == MF_CONTROL_TIMES ? "times" : "status", why)
		       : reply;
}

static void on_stop(void *arg)
{
	struct mf_plane *plane = arg;

	pthread_mutex_lock(&plane->lock);
	plane->stop = true;
	if (!plane->closed)
		uv_async_send(&plane->asked);
	pthread_mutex_unlock(&plane->lock);
}

/* ---- its life ---- */

static const struct mf_control_ops ops = {.ask = on_ask, .stop = on_stop};

static void on_follower(uv_poll_t *poll, int status, int events)
{
	const struct mf_plane *plane = poll->data;

	(void)status;
	(void)events;
	mf_events_accept(plane->events);
}

static int open_sockets(struct mf_plane *plane, const char *path, struct mf_error *err)
{
	char events[MF_PATH_ROOM + 8];
	int code;

	snprintf(events, sizeof(events), "%s.events", path);
	code = mf_control_open(&plane->control, path, &ops, plane, err);
	if (!code)
		code = mf_events_open(&plane->events, events, err);
	if (!code) {
		uv_poll_init(&plane->supervisor->loop, &plane->followers,
			     mf_events_fd(plane->events));
		plane->followers.data = plane;
		plane->handles++;
		uv_poll_start(&plane->followers, UV_READABLE, on_follower);
	}
	return code ? code : mf_control_start(plane->control, err);
}

int mf_plane_open(struct mf_supervisor *supervisor, const char *path, struct mf_error *err)
{
	struct mf_plane *plane = calloc(1, sizeof(*plane));
	int code;

	if (!plane)
		return mf_error_set(err, -ENOMEM, "not enough memory");
	plane->supervisor = supervisor;
	pthread_mutex_init(&plane->lock, NULL);
	pthread_cond_init(&plane->done, NULL);
	uv_async_init(&supervisor->loop, &plane->asked, on_asked);
	plane->asked.data = plane;
	plane->handles = 1;
	supervisor->plane = plane;
	code = open_sockets(plane, path, err);
	if (code)
		mf_plane_close(supervisor);
	return code;
}

static void on_closed(uv_handle_t *handle)
{
	struct mf_plane *plane = handle->data;

	if (!--plane->handles)
		free(plane);
}

void mf_plane_close(struct mf_supervisor *supervisor)
{
	struct mf_plane *plane = supervisor->plane;

	if (!plane)
		return;
	supervisor->plane = NULL;
	pthread_mutex_lock(&plane->lock);
	plane->closed = true;
	pthread_cond_signal(&plane->done);
	pthread_mutex_unlock(&plane->lock);
	mf_control_close(plane->control);
	if (plane->handles > 1)
		uv_close((uv_handle_t *)&plane->followers, on_closed);
	mf_events_close(plane->events);
	uv_close((uv_handle_t *)&plane->asked, on_closed);
}

void mf_plane_tell(struct mf_plane *plane, const char *json)
{
	if (plane && plane->events)
		mf_events_send(plane->events, json);
}
