/* SPDX-License-Identifier: MIT */
/*
 * Warming up: requests that a program answers before it is frozen, so that what it computes once,
 * caches and compiles is part of the image. They come from the command line: `METHOD:PATH[*N]`, or
 * the name of a file with whole HTTP/1 requests, as they were recorded, one behind the other.
 */
#ifndef MF_TENANT_WARMUP_H
#define MF_TENANT_WARMUP_H

#include "request-vm/exchange.h"
#include "request-vm/front/http.h"
#include "request-vm/function.h"

#define MF_WARMUPS         256u
#define MF_WARMUP_TIMES    1000000u
#define MF_WARMUP_FILE_MAX (64u << 20)

struct mf_warmup_request {
	char *bytes; /* as it was recorded; owned */
	size_t size;
	unsigned int times;
};

struct mf_warmup {
	struct mf_warmup_request requests[MF_WARMUPS];
	size_t count;
};

/* Add what one argument says. -EINVAL, -ENOENT, -E2BIG, -ENOMEM with a sentence; what was added
 * before stays. Reads the file now. */
int mf_warmup_add(struct mf_warmup *warmup, const char *text, struct mf_error *err);
void mf_warmup_finish(struct mf_warmup *warmup);

uint64_t mf_warmup_total(const struct mf_warmup *warmup);

/* Runs the process on until something that is not a wait, or a wait that `ends` is true of; the
 * role's. */
typedef bool mf_warmup_ends_fn(const struct mf_process *process);
typedef void mf_warmup_drive_fn(void *cookie, struct mf_process *process, mf_warmup_ends_fn *ends,
				struct mf_exit *exit);

/*
 * Let a program that waits at `ready` answer all of them, one after the other, and wait again;
 * *ready is then where. -EPROTO with a sentence when it does not answer, answers 500 or above, or
 * ends.
 */
int mf_warmup_run(const struct mf_warmup *warmup, struct mf_process *process,
		  struct mf_ready_point *ready, mf_warmup_drive_fn *drive, void *cookie,
		  struct mf_error *err);

/* What a request writes is known after this many; more of the same teach nothing. */
#define MF_WARMUP_LESSONS 4u

/*
 * Some of them again, each on a fork of the frozen image that is reset behind it: the image learns
 * what requests write (mf_vm_reset). A request that fails here has failed before or will say so
 * when it is served. -errno with a sentence when there is no fork.
 */
int mf_warmup_learn(const struct mf_warmup *warmup, struct mf_image *image,
		    const struct mf_policy *policy, const struct mf_ready_point *ready,
		    mf_warmup_drive_fn *drive, void *cookie, struct mf_error *err);

#endif
