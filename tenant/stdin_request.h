/* SPDX-License-Identifier: MIT */
/*
 * One request from standard input, for a program of the SDK that is run and not served: what the
 * SDK makes of the same input when its program runs without Mayfly (guest/sdk/native.c). The body
 * is all of standard input; method, target and headers are MF_NATIVE_METHOD (POST, or GET without a
 * body), MF_NATIVE_TARGET (/) and MF_NATIVE_HEADERS (lines of `Name: value`) of the environment.
 */
#ifndef MF_TENANT_STDIN_REQUEST_H
#define MF_TENANT_STDIN_REQUEST_H

#include <mayfly/abi/call.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_stdin_request {
	struct mf_abi_request *request; /* owned; NULL until it was begun */
	size_t room;
	size_t used;
	bool method_given;
	size_t body_at;
};

/*
 * Begin one of at most `room` bytes: all but the body. -EMSGSIZE when it does not fit, -ENOMEM;
 * finish it in any case.
 */
int mf_stdin_request_begin(struct mf_stdin_request *request, uint64_t room);

/* Take in what can be read from `fd`: 1, or 0 at its end: the request is complete. -EMSGSIZE,
 * -EINTR, -EAGAIN and what else read(2) says. */
int mf_stdin_request_read(struct mf_stdin_request *request, int fd);

void mf_stdin_request_finish(struct mf_stdin_request *request);

#endif
