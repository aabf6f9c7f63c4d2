/* SPDX-License-Identifier: MIT */
#include "config/edit.h"

#include <errno.h>
#include <libconfig.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (4u << 20)

/* A file being read. */
struct reader {
	struct mf_config *config;
	const char *name;
	struct mf_error *err;
	const struct mf_config *rest; /* NULL: the file is all; else it may have tenants alone */
};

static int __attribute__((format(printf, 3, 4)))
wrong(const struct reader *reader, const config_setting_t *at, const char *format, ...)
{
	const char *file = at ? config_setting_source_file(at) : NULL;
	struct mf_error why;
	va_list args;

	va_start(args, format);
	vsnprintf(why.text, sizeof(why.text), format, args);
	va_end(args);
	return mf_error_set(reader->err, -EINVAL, "%s:%u: %s", file ? file : reader->name,
			    at ? config_setting_source_line(at) : 1, why.text);
}

/* ---- values ---- */

static int add(const struct reader *reader, struct mf_settings *settings,
	       const struct mf_option *option, const char *text, const config_setting_t *at)
{
	const char *file = config_setting_source_file(at);

	return mf_settings_add(settings, option, text, file ? file : reader->name,
			       config_setting_source_line(at), reader->err);
}

/* A string, a number or a truth as text; NULL with a sentence. */
static const char *text_of(const struct reader *reader, config_setting_t *at, const char *name,
			   char buffer[32])
{
	switch (config_setting_type(at)) {
	case CONFIG_TYPE_STRING:
		return config_setting_get_string(at);
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		snprintf(buffer, 32, "%lld", config_setting_get_int64(at));
		return buffer;
	case CONFIG_TYPE_BOOL:
		return config_setting_get_bool(at) ? "true" : "false";
	default:
		wrong(reader, at, "%s takes a text in quotes, or a whole number", name);
		return NULL;
	}
}

/* A flag: true is there, false is not. */
static int take_flag(const struct reader *reader, struct mf_settings *settings,
		     const struct mf_option *option, config_setting_t *at)
{
	if (config_setting_type(at) != CONFIG_TYPE_BOOL)
		return wrong(reader, at, "%s is true or false", option->name);
	return config_setting_get_bool(at) ? add(reader, settings, option, NULL, at) : 0;
}

static int take_one(const struct reader *reader, struct mf_settings *settings,
		    const struct mf_option *option, config_setting_t *at)
{
	char buffer[32];
	const char *text = text_of(reader, at, option->name, buffer);

	if (!text)
		return -EINVAL;
	/* "[=PATHS]": true stands for the option alone. */
	if (mf_option_may_miss(option) && config_setting_type(at) == CONFIG_TYPE_BOOL)
		return take_flag(reader, settings, option, at);
	return add(reader, settings, option, text, at);
}

static int take_setting(const struct reader *reader, struct mf_settings *settings,
			const struct mf_option *option, config_setting_t *at)
{
	int i;
	int ret = 0;

	if (!option->value)
		return take_flag(reader, settings, option, at);
	if (!config_setting_is_array(at) && !config_setting_is_list(at))
		return take_one(reader, settings, option, at);
	if (!option->list)
		return wrong(reader, at, "%s takes one value, not a list", option->name);
	for (i = 0; i < config_setting_length(at) && !ret; i++)
		ret = take_one(reader, settings, option,
			       config_setting_get_elem(at, (unsigned int)i));
	return ret;
}

static int unknown(const struct reader *reader, config_setting_t *at, unsigned int place)
{
	const char *name = config_setting_name(at);
	const char *like = mf_option_suggest(name, place);
	unsigned int other = place == MF_IN_TENANT ? MF_IN_FILE : MF_IN_TENANT;
	const char *where = other == MF_IN_TENANT ? "a tenant" : "the top of the file";

	if (mf_option_find(name, other))
		return wrong(reader, at, "%s belongs into %s", name, where);
	if (place == MF_IN_FILE && !like && !strncmp(name, "tenant", 6))
		like = "tenants";
	if (like)
		return wrong(reader, at, "unknown key %s; did you mean %s?", name, like);
	return wrong(reader, at,
		     "unknown key %s; `mayfly config show` without a file tells which there are",
		     name);
}

/* ---- tenants ---- */

static int read_tenant(const struct reader *reader, struct mf_config_tenant *tenant,
		       config_setting_t *at)
{
	const char *name = config_setting_name(at);
	const char *file = config_setting_source_file(at);
	const struct mf_config *whole = reader->rest ? reader->rest : reader->config;
	int ret = 0;
	int i;

	if (!config_setting_is_group(at))
		return wrong(reader, at, "tenant %s is no group; write %s = { program = ...; }",
			     name, name);
	if (strlen(name) > MF_TENANT_NAME_MAX || strchr(name, '*'))
		return wrong(reader, at,
			     "%s is no tenant's name: letters, digits, - and _, %u at "
			     "the most",
			     name, MF_TENANT_NAME_MAX);
	snprintf(tenant->name, sizeof(tenant->name), "%s", name);
	tenant->line = config_setting_source_line(at);
	tenant->file = strdup(file ? file : reader->name);
	if (!tenant->file)
		return mf_error_set(reader->err, -ENOMEM, "not enough memory");
	for (i = 0; i < config_setting_length(at) && !ret; i++) {
		config_setting_t *one = config_setting_get_elem(at, (unsigned int)i);
		const struct mf_option *option =
			mf_option_find(config_setting_name(one), MF_IN_TENANT);

		ret = option ? take_setting(reader, &tenant->settings, option, one)
			     : unknown(reader, one, MF_IN_TENANT);
	}
	if (!ret)
		ret = mf_config_complete_tenant(tenant, reader->err);
	if (!ret && !tenant->values.tenant.listen.count && !whole->values.daemon.listen.count)
		ret = wrong(reader, at,
			    "tenant %s has no address: give it listen, or give the file one for "
			    "all",
			    name);
	return ret;
}

static int read_tenants(const struct reader *reader, config_setting_t *group)
{
	struct mf_config *config = reader->config;
	int count = config_setting_length(group);
	int ret = 0;

	if (!config_setting_is_group(group))
		return wrong(reader, group,
			     "tenants is no group; write tenants = { NAME = { ... "
			     "}; }");
	if (count > (int)MF_TENANTS_MAX)
		return wrong(reader, group, "%d tenants are more than %u", count, MF_TENANTS_MAX);
	free(config->tenants);
	config->tenants = calloc((size_t)count + 1, sizeof(*config->tenants));
	if (!config->tenants)
		return mf_error_set(reader->err, -ENOMEM, "not enough memory");
	while (!ret && config->tenant_count < (size_t)count) {
		size_t i = config->tenant_count++;

		ret = read_tenant(reader, &config->tenants[i],
				  config_setting_get_elem(group, (unsigned int)i));
	}
	return ret;
}

/* ---- the whole ---- */

static int read_root(const struct reader *reader, config_setting_t *root)
{
	struct mf_config *config = reader->config;
	config_setting_t *tenants = NULL;
	int ret = 0;
	int i;

	for (i = 0; i < config_setting_length(root) && !ret; i++) {
		config_setting_t *one = config_setting_get_elem(root, (unsigned int)i);
		const struct mf_option *option =
			mf_option_find(config_setting_name(one), MF_IN_FILE);

		if (!strcmp(config_setting_name(one), "tenants"))
			tenants = one;
		else if (option && reader->rest)
			ret = wrong(reader, one,
				    "%s stands in the file of mayflyd; only tenants "
				    "may be added",
				    option->name);
		else if (option)
			ret = take_setting(reader, &config->settings, option, one);
		else
			ret = unknown(reader, one, MF_IN_FILE);
	}
	if (!ret)
		ret = mf_settings_apply(&config->settings, &config->values, MF_IN_FILE,
					reader->err);
	if (!ret && tenants)
		ret = read_tenants(reader, tenants);
	return ret ? ret : mf_config_check_routes(config, reader->err);
}

static int read_parsed(struct mf_config **out, struct reader *reader, config_t *parsed, int good)
{
	const char *file = config_error_file(parsed);
	int ret;

	reader->config = mf_config_new(reader->name, 0, reader->err);
	if (!reader->config)
		return -ENOMEM;
	if (good)
		ret = read_root(reader, config_root_setting(parsed));
	else
		ret = mf_error_set(reader->err, -EINVAL, "%s:%d: %s", file ? file : reader->name,
				   config_error_line(parsed), config_error_text(parsed));
	if (ret)
		mf_config_put(reader->config);
	else
		*out = reader->config;
	return ret;
}

int mf_config_load_tenants(struct mf_config **out, const struct mf_config *rest, const char *name,
			   const char *text, struct mf_error *err)
{
	struct reader reader = {.name = name, .err = err, .rest = rest};
	config_t parsed;
	int ret;

	config_init(&parsed);
	ret = read_parsed(out, &reader, &parsed, config_read_string(&parsed, text));
	config_destroy(&parsed);
	return ret;
}

static int check_file(const char *path, FILE *file, struct mf_error *err)
{
	struct stat st;

	if (fstat(fileno(file), &st))
		return mf_error_set(err, -errno, "cannot look at %s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return mf_error_set(err, -EISDIR, "%s is a folder", path);
	if (st.st_size > FILE_MAX)
		return mf_error_set(err, -EFBIG, "%s is larger than %u MiB", path, FILE_MAX >> 20);
	return 0;
}

int mf_config_load(struct mf_config **out, const char *path, struct mf_error *err)
{
	struct reader reader = {.name = path, .err = err};
	FILE *file = fopen(path, "re");
	config_t parsed;
	char *folder;
	int ret;

	if (!file)
		return mf_error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	ret = check_file(path, file, err);
	folder = ret ? NULL : strdup(path);
	if (folder) {
		config_init(&parsed);
		config_set_include_dir(&parsed, dirname(folder));
		ret = read_parsed(out, &reader, &parsed, config_read(&parsed, file));
		config_destroy(&parsed);
	} else if (!ret) {
		ret = mf_error_set(err, -ENOMEM, "not enough memory");
	}
	free(folder);
	fclose(file);
	return ret;
}
