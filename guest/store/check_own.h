/* SPDX-License-Identifier: MIT */
/* Between the check's two files, and LMDB's pages as they lie in the file. */
#ifndef MF_GUEST_STORE_CHECK_OWN_H
#define MF_GUEST_STORE_CHECK_OWN_H

#include "check.h"

#define KV_PAGE_BRANCH   0x01u
#define KV_PAGE_LEAF     0x02u
#define KV_PAGE_OVERFLOW 0x04u
#define KV_PAGE_META     0x08u

#define KV_NODE_BIG   0x01u /* the value has pages of its own */
#define KV_NODE_TABLE 0x02u /* the value is a struct kv_disk_db */

#define KV_TABLE_INTEGER 0x08u

#define KV_CHECK_OWN ".mayfly" /* the store's own table: its format */

/* MDB_page. */
struct kv_disk_page {
	uint64_t number;
	uint16_t pad;
	uint16_t flags;
	union {
		struct {
			uint16_t lower; /* where the nodes' places end */
			uint16_t upper; /* where the nodes begin */
		};
		uint32_t pages; /* of a large value */
	};
};

/* MDB_node; the key follows, then the value. */
struct kv_disk_node {
	uint16_t low;
	uint16_t high;
	uint16_t flags;
	uint16_t key_bytes;
};

/* MDB_meta behind its page's head. */
struct kv_disk_meta {
	uint32_t magic;
	uint32_t version;
	uint64_t address;
	uint64_t map_bytes;
	struct kv_disk_db dbs[2];
	uint64_t last_page;
	uint64_t txn_id;
};
_Static_assert(sizeof(struct kv_disk_db) == 48 && sizeof(struct kv_disk_meta) == 136,
	       "LMDB's format");

/* One more fault; the first ones are told. */
void kv_check_fault(struct kv_check *check, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
const char *kv_check_where(const struct kv_check *check);
bool kv_check_read(struct kv_check *check, uint64_t page, void *to, size_t bytes);
/* The pages are in use; false when that cannot be. */
bool kv_check_mark(struct kv_check *check, uint64_t page, uint64_t count);

/* check_tree.c: go on with this page of the table; with the next node. 0, -ENOMEM. */
int kv_check_descend(struct kv_check *check, uint64_t page);
int kv_check_node(struct kv_check *check);

#endif
