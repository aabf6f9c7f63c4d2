/* SPDX-License-Identifier: MIT */
#include "config/file.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static int twice(const struct mf_config *config, const struct mf_config_tenant *a,
		 const struct mf_config_tenant *b, const char *what, struct mf_error *err)
{
	return mf_error_set(err, -EINVAL, "%s:%u: tenant %s has %s, and so has %s (line %u)",
			    config->path, b->line, b->name, what, a->name, a->line);
}

/* A text that both lists have; an empty list counts as `otherwise` alone. */
static const char *common(const struct mf_texts *a, const struct mf_texts *b, const char *otherwise)
{
	const char *alone[] = {otherwise};
	const char **as = a->count ? a->texts : alone;
	const char **bs = b->count ? b->texts : alone;
	size_t i;
	size_t j;

	for (i = 0; i < (a->count ? a->count : 1); i++)
		for (j = 0; j < (b->count ? b->count : 1); j++)
			if (!strcasecmp(as[i], bs[j]))
				return as[i];
	return NULL;
}

int mf_config_check_pair(const struct mf_config *config, const struct mf_config_tenant *a,
			 const struct mf_config_tenant *b, struct mf_error *err)
{
	const struct mf_tenant_values *first = &a->values.tenant;
	const struct mf_tenant_values *second = &b->values.tenant;
	const char *address = first->listen.count && second->listen.count
				      ? common(&first->listen, &second->listen, "")
				      : NULL;

	if (address)
		return twice(config, a, b, address, err);
	if (mf_tenant_is_shared(config, a) && mf_tenant_is_shared(config, b) &&
	    common(&first->hosts, &second->hosts, "") && common(&first->paths, &second->paths, "/"))
		return twice(config, a, b, "the same host and path", err);
	return 0;
}

bool mf_tenant_is_shared(const struct mf_config *config, const struct mf_config_tenant *tenant)
{
	const struct mf_tenant_values *own = &tenant->values.tenant;

	return config->values.daemon.listen.count &&
	       (own->hosts.count || own->paths.count || !own->listen.count);
}

int mf_config_check_routes(const struct mf_config *config, struct mf_error *err)
{
	size_t i;
	size_t j;
	int ret = 0;

	for (i = 0; i < config->tenant_count; i++)
		for (j = i + 1; j < config->tenant_count && !ret; j++)
			ret = mf_config_check_pair(config, &config->tenants[i], &config->tenants[j],
						   err);
	return ret;
}
