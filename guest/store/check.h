/* SPDX-License-Identifier: MIT */
/*
 * The look at every page of a store's file, by its own reader of LMDB's format (lmdb.h 0.9, mdb.c:
 * MDB_page, MDB_node, MDB_db, MDB_meta): it believes nothing that it reads, reads with pread alone,
 * and so ends with a list of faults whatever the file is. In steps, and for one committed state: of
 * a store that is written meanwhile, whoever calls keeps a snapshot of it open.
 */
#ifndef MF_GUEST_STORE_CHECK_H
#define MF_GUEST_STORE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mayfly/abi/store.h>

#define KV_CHECK_FORMAT 2u /* the newest that is known */
#define KV_CHECK_DEPTH  32u
#define KV_CHECK_TABLES 258u

/* LMDB's MDB_db, as it lies in the file. */
struct kv_disk_db {
	uint32_t pad;
	uint16_t flags;
	uint16_t depth;
	uint64_t branch_pages;
	uint64_t leaf_pages;
	uint64_t overflow_pages;
	uint64_t entries;
	uint64_t root;
};

struct kv_check_level {
	uint64_t page;
	uint16_t next; /* the node that comes next */
	uint16_t count;
	uint8_t *bytes; /* a copy of the page */
};

struct kv_check_key {
	uint16_t bytes;
	uint8_t at[MF_KV_KEY_MAX_BYTES];
};

struct kv_check_table {
	char name[MF_KV_TABLE_MAX_BYTES + 1];
	struct kv_disk_db db;
};

struct kv_check {
	int fd;
	uint64_t file_bytes;
	uint32_t page_bytes;
	uint64_t last_page;
	uint8_t *seen; /* a bit a page */
	/* What was read ahead: of the state that is looked at no page changes. */
	uint8_t *ahead;
	uint64_t ahead_at; /* in the file */
	size_t ahead_bytes;
	struct kv_disk_db roots[2]; /* LMDB's own two tables: free pages, names */
	uint64_t txn_id;
	uint64_t format; /* 0: not found yet */
	bool is_mixed;   /* an upgrade is not finished */

	/* the table under way */
	unsigned int table;    /* 0: free pages, 1: names, 2..: tables[table - 2] */
	struct kv_disk_db now; /* counted */
	struct kv_check_level levels[KV_CHECK_DEPTH];
	unsigned int depth;        /* levels in use; 0: not begun */
	struct kv_check_key last;  /* of the records of the table */
	struct kv_check_key least; /* the separator of the page under way */
	bool has_last;
	bool has_least;

	struct kv_check_table *tables;
	unsigned int table_count;

	uint64_t pages;   /* looked at */
	uint64_t records; /* of all tables with names */
	uint64_t found;
	bool over;
	bool is_newer; /* of a format that is not known: nothing can be said */
	/* Sentences since they were last taken, each ended by a newline. */
	char text[8192];
	size_t text_bytes;
};

/*
 * Begin with the state that `txn_id` made; UINT64_MAX: the newest. 0; -EAGAIN: that state's head
 * page is not there (any more); -ENOMEM; another errno: cannot be read. The file is the caller's
 * until the end. What is so wrong that there is no way to go on is a fault that was found, and
 * `over`.
 */
int kv_check_begin(struct kv_check *check, int fd, uint64_t txn_id);

/* Some pages further, until `over`. -ENOMEM, -EIO. */
int kv_check_step(struct kv_check *check, unsigned int pages);

void kv_check_end(struct kv_check *check);

#endif
