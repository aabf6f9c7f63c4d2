/* SPDX-License-Identifier: MIT */
/*
 * The function protocol between engine and guest (include/mayfly/abi/call.h): where a program wants
 * its requests, handing one over, taking the response out. What the guest says is copied out once
 * and checked before it is used.
 */
#ifndef MF_REQUEST_VM_FUNCTION_H
#define MF_REQUEST_VM_FUNCTION_H

#include <mayfly/abi/call.h>

#include "engine/linux/process.h"

/* The largest response that is taken out of a guest. */
#define MF_RESPONSE_MAX_BYTES         (64u << 20)
#define MF_RESPONSE_HEADERS_MAX_BYTES (16u << 10)

enum mf_ready_kind {
	MF_READY_BUFFER,   /* in mf_wait() of the SDK: requests are written into its buffer */
	MF_READY_LISTENER, /* at a listening socket: requests come over connections */
};

/* Where a program waits for requests. */
struct mf_ready_point {
	uint32_t kind; /* enum mf_ready_kind */
	uint32_t reserved;
	uint64_t buffer; /* of MF_READY_BUFFER */
	uint64_t buffer_bytes;
};

struct mf_function_response {
	int status;
	char *headers; /* owned, NUL-terminated; NULL when there are none */
	size_t headers_bytes;
	uint8_t *body; /* owned; NULL when empty */
	size_t body_bytes;
};

/* Could a program wait there? */
bool mf_ready_point_is_sane(const struct mf_ready_point *ready);

/* Read the ready call's argument. -EINVAL when it makes no sense, -EFAULT when it cannot be read.
 */
int mf_function_ready(const struct mf_process *process, const struct mf_exit *exit,
		      struct mf_ready_point *ready);

/*
 * Put a request (struct mf_abi_request and what it refers to) into the buffer; the program goes on
 * with it at the next run. -EMSGSIZE when it does not fit, -EFAULT when the buffer is not writable.
 */
int mf_function_deliver(struct mf_process *process, const struct mf_ready_point *ready,
			const void *request, size_t bytes);

/*
 * Take the response of a READY or RESPOND call out of the guest. -ENOMSG when it gave none, -EINVAL
 * or -EFAULT when it is not one, -ENOMEM. On success free with mf_function_response_finish().
 */
int mf_function_response(const struct mf_process *process, const struct mf_exit *exit,
			 struct mf_function_response *response);

/* Wipes and frees: nothing of one response is left for the next. */
void mf_function_response_finish(struct mf_function_response *response);

#endif
