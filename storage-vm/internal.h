/* SPDX-License-Identifier: MIT */
/* Private to the storage role: store.c (its life), run.c (who runs the vCPU), channel.c (the peer).
 */
#ifndef MF_STORAGE_VM_INTERNAL_H
#define MF_STORAGE_VM_INTERNAL_H

#include <pthread.h>

#include <mayfly/abi/store.h>

#include "ipc/ring/area.h"
#include "storage-vm/calls.h"
#include "storage-vm/store.h"

/* What the vCPU came out with. */
enum store_end {
	STORE_IDLE,    /* looked everywhere and found nothing; other threads of it may wait for
			  something */
	STORE_SLICED,  /* its slice is over, there may be more */
	STORE_BLOCKED, /* waits for something in the middle of its work */
	STORE_DEAD,
};

/* What the program waits for while nobody runs it, the channels and the disk left out. */
struct mf_store_rest {
	int fd; /* -1: none */
	short events;
	uint64_t until_ns; /* UINT64_MAX: for no time */
};

struct mf_store {
	struct mf_peer peer; /* first */
	struct mf_store_settings settings;
	struct mf_policy policy;
	struct mf_disk *disk;
	struct mf_channels channels; /* of requests, and behind them as many of streams */
	bool *streams;               /* of each: its stream is open */
	struct mf_calls *calls_of;   /* of a program that may listen for them; NULL: it may not */
	int control_fd;
	size_t control_bytes;
	struct mf_abi_store_control *control;
	struct mf_process process;
	bool has_process; /* the thread's */

	pthread_t thread;
	struct mf_watchdog *watchdog;
	unsigned int watch_index;
	struct mf_watch *watch;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t boot_cond;
	int wake_fd; /* eventfd: the store's thread sleeps on it */
	/* under the lock */
	bool running;              /* somebody runs the vCPU */
	bool work;                 /* the store's thread is to run it */
	bool wanted;               /* somebody parked while it ran */
	bool calls;                /* somebody waits for an answer: it is to look */
	bool asleep;               /* the store's thread is, and was not rung for */
	struct mf_store_rest rest; /* what the program waits for; whoever runs it writes it */
	struct mf_store_rest watched;
	bool blocked; /* it rests in the middle of its work, since last_turn_ns at the least */
	bool up;
	bool stop;
	bool dead; /* found by a worker; the store's thread sees to it */
	char death[160];
	bool boot_over;
	int boot_code;
	struct mf_error boot_error;
	struct mf_waiter *waiters;
	struct mf_store_stats stats;
	uint64_t last_wait_ns;
	uint64_t interval_ns; /* between waits, averaged */
	uint64_t hand_off_ns; /* an empty run of the vCPU, measured at the start */
	unsigned int cores;
	uint32_t polling; /* atomic; a copy of control->poll_ns for begin() */
	uint32_t lost_count;
	struct mf_peer_file file;    /* place.c: what may be mapped now, under the lock */
	int file_fd;                 /* likewise */
	unsigned int files;          /* that there were */
	struct mf_peer_file *mapped; /* of each channel */
	uint32_t *began;             /* of each channel: lost_count when its transaction began */
	bool *bereft;                /* of each, streams' too: what was asked in it died, and who
				      * waits there has not been told yet. Atomic */
	uint64_t *ordered_ns;        /* of each channel: when its commit was ordered */
	uint64_t last_verdict_ns;    /* on any of them */
	uint64_t last_disk_ns;       /* an operation of the disk was over */
	uint32_t last_turns;
	uint64_t last_turn_ns;
	uint64_t calls_before; /* control->calls when the program was started */
	unsigned int retry_ms; /* the next pause before a start; 0: the shortest */
};

/*
 * run.c. The caller has set `running`. Runs until something ends it; answers calls on the way.
 * `look`: there may be calls. `waiter`: whoever runs it waits for this; NULL: for nothing.
 */
enum store_end mf_store_run(struct mf_store *store, struct mf_watch *watch, uint64_t slice_ns,
			    bool look, const struct mf_waiter *waiter, char text[160]);

/* store.c. Any thread, with or without the lock: has another engine the store? Says so once. */
bool mf_store_is_fenced(struct mf_store *store, enum mf_disk_look look);

/* The program has a connection that its calls come by. */
static inline bool mf_store_listens(const struct mf_store *store)
{
	return store->calls_of && store->calls_of->open;
}

/* channel.c. Lock held: wake whoever has a reply, or all. */
void mf_store_notify(struct mf_store *store, bool all);

/* channel.c: need it wait no longer? */
bool mf_store_has_answer(struct mf_store *store, const struct mf_waiter *waiter);

/* channel.c. Lock held: when the oldest commit that is not decided was ordered; UINT64_MAX: there
 * is none. */
uint64_t mf_store_oldest_order(const struct mf_store *store);

/* channel.c: what died with the program is lost, what it had not begun is not. Returns how many. */
unsigned int mf_store_lose_calls(struct mf_store *store);

void mf_store_init_peer(struct mf_store *store);

/* place.c: reads in place. The program is up: its file may be mapped. Lock held. */
void mf_store_open_file(struct mf_store *store);
/* It has died: no request is pinned anew, and none goes on reading. Lock held. */
void mf_store_close_file(struct mf_store *store);
/* Is any request pinned? Then no page may be written. */
bool mf_store_is_pinned(const struct mf_store *store);
/* The channel's request begins, its VM stands and has an empty channel; or it goes on with another
 * transaction. Only one that is `bound` reads in place. */
void mf_store_pin(struct mf_store *store, unsigned int channel, bool bound);
/* It is over, or its VM stands. */
void mf_store_unpin(struct mf_store *store, unsigned int channel);
/* What it writes by other ways than its own must be seen: no more reads in place. */
void mf_store_end_place(struct mf_store *store, unsigned int channel);
/* The program has died: true when its transaction cannot go on for that. */
bool mf_store_lose_place(struct mf_store *store, unsigned int channel);
void mf_store_init_files(struct mf_store *store);

/* store.c. Lock held: the store's thread is to run the vCPU. */
void mf_store_call_thread(struct mf_store *store);
/* store.c. Lock held: somebody has run the vCPU, with this end: `running` no more. */
void mf_store_ran(struct mf_store *store, enum store_end end);
void mf_store_set_polling(struct mf_store *store, uint32_t poll_ns);
/* How long the store's thread polls after a call, when polling pays. */
uint32_t mf_store_poll_span(const struct mf_store *store);

#endif
