/* SPDX-License-Identifier: MIT */
/*
 * What goes by itself: records that have expired, and, where the store has a bound and may evict,
 * those that were not used lately. Transactions of the store's own, each of a bounded size, which
 * go the way of all others.
 */
#ifndef MF_GUEST_STORE_SWEEP_H
#define MF_GUEST_STORE_SWEEP_H

#include "bytes.h"

/* A record was read or written: it is spared once. */
void kv_sweep_touch(struct kv_bytes full);
/* A record that expires was met. */
void kv_sweep_expects(void);

/* After a commit is over: now and then, look at some records and remove those that have expired. */
void kv_sweep(void);
/* After a transaction was added: make room for so many bytes, which are kept beyond the bound, by
 * what was not used lately. */
void kv_evict(uint64_t bytes, uint64_t bound);

struct kv_sweep_stats {
	uint64_t swept;
	uint64_t evicted;
};
const struct kv_sweep_stats *kv_sweep_stats(void);

#endif
