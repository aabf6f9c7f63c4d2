/* SPDX-License-Identifier: MIT */
/*
 * The configuration file of mayflyd, read and checked as a whole: docs/operations.md. It has the
 * form of libconfig; what its keys mean is in the table of options. Only file.c knows the library.
 */
#ifndef MF_CONFIG_FILE_H
#define MF_CONFIG_FILE_H

#include "config/option.h"
#include "config/values.h"

#define MF_TENANT_NAME_MAX 32u
#define MF_TENANTS_MAX     1024u

/* One value of one key, as it stands in the file. */
struct mf_setting {
	const struct mf_option *option;
	char *text; /* owned; NULL: the option without a value */
	char *file; /* owned; where it stands */
	unsigned int line;
};

struct mf_settings {
	struct mf_setting *settings;
	size_t count;
};

struct mf_config_tenant {
	char name[MF_TENANT_NAME_MAX + 1];
	char *file; /* where it stands; owned */
	unsigned int line;
	struct mf_settings settings; /* what the file says */
	struct mf_values values;     /* what holds; texts point into `settings` */
};

struct mf_config {
	unsigned int references;
	char *path;
	struct mf_settings settings;
	struct mf_values values;
	struct mf_config_tenant *tenants;
	size_t tenant_count;
};

/*
 * Read it. 0: the caller destroys *out. Else a sentence "FILE:LINE: what is wrong": -ENOENT and the
 * like (it cannot be read), -EINVAL (it is not good), -ENOMEM.
 */
int mf_config_load(struct mf_config **out, const char *path, struct mf_error *err);

/* The same from text that has tenants alone, beside `rest`; `name` stands for it in sentences. */
int mf_config_load_tenants(struct mf_config **out, const struct mf_config *rest, const char *name,
			   const char *text, struct mf_error *err);

/*
 * A configuration of this tenant alone, with other values for some keys: lines of KEY=VALUE. A list
 * is replaced as a whole. -EINVAL with a sentence.
 */
int mf_config_change(struct mf_config **out, const struct mf_config_tenant *tenant,
		     const char *changes, struct mf_error *err);

/* One who uses it more, and one fewer: the last one frees it. NULL is fine for put. */
void mf_config_get(struct mf_config *config);
void mf_config_put(struct mf_config *config);

/*
 * What only the whole can tell: no two tenants have the same address, or the same host and path.
 * -EINVAL with a sentence. Both loads have done it.
 */
int mf_config_check_routes(const struct mf_config *config, struct mf_error *err);

/* The same of two tenants of any configurations, behind the addresses of `config`. */
int mf_config_check_pair(const struct mf_config *config, const struct mf_config_tenant *a,
			 const struct mf_config_tenant *b, struct mf_error *err);

/* It has a part of the addresses that tenants share: one with addresses of its own has that only if
 * it names a host or a path. */
bool mf_tenant_is_shared(const struct mf_config *config, const struct mf_config_tenant *tenant);

/* The tenant of that name, or NULL. */
struct mf_config_tenant *mf_config_find(const struct mf_config *config, const char *name);

/* Both say the same to an engine, line for line; where they say it does not matter. */
bool mf_settings_equal(const struct mf_settings *a, const struct mf_settings *b);

/* Where an option's value comes from: its last setting, or NULL: the default. */
const struct mf_setting *mf_settings_find(const struct mf_settings *settings,
					  const struct mf_option *option);

#endif
