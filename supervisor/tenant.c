/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct mf_tenant *mf_tenant_find(struct mf_supervisor *supervisor, const char *name)
{
	struct mf_tenant *tenant;

	TAILQ_FOREACH(tenant, &supervisor->tenants, all)
	if (!tenant->removed && !strcmp(tenant->name, name))
		return tenant;
	return NULL;
}

void mf_tenant_folder(const struct mf_tenant *tenant, char folder[MF_PATH_ROOM])
{
	snprintf(folder, MF_PATH_ROOM, "%.60s/%s", tenant->supervisor->runtime, tenant->name);
}

const char *mf_tenant_state(const struct mf_tenant *tenant)
{
	if (tenant->removed)
		return "removing";
	if (tenant->drained)
		return tenant->engines ? "draining" : "drained";
	if (tenant->current)
		return tenant->next ? "replacing" : "serving";
	if (tenant->swapping)
		return "replacing";
	return tenant->next ? "starting" : "waiting";
}

/* ---- starting, and starting again ---- */

static void start_next(struct mf_tenant *tenant)
{
	struct mf_error err = {0};

	if (tenant->next || tenant->removed || tenant->drained || tenant->supervisor->stopping)
		return;
	tenant->next = mf_engine_start(tenant, &err);
	if (tenant->next)
		mf_log(tenant->supervisor, MF_LOG_INFO, "starting", tenant, tenant->next,
		       "is started: %s", tenant->config->values.tenant.program.texts[0]);
	else
		mf_log(tenant->supervisor, MF_LOG_ERROR, "start-failed", tenant, NULL, "%s",
		       err.text);
}

static void on_again(uv_timer_t *timer);

/* Twice as long each time, up to a bound, and never for all tenants at the same moment. */
static void start_later(struct mf_tenant *tenant)
{
	struct mf_supervisor *supervisor = tenant->supervisor;
	const struct mf_daemon_values *values = &supervisor->config->values.daemon;
	uint64_t most = values->restart_max_ns / 1000000;
	uint64_t wait = values->restart_min_ns / 1000000;
	unsigned int i;

	for (i = 0; i < tenant->failures && wait < most; i++)
		wait *= 2;
	if (wait > most)
		wait = most;
	supervisor->random = supervisor->random * 6364136223846793005ull + 1442695040888963407ull;
	wait = wait * (75 + (supervisor->random >> 33) % 51) / 100;
	tenant->failures++;
	tenant->restarts++;
	tenant->waits = true;
	mf_log(supervisor, MF_LOG_INFO, "restart", tenant, NULL, "is started again in %llu ms",
	       (unsigned long long)wait);
	uv_timer_start(&tenant->again, on_again, wait, 0);
}

static void on_again(uv_timer_t *timer)
{
	struct mf_tenant *tenant = timer->data;

	tenant->waits = false;
	start_next(tenant);
	if (!tenant->next && !tenant->removed && !tenant->drained && !tenant->supervisor->stopping)
		start_later(tenant);
}

/*
 * A store's folder is one engine's at a time: the old one ends first. Until the next one is ready
 * the router lets clients wait.
 */
static bool swap(struct mf_tenant *tenant)
{
	struct mf_engine *old = tenant->current;

	if (!old || !old->has_store || !tenant->config->values.serve.store.folder)
		return false;
	tenant->swapping = true;
	tenant->current = NULL;
	mf_front_tell_engine(tenant->supervisor, tenant);
	mf_log(tenant->supervisor, MF_LOG_INFO, "swapping", tenant, old,
	       "ends, for another to have its store");
	mf_engine_drain(old);
	return true;
}

/* It did not work out: clients wait no longer. */
static void end_swap(struct mf_tenant *tenant)
{
	if (!tenant->swapping)
		return;
	tenant->swapping = false;
	if (!tenant->current)
		mf_front_tell_engine(tenant->supervisor, tenant);
}

void mf_tenant_replace(struct mf_tenant *tenant)
{
	tenant->drained = false;
	tenant->failures = 0;
	tenant->waits = false;
	uv_timer_stop(&tenant->again);
	/* One that is on its way has the old configuration. */
	if (tenant->next) {
		struct mf_engine *stale = tenant->next;

		tenant->next = NULL;
		stale->state = MF_ENGINE_DRAINING;
		mf_engine_kill(stale);
	}
	if (swap(tenant) || tenant->swapping)
		return; /* goes on in mf_tenant_engines_gone() */
	start_next(tenant);
	if (!tenant->next && !tenant->current)
		start_later(tenant);
}

/* ---- what engines do ---- */

void mf_tenant_engine_ready(struct mf_engine *engine)
{
	struct mf_tenant *tenant = engine->tenant;
	struct mf_engine *old = tenant->current;

	if (tenant->next != engine)
		return;
	tenant->next = NULL;
	tenant->current = engine;
	tenant->swapping = false;
	mf_front_tell_engine(tenant->supervisor, tenant);
	mf_log(tenant->supervisor, MF_LOG_INFO, old ? "replaced" : "ready", tenant, engine,
	       old ? "has taken the place of process %d" : "serves", old ? (int)old->pid : 0);
	if (old)
		mf_engine_drain(old);
}

/* Somebody else told it to end. */
void mf_tenant_engine_stopping(struct mf_engine *engine)
{
	struct mf_tenant *tenant = engine->tenant;

	if (tenant->current != engine)
		return;
	tenant->current = NULL;
	mf_front_tell_engine(tenant->supervisor, tenant);
	mf_log(tenant->supervisor, MF_LOG_WARNING, "stopping", tenant, engine,
	       "ends, and was not told to by mayflyd");
	mf_engine_drain(engine);
	if (!tenant->next && !tenant->waits)
		start_next(tenant);
}

static void describe_end(const struct mf_engine *engine, int status, char out[80])
{
	if (WIFSIGNALED(status))
		snprintf(out, 80, "died of signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else if (engine->state == MF_ENGINE_STARTING)
		snprintf(out, 80, "ended with %d before it was ready", WEXITSTATUS(status));
	else
		snprintf(out, 80, "ended with %d", WEXITSTATUS(status));
}

void mf_tenant_engine_ended(struct mf_engine *engine, int status)
{
	struct mf_tenant *tenant = engine->tenant;
	struct mf_supervisor *supervisor = tenant->supervisor;
	uint64_t served = engine->ready_ms ? uv_now(&supervisor->loop) - engine->ready_ms : 0;
	bool was_next = tenant->next == engine;
	bool was_current = tenant->current == engine;
	char how[80];

	describe_end(engine, status, how);
	if (!was_next && !was_current) {
		mf_log(supervisor, MF_LOG_INFO, "drained", tenant, engine, "%s", how);
		return;
	}
	snprintf(tenant->trouble, sizeof(tenant->trouble), "%s", how);
	if (was_next)
		tenant->next = NULL;
	if (was_current) {
		tenant->current = NULL;
		mf_front_tell_engine(supervisor, tenant);
	}
	if (served >= supervisor->config->values.daemon.restart_max_ns / 1000000)
		tenant->failures = 0;
	if (was_next && tenant->current) {
		mf_log(supervisor, MF_LOG_ERROR, "replace-failed", tenant, engine,
		       "%s; the old one goes on", how);
		return;
	}
	mf_log(supervisor, MF_LOG_ERROR, "died", tenant, engine, "%s", how);
	end_swap(tenant);
	if (!tenant->next && !tenant->removed && !tenant->drained && !supervisor->stopping)
		start_later(tenant);
}

/* However many ended at once. */
void mf_tenant_engines_gone(struct mf_tenant *tenant)
{
	if (!tenant->swapping || tenant->next)
		return;
	start_next(tenant);
	if (tenant->next)
		return;
	end_swap(tenant);
	if (!tenant->removed && !tenant->drained && !tenant->supervisor->stopping)
		start_later(tenant);
}

/* ---- ending ---- */

static void end_engines(struct mf_tenant *tenant)
{
	struct mf_supervisor *supervisor = tenant->supervisor;
	struct mf_engine *engine;
	bool had = tenant->current;

	uv_timer_stop(&tenant->again);
	tenant->waits = false;
	tenant->current = NULL;
	had |= tenant->swapping;
	tenant->swapping = false;
	if (had)
		mf_front_tell_engine(supervisor, tenant);
	tenant->next = NULL;
	TAILQ_FOREACH(engine, &supervisor->engines, all)
	{
		if (engine->tenant != tenant || engine->killed)
			continue;
		if (engine->state == MF_ENGINE_STARTING)
			mf_engine_kill(engine);
		else
			mf_engine_drain(engine);
	}
}

void mf_tenant_drain(struct mf_tenant *tenant)
{
	tenant->drained = true;
	mf_log(tenant->supervisor, MF_LOG_INFO, "draining", tenant, tenant->current,
	       "finishes what runs");
	end_engines(tenant);
}

void mf_tenant_remove(struct mf_tenant *tenant)
{
	tenant->removed = true;
	mf_log(tenant->supervisor, MF_LOG_INFO, "removing", tenant, tenant->current,
	       "finishes what runs");
	end_engines(tenant);
}

static void on_tenant_closed(uv_handle_t *handle)
{
	struct mf_tenant *tenant = handle->data;

	mf_config_put(tenant->source);
	free(tenant);
}

void mf_tenants_sweep(struct mf_supervisor *supervisor)
{
	struct mf_tenant *tenant, *next;

	for (tenant = TAILQ_FIRST(&supervisor->tenants); tenant; tenant = next) {
		char folder[MF_PATH_ROOM];

		next = TAILQ_NEXT(tenant, all);
		if (!tenant->removed || tenant->engines)
			continue;
		mf_log(supervisor, MF_LOG_INFO, "removed", tenant, NULL, "is gone");
		mf_tenant_folder(tenant, folder);
		rmdir(folder);
		mf_share_remove(supervisor, tenant);
		TAILQ_REMOVE(&supervisor->tenants, tenant, all);
		uv_close((uv_handle_t *)&tenant->again, on_tenant_closed);
	}
	if (supervisor->stopping && TAILQ_EMPTY(&supervisor->tenants))
		mf_supervisor_ended(supervisor);
}

/* ---- what is wanted ---- */

static struct mf_tenant *add_tenant(struct mf_supervisor *supervisor, const char *name)
{
	struct mf_tenant *tenant = calloc(1, sizeof(*tenant));

	if (!tenant)
		return NULL;
	snprintf(tenant->name, sizeof(tenant->name), "%s", name);
	tenant->supervisor = supervisor;
	tenant->id = ++supervisor->last_tenant;
	uv_timer_init(&supervisor->loop, &tenant->again);
	tenant->again.data = tenant;
	TAILQ_INSERT_TAIL(&supervisor->tenants, tenant, all);
	return tenant;
}

static void point_at(struct mf_tenant *tenant, struct mf_config *config,
		     const struct mf_config_tenant *wanted)
{
	mf_config_get(config);
	mf_config_put(tenant->source);
	tenant->source = config;
	tenant->config = wanted;
}

/* What the router needs is told by routes; what the engine needs, by another engine. */
static bool is_changed(const struct mf_tenant *tenant, const struct mf_config_tenant *wanted)
{
	return !mf_settings_equal(&tenant->config->settings, &wanted->settings);
}

/* What engines take while they run. */
static void tell_engines(struct mf_tenant *tenant)
{
	struct mf_supervisor *supervisor = tenant->supervisor;
	struct mf_engine *engine;

	TAILQ_FOREACH(engine, &supervisor->engines, all)
	{
		if (engine->tenant != tenant || engine->bound_fd < 0)
			continue;
		if (mf_engine_bound(engine))
			mf_log(supervisor, MF_LOG_ERROR, "bound-failed", tenant, engine,
			       "its store keeps the bounds that it has");
		else
			mf_log(supervisor, MF_LOG_INFO, "bound", tenant, engine,
			       "its store has the bounds that the configuration says");
	}
}

/* Are those others than they were? */
static bool is_bound_anew(const struct mf_tenant *tenant, const struct mf_config_tenant *wanted)
{
	const struct mf_tenant_store_options *now = &tenant->config->values.serve.store;
	const struct mf_tenant_store_options *then = &wanted->values.serve.store;

	return mf_tenant_store_quota(now) != mf_tenant_store_quota(then) ||
	       now->evicts != then->evicts;
}

static void apply_one(struct mf_supervisor *supervisor, struct mf_config *config,
		      const struct mf_config_tenant *wanted, enum mf_origin origin)
{
	struct mf_tenant *tenant = mf_tenant_find(supervisor, wanted->name);
	bool changed = !tenant || is_changed(tenant, wanted);
	bool bound = !changed && is_bound_anew(tenant, wanted);

	if (!tenant)
		tenant = add_tenant(supervisor, wanted->name);
	if (!tenant)
		return;
	if (origin != MF_BY_CHANGE)
		tenant->from_file = origin == MF_BY_FILE;
	point_at(tenant, config, wanted);
	if (changed)
		mf_tenant_replace(tenant);
	if (bound)
		tell_engines(tenant);
}

/* Does `config` say anew what this tenant is? The file says all of its own, a change one. */
static bool is_replaced(const struct mf_tenant *tenant, const struct mf_config *config,
			enum mf_origin origin)
{
	if (origin == MF_BY_FILE && tenant->from_file)
		return true;
	return origin == MF_BY_CHANGE && mf_config_find(config, tenant->name);
}

/* Those that stay must agree with those that come. */
static int check_others(struct mf_supervisor *supervisor, const struct mf_config *config,
			enum mf_origin origin, struct mf_error *err)
{
	const struct mf_config *top = origin == MF_BY_FILE ? config : supervisor->config;
	const struct mf_tenant *tenant;
	size_t i;
	int ret = 0;

	TAILQ_FOREACH(tenant, &supervisor->tenants, all)
	{
		if (tenant->removed || is_replaced(tenant, config, origin))
			continue;
		if (mf_config_find(config, tenant->name))
			ret = mf_error_set(err, -EEXIST, "there is a tenant %s already",
					   tenant->name);
		for (i = 0; i < config->tenant_count && !ret; i++)
			ret = mf_config_check_pair(top, tenant->config, &config->tenants[i], err);
	}
	return ret;
}

static void remove_missing(struct mf_supervisor *supervisor, const struct mf_config *config)
{
	struct mf_tenant *tenant;

	TAILQ_FOREACH(tenant, &supervisor->tenants, all)
	if (!tenant->removed && tenant->from_file && !mf_config_find(config, tenant->name))
		mf_tenant_remove(tenant);
}

int mf_tenants_apply(struct mf_supervisor *supervisor, struct mf_config *config,
		     enum mf_origin origin, struct mf_error *err)
{
	size_t i;
	int ret = check_others(supervisor, config, origin, err);

	if (!ret)
		ret = mf_addresses_prepare(supervisor, config, origin, err);
	if (ret)
		return ret;
	if (origin == MF_BY_FILE) {
		mf_config_get(config);
		mf_config_put(supervisor->config);
		supervisor->config = config;
		remove_missing(supervisor, config);
	}
	for (i = 0; i < config->tenant_count; i++)
		apply_one(supervisor, config, &config->tenants[i], origin);
	mf_addresses_commit(supervisor);
	mf_front_tell_routes(supervisor);
	mf_tenants_sweep(supervisor);
	return 0;
}
