/* SPDX-License-Identifier: MIT */
/*
 * The front door: owns the listening socket and the clients' connections on a libuv loop, frames
 * requests, hands complete ones to a backend and writes the answers. It knows no VM. One request of
 * a connection runs at a time; pipelined ones wait in order. Everything is called on the loop's
 * thread and nothing blocks. After mf_front_open it opens no descriptor but by accept4. (Out of
 * descriptors libuv would reopen "/" and, refused that, spin: mf_front_open checks RLIMIT_NOFILE.)
 *
 * Bytes of requests and responses lie in these buffers, each zeroed when it is freed or used again.
 * One each per front door: the read buffer, the buffer of response heads. Of one connection, on the
 * heap: a head that arrives in pieces, bytes behind the running request, the request itself, what
 * of it waits for its program, and what of a response the socket did not take at once.
 *
 * A backend gets requests in one of three forms. CALLS: a struct mf_abi_request, whole, answered
 * with a struct mf_http_response, whole. WIRE: bytes as a server on a plain connection reads and
 * writes them, in pieces both ways; the front door parses the answer, and writes it anew for its
 * client. RAW: the same without HTTP, one request a connection. What is in pieces is bounded: who
 * is too fast on one side waits for the other.
 */
#ifndef REQUEST_VM_FRONT_SERVER_H
#define REQUEST_VM_FRONT_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <uv.h>

#include <mayfly/abi/call.h>
#include <mayfly/abi/histogram.h>
#include <mayfly/error.h>

#include "request-vm/front/http.h"
#include "request-vm/front/listen.h"
#include "request-vm/front/response.h"

struct mf_front;

#define MF_FRONT_SPARE_FILES 32u /* descriptors for everything but connections, at the least */

enum mf_front_form { MF_FRONT_CALLS, MF_FRONT_WIRE, MF_FRONT_RAW };

/* A client's connection, as the backend has it: valid while it has a request of it, and while
 * something is kept. */
struct mf_front_connection {
	const struct sockaddr *from; /* the client's address, in pieces alone; NULL: not known */
	socklen_t from_bytes;
	bool slow;  /* the backend's; false at first */
	void *kept; /* the backend's, NULL at first: what it has of this connection. Without a
		     * request of it kept_timeout_ms counts; ended() tells when it is over */
};

/* A request that the backend has. Valid until it is answered or cancelled. */
struct mf_front_request {
	const struct mf_abi_request *abi; /* owned by the front door; id is set. CALLS alone */
	size_t size_bytes;                /* of abi, all of it */
	void *data;                       /* the backend's, NULL at first */
	struct mf_front_connection *connection;
	const char *name;   /* X-Request-Id, "" without: for logs */
	const char *client; /* its address, without port; "": not known */
	bool lasting;    /* a tunnel, or an endless answer: no deadline of the backend's counts any
			  * more, but those of the front door (tunnel_*) */
	const char *why; /* with MF_FRONT_BROKEN: what was wrong with the answer */
	/* WIRE, the backend's: the end of the answer is not sent before mf_front_release(), and
	 * nothing of it that is held back, at most MF_FRONT_HELD_BYTES. */
	bool holds;
	int status; /* with MF_FRONT_HELD: of the answer */
	/* for the record, the backend's: set before it answers */
	int vm;              /* that served it; -1 (at first): none */
	uint64_t exits;      /* user exits that it took */
	const char *outcome; /* a word; NULL: the front door finds one; static */
};

#define MF_FRONT_HELD_BYTES (1u << 20)

#define MF_FRONT_STATUS_GONE 499 /* in records: the client went away before its answer */

/* What became of a request. Gone when the call returns. */
struct mf_front_record {
	const struct mf_http_message *message; /* all zero: it had no valid head */
	const struct mf_front_request *request;
	const char *client;   /* its address, "": not known */
	int status;           /* that the client was told; 0: none, no HTTP */
	uint64_t bytes;       /* of the answer's body; of a tunnel: both ways */
	uint64_t duration_ns; /* from the whole request (of one in pieces: from where the backend
			       * got it) to the end of its answer; 0: it never was whole */
	const char *outcome;  /* "ok", "refused", "cancelled", "broken" or the backend's word */
};

/* What became of bytes of a program. */
enum mf_front_took {
	MF_FRONT_MORE,   /* all were taken; go on */
	MF_FRONT_FULL,   /* *used were taken; go_on() tells when there is room again */
	MF_FRONT_OVER,   /* the answer is complete: the request is gone; what came behind is dropped
			  */
	MF_FRONT_BROKEN, /* it was none: 502, or the connection cut. The request is gone */
	MF_FRONT_HELD,   /* *used were taken: of the head of a tunnel or of an endless answer, or of
			  * the answer, the end of it is held */
	MF_FRONT_GONE, /* the client went away: the request is gone and was counted as cancelled */
};

struct mf_front_backend_ops {
	/*
	 * Takes a request. Returns 0: the backend answers with mf_front_respond or
	 * mf_front_respond_error, now or later; -EAGAIN (queue full), -EBUSY (connections that
	 * idle keep all there is), -ESHUTDOWN (draining; the connection is closed) or another
	 * errno: the front door answers 503. Not called from inside mf_front_respond*.
	 */
	int (*submit)(void *backend, struct mf_front_request *request);
	/* The client went away: the request ends with this call and must not be answered. */
	void (*cancel)(void *backend, struct mf_front_request *request);
	/*
	 * WIRE and RAW: look at mf_front_input again, or there is room again. Not called from
	 * inside the functions below.
	 */
	void (*go_on)(void *backend, struct mf_front_request *request);
	/*
	 * A connection of which something is kept is over, or nothing more will be asked on it; it
	 * has no request. Also called from inside mf_front_output* and mf_front_respond*. NULL:
	 * nothing is ever kept.
	 */
	void (*ended)(void *backend, struct mf_front_connection *connection);
	/* Every request once, at its end; NULL: nobody wants to know. Must not call back. */
	void (*record)(void *backend, const struct mf_front_record *record);
};

/* What a program is told of its client, see edge.h. */
enum mf_front_forwarded {
	MF_FRONT_FORWARDED_NONE,    /* nothing: requests as they came */
	MF_FRONT_FORWARDED_REPLACE, /* what the front door sees, whatever the client says */
	MF_FRONT_FORWARDED_TRUST,   /* the client is a proxy that is believed */
};

struct mf_front_settings {
	struct mf_http_limits http;        /* its edge is the front door's own */
	enum mf_front_forwarded forwarded; /* default: NONE */
	bool preamble; /* who connects is a proxy that says first who its client is, and is
			* believed (preamble.h); not with a router. Default: off */
	uint32_t max_connections;  /* 1..65536, default 512. At the limit the connection that has
				    * idled longest is closed; are none idle, new clients wait */
	uint32_t head_timeout_ms;  /* from the first byte (or accept) to the end of the headers:
				    * then 408. Default 10,000 */
	uint32_t body_timeout_ms;  /* for the whole body. Default 30,000 */
	uint32_t idle_timeout_ms;  /* between requests. Default 60,000 */
	uint32_t kept_timeout_ms;  /* the same while the backend keeps something of the connection.
				    * Default 30,000 */
	uint32_t write_timeout_ms; /* for what of a response the client did not take at once.
				    * Default 30,000 */
	uint64_t unsent_bytes; /* of all responses that wait for slow readers, heads included; what
				* goes beyond is dropped: 503, or nothing more when the client has
				* some of it, and the connection is closed. Default 256 MiB */
	uint32_t linger_ms;    /* how long a closing connection still reads, so that the client sees
				* the answer and no reset. Default 1,000 */
	enum mf_front_form form; /* default: CALLS */
	/* WIRE and RAW, each way of one connection: so much of a body is waited for before the
	 * backend gets its request; so much waits for the program, or for the client, until who
	 * sends it has to wait. 4 KiB..16 MiB, default 64 KiB */
	uint32_t window_bytes;
	uint64_t waiting_bytes;  /* of all requests that are not with the backend yet, or wait for
				  * their programs: what goes beyond gets 503 or waits. Default
				  * 256 MiB */
	uint32_t tunnel_idle_ms; /* a tunnel or an endless answer without a byte. Default 5 min */
	uint64_t tunnel_life_ms; /* and at most so long in all; 0: no limit. Default 1 h */
	uint64_t tunnel_bytes;   /* and so many bytes, both ways; 0 (default): no limit */
	bool half_close; /* a client that ends its sending side still gets its answers. Off (the
			  * default): that is taken for going away, and the request is cancelled */
};

void mf_front_settings_default(struct mf_front_settings *settings);

struct mf_front_stats {
	uint64_t accepted;       /* connections */
	uint64_t evicted;        /* idle ones that made room */
	uint64_t given_back;     /* idle ones that the router got back at a drain */
	uint64_t requests;       /* complete requests given to the backend */
	uint64_t refused;        /* bad requests, answered 4xx or 5xx here */
	uint64_t unavailable;    /* 503, because the backend did not take the request */
	uint64_t cancelled;      /* clients that went away before the answer */
	uint64_t invalid;        /* responses of the backend that were not valid: 502 */
	uint64_t timeouts;       /* slow clients */
	uint64_t partial_writes; /* responses that needed more than one write */
	uint64_t dropped;        /* responses that slow readers left no memory for */
	uint64_t unsent_bytes;   /* of responses that wait for their readers now */
	uint64_t waiting_bytes;  /* of requests that arrive, or wait for their programs now */
	uint64_t tunnels;        /* connections that became one, or began as one */
	uint32_t connections;    /* now open, closing ones included */
	uint32_t running;        /* requests that the backend has */
};

/*
 * Starts serving `listener`; one that is_router is the socket on which a router passes connections
 * on (ipc/socket/handoff.h), shared with the other front doors of the process. At a drain it is
 * read to its end, and connections that idle are given back. The descriptor goes to the front door,
 * also on failure; the caller still calls mf_listen_close at the end, which removes a socket file.
 * `settings` NULL means the defaults. `ops` must outlive the front door. Ignores SIGPIPE for the
 * process. Returns 0, -ENOMEM, -EINVAL (a setting), -EMFILE (RLIMIT_NOFILE is less than
 * max_connections + MF_FRONT_SPARE_FILES) or what libuv says, with a sentence in err. After a
 * failure run the loop once more, so that libuv can let go of what was begun.
 */
int mf_front_open(struct mf_front **out, uv_loop_t *loop, struct mf_listener *listener,
		  const struct mf_front_settings *settings, const struct mf_front_backend_ops *ops,
		  void *backend, struct mf_error *err);

/*
 * Answers a request; it is gone afterwards. Everything is written or copied before this returns.
 * What the backend took from a guest may be passed as it is: a status or header text that is not
 * valid becomes 502 with `Mayfly-Error: response`. Never calls the backend.
 */
void mf_front_respond(struct mf_front_request *request, const struct mf_http_response *response);

/* Answers with a sentence of the front door's. mayfly_error: "crash", "memory", "response", "kept"
 * or NULL. */
void mf_front_respond_error(struct mf_front_request *request, int status, const char *mayfly_error);

/*
 * What the backend kept of a connection is no more (`kept` is NULL already): closes it behind the
 * answer to its request, at once when it has none. Not called from inside ended().
 */
void mf_front_end_connection(struct mf_front_connection *connection);

/*
 * WIRE and RAW: the bytes that the program reads next, and how many; they stay until
 * mf_front_taken. None: *ended tells whether there will never be more (the client of a tunnel ended
 * its side; after a request of HTTP the client merely waits). Wherever the backend is not called.
 */
const char *mf_front_input(const struct mf_front_request *request, size_t *bytes, bool *ended);
void mf_front_taken(struct mf_front_request *request, size_t bytes);

/* WIRE and RAW: is it the client's turn, to send the rest of its request or to take what waits for
 * it? */
bool mf_front_owes(const struct mf_front_request *request);

/* WIRE and RAW: false: mf_front_output would say MF_FRONT_FULL of anything, as if it had been
 * asked. */
bool mf_front_takes(struct mf_front_request *request);

/*
 * WIRE and RAW: bytes that the program wrote; or it wrote its last one. They are sent or copied
 * before this returns, *used of them; untrusted. Never calls the backend.
 */
enum mf_front_took mf_front_output(struct mf_front_request *request, const void *data, size_t size,
				   size_t *used);
enum mf_front_took mf_front_output_end(struct mf_front_request *request);

/*
 * After MF_FRONT_HELD: sends what is held. MF_FRONT_OVER, MF_FRONT_GONE, or MF_FRONT_MORE when it
 * was the head of what has no end. Whoever will not have it sent answers with
 * mf_front_respond_error instead: the connection is cut if the client has some of it.
 */
enum mf_front_took mf_front_release(struct mf_front_request *request);

/*
 * WIRE: the request from its first byte on once more, and nothing of an answer. False: it cannot
 * be, for some of it is gone, or the client has some of an answer; then nothing has changed.
 */
bool mf_front_again(struct mf_front_request *request);

/*
 * Stops accepting, closes idle connections, lets begun requests finish (their connections then
 * close), and calls done(arg) from the loop when nothing is left. How long that takes is bounded by
 * the backend's deadlines and the timeouts above; to hurry, call mf_front_close.
 */
void mf_front_drain(struct mf_front *front, void (*done)(void *arg), void *arg);

/* The same at once: running requests are cancelled. Replaces the callback of a drain under way. */
void mf_front_close(struct mf_front *front, void (*done)(void *arg), void *arg);

/* Frees it: after done was called, or in it. NULL is fine. */
void mf_front_destroy(struct mf_front *front);

const struct mf_front_stats *mf_front_stats(const struct mf_front *front);

/* How long requests took, from where the backend got them (whole; those in pieces: begun) to the
 * end of their answers. Those that ended before are not in it. */
const struct mf_hist *mf_front_times(const struct mf_front *front);

#endif
