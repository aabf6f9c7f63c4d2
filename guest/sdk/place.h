/* SPDX-License-Identifier: MIT */
/* Reads in place, for the SDK: include/mayfly/abi/place.h says what there is. */
#ifndef MF_GUEST_SDK_PLACE_H
#define MF_GUEST_SDK_PLACE_H

#include <mayfly/store.h>

#include "hot.h"

/*
 * The value, where it lies, until the end of the request. 0; -ENOENT: there is none. -EOPNOTSUPP:
 * it must be asked for: nothing can be read in place now, or not this. -EINVAL.
 */
int place_find(const char *table, struct mf_bytes key, struct mf_bytes *value);

/* A call is about to be made. -ECONNRESET: the request reads in place what the storage VM has died
 * over. Behind one that may write, or end the transaction, nothing more is read in place. */
int place_note_call(struct hot_channel *channel, uint32_t function);

#endif
