/* SPDX-License-Identifier: MIT */
/* What options fill: one field each (table.c says which). Owned by whoever made it. */
#ifndef MF_CONFIG_VALUES_H
#define MF_CONFIG_VALUES_H

#include "tenant/image.h"
#include "tenant/run.h"
#include "tenant/serve.h"

/* A list of strings, NULL-ended. */
struct mf_texts {
	const char **texts;
	size_t count;
};

/* What a tenant's part of the configuration file says beside the options of serve. */
struct mf_tenant_values {
	struct mf_texts program; /* and its arguments */
	struct mf_texts hosts;
	struct mf_texts paths;
	struct mf_texts listen;      /* addresses of its own */
	uint64_t cpu_share;          /* 100: the usual */
	uint64_t memory_limit_bytes; /* of all its VMs together; 0: none */
};

/* The top of the configuration file. */
struct mf_daemon_values {
	struct mf_texts listen; /* addresses that tenants share */
	const char *control;    /* path of a socket */
	const char *engine;     /* the program that serves a tenant */
	const char *runtime;    /* folder */
	const char *metrics;    /* ADDR; NULL: none */
	struct mf_texts cgroups;
	uint64_t heads; /* clients whose first head may be on its way */
	uint64_t head_timeout_ns;
	uint64_t restart_min_ns;
	uint64_t restart_max_ns;
	bool log_json;
};

struct mf_ctl_values {
	const char *control; /* path of a socket */
	uint64_t timeout_ns;
	bool json;
};

struct mf_top_values {
	const char *control; /* path of a socket */
	uint64_t interval_ns;
	uint64_t count; /* of tables; 0: until it is ended, or one without a screen */
	int sort;       /* a column, as --sort's words stand */
	bool batch;
};

struct mf_stat_values {
	uint64_t pid; /* 0: none */
	uint64_t duration_ns;
	uint64_t interval_ns; /* 0: one report, at the end */
	const char *output;
	const char *control; /* path of a socket */
	const char *tenant;
	int by; /* enum mf_stat_by */
	bool json;
	bool histogram;
};

/* What the rows of `mayfly stat` are by. */
enum mf_stat_by { MF_STAT_BY_REASON, MF_STAT_BY_ROLE, MF_STAT_BY_TENANT };

struct mf_store_values {
	bool json;
	bool force;
	uint64_t size_bytes; /* 0: as large as it is */
	uint64_t memory_bytes;
};

struct mf_bench_values {
	const char *json; /* files; NULL: none */
	const char *html;
	bool quick;
	bool compare_json;
	uint64_t seed;
	uint64_t threshold; /* percent */
};

struct mf_values {
	struct mf_program_options program; /* run, serve and image */
	uint64_t run_deadline_ns;
	uint64_t rate_requests; /* the N of --rate, the usual burst */
	struct mf_serve_options serve;
	struct mf_texts store_args; /* of --store-program */
	const char *image_path;
	struct mf_warmup *warmup; /* made when it is first needed */
	struct mf_ctl_values ctl;
	struct mf_stat_values stat;
	struct mf_top_values top;
	struct mf_store_values store;
	struct mf_bench_values bench;
	struct mf_tenant_values tenant;
	struct mf_daemon_values daemon;
	const char *config_file;
	bool config_json;
	bool doctor_json;
	bool check_only;
	bool version;
	int router_link; /* 0: not the router */
	int exporter_fd; /* 0: not the exporter */
	const char *exporter_control;
	bool help;
	/* of the program's environment */
	struct mf_texts env;    /* --env, then what --allow-env lets in */
	const char *http_proxy; /* NULL: none */
	bool env_all;
	struct mf_texts env_names; /* --allow-env=NAMES */
	/* what was made of the text of options */
	struct mf_permit_volume *volumes;
	void **owned;
	size_t owned_count;
};

/* The defaults of one place. -ENOMEM with a sentence; finish it also then. */
int mf_values_init(struct mf_values *values, unsigned int place, struct mf_error *err);
void mf_values_finish(struct mf_values *values);

/*
 * After the last option of run, serve or image: the environment is put together, and what other
 * structures want is copied there. `host` is the host's environment. -ENOMEM with a sentence.
 */
int mf_values_complete(struct mf_values *values, char *const *host, struct mf_error *err);

#endif
