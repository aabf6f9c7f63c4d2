/* SPDX-License-Identifier: MIT */
/* A VM of the pool and what it is doing; shared by pool.c and slot.c only. */
#ifndef MF_REQUEST_VM_SLOT_H
#define MF_REQUEST_VM_SLOT_H

#include "request-vm/exchange.h"
#include "request-vm/function.h"
#include "request-vm/output.h"
#include "request-vm/place.h"
#include "request-vm/pool.h"
#include "request-vm/standing.h"
#include "request-vm/streams.h"

enum mf_slot_state {
	MF_SLOT_EMPTY,    /* no VM: to be forked */
	MF_SLOT_CLEAN,    /* at its ready point */
	MF_SLOT_RUNNABLE, /* serves, wants the CPU */
	MF_SLOT_PARKED,   /* serves, waits for a descriptor or a time */
	MF_SLOT_DIRTY,    /* has served, must be put back */
	MF_SLOT_LEAVING,  /* the same, but the storage VM is still at a call of it */
};

/* What waits for the store's verdict on what a request wrote; the VM stands still meanwhile. */
enum mf_commit {
	MF_COMMIT_NONE,
	MF_COMMIT_LAST,   /* a whole answer, and the request is over */
	MF_COMMIT_ANSWER, /* a whole answer, behind which the program works on */
	MF_COMMIT_PIECES, /* what the front door holds */
	MF_COMMIT_ALONE,  /* nobody: the answer was given before */
};

struct mf_slot {
	struct mf_pool *pool;
	struct mf_process process;
	struct mf_policy policy;
	struct mf_output output;
	struct mf_exchange exchange;       /* of a program that listens */
	struct mf_ready_point image_ready; /* of the frozen program */
	struct mf_ready_point ready;       /* where it waits now */
	size_t prepared;                   /* the image's lessons when this VM was prepared */
	bool kept_ready;                   /* it waits for the next request */
	enum mf_slot_state state;
	enum mf_commit commit; /* what goes on when the store has taken what was written */
	struct mf_function_response response; /* held until then */
	bool ordered;                         /* the store was asked to */
	bool unbound;                         /* each of its calls is a transaction of its own */
	bool gone;     /* the program has ended by itself behind its answer */
	bool answered; /* the client has its response, the program works on */
	bool slow;     /* others go first: it has used up a slice, or its client's last one had */
	bool yielded;  /* it has used up a slice */
	bool spoilt;   /* reached its memory limit: nothing that it touched is to be kept or learned
			*/
	bool failed;   /* its answer was none: it is not kept */
	struct mf_lease *lease; /* that keeps it, NULL: none does (any more) */
	bool kept;              /* parked between two requests of that */
	struct mf_job *job;     /* NULL once answered or cancelled */
	uint64_t deadline_ns;
	uint64_t exits_before;
	uint64_t faults_before;
	uint64_t channel_faults; /* the fault counter when its channel was begun */
	uint64_t faults_max;     /* the fault counter at which its private memory is looked at; 0 =
				    never */
	uint64_t started_ns;
	enum mf_spent spends; /* what its request does */
	uint64_t since_ns;    /* since when; and since when that is not in the sums */
	uint64_t settled_ns;
	bool owed;            /* parked until its client sends more, or takes more */
	uint64_t parked_ns;   /* since when, with `owed` */
	uint64_t owed_ns;     /* of this request, before that */
	struct mf_slot *next; /* in the list of its state */
	uv_poll_t poll;       /* open while parked on a descriptor */
	uv_timer_t timer;     /* open while parked */
	unsigned int handles; /* open or closing */
	bool polling;
	bool timing;
	struct mf_fetch *fetch;    /* parked until this is over; NULL: none */
	bool at_channel;           /* parked there */
	struct mf_waiter waiter;   /* at its channel */
	struct mf_streams streams; /* its connections to the store */
	struct mf_place place;     /* what it has mapped of the store */
	struct mf_slot *woken;     /* in the pool's list of those */
	bool is_woken;             /* in that list; under the pool's lock */
};

/* Does its program listen, so that requests come over connections? */
static inline bool mf_slot_listens(const struct mf_slot *slot)
{
	return slot->image_ready.kind == MF_READY_LISTENER;
}

/* Put the job's request into the VM, and its lease on it. 0 or why not: the slot is then to be
 * ended. */
int mf_slot_begin(struct mf_slot *slot, struct mf_job *job);

/* The same of the next request of a lease: can it be now? It is runnable then, if it was kept. */
bool mf_slot_takes_next(const struct mf_slot *slot);
int mf_slot_next(struct mf_slot *slot, struct mf_job *job);

/* What a request's outcome is that could not begin. */
enum mf_outcome mf_slot_refusal(int error);

/* The client of its request is gone. True: the lease is over, and the program goes on and sees it.
 * False: the slot is to be ended. */
bool mf_slot_cancel(struct mf_slot *slot);

/* Its lease is over: it ends now, or when its program has seen that. */
void mf_slot_release(struct mf_slot *slot);

/* Run one slice. The slot's state says what it has come to. */
void mf_slot_run(struct mf_slot *slot, uint64_t slice_ns);

/* End the request with an outcome: answers, state DIRTY. */
void mf_slot_end(struct mf_slot *slot, enum mf_outcome outcome,
		 const struct mf_function_response *response);

/*
 * commit.c: the request, or its answer, has come to its end. True: it wrote something that is to
 * last (a `status` of 500 and more says that the program has failed): mf_slot_commit() goes on.
 */
bool mf_slot_wants_commit(struct mf_slot *slot, enum mf_commit commit, int status);

/* commit.c: what it wrote is not to last. */
void mf_slot_drop(struct mf_slot *slot);

/* commit.c: give the order, or look what became of it. True: the program may run on. */
bool mf_slot_commit(struct mf_slot *slot);

/* Answer the client, if there is one, with what slot.c has been told to hold. */
void mf_slot_answer(struct mf_slot *slot, enum mf_outcome outcome,
		    const struct mf_function_response *response);

/* The program is at its ready point again: the request is over, and so is its VM unless a
 * connection keeps it. */
void mf_slot_finish(struct mf_slot *slot, enum mf_outcome outcome,
		    const struct mf_function_response *response);

/* The front door has all of the answer. */
void mf_slot_answered(struct mf_slot *slot);

/* Wait at the channel until the storage VM wakes it, or its deadline. */
void mf_slot_park_at_channel(struct mf_slot *slot);

/* pool.c: a request that is to be served again, by the next VM. */
void mf_pool_again(struct mf_pool *pool, struct mf_job *job);

/* The storage VM was still at a call of it when it was to be kept: now it is, if that is over. */
void mf_slot_keep_later(struct mf_slot *slot);

/* What its request does from now on; the same again changes nothing. */
void mf_slot_spend(struct mf_slot *slot, enum mf_spent spends);

/* What that is behind a slice. */
enum mf_spent mf_slot_spends(const struct mf_slot *slot);

/* What it does is in the pool's sums until now. */
void mf_slot_settle(struct mf_slot *slot, uint64_t now_ns);

/* The vCPU's fault counter. */
uint64_t mf_slot_faults(const struct mf_slot *slot);

/* restore.c: nothing of the request may be left in its channel. False: not now (LEAVING), or not at
 * all (EMPTY). */
bool mf_slot_leave_channel(struct mf_slot *slot);

/* Put a dirty slot back: CLEAN, or EMPTY when the VM had to be given up. */
void mf_slot_restore(struct mf_slot *slot);

/* Give a clean slot what the image has learned: CLEAN, or EMPTY when the VM had to be given up. */
void mf_slot_prepare(struct mf_slot *slot);

/* On the loop: its client has sent more, or taken more. */
void mf_slot_pieces(struct mf_slot *slot);

/* How long its request has let it wait for the client in all; 0: it does not wait for that now. */
uint64_t mf_slot_owed_ns(const struct mf_slot *slot, uint64_t now_ns);

/* On the loop: a slot that waits at its channel may go on. */
void mf_slot_go_on(struct mf_slot *slot);

/* Fork an empty slot: CLEAN on success. */
int mf_slot_fork(struct mf_slot *slot, struct mf_error *err);

/* pool.c: one VM more or fewer runs a request. */
void mf_pool_count_busy(struct mf_pool *pool, int change);

/* pool.c: one VM more or fewer is kept by a connection that idles. */
void mf_pool_count_kept(struct mf_pool *pool, int change);

/* pool.c: a parked slot wants to run again. */
void mf_pool_wake(struct mf_slot *slot);

struct mf_pool {
	uv_loop_t *loop;
	struct mf_image *image;
	struct mf_policy policy;
	struct mf_pool_settings settings;
	struct mf_pool_load load; /* where the settings give none */
	struct mf_watch *watch;
	struct mf_fetcher *fetcher; /* NULL: nothing is fetched for programs */
	struct mf_output_meter meter;
	struct mf_pool_stats stats;
	struct mf_times times;
	struct mf_slot *clean; /* last in, first out: the warmest VM serves */
	struct mf_slot *dirty;
	struct mf_slot *empty;
	struct mf_slot *leaving;
	struct mf_slot *fast_head, *fast_tail; /* runnable, first slice */
	struct mf_slot *slow_head, *slow_tail; /* runnable, had their slice */
	struct mf_job *queue_head, *queue_tail;
	struct mf_standing standing; /* of that queue */
	uv_idle_t idle;              /* runs while there is something to do besides waiting */
	uv_timer_t retry;            /* runs while `leaving` is not empty */
	uv_async_t wake;             /* somebody has put slots into `woken` */
	pthread_mutex_t woken_lock;
	struct mf_slot *woken;
	uv_timer_t sweep; /* deadlines of the queue, retries of forks, re-preparing */
	bool began;       /* a request, in this turn of the loop */
	bool no_room;     /* the last fork failed */
	bool ending;      /* to be closed when no VM is busy */
	bool closing;
	unsigned int closing_handles;
	void (*closed)(void *arg);
	void *closed_arg;
	struct mf_slot slots[];
};

#endif
