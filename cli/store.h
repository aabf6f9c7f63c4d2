/* SPDX-License-Identifier: MIT */
/* What the commands of `mayfly store` share. */
#ifndef MF_CLI_STORE_H
#define MF_CLI_STORE_H

#include <stdbool.h>
#include <stdio.h>

#include <mayfly/abi/store_admin.h>
#include <mayfly/error.h>

#include "config/values.h"
#include "tenant/store_door.h"

/* Something was found, or is not good. MF_STATUS_FAILED: it could not be done. */
#define STORE_STATUS_FOUND  1
#define STORE_STATUS_UNSEEN 2

struct store_job {
	const char *folder;
	const char *file; /* NULL: none was named */
	const struct mf_store_values *options;
	struct mf_store_door *door;
	uint8_t *reply; /* room for the largest */
	size_t reply_bytes;
};

/* One call; its reply is in the job. A function's negative errno without a sentence; everything
 * else that fails with one. */
int store_call(struct store_job *job, uint32_t function, const void *payload, size_t bytes);

/* A sentence for what a call returned. Returns `code`. */
int store_explain(const struct store_job *job, int code, struct mf_error *err);

/* The same with the sentence. */
int store_must(struct store_job *job, uint32_t function, const void *payload, size_t bytes,
	       struct mf_error *err);

/* ---- records ---- */

/* A record of a block. */
struct store_record {
	const char *table;
	const uint8_t *key;
	size_t key_bytes;
	const uint8_t *value;
	size_t value_bytes;
	uint64_t expires_ms; /* 0: never */
	uint8_t kind;
};

/* Each record of a block, until `take` returns not 0, which is returned. -EPROTO: it is none. */
int store_each(const uint8_t *block, size_t bytes,
	       int (*take)(void *arg, const struct store_record *record), void *arg);

/* How many records end in it. */
uint32_t store_records(const uint8_t *block, size_t bytes);

/* A block that is being put together. */
struct store_block {
	uint8_t *bytes; /* room for MF_ADMIN_BLOCK_MAX_BYTES */
	size_t used;
	char table[MF_KV_TABLE_MAX_BYTES + 1];
	uint32_t records;
};

int store_block_init(struct store_block *block);
void store_block_finish(struct store_block *block);
/* False: it does not fit, or is of another table: the block has to be given away first. */
/* Larger ones are put by store_put_large(). */
bool store_block_add(struct store_block *block, const struct store_record *record);
void store_block_clear(struct store_block *block);

static inline bool store_is_large(const struct store_record *record)
{
	return sizeof(uint64_t) + record->value_bytes > MF_ADMIN_RECORD_MAX_BYTES;
}

/* In parts, which are one transaction. What store_call() returns, or -ENOMEM. */
int store_put_large(struct store_job *job, const struct store_record *record);

/* ---- the commands: a status; a sentence when it is MF_STATUS_FAILED or STORE_STATUS_UNSEEN ----
 */

int store_stat(struct store_job *job, struct mf_error *err);
int store_check(struct store_job *job, struct mf_error *err);
int store_compact(struct store_job *job, struct mf_error *err);
int store_backup(struct store_job *job, struct mf_error *err);
int store_restore(struct store_job *job, struct mf_error *err);
int store_dump(struct store_job *job, struct mf_error *err);
int store_load(struct store_job *job, struct mf_error *err);
int store_shell(struct store_job *job, struct mf_error *err);

/* Before the door is opened, which may lock the process in. */
int store_backup_open(struct store_job *job, struct mf_error *err);
int store_restore_open(struct store_job *job, struct mf_error *err);
int store_load_open(struct store_job *job, struct mf_error *err);
int store_dump_open(struct store_job *job, struct mf_error *err);

#endif
