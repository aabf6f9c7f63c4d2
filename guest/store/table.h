/* SPDX-License-Identifier: MIT */
/*
 * The store's tables and their handles. A table is known from the moment that a transaction that
 * makes it is to be committed; it has a handle when that is done. Names are added and taken out by
 * the thread that serves, handles are set by the one that commits.
 */
#ifndef MF_GUEST_STORE_TABLE_H
#define MF_GUEST_STORE_TABLE_H

#include <lmdb.h>

#include "bytes.h"

#define KV_TABLES_MAX 256u

struct kv_table {
	char name[MF_KV_TABLE_MAX_BYTES + 1];
	MDB_dbi dbi;
	uint32_t open; /* dbi counts; release and acquire */
};

/* Is this a name that a caller may use? */
bool kv_is_table_name(const char *name, size_t bytes);

struct kv_table *kv_table_find(const char *name);
/* Found or made, without a handle. NULL: there are too many. */
struct kv_table *kv_table_add(const char *name);
unsigned int kv_table_count(void);
struct kv_table *kv_table_at(unsigned int i);

/* What never got a handle is forgotten: the transactions that would have made it have failed. */
void kv_tables_forget(void);

/* The committing thread, or the start: the handle in a write transaction, made if need be. An LMDB
 * code. After the commit kv_tables_settle(): handles opened in it count, or are gone with it. */
int kv_table_open(MDB_txn *txn, struct kv_table *table, unsigned int flags, MDB_dbi *dbi);
void kv_tables_settle(bool committed);

static inline bool kv_table_is_open(const struct kv_table *table)
{
	return table && __atomic_load_n(&table->open, __ATOMIC_ACQUIRE) == 1;
}

#endif
