/* SPDX-License-Identifier: MIT */
/*
 * The guest SDK: how an ordinary C program serves requests one by one inside Mayfly. It is a thin
 * layer over the calls of <mayfly/abi/call.h>; it knows no HTTP framing, no sockets and no
 * threads: one thread calls it. The same program runs natively too, see mf_wait().
 *
 *	int main(void)
 *	{
 *		prepare();			      -- once: it is part of the image
 *		const struct mf_request *request;
 *		while ((request = mf_wait()))	      -- the first call is the ready point
 *			mf_respond(200, "text/plain", "hello\n", 6);
 *		return 0;
 *	}
 *
 * Functions that return int return 0 or a negative errno.
 */
#ifndef MAYFLY_SDK_H
#define MAYFLY_SDK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A request; valid from the mf_wait() that returned it until the next one. */
struct mf_request;

/* Bytes of a request. A NUL that `length` does not count follows them. */
struct mf_text {
	const char *data; /* NULL: there is no such thing */
	size_t length;
};

/*
 * Set how many bytes the largest request may have (method, target, headers and body); default
 * 1 MiB + 64 KiB. Larger requests are refused before the program sees them. The room is rounded
 * up to whole pages. -EBUSY after the first mf_wait(), -EINVAL below 1,024 or above 1 GiB.
 */
int mf_request_capacity(size_t bytes);

/*
 * Wait for a request. The first call is the ready point: the program is frozen there, and each
 * request continues from that very state. A response that was begun with mf_respond() and not
 * sent goes out with this call: one exit is both. Without one the client gets an error.
 *
 * Returns the request, or NULL when there will be none: then the program should end (errno says
 * why: 0 natively after the one request; ENOMEM: no room for the buffer).
 *
 * Natively (the program was started by a shell, not by Mayfly) the first call returns one request
 * for testing: its body is all of stdin, its target $MF_NATIVE_TARGET ("/"), its method
 * $MF_NATIVE_METHOD (GET when the body is empty, else POST), its headers the lines of
 * $MF_NATIVE_HEADERS ("Name: value", newline between them). The response's body goes to stdout,
 * the second call returns NULL.
 */
const struct mf_request *mf_wait(void);

/* Parts of a request. The target is as received, "/path?query". */
uint64_t mf_request_id(const struct mf_request *request);
struct mf_text mf_request_method(const struct mf_request *request);
struct mf_text mf_request_target(const struct mf_request *request);
struct mf_text mf_request_body(const struct mf_request *request);

/* The first header of that name, in any case; data is NULL when there is none. */
struct mf_text mf_request_header(const struct mf_request *request, const char *name);

/* All headers, in order; names are in lower case. -ENOENT when index is past the last. */
size_t mf_request_header_count(const struct mf_request *request);
int mf_request_header_at(const struct mf_request *request, size_t index, struct mf_text *name,
			 struct mf_text *value);

/*
 * Begin the response: it goes out with the next mf_wait() or mf_done(). A second call replaces the
 * first, headers included. `body` is not copied: it must stay as it is until then. `content_type`
 * may be NULL.
 * -EINVAL: no request is being served, status outside 200..599, or a line break in the type;
 * -ENOSPC: the type is too long; -EALREADY: the response was sent by mf_done().
 */
int mf_respond(int status, const char *content_type, const void *body, size_t length);

/*
 * Add a header to the response that was begun. Both strings are copied; some 1,900 bytes hold all.
 * -EINVAL: no response was begun, an empty name, a line break or a colon in the name;
 * -ENOSPC: no room left.
 */
int mf_response_header(const char *name, const char *value);

/*
 * The response is done: send it now, the program works on until it calls mf_wait(). -EINVAL when
 * none was begun, -EALREADY when it was sent; otherwise what the engine says.
 */
int mf_done(void);

enum mf_log_level {
	MF_LOG_DEBUG,
	MF_LOG_INFO,
	MF_LOG_WARNING,
	MF_LOG_ERROR,
};

/* One line for the engine's log (natively: stderr), cut at 511 bytes. Costs an exit. */
void mf_log(enum mf_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* CLOCK_MONOTONIC, without leaving the guest. */
uint64_t mf_clock_ns(void);

/*
 * A number that is another one in every VM and after every reset: 0 before the ready point (and
 * natively), then never. All of the image is the same in all of its VMs, random generators
 * included: one that was seeded under another number than this gives what others give, too. Seed
 * such a generator at the begin of each request (mf_on_request), or whenever this has changed.
 * The kernel's generator (getrandom, /dev/urandom) needs nothing.
 */
uint64_t mf_generation(void);

/*
 * Have `fn` called at the begin of each request, before mf_wait() returns it; natively, too. In the
 * order in which they were given, at most 16. -EBUSY after the first mf_wait(), -ENOSPC.
 *
 *	static void reseed(void *unused) { RAND_poll(); }     -- OpenSSL, for instance
 *	mf_on_request(reseed, NULL);
 */
int mf_on_request(void (*fn)(void *argument), void *argument);

/* Whether the program runs inside Mayfly. */
bool mf_inside(void);

/*
 * The one instruction that leaves the guest. Weak: a test program may put its own in the place, for
 * example to look at registers right at the exit. Programs have no reason to call it.
 */
long mf_sdk_exit(unsigned long number, const void *a, unsigned long b, unsigned long c);

#ifdef __cplusplus
}
#endif
#endif
