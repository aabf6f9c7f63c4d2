/* SPDX-License-Identifier: MIT */
/* The administrative functions (<mayfly/abi/store_admin.h>): what each file of them offers. */
#ifndef MF_GUEST_STORE_ADMIN_H
#define MF_GUEST_STORE_ADMIN_H

#include <lmdb.h>
#include <mayfly/abi/store_admin.h>
#include <mayfly/storage.h>

#include "bytes.h"

/* As mf_storage_declare(); to all channels but the administrative one, -EPERM. */
int kv_admin_declare(uint32_t number, size_t in_max, size_t out_max,
		     int (*call)(struct mf_storage_call *call));

/* All functions of a program that serves. A negative errno. */
int kv_admin_open(const char *folder);

/* Once a look over the channels: what was held for too long is given up, what waits for its moment
 * is done. */
void kv_admin_turn(void);

/* ---- blocks ---- */

struct kv_block {
	char table[MF_KV_TABLE_MAX_BYTES + 1];
	uint32_t records;
	bool is_part;
	struct mf_abi_admin_part part; /* with is_part */
	struct kv_bytes rest;
};

/* What the caller says is checked before it is believed. -EINVAL. */
int kv_block_open(struct kv_block *block, const void *payload, size_t bytes);
/* 1: a record; 0: that was all; -EINVAL. */
/* Of a part the record is that part, not empty, and within the whole. */
int kv_block_next(struct kv_block *block, struct kv_bytes *key, struct kv_bytes *record);

/* ---- the parts ---- */

int kv_snapshots_declare(void);
void kv_snapshots_expire(bool all); /* those held for too long, or all */

int kv_check_declare(const char *folder);

/* compact.c. Was it asked for, and not tried yet? Then do it: a sentence on stderr when it cannot
 * be. Before the store is opened. */
void kv_compact_if_wanted(const char *folder, size_t map_bytes);
/* What became of it in this start. */
struct kv_compaction {
	uint64_t done;
	uint64_t error; /* an errno; 0: none */
};
const struct kv_compaction *kv_compaction(void);
/* Ask for it: at the next start. A negative errno. */
int kv_compact_want(const char *folder);

/* restore.c. The functions of a program that restores into an empty folder. */
int kv_restore_open(const char *folder, size_t map_bytes);

#endif
