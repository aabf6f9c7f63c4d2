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

/* This may be seen from now on, and is not on the disk: requests that begin do not read its keys in
 * place. Before anybody is told of it. */
void kv_place_show(const struct kv_sealed *sealed);

/* Is any channel pinned to it, with a version from `from` on and before `below`, or may become so
 * (`below` UINT64_MAX: it is the newest)? */
bool kv_place_is_pinned(size_t txn_id, uint64_t from, uint64_t below);

/* The snapshot that a channel is pinned to; 0: none. The version that its request sees. */
size_t kv_place_pinned(uint32_t channel);
uint64_t kv_place_version(uint32_t channel);

/* What the channel's request says that it has read in place. -ENOMEM. */
int kv_place_add_reads(uint32_t channel, struct kv_reads *reads);

#endif
