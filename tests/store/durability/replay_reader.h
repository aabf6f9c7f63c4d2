/* SPDX-License-Identifier: MIT */
/*
 * Reads a store by LMDB itself, in this process: some thousand images cannot each boot a VM, and it
 * is the same library that the guest is linked with. The file is not changed unless said.
 */
#ifndef TESTS_STORE_DURABILITY_REPLAY_READER_H
#define TESTS_STORE_DURABILITY_REPLAY_READER_H

#include <stddef.h>
#include <stdint.h>

struct contents {
	uint64_t sum; /* of all records, see model_weight() */
	unsigned int records;
	unsigned int torn; /* values that nobody wrote as a whole */
	uint64_t epoch;
};

/* Every record of every table of the data file. NULL, or what is wrong with it. */
const char *reader_read(const char *file, size_t map_bytes, struct contents *contents);

/* A compacting copy, which walks the tree and accounts for every page, and the copy read again. */
const char *reader_copy(const char *file, size_t map_bytes, struct contents *contents);

/* A transaction more: it must be possible to go on. The file is changed. */
const char *reader_write(const char *file, size_t map_bytes);

/* What reader_read() does with each record; NULL: nothing. For programs that print. */
typedef void reader_record_fn(const char *table, const void *key, size_t key_bytes,
			      const void *value, size_t value_bytes);
const char *reader_each(const char *file, size_t map_bytes, reader_record_fn *fn);

#endif
