/* SPDX-License-Identifier: MIT */
/*
 * Which engine a store's folder belongs to, where locks do not say it: the file `epoch` in it,
 * which each engine counts up, durably, before it opens the store
 * (docs/decisions/0039-a-fence-of-epochs.md). Who finds another's epoch there has lost the folder.
 */
#ifndef MF_TENANT_STORE_FENCE_H
#define MF_TENANT_STORE_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include <mayfly/error.h>

#include "engine/linux/disk.h"

#define MF_STORE_FENCE_NAME  "epoch"
#define MF_STORE_FENCE_BYTES 256u

struct mf_store_fence {
	int folder_fd; /* the caller's */
	int fd;        /* -1: there is no fence */
	uint64_t epoch;
	char own[MF_STORE_FENCE_BYTES]; /* what the file has said since */
	uint64_t looked_ns;             /* atomic */
	bool lost;                      /* atomic */
};

/*
 * Set-up phase, the folder locked: be the newest. Where the last engine did not end in order and
 * may run on for all that is known, waits until it must have seen that. -errno with a sentence:
 * -EINVAL: the file is none of ours; -EBUSY: another one was opened at the same time.
 */
int mf_store_fence_raise(struct mf_store_fence *fence, int folder_fd, const char *folder,
			 struct mf_error *err);

/* Is the folder another engine's by now? Any thread. */
bool mf_store_fence_is_lost(struct mf_store_fence *fence, enum mf_disk_look look);

/* Nothing is written any more: the next engine need not wait. */
void mf_store_fence_lower(struct mf_store_fence *fence);

#endif
