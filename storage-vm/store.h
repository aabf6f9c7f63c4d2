/* SPDX-License-Identifier: MIT */
/*
 * The storage role: one VM that lives as long as the server and answers the calls of the request
 * VMs over their channels. Its vCPU is run by whoever needs it and gets it: a worker whose request
 * waits (hand-off: two exits and no other thread), or the store's own thread, which polls while
 * calls come thick and fast, looks after what the program waits for besides, and starts it again
 * when it has died. What waits for the disk is done by a third thread (engine/linux/disk.h): the
 * program's other threads go on meanwhile, whoever runs them.
 */
#ifndef MF_STORAGE_VM_STORE_H
#define MF_STORAGE_VM_STORE_H

#include "engine/image/watchdog.h"
#include "engine/linux/disk.h"
#include "engine/linux/exec.h"
#include "engine/linux/process.h"
#include "ipc/ring/peer.h"

#include <mayfly/abi/store.h>

enum mf_store_wait {
	MF_STORE_AUTO,     /* hand-off, or polling while that is faster as measured */
	MF_STORE_POLL,     /* the store's thread polls as long as any request is being served */
	MF_STORE_HAND_OFF, /* never poll */
	MF_STORE_WAKE,     /* every call wakes the store's thread */
};

/* When an order to commit is answered. */
struct mf_store_promise {
	uint32_t durability; /* MF_STORE_DURABLE, _GROUP, _ASYNC */
	uint32_t group_us;   /* of _GROUP */
};

/* How much is kept, and what happens there; may change at any time. */
struct mf_store_bound {
	uint64_t quota_bytes; /* 0: what the program has room for */
	uint32_t evicts;      /* 1: what was not used lately goes; 0: -ENOSPC */
	uint32_t reserved;
};

struct mf_store_settings {
	unsigned int channels; /* request VMs, 1..65536 */
	uint32_t ring_bytes;   /* of each ring */
	enum mf_store_wait wait;
	struct mf_store_promise promise;
	uint32_t scope;       /* MF_STORE_OF_TENANT, _OF_VM */
	bool empty;           /* _OF_VM: each begins with nothing */
	uint64_t quota_bytes; /* 0: what the program has room for */
	bool evicts;          /* at the quota what was not used lately goes; else -ENOSPC */
	/* In place of those two, looked at with each request; outlives the store. NULL: none. */
	const struct mf_store_bound *bound;
	uint64_t call_limit_ns; /* a call that takes longer is a crash of the program */
	uint64_t age_ns;        /* of a transaction that is open; 0: any */
	uint64_t boot_limit_ns; /* for its first look at the channels */
	const struct mf_kvm *kvm;
	struct mf_exec exec;     /* the program; all of it outlives the store */
	struct mf_policy policy; /* copied; windows and door are the store's own */
	/* Sentences about deaths and restarts, from the store's thread; may be NULL. */
	void (*say)(const char *text);
	/* Sees every write, truncation and sync before it is done, and does it itself; for tests.
	 * NULL: the host's calls. On the disk's thread alone. */
	const struct mf_file_door *door;
	/* Has another engine the store by now? Then nothing is written, and no call is answered but
	 * with -ESTALE. Any thread. NULL: never. */
	bool (*is_fenced)(void *cookie, enum mf_disk_look look);
	void *fence;
	/* The last channel is no request VM's: administration has it (storage-vm/admin.h). */
	bool admin;
	/* Reads in place: so much of the file is mapped into request VMs, for reading; 0: nothing.
	 */
	uint64_t place_bytes;
	int folder_fd; /* the file's folder; the caller's, and outlives the store */
	bool listens;  /* the program may listen for its calls (storage-vm/calls.h) */
	/* The file of `exec`, which somebody may cut short; NULL: memory of the engine's. */
	const struct mf_exec_file *file;
	/* The store's thread says how it spends its time: it waits from here on, or it works and
	 * goes on working. On that thread. Until when it may wait before it says so again, at the
	 * most; UINT64_MAX: as long as it likes. NULL: nobody asks. */
	uint64_t (*turn)(void *cookie, bool waits);
	void *turns;
};

struct mf_store_stats {
	uint64_t starts;    /* of the program */
	uint64_t hand_offs; /* runs on a worker's thread */
	uint64_t runs;      /* on the store's own */
	uint64_t wakes;     /* of the store's thread */
	uint64_t lost;      /* calls that died with the program */
	uint64_t calls;     /* answered, as the program says */
	uint64_t commits;   /* of groups of calls, likewise */
	uint64_t orders;    /* transactions of requests that were to be committed */
	uint64_t user_exits;
	uint64_t in_place;       /* values that requests found in place, as they say */
	uint64_t in_place_bytes; /* of the file that a VM has mapped, when it has all there is */
	bool up;
	bool polling;
	bool fenced; /* another engine has the store */
};

struct mf_store;

/*
 * Set-up phase: memory for the channels. -EINVAL, -ENOMEM with a sentence; nothing is left behind.
 */
int mf_store_create(struct mf_store **out, const struct mf_store_settings *settings,
		    struct mf_error *err);

/*
 * Start the thread, which is worker `watch_index` of the watchdog, and the program; returns when it
 * is ready. -ENOEXEC, -ETIMEDOUT, -EAGAIN with a sentence.
 */
int mf_store_start(struct mf_store *store, struct mf_watchdog *watchdog, unsigned int watch_index,
		   struct mf_error *err);

/* No request VM may run any more. Ends the program (what was answered is committed) and thread. */
void mf_store_stop(struct mf_store *store);

/* NULL is fine; a started one must have been stopped. */
void mf_store_destroy(struct mf_store *store);

/* The channels' other end. Valid as long as the store. */
struct mf_peer *mf_store_peer(struct mf_store *store);

/* Bytes of a channel's window, for the request VMs' image. */
uint64_t mf_store_window_bytes(const struct mf_store *store);

/* Channel i in the engine: for tests and benches that speak for a request VM. */
void *mf_store_window(struct mf_store *store, unsigned int channel);

/* Any thread. */
void mf_store_stats(struct mf_store *store, struct mf_store_stats *stats);

#endif
