/* SPDX-License-Identifier: MIT */
/*
 * What the commands store in: ordered records of the transaction that the client's request is. The
 * store implements it, and tests do with memory alone. What is returned as bytes is good until the
 * next write. 0 or a negative errno.
 */
#ifndef MF_GUEST_STORE_REDIS_RECORDS_H
#define MF_GUEST_STORE_REDIS_RECORDS_H

#include <mayfly/store.h>

#define RECORD_KEY_MAX 511u

struct record {
	struct mf_bytes value;
	int64_t expires_ms; /* since 1970; 0: never */
	uint8_t kind;       /* the writer's */
};

/* -ENOENT: there is none, or its time is over. */
int records_get(struct mf_bytes key, struct record *record);
int records_put(struct mf_bytes key, const struct record *record);
/* Whether there is one or not. */
int records_delete(struct mf_bytes key);

/* The first record that begins with `prefix` and comes behind `after` (empty: of all of them);
 * -ENOENT. `key` has room for RECORD_KEY_MAX bytes and is where its key goes. */
int records_next(struct mf_bytes prefix, struct mf_bytes after, uint8_t *key, size_t *key_bytes,
		 struct record *record);

/* The time by which records expire, in ms since 1970. */
int64_t records_now_ms(void);

/* What is written from here on can be undone, until it is kept. They nest. */
int records_save(void);
int records_keep(void);
void records_undo(void);

#endif
