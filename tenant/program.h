/* SPDX-License-Identifier: MIT */
/*
 * What `run` and `serve` share: a program's file, its permissions, the confinement that fits them,
 * and the way from a file to a process or an image.
 */
#ifndef MF_TENANT_PROGRAM_H
#define MF_TENANT_PROGRAM_H

#include "engine/linux/explain.h"
#include "engine/linux/permit.h"
#include "engine/linux/permit_net.h"
#include "engine/linux/exec.h"
#include "engine/linux/process.h"
#include "request-vm/function.h"
#include "request-vm/streams.h"
#include "tenant/warmup.h"
#include "engine/image/watchdog.h"
#include "tenant/confine.h"

/* What the command line says about a program. All pointers are the caller's. */
struct mf_program_options {
	char **argv;           /* argv[0] = the program's path, or its name in PATH; NULL-ended */
	const char **env;      /* K=V, NULL-ended */
	const char *cwd;       /* NULL = "/" */
	uint64_t memory_bytes; /* guest memory */
	uint64_t boot_deadline_ns; /* for reaching the ready point; 0 = none */
	struct mf_permit_paths read;
	struct mf_permit_paths write;
	const struct mf_permit_volume *volumes;
	size_t volume_count;
	struct mf_net_rules net; /* to connect and to listen */
	struct mf_net_rules connect;
	struct mf_net_rules listen;
	bool explain; /* say of each refused access which option would allow it */
	bool trace;
	bool no_patch;            /* see struct mf_policy */
	uint64_t output_bytes;    /* limit; 0 = none */
	uint64_t cpu_ns;          /* CPU time of a run or request; 0 = no limit */
	uint64_t files;           /* descriptors, at most MF_FDS; 0 = the usual */
	uint64_t threads;         /* limit; 0 = MF_THREADS */
	const char *guest_listen; /* where a program that listens at several addresses gets its
				     requests (mf_policy.listens_at) */
	const struct mf_warmup *warmup; /* requests before it is frozen; NULL: none */
	bool trust_image; /* nobody writes to the image file while it is in use: map it as it lies
			   */
	bool stores;      /* the image will be served with a store: keep a place for its channel */
	/* An option that was given and that only a program which is started can heed, and what of
	 * an image makes it so; NULL: none was given. */
	const char *start_option;
	const char *start_option_why;
};

struct mf_program {
	struct mf_kvm kvm;
	struct mf_policy policy;
	struct mf_permit *permit;
	bool files_allowed; /* by an option: `permit` holds more than what the program starts with
			     */
	struct mf_permit_net *net;
	struct mf_peer *store; /* reached by what it connects to; NULL: there is none */
	struct mf_explain *explain;
	struct mf_priority priority; /* prepared, or all zero */
	const char *cwd;             /* NULL: "/" */
	char *cwd_owned;
	struct mf_exec_files files;
	bool plain;    /* it will be run, not frozen */
	bool is_image; /* argv[0] is an image file, and this is what came of it */
	struct mf_image image;
	struct mf_ready_point ready;
	const struct mf_program_options *options;
};

/*
 * Set-up phase: open KVM, read the file, resolve the permissions. -errno with a sentence; nothing
 * is left behind on failure.
 */
int mf_program_open(struct mf_program *program, const struct mf_program_options *options,
		    struct mf_error *err);
void mf_program_close(struct mf_program *program);

/*
 * Lock the process in for this program, and for what else `also` permits (NULL: nothing).
 * unlink_dirs: where Unix sockets are to be removed at the end, NULL-ended; NULL = none.
 * log_folder: where a log is opened again by its name; NULL = nowhere. After this no guest
 * instruction runs unconfined. Single-threaded.
 */
int mf_program_confine(const struct mf_program *program, const struct mf_permit *also,
		       const char *const *unlink_dirs, const char *log_folder,
		       struct mf_error *err);

/* A guest's writes must not end the engine: ignore SIGPIPE and SIGXFSZ. */
void mf_program_calm_host(void);

/* Load it into a blank VM; an image: fork it. */
int mf_program_exec(struct mf_program *program, struct mf_process *process, struct mf_error *err);

/*
 * Load it, run it to its ready point, warm it up and freeze it there; an image is handed out as it
 * is. -ETIMEDOUT, -ENOEXEC (it ended, died or cannot be frozen) with a sentence. On success the
 * caller owns the image (mf_process_image_finish).
 */
int mf_program_build(struct mf_program *program, struct mf_watch *watch, struct mf_image *image,
		     struct mf_ready_point *ready, struct mf_error *err);

/* Let the image learn what the requests to warm up with write. */
int mf_program_learn(struct mf_program *program, struct mf_watch *watch, struct mf_image *image,
		     const struct mf_ready_point *ready, struct mf_error *err);

/*
 * Run until something that is not a wait: waits are waited for here, on this thread, until the
 * deadline (0 = none), which ends as MF_EXIT_KICKED with MF_KICK_DEADLINE. NULL, or which waits are
 * not waited for, but returned as MF_EXIT_WAIT.
 */
typedef bool mf_program_ends_fn(const struct mf_process *process);
struct mf_program_run {
	struct mf_watch *watch;
	uint64_t deadline_ns;
	struct mf_streams *streams; /* connections to the store are served; NULL: there are none */
};

void mf_program_drive(struct mf_process *process, const struct mf_program_run *run,
		      mf_program_ends_fn *ends, struct mf_exit *exit);

/* Wait for what the program waits for (exit: its MF_EXIT_WAIT), or a kick. False when the deadline
 * (0 = none) came first. */
bool mf_program_wait(const struct mf_process *process, const struct mf_exit *exit,
		     uint64_t deadline_ns);

/* What a program that is served has beyond one that is run: it listens within its VM. */
void mf_program_set_served(struct mf_program *program);

/* It has a store, which it also reaches by connecting to it. */
void mf_program_set_store(struct mf_program *program, struct mf_peer *store);

#endif
