/* SPDX-License-Identifier: MIT */
/*
 * Transactions: what calls, and protocols over them, do to the store. A transaction reads one
 * snapshot and its own writes, which are kept in memory until it is committed; what it has read is
 * remembered, and who has committed a write to any of that since makes it be in conflict. Who
 * begins and ends them is session.h; everything here is the thread's that serves the channels.
 *
 * All functions return 0 or a negative errno. Besides those named at a function:
 *   -EINVAL  a table's name or a key that cannot be (lengths, a dot or a zero in a name)
 *   -EAGAIN  the snapshot is too old and was given up: the transaction is in conflict
 *   -ENOMEM, -EIO
 */
#ifndef MF_GUEST_STORE_TXN_H
#define MF_GUEST_STORE_TXN_H

#include <mayfly/storage.h>

#include "bytes.h"

struct kv_txn;

/* ---- reading and writing ---- */

/* -ENOENT: no such key, or it has expired. */
int kv_get(struct kv_txn *txn, const char *table, struct kv_bytes key, struct kv_value *value);

/* Make or replace, copied. expires_ms in the past: as good as deleted. -EFBIG: the value, or all
 * of the transaction's, is larger than may be. */
int kv_put(struct kv_txn *txn, const char *table, struct kv_bytes key,
	   const struct kv_value *value);

/* Whether there is one or not: nothing is read. */
int kv_delete(struct kv_txn *txn, const char *table, struct kv_bytes key);

/* Keys from `begin` on and before `end` (no bytes: to the table's end). */
struct kv_range {
	struct kv_bytes begin;
	struct kv_bytes end;
	bool reverse; /* from the last one to the first */
};

/* Called with each record in order; both are valid until it returns. False ends the scan. It may
 * write, not roll back. */
typedef bool kv_scan_fn(void *arg, struct kv_bytes key, const struct kv_value *value);

/* Only what was come by counts as read. A table that is not there has no records. */
int kv_scan(struct kv_txn *txn, const char *table, const struct kv_range *range, kv_scan_fn *fn,
	    void *arg);

/* The end of the keys that begin with `prefix`, at most as long: for a range. `at` has room for
 * them. No bytes: there is no end. */
struct kv_bytes kv_prefix_end(struct kv_bytes prefix, uint8_t at[MF_KV_KEY_MAX_BYTES]);

/* ms since 1970, the same all through the transaction. */
uint64_t kv_now_ms(const struct kv_txn *txn);

/* ---- taking back ---- */

/* A mark; what is written from here on can be taken back until the mark is released. They nest. */
size_t kv_savepoint(struct kv_txn *txn);
void kv_rollback_to(struct kv_txn *txn, size_t mark); /* the mark stays */
void kv_release(struct kv_txn *txn, size_t mark);

/* ---- functions ---- */

/* A function of the store: reads and writes in `txn` and fills in the call's reply. A failure takes
 * back what it wrote. It is committed when it ends, or with the request's or the caller's other
 * calls. */
typedef int kv_call_fn(struct mf_storage_call *call, struct kv_txn *txn);

struct kv_function {
	uint32_t number;
	const char *name;
	size_t in_max;
	size_t out_max;
	bool writes; /* it may; then, where each call is a transaction, it sees what is being
		      * committed, and is answered after that */
	kv_call_fn *call;
};

/* `function` is static. As mf_storage_declare(). */
int kv_declare(const struct kv_function *function);
/* NULL: there is none. */
const struct kv_function *kv_find(uint32_t number);

#endif
