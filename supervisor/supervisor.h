/* SPDX-License-Identifier: MIT */
/*
 * mayflyd: one confined engine process a tenant, started, watched, replaced and ended; one router
 * process in front of them. This is the state that its parts share; one thread, one event loop.
 * Nothing of a tenant's program or of a client runs or is read in this process.
 */
#ifndef MF_SUPERVISOR_SUPERVISOR_H
#define MF_SUPERVISOR_SUPERVISOR_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <uv.h>

#include "config/file.h"
#include "request-vm/front/listen.h"

#define MF_PATH_ROOM 108

struct mf_supervisor;
struct mf_tenant;

enum mf_engine_state {
	MF_ENGINE_STARTING,
	MF_ENGINE_READY,
	MF_ENGINE_DRAINING,
};

/* One engine process. Freed when it has ended and its handles are closed. */
struct mf_engine {
	TAILQ_ENTRY(mf_engine) all;
	struct mf_supervisor *supervisor;
	struct mf_tenant *tenant;
	enum mf_engine_state state;
	bool has_store;
	bool killed;     /* it was told to end at once */
	uint32_t number; /* of all engines */
	pid_t pid;
	int pidfd;
	int router_end; /* of the socket by which it gets connections */
	int log_fd;     /* what it prints */
	int bound_fd;   /* its store's bounds, which it looks at; -1: it has no store */
	uv_poll_t exited;
	uv_poll_t log;
	uv_timer_t limit; /* to become ready, or to end */
	unsigned int handles;
	uint64_t started_ms;
	uint64_t ready_ms;
	uint64_t heard_ms; /* of it, last */
	char control[MF_PATH_ROOM];
	char line[608]; /* the begun one of its log; escaped, it fits into a pipe at once */
	size_t line_bytes;
};
TAILQ_HEAD(mf_engines, mf_engine);

struct mf_tenant {
	TAILQ_ENTRY(mf_tenant) all;
	struct mf_supervisor *supervisor;
	char name[MF_TENANT_NAME_MAX + 1];
	uint32_t id;              /* never given twice; 0 is nobody */
	struct mf_config *source; /* a reference; `config` is in it */
	const struct mf_config_tenant *config;
	bool from_file;            /* of the configuration file; else added by command */
	bool removed;              /* gone when its last engine is */
	bool swapping;             /* the next engine waits for the end of the last one */
	bool drained;              /* by command: nothing is started until it is reloaded */
	struct mf_engine *current; /* gets the connections; NULL: 503 */
	struct mf_engine *next;    /* starting */
	unsigned int engines;      /* all, the ending ones included */
	uint64_t restarts;
	unsigned int failures; /* since it last served for long */
	uv_timer_t again;      /* to start it after one died */
	bool waits;            /* for `again` */
	char trouble[160];     /* the last one, for people */
};
TAILQ_HEAD(mf_tenants, mf_tenant);

/* A socket that listens, for the router. */
struct mf_address {
	TAILQ_ENTRY(mf_address) all;
	struct mf_listener listener;
	char text[MF_PATH_ROOM + 8]; /* as it stands in the configuration */
	unsigned int part;           /* of "systemd": which of its sockets, from 1; else 0 */
	uint32_t id;
	uint32_t tenant; /* 0: shared */
	bool wanted;     /* while a configuration is looked through, and by whom */
	char wanted_by[MF_TENANT_NAME_MAX + 1];
	bool is_new;
};
TAILQ_HEAD(mf_addresses, mf_address);

struct mf_supervisor {
	uv_loop_t loop;
	char *path; /* of the configuration file, as it was given */
	struct mf_config *config;
	const char *program; /* of an engine */
	char runtime[MF_PATH_ROOM];
	bool runtime_made; /* removed at the end */
	bool log_json;
	uint64_t lost_lines; /* of the log, since one was last printed */
	bool stopping;
	bool ended;
	uint32_t last_tenant;
	uint32_t last_engine;
	uint32_t last_address;
	struct mf_tenants tenants;
	struct mf_engines engines;
	struct mf_addresses addresses;
	/* the router */
	pid_t router_pid;
	int router_pidfd;
	int link_fd;
	uv_poll_t router_exited;
	uv_timer_t router_again;
	unsigned int router_failures;
	uint64_t router_started_ms;
	/* the exporter of metrics */
	struct mf_listener exported;
	pid_t exporter_pid; /* 0: there is none */
	int exporter_pidfd;
	uv_poll_t exporter_exited;
	uv_timer_t exporter_again;
	unsigned int exporter_failures;
	uint64_t exporter_started_ms;
	/* engines tell here that they are ready */
	int notify_fd;
	char notify_path[MF_PATH_ROOM];
	uv_poll_t notify;
	uv_timer_t watch;
	/* whoever started us */
	int parent_fd;
	uv_timer_t heartbeat;
	uv_signal_t signals[3];
	struct mf_plane *plane; /* the control plane; NULL: none */
	uint64_t random;
};

/* ---- tenant.c: what is wanted of a tenant, and what to do about it ---- */

/* Where a configuration comes from. */
enum mf_origin {
	MF_BY_FILE,    /* it is all that is wanted, beside what commands have added */
	MF_BY_COMMAND, /* more tenants */
	MF_BY_CHANGE,  /* each takes the place of the one that has its name */
};

/* New ones, changed ones and missing ones against `config`'s; takes a reference. Addresses are
 * opened first: when one cannot be, nothing is changed and a sentence says why. */
int mf_tenants_apply(struct mf_supervisor *supervisor, struct mf_config *config,
		     enum mf_origin origin, struct mf_error *err);

struct mf_tenant *mf_tenant_find(struct mf_supervisor *supervisor, const char *name);
const char *mf_tenant_state(const struct mf_tenant *tenant);

/* Its engines' sockets are in a folder of its own, for they may remove files there. */
void mf_tenant_folder(const struct mf_tenant *tenant, char folder[MF_PATH_ROOM]);

/* Start another engine, which takes the place of the one that is there when it is ready. */
void mf_tenant_replace(struct mf_tenant *tenant);
void mf_tenant_drain(struct mf_tenant *tenant);
void mf_tenant_remove(struct mf_tenant *tenant);

/* What engine.c tells. */
void mf_tenant_engine_ready(struct mf_engine *engine);
void mf_tenant_engine_stopping(struct mf_engine *engine);
void mf_tenant_engine_ended(struct mf_engine *engine, int status);
void mf_tenant_engines_gone(struct mf_tenant *tenant);

/* Frees what is removed and has ended; with `stopping`, ends the loop behind the last one. */
void mf_tenants_sweep(struct mf_supervisor *supervisor);

/* ---- engine.c: one process ---- */

struct mf_engine *mf_engine_start(struct mf_tenant *tenant, struct mf_error *err);

/* SIGTERM now, SIGKILL when its patience has run out. */
void mf_engine_drain(struct mf_engine *engine);

/* Its store has the bounds of its tenant's configuration from now on. -errno. */
int mf_engine_bound(struct mf_engine *engine);
void mf_engine_kill(struct mf_engine *engine);
void mf_engine_log_end(struct mf_engine *engine);

/* Kill those that have been silent for too long. */
void mf_engines_watch(struct mf_supervisor *supervisor);

/* A datagram of sd_notify's protocol has come from this process. */
void mf_engine_heard(struct mf_supervisor *supervisor, pid_t pid, const char *text);

/* ---- address.c: sockets that listen ---- */

/* What will be wanted with this configuration is opened, and marked. Then commit; a failure (with a
 * sentence) has left nothing behind. */
int mf_addresses_prepare(struct mf_supervisor *supervisor, const struct mf_config *config,
			 enum mf_origin origin, struct mf_error *err);
/* The router hears of them. */
void mf_addresses_commit(struct mf_supervisor *supervisor);
void mf_addresses_close(struct mf_supervisor *supervisor);
/* Those that are this tenant's alone. */
void mf_addresses_forget(struct mf_supervisor *supervisor, const struct mf_tenant *tenant);

/* ---- front.c: the router's process ---- */

int mf_front_start(struct mf_supervisor *supervisor, struct mf_error *err);
void mf_front_stop(struct mf_supervisor *supervisor);
void mf_front_tell_address(struct mf_supervisor *supervisor, const struct mf_address *address,
			   bool gone);
void mf_front_tell_engine(struct mf_supervisor *supervisor, const struct mf_tenant *tenant);
void mf_front_tell_routes(struct mf_supervisor *supervisor);
void mf_front_tell_settings(struct mf_supervisor *supervisor);

/* ---- export.c: the process that shows metrics ---- */

/* Nothing, if none are wanted. */
int mf_export_start(struct mf_supervisor *supervisor, struct mf_error *err);
void mf_export_stop(struct mf_supervisor *supervisor);

/* ---- process.c: how a child is made ---- */

struct mf_spawn {
	const char *program;
	char *const *argv;
	char *const *env;
	const int *keep; /* descriptors that it inherits, -1 at the end */
	int output;      /* its standard output and error; -1: ours */
	int nice;
	const int *cgroups; /* files that it writes itself into, -1 at the end; NULL: none */
};

/* Its pid and a pidfd that is the caller's; it dies with this process. -errno. */
pid_t mf_spawn(const struct mf_spawn *spawn, int *pidfd);

/* ---- share.c: of the processors and the memory ---- */

/* The nice value that stands for a tenant's share beside the largest one. */
int mf_share_nice(uint64_t share, uint64_t largest);

/* The tenant's groups, made and set: files to be written into by its engine, -1 at the end. */
#define MF_CGROUPS 8
void mf_share_open(struct mf_supervisor *supervisor, const struct mf_tenant *tenant,
		   int files[MF_CGROUPS + 1]);
void mf_share_remove(struct mf_supervisor *supervisor, const struct mf_tenant *tenant);

/* Make ready what was delegated. */
void mf_share_prepare(struct mf_supervisor *supervisor);

/* ---- log.c ---- */

enum mf_level { MF_LOG_INFO, MF_LOG_WARNING, MF_LOG_ERROR };

/* One event: a line on the standard error, and a message to who listens. `event` is a word that
 * programs may look for; `tenant` and `engine` may be NULL. */
void mf_log(struct mf_supervisor *supervisor, enum mf_level level, const char *event,
	    const struct mf_tenant *tenant, const struct mf_engine *engine, const char *format, ...)
	__attribute__((format(printf, 6, 7)));

/* ---- reload.c ---- */

/* Read the file again; what is not good changes nothing. The sentence is logged, too. */
int mf_supervisor_reload(struct mf_supervisor *supervisor, struct mf_error *err);

/* End in order; again: at once. */
void mf_supervisor_stop(struct mf_supervisor *supervisor, const char *why);

/* The last tenant is gone: lets the loop end. */
void mf_supervisor_ended(struct mf_supervisor *supervisor);

#endif
