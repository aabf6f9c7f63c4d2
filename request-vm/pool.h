/* SPDX-License-Identifier: MIT */
/*
 * A worker's pool of request VMs: takes requests, gives each a VM of its own, runs the VMs in turns
 * on the worker's event loop, and puts them back to the image when the client has its answer.
 * Nothing in here blocks; CPU-bound guests are cut into slices. One pool a worker thread, all on
 * its thread.
 */
#ifndef MF_REQUEST_VM_POOL_H
#define MF_REQUEST_VM_POOL_H

#include <uv.h>

#include "ipc/ring/peer.h"
#include "request-vm/fetch.h"
#include "request-vm/front/server.h"
#include "request-vm/function.h"
#include "request-vm/times.h"
#include "engine/image/watchdog.h"

/* What happens to a VM at the end of a request. */
enum mf_end {
	MF_END_RESET,      /* put back to the image */
	MF_END_CONNECTION, /* kept for the next request of its client's connection, and put back at
			    * the end of that */
	MF_END_KEEP,       /* goes on as it is: the next request sees what this one left */
	MF_END_DISCARD,    /* finished; another is forked in its place */
};

/*
 * With MF_END_CONNECTION: a client's connection, and the VM that it keeps. Zeroed at first, but for
 * lost(). The caller's until lost() or mf_pool_release().
 */
struct mf_lease {
	/* The VM is lost: it crashed, met a limit, or its program closed. On the loop's thread;
	 * what of the connection's request has no answer yet gets its outcome afterwards. */
	void (*lost)(struct mf_lease *lease);
	/* the pool's */
	struct mf_slot *slot;
	struct mf_job *next; /* waits until the program is through with the last one */
};

/*
 * What pools that share one bound have together; all atomic. A request is refused only when every
 * VM of them is taken and the queue is full, however unevenly clients fell to the pools.
 */
struct mf_pool_load {
	unsigned int vms;
	unsigned int busy;    /* VMs that run a request */
	unsigned int waiting; /* requests that wait for a VM */
};

struct mf_pool_settings {
	unsigned int vms;   /* 1..65536 */
	unsigned int queue; /* requests that may wait for a VM */
	bool queue_shrinks; /* fewer may, where they wait for the processor: request-vm/standing.h
			     */
	struct mf_pool_load
		*load;          /* counted by all pools that share `queue`; NULL: this one alone */
	uint64_t deadline_ns;   /* from the request's arrival to its answer; 0 = none */
	uint64_t private_pages; /* a request may make private; 0 = no limit */
	enum mf_end end;
	bool audit; /* check every reset VM against its image; a difference discards it */
	unsigned int first_vm;         /* number of the first VM, for logs and of its channel */
	struct mf_fetch_host *fetches; /* requests are made for programs; NULL: none are */
	struct mf_peer *peer;          /* the storage VM; NULL: there is none */
	bool private_store; /* each VM has a store of its own that goes with its reset: nothing is
			     * ever committed */
};

/* How a request ended. Values above MF_OUTCOME_OK are failures of the guest. */
enum mf_outcome {
	MF_OUTCOME_OK,
	MF_OUTCOME_CRASH,    /* died, or left without an answer */
	MF_OUTCOME_MEMORY,   /* reached its memory limit */
	MF_OUTCOME_RESPONSE, /* gave no valid response */
	MF_OUTCOME_DEADLINE,
	MF_OUTCOME_TOO_LARGE, /* does not fit into the program's request buffer */
	MF_OUTCOME_CONFLICT,  /* others wrote to the store what it had read, again and again */
	MF_OUTCOME_STORE,     /* the store did not take what it wrote: store_status */
	MF_OUTCOME_KEPT,      /* none of the guest's: connections that idle keep every VM */
};

struct mf_job {
	const void *request; /* ABI form; the submitter's until done or cancelled */
	size_t request_bytes;
	struct mf_lease *lease; /* of its client's connection, with MF_END_CONNECTION */
	/* A request in pieces, in place of `request`: of a program that listens, and only so. */
	struct mf_front_request *pieces;
	/* Set before done(): the front door has answered in pieces, or knows that the client is
	 * gone; `pieces` is no more, and there is no `response`. */
	bool over;
	/* Called once, on the loop's thread; `response` only with MF_OUTCOME_OK, gone afterwards.
	 */
	void (*done)(struct mf_job *job, enum mf_outcome outcome,
		     const struct mf_function_response *response);
	void *data;
	/* Whether this client's last request needed more than one slice: then others go first. Set
	 * before done() to whether this one did. */
	bool slow;
	/* set before done() */
	int vm;         /* that served it; -1: none did */
	uint64_t exits; /* user exits until the answer */
	/* Its order to the store's: -EINPROGRESS: with MF_OUTCOME_DEADLINE, it came meanwhile;
	 * -ECONNRESET: the storage VM died meanwhile. Both may be done or not. -ESTALE: the store
	 * is another engine's; -ETIMEDOUT: its transaction was open for too long. 0: none */
	int store_status;
	/* the pool's */
	struct mf_slot *slot; /* NULL: waits in the queue */
	uint64_t arrived_ns;  /* when it came, the last time that it was to be served */
	uint64_t counted_ns;  /* of its waiting, until when it is in the sums */
	uint64_t deadline_ns;
	unsigned int tries; /* that ended in a conflict */
	struct mf_job *next;
};

struct mf_pool_stats {
	uint64_t requests;
	uint64_t outcomes[MF_OUTCOME_STORE + 1];
	uint64_t rejected; /* queue full, or every VM kept by a connection that idles */
	uint64_t resets;
	uint64_t discards; /* VMs given up and forked anew */
	uint64_t commits;  /* requests that the store has taken what they wrote of */
	uint64_t reruns;   /* requests that were served again after a conflict */
	uint64_t audits;
	uint64_t audit_failures;
	uint64_t user_exits; /* of finished requests */
	uint64_t page_faults;
	uint64_t pages_copied; /* by resets */
	uint64_t reset_ns;
	uint64_t run_ns;
	unsigned int queued;
	unsigned int vms;  /* alive */
	unsigned int busy; /* run a request, or are kept by a connection */
	unsigned int kept; /* by a connection that idles */
};

struct mf_pool;

/*
 * Fork the VMs. On failure nothing is left. `image`, `policy` (copied; output is replaced by the
 * pool's) and `watch` must outlive the pool.
 */
int mf_pool_create(struct mf_pool **out, uv_loop_t *loop, struct mf_image *image,
		   const struct mf_ready_point *ready, const struct mf_policy *policy,
		   const struct mf_pool_settings *settings, struct mf_watch *watch,
		   struct mf_error *err);

/* 0: done() will be called, possibly before this returns. -EAGAIN: the queue is full; -EBUSY:
 * connections that idle keep every VM. */
int mf_pool_submit(struct mf_pool *pool, struct mf_job *job);

/* A request in pieces: more of it has come, or there is room for more of its answer. */
void mf_pool_go_on(struct mf_pool *pool, struct mf_job *job);

/* The client is gone: done() is not called, the VM is reset; one that a connection keeps when its
 * program has seen the end of that (its lease is over). */
void mf_pool_cancel(struct mf_pool *pool, struct mf_job *job);

/* The client's connection is over, and has no request: its VM is reset when the program has seen
 * that. lost() is not called. */
void mf_pool_release(struct mf_pool *pool, struct mf_lease *lease);

const struct mf_pool_stats *mf_pool_stats(struct mf_pool *pool);

/* The same, and what requests that are there now have done until this moment is in it. */
const struct mf_times *mf_pool_times(struct mf_pool *pool);

/*
 * No request will come any more: done(arg) from the loop when what programs still do, behind their
 * answers or for clients that have gone, is over and all is closed; the pool's numbers can still be
 * read there, and it is gone afterwards. `now`: at once, and jobs that
 * are still there are dropped without their done(); also of a pool that is being closed.
 */
void mf_pool_close(struct mf_pool *pool, bool now, void (*done)(void *arg), void *arg);

const char *mf_outcome_name(enum mf_outcome outcome);

#endif
