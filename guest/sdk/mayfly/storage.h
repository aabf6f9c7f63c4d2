/* SPDX-License-Identifier: MIT */
/*
 * The SDK of storage programs: an ordinary C program that declares functions and then serves the
 * request VMs of its tenant, call by call, over the channels. It runs in the storage VM, may use
 * the data directory and nothing else, and lives as long as the server. Nothing that was not
 * declared can be called.
 *
 *	static int get(struct mf_storage_call *call, void *arg) { ... }
 *
 *	int main(void)
 *	{
 *		mf_storage_declare(&(struct mf_storage_function){
 *			.number = 100, .name = "get", .in_max = 64, .out_max = 4096, .call = get});
 *		return mf_storage_serve(NULL);
 *	}
 *
 * One thread. What a function is given was copied out of the channel first: it is the program's own
 * while it looks at it.
 */
#ifndef MAYFLY_STORAGE_H
#define MAYFLY_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mf_storage_call {
	const void *in; /* 16-byte aligned; valid until the function returns */
	size_t in_bytes;
	void *out;        /* where the reply goes, 16-byte aligned */
	size_t out_room;  /* the function's out_max */
	size_t out_bytes; /* set by the function; 0 at first */
	uint32_t channel; /* whose call it is: 0.., one a request VM */
	bool bound;       /* it is part of its request's transaction */
	uint32_t function;
	uint64_t id;   /* the caller's */
	uint32_t line; /* the channel that it came over: `channel`, or its stream */
};

/* Returns 0 or a negative errno; with either, out_bytes of reply. Or MF_STORAGE_LATER. */
#define MF_STORAGE_LATER 1
typedef int mf_storage_fn(struct mf_storage_call *call, void *arg);

struct mf_storage_function {
	uint32_t number;  /* 1.. */
	const char *name; /* NULL or a name by which callers may find the number; not copied */
	size_t in_max;    /* longer calls are refused with -E2BIG before the function sees them */
	size_t out_max;
	bool writes; /* answered when the group that it is part of is committed */
	mf_storage_fn *call;
	void *arg;
	bool silent; /* there is no reply, whatever it returns */
};

#define MF_STORAGE_FUNCTIONS_MAX 64

/* 0; -EINVAL, -EEXIST (number or name), -ENOSPC, -EMSGSIZE: bounds that no ring can hold. */
int mf_storage_declare(const struct mf_storage_function *function);

/*
 * Calls that wait together are one group: begin() before the first function that writes, commit()
 * after the last; only then is any of them answered. When begin() or commit() fails, all of them
 * are answered with its errno.
 */
struct mf_storage_group {
	int (*begin)(void *arg);
	int (*commit)(void *arg);
	void *arg;
};

/*
 * A call that is answered later: keep it, return MF_STORAGE_LATER, and answer it once. Its reply is
 * what `out` holds now. NULL: no memory.
 */
struct mf_storage_held;
struct mf_storage_held *mf_storage_hold(const struct mf_storage_call *call);
/* With the reply, if `whole`; without, otherwise. */
void mf_storage_answer(struct mf_storage_held *held, int status, bool whole);
/* The function returns another value after all: nothing was held. */
void mf_storage_let_go(struct mf_storage_held *held);

/*
 * For programs that make all calls of a request one transaction (docs/decisions/0033). Others leave
 * it: each of their calls is a transaction of its own, and a request's commit finds nothing to do.
 */
struct mf_storage_transactions {
	/* The engine orders that channel's request to be committed. 0, a negative errno, or
	 * MF_STORAGE_LATER: mf_storage_verdict() says it. */
	int (*order)(uint32_t channel, void *arg);
	/* What the channel's request has not committed is to be forgotten: it is over. */
	void (*drop)(uint32_t channel, void *arg);
	/* False: functions that write, and orders, have to wait for now. */
	bool (*is_ready)(void *arg);
	/* Once a look over the channels. True: something was done. */
	bool (*turn)(void *arg);
	/* Has turn() left something to another thread of the program? The word at which that one
	 * waits by FUTEX_WAIT, each time once; NULL: no. It sets mf_abi_store_control.news, before
	 * it waits again, when there is something to turn to. */
	const uint32_t *(*leaves)(void *arg);
	void *arg;
};

/* The channel's request has something to commit (MF_STORE_PENDING*), or nothing (0). Before the
 * reply that says so. */
void mf_storage_set_pending(uint32_t channel, uint32_t pending);
void mf_storage_verdict(uint32_t channel, int status);

/* As mf_storage_serve(). Functions that write are answered when they return, or hold their calls
 * themselves. */
int mf_storage_serve_transactions(const struct mf_storage_transactions *transactions);

/*
 * Serve; that is the ready point. Returns only when it cannot: -ENXIO (not in a storage VM),
 * -ENOMEM, -EPROTO (another version), -EMSGSIZE (a function's bounds do not fit the rings). `group`
 * may be NULL.
 */
int mf_storage_serve(const struct mf_storage_group *group);

#ifdef __cplusplus
}
#endif
#endif
