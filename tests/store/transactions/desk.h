/* SPDX-License-Identifier: MIT */
/*
 * A storage VM, and somebody who speaks for its engine and for its request VMs: calls by hand, one
 * after the other or several in flight, orders, requests that begin and end.
 */
#ifndef TESTS_STORE_TRANSACTIONS_DESK_H
#define TESTS_STORE_TRANSACTIONS_DESK_H

#include "engine/image/watchdog.h"
#include "storage-vm/store.h"

#include <mayfly/abi/ring_ops.h>
#include <mayfly/abi/store.h>

#define DESK_CHANNELS 6u
#define DESK_REPLY    (2u << 20)

struct desk_reply {
	uint64_t id;
	int status;
	size_t bytes;
	uint8_t data[DESK_REPLY];
};

struct desk_line {
	struct mf_waiter waiter;
	struct mf_ring requests;
	struct mf_ring replies;
	bool begun;
};

struct desk {
	struct mf_kvm kvm;
	struct mf_watchdog *watchdog;
	struct mf_watch *watch;
	struct mf_permit *permit;
	struct mf_store *store;
	struct desk_line lines[DESK_CHANNELS];
	struct desk_reply reply; /* the last one */
	uint64_t last_id;
	char folder[64];
};

/* False: this machine has no KVM. */
bool desk_init(struct desk *desk);
void desk_finish(struct desk *desk);

/* Start the store over the folder, and stop it. No channel is in use then. */
void desk_start(struct desk *desk, const char *store_bytes);
void desk_stop(struct desk *desk);

/* A request begins, or another one in the place of the one that is there, which is over. */
void desk_begin(struct desk *desk, unsigned int channel, bool bound);
void desk_end(struct desk *desk, unsigned int channel);

struct desk_call {
	uint32_t function;
	const char *table;
	const char *key;
	const void *value;
	size_t value_bytes;
	uint64_t number;
};

/* Put into the ring; the id. */
uint64_t desk_submit(struct desk *desk, unsigned int channel, const struct desk_call *call);
uint64_t desk_submit_bytes(struct desk *desk, unsigned int channel, uint32_t function,
			   const void *bytes, size_t count);
/* The next reply, in desk->reply: its status. */
int desk_collect(struct desk *desk, unsigned int channel);
/* Both. */
int desk_do(struct desk *desk, unsigned int channel, const struct desk_call *call);

/* Has the request something to commit? Order it; wait for the verdict; both. */
bool desk_is_pending(struct desk *desk, unsigned int channel);
void desk_order(struct desk *desk, unsigned int channel);
int desk_verdict(struct desk *desk, unsigned int channel);
int desk_commit(struct desk *desk, unsigned int channel);

/* How much may be kept; what was not used lately goes beyond that, or puts are refused. */
void desk_set_quota(struct desk *desk, uint64_t bytes, bool evicts);

/* One figure of MF_KV_STAT; UINT64_MAX: there is none. */
uint64_t desk_stat(struct desk *desk, unsigned int channel, const char *name);

#endif
