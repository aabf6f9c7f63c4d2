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
};

/* Returns 0 or a negative errno; with either, out_bytes of reply. */
typedef int mf_storage_fn(struct mf_storage_call *call, void *arg);

struct mf_storage_function {
	uint32_t number;  /* 1.. */
	const char *name; /* NULL or a name by which callers may find the number; not copied */
	size_t in_max;    /* longer calls are refused with -E2BIG before the function sees them */
	size_t out_max;
	bool writes; /* answered when the group that it is part of is committed */
	mf_storage_fn *call;
	void *arg;
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
 * Serve; that is the ready point. Returns only when it cannot: -ENXIO (not in a storage VM),
 * -ENOMEM, -EPROTO (another version), -EMSGSIZE (a function's bounds do not fit the rings). `group`
 * may be NULL.
 */
int mf_storage_serve(const struct mf_storage_group *group);

#ifdef __cplusplus
}
#endif
#endif
