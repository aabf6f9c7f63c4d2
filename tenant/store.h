/* SPDX-License-Identifier: MIT */
/*
 * The storage half of a tenant: its folder, locked for this engine alone, its storage program
 * (Mayfly's own or the tenant's), and the storage VM made of them.
 */
#ifndef MF_TENANT_STORE_H
#define MF_TENANT_STORE_H

#include "engine/linux/permit.h"
#include "request-vm/output.h"
#include "storage-vm/store.h"
#include "tenant/priority.h"
#include "tenant/store_fence.h"
#include "tenant/store_socket.h"

/* --store-window, where nobody says it. */
#define MF_TENANT_STORE_WINDOW_BYTES (64ull << 20)

enum mf_tenant_store_scope {
	MF_STORE_SCOPE_TENANT,
	MF_STORE_SCOPE_VM,    /* each VM's own, over what the folder holds */
	MF_STORE_SCOPE_EMPTY, /* each VM's own, whatever the folder holds */
};

/* What the command line says. */
struct mf_tenant_store_options {
	const char *folder;          /* NULL: no store */
	const char *program;         /* NULL: Mayfly's own, a key-value store */
	const char *const *args;     /* of the program, NULL-ended; NULL: none */
	struct mf_permit_paths read; /* what it may read besides its folder */
	uint64_t size_bytes;         /* the store may grow to this */
	uint64_t quota_bytes;        /* of that may be used; 0: all */
	uint64_t window_bytes;       /* of the file may be mapped into a request VM; 0: nothing */
	bool evicts;                 /* at the quota records go; else it is full */
	int bound_fd; /* a struct mf_store_bound in place of those two, which mayflyd may change
		       * (taken over); 0: none */
	enum mf_tenant_store_scope scope;
	struct mf_store_promise promise;
	uint64_t memory_bytes;
	enum mf_store_wait wait;
	uint64_t call_limit_ns;
	uint64_t age_ns; /* of a transaction */
	uint64_t boot_limit_ns;
	bool quiet;
	bool alone; /* of no server: `mayfly store` by itself. It has the administrative channel
		     * alone
		     */
	const char *mode; /* what the program is started for (store_admin.h); NULL: to serve */
};

struct mf_tenant_store {
	struct mf_store *store; /* NULL: no store */
	struct mf_permit *permit;
	char *folder; /* absolute */
	char size[24];
	char *argv[5];              /* of Mayfly's own program */
	struct mf_exec_files files; /* of the tenant's own program */
	int lock_fd;
	struct mf_store_fence fence;
	const struct mf_store_bound *bound; /* mapped, or NULL */
	struct mf_store_socket *socket;     /* NULL: none */
	struct mf_output_meter meter;
	struct mf_output output;
	/* The caller's, prepared, set before the start; NULL: all threads stay what they are. */
	const struct mf_priority *priority;
	struct mf_turns turns; /* of the store's thread */
};

/* What may be kept: a store that evicts leaves room for what a commit writes anew beside it. */
static inline uint64_t mf_tenant_store_quota(const struct mf_tenant_store_options *options)
{
	return options->evicts && !options->quota_bytes ? options->size_bytes / 4 * 3
							: options->quota_bytes;
}

/* NULL, or what is wrong with the bounds, as a sentence about the options without dashes. */
static inline const char *mf_tenant_store_bound_fault(const struct mf_tenant_store_options *options)
{
	if (options->quota_bytes > options->size_bytes)
		return "store-quota is larger than store-size, which is what the store can grow "
		       "to; raise that";
	if (options->evicts && mf_tenant_store_quota(options) > options->size_bytes / 4 * 3)
		return "store-evict needs a store-quota of at most three quarters of store-size: "
		       "the rest is room for commits";
	return NULL;
}

/*
 * Set-up phase: make the folder if it is not there, lock it, read the program, make memory for the
 * channels of so many VMs. Nothing with options->folder NULL. -errno with a sentence; nothing but
 * perhaps an empty folder is left behind on failure.
 */
int mf_tenant_store_open(struct mf_tenant_store *store,
			 const struct mf_tenant_store_options *options, const struct mf_kvm *kvm,
			 unsigned int vms, struct mf_error *err);

/* Run phase: start it, on a thread that is worker `watch_index` of the watchdog. */
int mf_tenant_store_start(struct mf_tenant_store *store, struct mf_watchdog *watchdog,
			  unsigned int watch_index, struct mf_error *err);

/* A line about what it has done. */
void mf_tenant_store_say_end(struct mf_tenant_store *store);

/* All workers have ended: ends what was started. Its facts can still be asked for. */
void mf_tenant_store_stop(struct mf_tenant_store *store);

/* Lets go of everything, after stopping it. */
void mf_tenant_store_close(struct mf_tenant_store *store);

/* Of --store-window, in whole pieces; 0: nothing is read in place. */
uint64_t mf_tenant_store_place_bytes(const struct mf_tenant_store_options *options);

/* The windows of a request VM: its channel's, and so many bytes of the store's file. */
void mf_tenant_store_set_windows(struct mf_policy *policy, uint64_t channel_bytes,
				 uint64_t place_bytes);

#endif
