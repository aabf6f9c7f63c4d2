/* SPDX-License-Identifier: MIT */
/*
 * The key-value store over LMDB: one environment, named tables, one write transaction for a group
 * of calls and one snapshot for the reads in between. The only user of LMDB. One thread.
 */
#ifndef MF_GUEST_STORE_KV_H
#define MF_GUEST_STORE_KV_H

#include <stddef.h>
#include <stdint.h>

#include <mayfly/storage.h>

#define KV_FORMAT 1u

/*
 * Open (or make) the store in `folder`, check its format, count its epoch up and declare the
 * functions of <mayfly/abi/store.h>. 0, or -1 after a sentence on stderr.
 */
int kv_open(const char *folder, size_t map_bytes);

/* For mf_storage_serve(). */
extern const struct mf_storage_group kv_group;

#endif
