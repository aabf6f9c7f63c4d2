/* SPDX-License-Identifier: MIT */
/*
 * The store, as a request sees it: what outlives the request. Calls go over the channel to the
 * tenant's storage VM. Only while a request is being served, and only under `mayfly serve --store`.
 *
 * All calls of a request are one transaction: they see the store as it was at the first of them,
 * and their own writes. It is committed when the request has ended well, before its client is
 * answered, or is not at all. Where a VM lives longer than a request each call is a transaction of
 * its own, and a write that returned 0 is committed; mf_store_begin() makes one of several.
 *
 * All return 0 or a negative errno. Besides those named at a function:
 *   -ENOTCONN    no store here: not inside, no --store, or no request is being served
 *   -ECONNRESET  the storage VM died in the middle of this call: it may or may not have been done
 *   -ENOSPC      the store is full; -EROFS, -EIO: the disk says so
 *   -EAGAIN      the transaction is too old to go on (and see mf_store_swap)
 *   -ETIMEDOUT   it was open for too long, and was dropped (--transaction-age)
 *   -EFBIG       more than a transaction may write (96 MiB)
 *   -EBUSY       calls that were submitted are not collected yet
 *   -ENOMEM      the storage VM has too little memory for this (--store-memory)
 *   -EMSGSIZE    does not fit into the channel; -E2BIG: larger than the function takes
 *   -EINVAL      a name, key or value of impossible length
 *   -EPROTO      the channel was overwritten (by this request)
 */
#ifndef MAYFLY_STORE_H
#define MAYFLY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes with a length. */
struct mf_bytes {
	const void *data;
	size_t length;
};

/* A C string's bytes. */
#define MF_STRING(text) ((struct mf_bytes){(text), __builtin_strlen(text)})

/*
 * Copy the value into `value` (at most `room` bytes); *bytes is its whole length. -ENOENT: no such
 * key. -ENOBUFS: longer than room, and nothing is copied.
 */
int mf_store_get(const char *table, struct mf_bytes key, void *value, size_t room, size_t *bytes);

/*
 * The value where it lies in the store's file, which is mapped read-only into this VM: nothing is
 * copied, nobody is asked. It stays as it is until the end of the request, or of its transaction.
 * -ENOENT: no such key. -EOPNOTSUPP: this one cannot be read in place, or not now (it has expired,
 * lies behind --store-window, is not on the disk yet; the transaction has written): mf_store_get()
 * gets it, which reads in place what it can by itself.
 */
int mf_store_view(const char *table, struct mf_bytes key, struct mf_bytes *value);

/*
 * Make or replace. Values have up to 64 MiB. Within a request nobody waits for a small one: should
 * the store fail to keep it (no memory; it has died), the calls that follow say so, or, if there
 * are none, the request's client is told 503 in place of its answer.
 */
int mf_store_put(const char *table, struct mf_bytes key, struct mf_bytes value);

/* The same, and it is gone at a time, in ms since 1970 (0: never; below 2^48). Replacing it without
 * a time takes that away; counters and swaps keep it. */
int mf_store_put_until(const char *table, struct mf_bytes key, struct mf_bytes value,
		       uint64_t expires_ms);
/* Change, and ask for, when it is gone. -ENOENT: no such key. */
int mf_store_expire(const char *table, struct mf_bytes key, uint64_t expires_ms);
int mf_store_expires(const char *table, struct mf_bytes key, uint64_t *expires_ms);

/* -ENOENT: no such key. */
int mf_store_delete(const char *table, struct mf_bytes key);

/*
 * Replace `expected` by `value`; expected.data NULL: the key must not be there. -EAGAIN: it is
 * something else.
 */
int mf_store_swap(const char *table, struct mf_bytes key, struct mf_bytes expected,
		  struct mf_bytes value);

/* Add to a counter, which starts at 0; *now is the sum. -EINVAL: what is there is no counter. */
int mf_store_add(const char *table, struct mf_bytes key, int64_t add, int64_t *now);

/*
 * Up to `limit` records whose keys begin with `prefix`, in the keys' order, beginning behind the
 * key `after` (length 0: at the first). They are written into `buffer`, as many as fit; *bytes is
 * how much of it they took. Read them with mf_store_next().
 */
int mf_store_scan(const char *table, struct mf_bytes prefix, struct mf_bytes after, unsigned limit,
		  void *buffer, size_t room, size_t *bytes);

/*
 * Up to `limit` records whose keys are not before `begin` and before `end` (length 0: up to the
 * last), from the first, or from the last to the first. To go on: begin with the last key and a
 * zero behind it; in reverse, end with the last key.
 */
int mf_store_range(const char *table, struct mf_bytes begin, struct mf_bytes end, bool reverse,
		   unsigned limit, void *buffer, size_t room, size_t *bytes);

/* The record at *at (0 at first), which moves on. 0 when there is none any more, else 1. */
int mf_store_next(const void *buffer, size_t bytes, size_t *at, struct mf_bytes *key,
		  struct mf_bytes *value);

/* ---- transactions ---- */

/* The calls that follow are one transaction, until the next commit or rollback. -EALREADY: they are
 * already. */
int mf_store_begin(void);

/* Commit what the transaction has done so far; the next call begins another one. -EAGAIN: somebody
 * has committed a write to what it has read: nothing was done. -EROFS: the store is this VM's own
 * (--store-scope vm). */
int mf_store_commit(void);

/* Forget what it has done; the next call begins another one. */
int mf_store_rollback(void);

enum mf_store_durability {
	MF_STORE_IS_DURABLE, /* on the disk before the answer */
	MF_STORE_IS_GROUPED, /* likewise, but it may wait for others, to share their sync */
	MF_STORE_IS_ASYNC,   /* seen by others before the answer, on the disk soon after */
};

/* How this transaction is to be kept; of several that are asked for the strongest counts. Outside
 * of a transaction: the calls that follow. What is not asked for is --store-durability's. */
int mf_store_durability(enum mf_store_durability durability);

/* ---- functions ---- */

/*
 * Call a function of a storage program. The payload is `in`, one piece after the other; the reply
 * goes into `out`. Returns what the function returned (0 or a negative errno); *out_bytes is what
 * came with it, in full length (-ENOBUFS as above when that is more than room).
 */
int mf_store_call(uint32_t function, const struct mf_bytes *in, unsigned pieces, void *out,
		  size_t room, size_t *out_bytes);

/*
 * Several calls in flight: submit them, then collect their replies, in the order in which they
 * come: *id says whose it is. -EAGAIN (submit): no room in the channel now, collect one first.
 * -ECHILD (collect): none is under way. A collect that fails with -ECONNRESET, -ENOTCONN or -EPROTO
 * ends all of them; any other status is the call's.
 */
int mf_store_submit(uint32_t function, const struct mf_bytes *in, unsigned pieces, uint64_t *id);
int mf_store_collect(uint64_t *id, void *out, size_t room, size_t *out_bytes);

/* The number of a function by its name. -ENOENT. */
int mf_store_resolve(const char *name, uint32_t *function);

#ifdef __cplusplus
}
#endif
#endif
