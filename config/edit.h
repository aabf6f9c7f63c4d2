/* SPDX-License-Identifier: MIT */
/* Configurations piece by piece; for this folder alone. */
#ifndef MF_CONFIG_EDIT_H
#define MF_CONFIG_EDIT_H

#include "config/file.h"

/* An empty one with room for so many tenants; NULL with a sentence. */
struct mf_config *mf_config_new(const char *name, size_t tenants, struct mf_error *err);

/* One more; the texts are copied. -ENOMEM with a sentence. */
int mf_settings_add(struct mf_settings *settings, const struct mf_option *option, const char *text,
		    const char *file, unsigned int line, struct mf_error *err);

/* The defaults of a place, then these. Finish the values also after a failure. */
int mf_settings_apply(const struct mf_settings *settings, struct mf_values *values,
		      unsigned int place, struct mf_error *err);

/* What holds with a tenant's settings, and whether that is good. -EINVAL with a sentence. */
int mf_config_complete_tenant(struct mf_config_tenant *tenant, struct mf_error *err);

#endif
