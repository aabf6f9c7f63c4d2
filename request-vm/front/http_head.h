/* SPDX-License-Identifier: MIT */
/*
 * The second half of request framing, private to http.c: what the scanner has let through is read
 * by llhttp, its meaning is checked (framing headers, Host, Expect) and the ABI form is built.
 */
#ifndef REQUEST_VM_FRONT_HTTP_HEAD_H
#define REQUEST_VM_FRONT_HTTP_HEAD_H

#include "request-vm/front/http.h"

/* What the scanner saw, for llhttp to agree with. */
struct mf_http_head_expect {
	uint32_t method_bytes;
	uint32_t target_bytes;
	uint32_t header_count;
	uint8_t minor;
};

struct mf_http_head {
	struct mf_http_message message; /* complete but for the body's bytes */
	uint32_t body_offset;           /* in message.request */
	uint32_t body_bytes;
	bool wants_continue;
};

/*
 * Reads a complete head, the empty line included. Returns 0 with `head` filled (the caller owns
 * head->message), or the HTTP status to refuse with; then nothing was allocated.
 */
int mf_http_head_parse(struct mf_http_head *head, const char *text, size_t size,
		       const struct mf_http_head_expect *expect,
		       const struct mf_http_limits *limits);

/* Is this a method that the front door passes on? (Exact case.) */
bool mf_http_method_known(const char *name, size_t length);

#endif
