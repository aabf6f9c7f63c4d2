/* SPDX-License-Identifier: MIT */
/*
 * A request that is there as a whole, framed as one that a client sends, in the form that a backend
 * of the front door gets. For requests that no client sends: those that warm a program up.
 */
#ifndef REQUEST_VM_FRONT_WHOLE_H
#define REQUEST_VM_FRONT_WHOLE_H

#include "request-vm/front/http.h"

struct mf_http_whole {
	struct mf_http_message message; /* ABI form: all of it. Wire form: what the head says */
	char *bytes;                    /* wire form: as a server reads it; owned */
	size_t size;
};

/*
 * Frame the one request that the bytes are. -EINVAL: they are none that would be served, or there
 * are more; -ENOMEM. After a failure there is nothing to finish.
 */
int mf_http_whole_frame(struct mf_http_whole *whole, enum mf_http_form form, const char *bytes,
			size_t size);

/* Wipes and frees. */
void mf_http_whole_finish(struct mf_http_whole *whole);

#endif
