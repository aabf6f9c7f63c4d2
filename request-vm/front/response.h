/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1 responses: turns what a guest claims to be a response into the bytes that go before its
 * body. Framing (Content-Length, Connection) is the front door's alone; a guest's header text is
 * copied once, then checked line by line in the copy, so it may lie in memory that a guest writes.
 * No socket, no allocation; any thread.
 */
#ifndef REQUEST_VM_FRONT_RESPONSE_H
#define REQUEST_VM_FRONT_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "request-vm/front/answer.h"

#define MF_HTTP_RESPONSE_HEADERS_MAX (16u << 10) /* of a guest's header text */
/* room that always suffices for what the front door puts before a body */
#define MF_HTTP_RESPONSE_HEAD_MAX (MF_HTTP_RESPONSE_HEADERS_MAX + 512u)

struct mf_http_response {
	int status;          /* 200..599 */
	const char *headers; /* "Name: value\r\n" lines, untrusted; may be NULL */
	size_t headers_bytes;
	const void *body;
	size_t body_bytes;
};

/* What the front door knows about the connection that the response goes to. */
struct mf_http_response_frame {
	bool is_head;     /* answers HEAD: Content-Length but no body */
	bool close;       /* say `Connection: close` */
	bool old;         /* an HTTP/1.0 client that may go on: say `Connection: keep-alive` */
	const char *date; /* IMF-fixdate for `Date`, or NULL; a guest's own Date wins */
};

/*
 * Writes the status line and all headers, empty line included. Returns the bytes written and sets
 * *body_bytes to what must follow (0 for HEAD, 204 and 304). Returns
 *  -EINVAL  the status is out of range, or the header text is not made of whole, clean lines, or it
 *           holds a header that is not the guest's to send: Transfer-Encoding, Mayfly-Error, a
 *           Content-Length that is not the body's, a second Content-Length or Date
 *  -E2BIG   more than MF_HTTP_RESPONSE_HEADERS_MAX bytes or MF_ABI_MAX_HEADERS lines
 *  -ENOSPC  `room` is less than MF_HTTP_RESPONSE_HEAD_MAX
 * Connection, Keep-Alive, Proxy-Connection, Upgrade, TE and Trailer lines are dropped, as is a
 * Content-Length that is right.
 */
ssize_t mf_http_response_head(char *out, size_t room, const struct mf_http_response *response,
			      const struct mf_http_response_frame *frame, size_t *body_bytes);

/*
 * The same of an answer that a server wrote itself, at its event MF_HTTP_ANSWER_HEAD: its own
 * reason, its lines but for what is between two hops (also what its Connection names), a
 * Mayfly-Error and a second Date, which are dropped. *chunked is set when the body is to be sent in
 * chunks; frame->close must be set for a body of unknown length to frame->old. Returns the bytes
 * written, or -ENOSPC.
 */
ssize_t mf_http_answer_head(char *out, size_t room, const struct mf_http_answer *answer,
			    const struct mf_http_response_frame *frame, bool *chunked);

/* Does its Content-Type say that it has no end? (text/event-stream) */
bool mf_http_answer_lasts(const struct mf_http_answer *answer);

/*
 * Writes a whole response of the front door's own: one sentence as text/plain, `Mayfly-Error` when
 * mayfly_error is not NULL ("crash", "memory", "response"), `Retry-After: 1` with 503. Returns the
 * bytes written; `room` must be at least MF_HTTP_RESPONSE_HEAD_MAX, else -ENOSPC.
 */
ssize_t mf_http_response_error(char *out, size_t room, int status, const char *mayfly_error,
			       const struct mf_http_response_frame *frame);

/* "OK", "Not Found", ...; "" for a status that has no name. */
const char *mf_http_reason(int status);

#define MF_HTTP_DATE_BYTES 40
/* Writes IMF-fixdate for seconds since 1970 (opens no time zone file, unlike gmtime). */
void mf_http_date(char out[MF_HTTP_DATE_BYTES], long long seconds);

#endif
