/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include "ipc/socket/notify.h"

#include <errno.h>
#include <string.h>

/* What is set up once, at the start. */
static int check_fixed(const struct mf_supervisor *supervisor, const struct mf_config *config,
		       struct mf_error *err)
{
	static const char *const fixed[] = {"control", "runtime", "engine",
					    "cgroup",  "metrics", NULL};
	const char *const *name;

	for (name = fixed; *name; name++) {
		const struct mf_option *option = mf_option_find(*name, MF_IN_FILE);
		const struct mf_setting *before =
			mf_settings_find(&supervisor->config->settings, option);
		const struct mf_setting *now = mf_settings_find(&config->settings, option);

		if (!before != !now || (now && strcmp(before->text, now->text)))
			return mf_error_set(
				err, -EINVAL, "%s:%u: %s cannot change while mayflyd runs",
				now ? now->file : config->path, now ? now->line : 1, *name);
	}
	return 0;
}

static int read_again(struct mf_supervisor *supervisor, struct mf_error *err)
{
	struct mf_config *config;
	int ret = mf_config_load(&config, supervisor->path, err);

	if (ret)
		return ret;
	ret = check_fixed(supervisor, config, err);
	if (!ret)
		ret = mf_tenants_apply(supervisor, config, MF_BY_FILE, err);
	if (!ret) {
		supervisor->log_json = config->values.daemon.log_json;
		mf_front_tell_settings(supervisor);
	}
	mf_config_put(config);
	return ret;
}

int mf_supervisor_reload(struct mf_supervisor *supervisor, struct mf_error *err)
{
	int ret;

	mf_notify_say(supervisor->parent_fd, "RELOADING=1");
	ret = read_again(supervisor, err);
	if (ret)
		mf_log(supervisor, MF_LOG_ERROR, "reload-refused", NULL, NULL,
		       "%s; what was there before goes on", err->text);
	else
		mf_log(supervisor, MF_LOG_INFO, "reloaded", NULL, NULL, "%s: %zu tenants",
		       supervisor->config->path, supervisor->config->tenant_count);
	mf_notify_say(supervisor->parent_fd, "READY=1");
	return ret;
}
