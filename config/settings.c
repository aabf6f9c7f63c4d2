/* SPDX-License-Identifier: MIT */
#include "config/edit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(struct mf_error *err)
{
	return mf_error_set(err, -ENOMEM, "not enough memory for the configuration");
}

/* ---- settings ---- */

int mf_settings_add(struct mf_settings *settings, const struct mf_option *option, const char *text,
		    const char *file, unsigned int line, struct mf_error *err)
{
	struct mf_setting *grown =
		realloc(settings->settings, (settings->count + 1) * sizeof(*grown));
	char *copy = text ? strdup(text) : NULL;
	char *where = strdup(file);

	if (grown)
		settings->settings = grown;
	if (!grown || !where || (text && !copy)) {
		free(copy);
		free(where);
		return no_memory(err);
	}
	grown[settings->count++] = (struct mf_setting){option, copy, where, line};
	return 0;
}

static void settings_finish(struct mf_settings *settings)
{
	while (settings->count) {
		struct mf_setting *setting = &settings->settings[--settings->count];

		free(setting->text);
		free(setting->file);
	}
	free(settings->settings);
	settings->settings = NULL;
}

/* "--memory x is not a size" is about a flag: here it is a key. */
static int apply(struct mf_values *values, const struct mf_setting *setting, struct mf_error *err)
{
	struct mf_error why = {0};
	int ret = setting->option->take(values, setting->option, setting->text, &why);

	if (ret)
		mf_error_set(err, -EINVAL, "%s:%u: %s", setting->file, setting->line,
			     why.text + (strncmp(why.text, "--", 2) ? 0 : 2));
	return ret;
}

int mf_settings_apply(const struct mf_settings *settings, struct mf_values *values,
		      unsigned int place, struct mf_error *err)
{
	size_t i;
	int ret = mf_values_init(values, place, err);

	for (i = 0; i < settings->count && !ret; i++)
		ret = apply(values, &settings->settings[i], err);
	return ret;
}

/* The next one from *i on that is an engine's from its start. */
static const struct mf_setting *next_of_engine(const struct mf_settings *settings, size_t *i)
{
	while (*i < settings->count &&
	       (settings->settings[*i].option->places & (MF_OF_ROUTER | MF_LIVE)))
		(*i)++;
	return *i < settings->count ? &settings->settings[(*i)++] : NULL;
}

bool mf_settings_equal(const struct mf_settings *a, const struct mf_settings *b)
{
	const struct mf_setting *one;
	const struct mf_setting *other;
	size_t i = 0;
	size_t j = 0;

	do {
		one = next_of_engine(a, &i);
		other = next_of_engine(b, &j);
		if (!one != !other)
			return false;
		if (one && (one->option != other->option || !one->text != !other->text ||
			    (one->text && strcmp(one->text, other->text))))
			return false;
	} while (one);
	return true;
}

const struct mf_setting *mf_settings_find(const struct mf_settings *settings,
					  const struct mf_option *option)
{
	const struct mf_setting *found = NULL;
	size_t i;

	for (i = 0; i < settings->count; i++)
		if (settings->settings[i].option == option)
			found = &settings->settings[i];
	return found;
}

/* ---- tenants ---- */

static int check_memory(const struct mf_config_tenant *tenant, struct mf_error *err)
{
	const struct mf_values *values = &tenant->values;
	const struct mf_serve_options *serve = &values->serve;
	uint64_t each = serve->pool.private_pages * MF_PAGE;
	uint64_t all = values->program.memory_bytes + serve->pool.vms * each +
		       (serve->store.folder ? serve->store.memory_bytes : 0);

	if (!values->tenant.memory_limit_bytes || all <= values->tenant.memory_limit_bytes)
		return 0;
	return mf_error_set(err, -EINVAL,
			    "%s:%u: memory-limit is less than this tenant may come to: %llu MiB "
			    "(memory, and %u vms with %llu MiB of request-memory each); lower "
			    "those",
			    tenant->file, tenant->line, (unsigned long long)all >> 20,
			    serve->pool.vms, (unsigned long long)each >> 20);
}

int mf_config_complete_tenant(struct mf_config_tenant *tenant, struct mf_error *err)
{
	const struct mf_values *values = &tenant->values;
	const char *fault;
	int ret = mf_settings_apply(&tenant->settings, &tenant->values, MF_IN_TENANT, err);

	if (ret)
		return ret;
	if (!values->tenant.program.count)
		return mf_error_set(err, -EINVAL, "%s:%u: tenant %s has no program", tenant->file,
				    tenant->line, tenant->name);
	if (values->serve.store.program && !values->serve.store.folder)
		return mf_error_set(err, -EINVAL,
				    "%s:%u: tenant %s: store-program needs a folder: store",
				    tenant->file, tenant->line, tenant->name);
	fault = mf_tenant_store_bound_fault(&values->serve.store);
	if (fault && values->serve.store.folder)
		return mf_error_set(err, -EINVAL, "%s:%u: tenant %s: %s", tenant->file,
				    tenant->line, tenant->name, fault);
	return check_memory(tenant, err);
}

/* ---- the whole ---- */

struct mf_config *mf_config_new(const char *name, size_t tenants, struct mf_error *err)
{
	struct mf_config *config = calloc(1, sizeof(*config));

	if (config) {
		config->references = 1;
		config->path = strdup(name);
		config->tenants = calloc(tenants + 1, sizeof(*config->tenants));
	}
	if (config && config->path && config->tenants)
		return config;
	mf_config_put(config);
	no_memory(err);
	return NULL;
}

void mf_config_get(struct mf_config *config)
{
	config->references++;
}

void mf_config_put(struct mf_config *config)
{
	if (!config || --config->references)
		return;
	while (config->tenant_count) {
		struct mf_config_tenant *tenant = &config->tenants[--config->tenant_count];

		mf_values_finish(&tenant->values);
		settings_finish(&tenant->settings);
		free(tenant->file);
	}
	free(config->tenants);
	mf_values_finish(&config->values);
	settings_finish(&config->settings);
	free(config->path);
	free(config);
}

struct mf_config_tenant *mf_config_find(const struct mf_config *config, const char *name)
{
	size_t i;

	for (i = 0; i < config->tenant_count; i++)
		if (!strcmp(config->tenants[i].name, name))
			return &config->tenants[i];
	return NULL;
}
