/* SPDX-License-Identifier: MIT */
#include "config/values.h"
#include "config/proxy.h"
#include "config/take.h"

#include <stdlib.h>
#include <string.h>

int mf_values_init(struct mf_values *values, unsigned int place, struct mf_error *err)
{
	const struct mf_option *option;
	int ret = 0;

	memset(values, 0, sizeof(*values));
	for (option = mf_options; option->name && !ret; option++)
		if ((option->places & place) && option->initial)
			ret = option->take(values, option, option->initial, err);
	return ret;
}

void mf_values_finish(struct mf_values *values)
{
	struct mf_program_options *program = &values->program;

	if (values->warmup)
		mf_warmup_finish(values->warmup);
	free(values->warmup);
	while (values->owned_count)
		free(values->owned[--values->owned_count]);
	free(values->owned);
	free(values->env.texts);
	free(values->env_names.texts);
	free(values->volumes);
	free(values->store_args.texts);
	free((void *)values->serve.store.read.paths);
	free((void *)program->read.paths);
	free((void *)program->write.paths);
	free((void *)program->net.rules);
	free((void *)program->connect.rules);
	free((void *)program->listen.rules);
	free(values->tenant.program.texts);
	free(values->tenant.hosts.texts);
	free(values->tenant.paths.texts);
	free(values->tenant.listen.texts);
	free(values->daemon.listen.texts);
	free(values->daemon.cgroups.texts);
	memset(values, 0, sizeof(*values));
}

static bool same_name(const char *variable, const char *other, size_t bytes)
{
	return !strncmp(variable, other, bytes) && variable[bytes] == '=';
}

/* NAME, or BEGIN*. */
static bool is_allowed(const struct mf_values *values, const char *variable)
{
	size_t i;

	for (i = 0; i < values->env_names.count; i++) {
		const char *name = values->env_names.texts[i];
		size_t bytes = strlen(name);

		if (name[bytes - 1] == '*' ? !strncmp(variable, name, bytes - 1)
					   : same_name(variable, name, bytes))
			return true;
	}
	return values->env_all;
}

/* Of two that have the same name the later one counts. */
static void keep_the_last(struct mf_texts *env)
{
	size_t kept = 0;
	size_t i;
	size_t j;

	for (i = 0; i < env->count; i++) {
		size_t bytes = strcspn(env->texts[i], "=");

		for (j = i + 1; j < env->count; j++)
			if (same_name(env->texts[j], env->texts[i], bytes))
				break;
		if (j == env->count)
			env->texts[kept++] = env->texts[i];
	}
	env->count = kept;
	if (env->texts)
		env->texts[kept] = NULL;
}

static int complete_env(struct mf_values *values, char *const *host, struct mf_error *err)
{
	struct mf_texts given = values->env;
	size_t i;
	int ret = 0;

	values->env = (struct mf_texts){NULL, 0};
	for (; !ret && *host; host++)
		if (strchr(*host, '=') && is_allowed(values, *host))
			ret = mf_texts_add(&values->env, *host, err);
	if (!ret && values->http_proxy)
		ret = mf_proxy_complete(values, err);
	for (i = 0; !ret && i < given.count; i++)
		ret = mf_texts_add(&values->env, given.texts[i], err);
	free(given.texts);
	keep_the_last(&values->env);
	values->program.env = values->env.texts;
	return ret;
}

static void complete_serve(struct mf_values *values)
{
	struct mf_serve_options *serve = &values->serve;

	serve->program = values->program;
	serve->version = MF_VERSION;
	serve->store.boot_limit_ns = values->program.boot_deadline_ns;
	serve->store.quiet = serve->quiet;
	serve->store.args = values->store_args.texts;
	if (!serve->rate.burst)
		serve->rate.burst = values->rate_requests;
	if (!serve->pool.queue) {
		serve->pool.queue = 4 * serve->pool.vms;
		serve->pool.queue_shrinks = true;
	}
}

int mf_values_complete(struct mf_values *values, char *const *host, struct mf_error *err)
{
	int ret = complete_env(values, host, err);

	values->program.warmup = values->warmup;
	complete_serve(values);
	return ret;
}
