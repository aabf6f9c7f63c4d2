/* SPDX-License-Identifier: MIT */
/*
 * The store, as a request sees it: what outlives the request. Calls go over the channel to the
 * tenant's storage VM and come back answered: a write that returned 0 is committed. Only while a
 * request is being served, and only under `mayfly serve --store`.
 *
 * All return 0 or a negative errno. Besides those named at a function:
 *   -ENOTCONN    no store here: not inside, no --store, or no request is being served
 *   -ECONNRESET  the storage VM died in the middle of this call: it may or may not have been done
 *   -ENOSPC      the store is full; -EROFS, -EIO: the disk says so
 *   -ENOMEM      the storage VM has too little memory for this (--store-memory)
 *   -EMSGSIZE    does not fit into the channel; -E2BIG: larger than the function takes
 *   -EINVAL      a name, key or value of impossible length
 *   -EPROTO      the channel was overwritten (by this request)
 */
#ifndef MAYFLY_STORE_H
#define MAYFLY_STORE_H

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

/* Make or replace. */
int mf_store_put(const char *table, struct mf_bytes key, struct mf_bytes value);

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

/* The record at *at (0 at first), which moves on. 0 when there is none any more, else 1. */
int mf_store_next(const void *buffer, size_t bytes, size_t *at, struct mf_bytes *key,
		  struct mf_bytes *value);

/*
 * Call a function of a storage program. The payload is `in`, one piece after the other; the reply
 * goes into `out`. Returns what the function returned (0 or a negative errno); *out_bytes is what
 * came with it, in full length (-ENOBUFS as above when that is more than room).
 */
int mf_store_call(uint32_t function, const struct mf_bytes *in, unsigned pieces, void *out,
		  size_t room, size_t *out_bytes);

/* The number of a function by its name. -ENOENT. */
int mf_store_resolve(const char *name, uint32_t *function);

#ifdef __cplusplus
}
#endif
#endif
