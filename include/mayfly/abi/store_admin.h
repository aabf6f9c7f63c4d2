/* SPDX-License-Identifier: MIT */
/*
 * The administrative functions of Mayfly's own storage program: what `mayfly store` is made of.
 * They are taken from the channel alone that struct mf_abi_store_control names (`admin`); to all
 * others they are -EPERM. None takes long: what is much is done in steps. Plain data, no code.
 */
#ifndef MAYFLY_ABI_STORE_ADMIN_H
#define MAYFLY_ABI_STORE_ADMIN_H

#include <stdint.h>

#include <mayfly/abi/store.h>

/* Payload: empty. Reply: struct mf_abi_admin_pair and a name, as many as there are. */
#define MF_ADMIN_STAT 0x4d460001u

/* Payload: empty. Reply: struct mf_abi_admin_table and a name, as many as there are. */
#define MF_ADMIN_TABLES 0x4d460002u

/*
 * Snapshots. OPEN: one of what is on the disk; payload: empty; reply: struct mf_abi_admin_snapshot.
 * -EBUSY: there are too many; -EAGAIN: again. READ: the next block, in the order of tables and
 * keys; payload: uint64_t, the snapshot; reply: a block (below), or nothing at the end. -ESTALE: it
 * was given up: not read from for MF_ADMIN_IDLE_MS, or held for MF_ADMIN_HELD_MS. CLOSE: payload:
 * the same; reply: empty.
 */
#define MF_ADMIN_OPEN  0x4d460003u
#define MF_ADMIN_READ  0x4d460004u
#define MF_ADMIN_CLOSE 0x4d460005u

#define MF_ADMIN_IDLE_MS 30000u
#define MF_ADMIN_HELD_MS 3600000u

/* Put a block's records, all in one transaction. Payload: a block. Reply: empty. */
#define MF_ADMIN_PUT 0x4d460006u

/*
 * The look at every page. BEGIN: payload, reply: empty; -EBUSY: another one is under way. STEP:
 * payload: empty; reply: struct mf_abi_admin_check, then what was found in this step: sentences,
 * each ended by a newline. The step whose reply has `over` is the last one.
 */
#define MF_ADMIN_CHECK_BEGIN 0x4d460007u
#define MF_ADMIN_CHECK_STEP  0x4d460008u

/* The program begins anew, and its file without the pages that are free. Payload, reply: empty. */
#define MF_ADMIN_COMPACT 0x4d460009u

/*
 * In a program that was started to restore: nothing is there before FINISH has returned. PUT:
 * payload: a block, in the order of tables and keys (-EILSEQ). FINISH: payload: struct
 * mf_abi_admin_snapshot; reply: empty.
 */
#define MF_ADMIN_RESTORE_PUT    0x4d46000au
#define MF_ADMIN_RESTORE_FINISH 0x4d46000bu

/* The storage program's third argument: what it is started for. None: to serve. */
#define MF_ADMIN_MODE_CHECK   "check"
#define MF_ADMIN_MODE_RESTORE "restore"

struct mf_abi_admin_pair {
	uint64_t number;
	uint32_t name_bytes; /* it follows; words with underscores */
	uint32_t reserved;
};
MF_ABI_ASSERT(sizeof(struct mf_abi_admin_pair) == 16, "ABI");

struct mf_abi_admin_table {
	uint64_t entries;
	uint64_t pages;
	uint32_t depth;
	uint32_t name_bytes;
};
MF_ABI_ASSERT(sizeof(struct mf_abi_admin_table) == 24, "ABI");

struct mf_abi_admin_snapshot {
	uint64_t id;
	uint64_t txn_id; /* LMDB's number of the last commit that it has */
	uint64_t epoch;
	uint32_t format;
	uint32_t reserved;
};
MF_ABI_ASSERT(sizeof(struct mf_abi_admin_snapshot) == 32, "ABI");

/*
 * A block: records of one table in the order of their keys. The head, the table's name, then for
 * each record struct mf_abi_kv_entry, the key and the record as it stands in the store
 * (docs/formats/backup.md). A table without records has one block without any.
 */
struct mf_abi_admin_block {
	uint32_t records;
	uint16_t table_bytes;
	uint16_t flags; /* MF_ADMIN_PART */
};
MF_ABI_ASSERT(sizeof(struct mf_abi_admin_block) == 8, "ABI");

/* A large record's parts are blocks of their own, one behind the other, with one "record" each: the
 * table's name is followed by a struct mf_abi_admin_part. */
#define MF_ADMIN_PART 1u

struct mf_abi_admin_part {
	uint64_t offset;
	uint64_t bytes; /* of the whole record */
};
MF_ABI_ASSERT(sizeof(struct mf_abi_admin_part) == 16, "ABI");

/* A record is a value with eight bytes before it. What is larger goes in parts. */
#define MF_ADMIN_RECORD_MAX_BYTES (8u + MF_KV_PART_MAX_BYTES)
#define MF_ADMIN_BLOCK_MAX_BYTES                                                        \
	(sizeof(struct mf_abi_admin_block) + sizeof(struct mf_abi_admin_part) +         \
	 MF_KV_TABLE_MAX_BYTES + sizeof(struct mf_abi_kv_entry) + MF_KV_KEY_MAX_BYTES + \
	 MF_ADMIN_RECORD_MAX_BYTES)

struct mf_abi_admin_check {
	uint64_t pages;    /* looked at so far */
	uint64_t of_pages; /* that there are */
	uint64_t records;  /* likewise, so far */
	uint64_t found;    /* faults so far; no more than some are told */
	uint32_t over;     /* 1: that was all */
	uint32_t format;
};
MF_ABI_ASSERT(sizeof(struct mf_abi_admin_check) == 40, "ABI");

#endif
