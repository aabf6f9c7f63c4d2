/* SPDX-License-Identifier: MIT */
/*
 * Reads in place: the engine is told which snapshot is the newest, so that requests can be pinned
 * to it and read its pages themselves; <mayfly/abi/store.h> has the words. The thread's that serves
 * the channels.
 */
#ifndef MF_GUEST_STORE_PLACE_H
#define MF_GUEST_STORE_PLACE_H

#include "txn_own.h"

/* Say which snapshot the newest is, when that has changed: before anybody is told of what is in it,
 * and while no commit is under way. */
void kv_place_say(void);

/* While more may be seen than is on the disk there is none. */
void kv_place_look(void);

/* Is any channel pinned to it, or may become so? */
bool kv_place_is_pinned(size_t txn_id);

/* The snapshot that a channel is pinned to; 0: none. */
size_t kv_place_pinned(uint32_t channel);

/* What the channel's request says that it has read in place. -ENOMEM. */
int kv_place_add_reads(uint32_t channel, struct kv_reads *reads);

#endif
