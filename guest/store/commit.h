/* SPDX-License-Identifier: MIT */
/*
 * The queue of what is to be committed, and the thread that does it: all that is waiting by one
 * sync. A transaction that is added was found to be in no conflict and is the newest version from
 * then on; it is over when it is on the disk. When a commit fails, whatever is not over fails with
 * it: it may have read from that.
 */
#ifndef MF_GUEST_STORE_COMMIT_H
#define MF_GUEST_STORE_COMMIT_H

#include "recent.h"

/* Once, behind kv_env_open(). A negative errno. */
int kv_commit_start(void);

/* The newest version; the newest that may be shown to who does not wait for it: all before it are
 * on the disk, or may be seen before. */
uint64_t kv_commit_head(void);
uint64_t kv_commit_visible(void);
/* The newest that is on the disk. */
uint64_t kv_commit_durable(void);

/* The first that is not over, and those behind it; NULL. */
const struct kv_sealed *kv_commit_waiting(void);

/* LMDB's number of the last commit that is known to be over; the version that one has. */
size_t kv_commit_txn_id(void);
uint64_t kv_commit_version(size_t txn_id);

/* Something waits for room that may not be there: nothing may be added until it is over. */
bool kv_commit_is_stalled(void);

/* When a commit is to be made, and what may be seen before. */
struct kv_haste {
	uint32_t durability; /* MF_STORE_* */
	uint64_t group_ns;   /* of MF_STORE_GROUP: may wait so long */
	uint64_t frees;      /* bytes, about: what its deletes are known to give back */
};

/* Add a transaction's writes, of which there are some. *version is theirs. -ENOSPC: too many
 * tables, or more than the quota; -ENOMEM. Nothing is changed on failure. */
int kv_commit_add(const struct kv_tree *writes, struct kv_haste haste, uint64_t *version);

/* See what is over and begin what is to be begun. 1: something is over; 0; a negative errno: all
 * that was not over has failed with it. */
int kv_commit_turn(void);

/* The word at which the other thread waits, when it has got something to do; once. NULL. */
const uint32_t *kv_commit_leaves(void);

/* How much more is kept, when all that waits is done, than may be. */
uint64_t kv_commit_excess(void);

struct kv_commit_stats {
	uint64_t commits;      /* of groups */
	uint64_t transactions; /* in them */
	uint64_t waiting;      /* transactions that are not over */
	uint64_t last_page;    /* of the file, that was ever used */
	uint64_t kept_bytes;   /* pages of the tables, as of the last commit */
};
const struct kv_commit_stats *kv_commit_stats(void);

#endif
