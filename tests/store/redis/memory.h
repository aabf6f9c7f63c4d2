/* SPDX-License-Identifier: MIT */
/* The records of guest/store/redis/records.h in this process, for tests. */
#ifndef MF_TESTS_STORE_REDIS_MEMORY_H
#define MF_TESTS_STORE_REDIS_MEMORY_H

#include <stddef.h>

size_t memory_records(void);

/* After so many puts there is no room for another. */
void memory_full_after(size_t puts);

void memory_clear(void);

#endif
