/* SPDX-License-Identifier: MIT */
/*
 * HTTP requests to elsewhere, made by the engine: while a request is being served, under `mayfly
 * serve --allow-connect=HOST:PORT`. The program stands still until the answer is in its memory: one
 * exit, and none of the libraries that this takes inside. Names are those that --allow-connect has,
 * with the addresses that they had when the server was started. Redirects are not followed.
 */
#ifndef MAYFLY_FETCH_H
#define MAYFLY_FETCH_H

#include <mayfly/sdk.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mf_fetch {
	const char *method;  /* NULL: GET, or POST where there is a body */
	const char *url;     /* http:// or https://, no user in it */
	const char *headers; /* "Name: value\r\n" lines; NULL: none */
	const void *body;
	size_t body_length;
	uint64_t timeout_ns; /* of the whole; 0: 30 s. The end of the served request is its end, too
			      */
	void *buffer;        /* where the answer goes */
	size_t room;         /* at least 16 bytes more than its headers and body */
	/* The answer, in `buffer`; no NUL follows its parts. */
	int status;
	struct mf_text answer_headers; /* "Name: value\r\n" lines, as they came */
	struct mf_text answer_body;
};

/*
 * 0 when there is an answer, of whatever status. Otherwise:
 *   -ENOTCONN      not served by Mayfly (natively, `mayfly run`), no request is being served, or
 *                  no address is allowed at all
 *   -EINVAL        method, URL or a header is malformed; a header that is the engine's to write
 *                  (Host, Content-Length, Transfer-Encoding, Connection, Upgrade, Expect and such)
 *   -E2BIG         a URL above 8 KiB, headers above 16 KiB or 100 lines, a body above 1 GiB
 *   -EPROTONOSUPPORT  neither http nor https
 *   -ENOENT        a name that no rule of --allow-connect has with this port
 *   -EACCES        no rule allows this address
 *   -ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH   nobody there
 *   -ECONNRESET    it broke off; -EPROTO: it speaks no HTTP/1, or no TLS
 *   -EKEYREJECTED  its certificate is not trusted (SSL_CERT_FILE of the server, or the system's)
 *   -EMSGSIZE      the answer is larger than `room`, or has more than 16 KiB of headers
 *   -ETIMEDOUT, -ENOMEM; -EFAULT: a pointer leads nowhere
 */
int mf_fetch(struct mf_fetch *fetch);

/* The first header of the answer that has that name, in any case; data is NULL when there is none.
 */
struct mf_text mf_fetch_header(const struct mf_fetch *fetch, const char *name);

#ifdef __cplusplus
}
#endif
#endif
