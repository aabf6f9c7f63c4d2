/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <stdio.h>

#define NONE   0u
#define OPEN   1u
#define OPENED 2u /* by the write transaction under way */

static struct kv_table tables[KV_TABLES_MAX];
static unsigned int count;

bool kv_is_table_name(const char *name, size_t bytes)
{
	return bytes >= 1 && bytes <= MF_KV_TABLE_MAX_BYTES && name[0] != '.' &&
	       !memchr(name, 0, bytes);
}

struct kv_table *kv_table_find(const char *name)
{
	for (unsigned int i = 0; i < count; i++)
		if (!strcmp(tables[i].name, name))
			return &tables[i];
	return NULL;
}

struct kv_table *kv_table_add(const char *name)
{
	struct kv_table *table = kv_table_find(name);

	if (table)
		return table;
	if (count == KV_TABLES_MAX)
		return NULL;
	table = &tables[count];
	*table = (struct kv_table){.open = NONE};
	snprintf(table->name, sizeof(table->name), "%s", name);
	__atomic_store_n(&count, count + 1, __ATOMIC_RELEASE); /* the other thread looks, too */
	return table;
}

unsigned int kv_table_count(void)
{
	return count;
}

struct kv_table *kv_table_at(unsigned int i)
{
	return &tables[i];
}

void kv_tables_forget(void)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < count; i++)
		if (tables[i].open == OPEN)
			tables[kept++] = tables[i];
	count = kept;
}

int kv_table_open(MDB_txn *txn, struct kv_table *table, unsigned int flags, MDB_dbi *dbi)
{
	int code = 0;

	if (table->open == NONE) {
		code = mdb_dbi_open(txn, table->name, flags, &table->dbi);
		if (!code)
			__atomic_store_n(&table->open, OPENED, __ATOMIC_RELEASE);
	}
	*dbi = table->dbi;
	return code;
}

void kv_tables_settle(bool committed)
{
	for (unsigned int i = 0; i < count; i++)
		if (tables[i].open == OPENED)
			__atomic_store_n(&tables[i].open, committed ? OPEN : NONE,
					 __ATOMIC_RELEASE);
}
