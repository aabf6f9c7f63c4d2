/* SPDX-License-Identifier: MIT */
/* Stores of older formats. */
#ifndef MF_GUEST_STORE_UPGRADE_H
#define MF_GUEST_STORE_UPGRADE_H

#include <lmdb.h>
#include <stdbool.h>

#define KV_FORMAT_MIN 1u /* the oldest that is understood */

/*
 * From format 1, whose values have no head, to 2: every record is written anew, a part of them a
 * commit. The place that was reached is kept in the store, so that a program that was ended goes on
 * there. An LMDB code.
 */
/* Was one begun, and not finished? */
bool kv_upgrade_is_open(MDB_txn *txn, MDB_dbi head);
int kv_upgrade(MDB_env *env, MDB_dbi head, unsigned int format);

#endif
