/* SPDX-License-Identifier: MIT */
#include "config/edit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A key that changes, and the text of it. */
struct change {
	const struct mf_option *option;
	const char *text;
};

#define CHANGES_MAX 64u

static int read_change(char *line, struct change *change, struct mf_error *err)
{
	char *value = strchr(line, '=');
	const char *like;

	if (!value)
		return mf_error_set(err, -EINVAL, "%s is no change; write KEY=VALUE", line);
	*value++ = 0;
	change->option = mf_option_find(line, MF_IN_TENANT);
	if (!change->option) {
		like = mf_option_suggest(line, MF_IN_TENANT);
		return mf_error_set(err, -EINVAL, "unknown key %s%s%s%s", line,
				    like ? "; did you mean " : "", like ? like : "",
				    like ? "?" : "");
	}
	change->text = value;
	if (!change->option->value && strcmp(value, "true") && strcmp(value, "false"))
		return mf_error_set(err, -EINVAL, "%s is true or false", line);
	return 0;
}

static int read_changes(char *text, struct change *changes, size_t *count, struct mf_error *err)
{
	char *line;
	int ret = 0;

	*count = 0;
	while (!ret && (line = strsep(&text, "\n"))) {
		if (!*line)
			continue;
		if (*count == CHANGES_MAX)
			return mf_error_set(err, -EINVAL, "more than %u changes", CHANGES_MAX);
		ret = read_change(line, &changes[(*count)++], err);
	}
	return ret || *count ? ret : mf_error_set(err, -EINVAL, "no change given");
}

static bool is_changed(const struct mf_option *option, const struct change *changes, size_t count)
{
	while (count)
		if (changes[--count].option == option)
			return true;
	return false;
}

static int fill(struct mf_config_tenant *to, const struct mf_config_tenant *from,
		const struct change *changes, size_t count, struct mf_error *err)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < from->settings.count && !ret; i++) {
		const struct mf_setting *old = &from->settings.settings[i];

		if (!is_changed(old->option, changes, count))
			ret = mf_settings_add(&to->settings, old->option, old->text, old->file,
					      old->line, err);
	}
	for (i = 0; i < count && !ret; i++) {
		const struct change *change = &changes[i];
		bool flag = !change->option->value;

		if (!flag || !strcmp(change->text, "true"))
			ret = mf_settings_add(&to->settings, change->option,
					      flag ? NULL : change->text, "changed", 1, err);
	}
	return ret;
}

int mf_config_change(struct mf_config **out, const struct mf_config_tenant *tenant,
		     const char *changes, struct mf_error *err)
{
	char *text = strdup(changes);
	struct change list[CHANGES_MAX];
	struct mf_config *config = text ? mf_config_new(tenant->name, 1, err) : NULL;
	size_t count;
	int ret = config ? 0 : mf_error_set(err, -ENOMEM, "not enough memory for the change");

	if (!ret)
		ret = read_changes(text, list, &count, err);
	if (!ret) {
		struct mf_config_tenant *copy = &config->tenants[config->tenant_count++];

		memcpy(copy->name, tenant->name, sizeof(copy->name));
		copy->line = tenant->line;
		copy->file = strdup(tenant->file);
		ret = copy->file ? fill(copy, tenant, list, count, err)
				 : mf_error_set(err, -ENOMEM, "not enough memory for the change");
		if (!ret)
			ret = mf_config_complete_tenant(copy, err);
	}
	free(text);
	if (ret)
		mf_config_put(config);
	else
		*out = config;
	return ret;
}
