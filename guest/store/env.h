/* SPDX-License-Identifier: MIT */
/* The folder's LMDB environment: made, checked, brought to this format, opened. */
#ifndef MF_GUEST_STORE_ENV_H
#define MF_GUEST_STORE_ENV_H

#include <lmdb.h>
#include <stddef.h>
#include <stdint.h>

#define KV_FORMAT 2u

/*
 * Open (or make) the store in `folder` for so many snapshots at a time, bring an older format up to
 * this one, count its epoch up and open its tables. 0, or -1 after a sentence on stderr.
 */
int kv_env_open(const char *folder, size_t map_bytes, unsigned int readers);

MDB_env *kv_env(void);
MDB_dbi kv_head_dbi(void); /* the store's own table */
size_t kv_page_bytes(void);
size_t kv_map_pages(void);
uint64_t kv_epoch(void);

/* A negative errno for an LMDB code. */
int kv_errno_of(int code);

#endif
