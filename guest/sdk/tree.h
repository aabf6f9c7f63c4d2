/* SPDX-License-Identifier: MIT */
/*
 * One record of an LMDB database, found by looking at the pages themselves. Reads memory that is
 * given, believes nothing of it, and takes a bounded time; makes no call and knows no store.
 */
#ifndef MF_GUEST_SDK_TREE_H
#define MF_GUEST_SDK_TREE_H

#include <stddef.h>
#include <stdint.h>

/* A snapshot of a database in memory. */
struct tree {
	const uint8_t *base;
	uint64_t bytes;      /* that are there */
	uint64_t pages;      /* the snapshot's have smaller numbers */
	uint32_t page_bytes; /* a power of two, 512 to 65536 */
	uint64_t root;       /* of the tree of tables; UINT64_MAX: it is empty */
};

/*
 * *value points into the memory. 0; -ENOENT: there is no such table or key; -ERANGE: a page that is
 * needed is not there; -EILSEQ: these are no pages of a database, or of one that is not as the
 * store has it.
 */
int tree_find(const struct tree *tree, const void *table, size_t table_bytes, const void *key,
	      size_t key_bytes, const uint8_t **value, size_t *value_bytes);

#endif
