/* SPDX-License-Identifier: MIT */
/*
 * The second half of request framing, private to http.c: what the scanner has let through is read
 * by llhttp, its meaning is checked (framing headers, Host, Expect) and the ABI form is built.
 */
#ifndef REQUEST_VM_FRONT_HTTP_HEAD_H
#define REQUEST_VM_FRONT_HTTP_HEAD_H

#include "request-vm/front/http.h"
#include "request-vm/front/reading.h"

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
	bool wants_continue;
	struct mf_http_span host;
};

/* A request and the headers that are passed on. */
struct mf_http_parts {
	const struct mf_http_reading *reading;
	const struct mf_http_span *names[MF_ABI_MAX_HEADERS], *values[MF_ABI_MAX_HEADERS];
	uint32_t count;
	struct mf_http_span host;
	uint32_t added; /* of them, the last ones, by the front door */
};

/*
 * Reads a complete head, the empty line included. Returns 0 with `head` filled (the caller owns
 * head->message), or the HTTP status to refuse with; then nothing was allocated.
 */
int mf_http_head_parse(struct mf_http_head *head, const char *text, size_t size,
		       const struct mf_http_head_expect *expect,
		       const struct mf_http_limits *limits);

/*
 * wire.c: fills message->wire. What is between two hops stays behind: Connection and what it names,
 * Keep-Alive, Proxy-Connection, TE, Trailer, Content-Length, Expect, HTTP2-Settings, and Upgrade
 * unless message->upgrade. Returns 0 or the status to refuse with.
 */
int mf_http_wire_build(struct mf_http_message *message, const struct mf_http_parts *parts);

/* Is this a method that the front door passes on? (Exact case.) */
bool mf_http_method_known(const char *name, size_t length);

#endif
