/* SPDX-License-Identifier: MIT */
/*
 * A client's connection; private to the front door (server.c accepts and ends them, conn.c is what
 * happens in between).
 */
#ifndef REQUEST_VM_FRONT_CONN_H
#define REQUEST_VM_FRONT_CONN_H

#include <sys/queue.h>

#include "request-vm/front/chars.h"
#include "request-vm/front/preamble.h"
#include "request-vm/front/server.h"

#define MF_FRONT_READ_BYTES    (64u << 10)
#define MF_FRONT_PENDING_BYTES (16u << 10)
#define MF_FRONT_WINDOW_MIN    (4u << 10)
#define MF_FRONT_WINDOW_MAX    (16u << 20)

enum conn_state {
	CONN_READING,  /* a request arrives or is awaited; nothing pending */
	CONN_RUNNING,  /* the backend has a request */
	CONN_WRITING,  /* a response waits for the client */
	CONN_RESUMING, /* answered; pending bytes are fed on the next turn of the loop */
	CONN_LINGER,   /* answered; what still comes is dropped until the client closes */
	CONN_CLOSING,
};

/* What the timer watches. */
enum conn_wait { WAIT_NONE, WAIT_IDLE, WAIT_HEAD, WAIT_BODY, WAIT_WRITE, WAIT_LINGER, WAIT_TUNNEL };

struct conn {
	struct mf_front *front;
	TAILQ_ENTRY(conn) all; /* in front->conns, the longest idle first; or in front->spare */
	TAILQ_ENTRY(conn) resuming; /* in front->resuming while CONN_RESUMING */
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} io;
	uv_timer_t timer;
	uv_shutdown_t shutdown;
	uint64_t deadline_ms, armed_ms; /* the timer fires at armed_ms and looks at deadline_ms */
	enum conn_state state;
	enum conn_wait wait;
	uint8_t open_handles;
	uint32_t turn;     /* of front->turn when it began to resume */
	bool pumping;      /* feed is on the stack: an answer must not start the next request */
	bool stopped;      /* reading is stopped: pending, or the program's input, is full */
	bool eof;          /* the client sends no more */
	bool close_after;  /* close when the response is written */
	bool linger_after; /* but read on for a while */
	bool recorded;     /* the request that ends, or ended last */
	uint64_t began_ns; /* when the backend got it; 0: it did not */
	struct mf_http_parser parser;
	struct mf_http_edge edge;
	struct mf_http_message message; /* while CONN_RUNNING */
	struct mf_front_request request;
	struct mf_front_connection connection; /* the backend's view of it */
	struct sockaddr_storage from;
	struct mf_preamble *preamble; /* while it is awaited; owned */
	bool last;                    /* no request after the one that runs: the backend said so */
	char *pending;                /* bytes behind the running request */
	uint32_t pending_bytes, pending_room;
	size_t unsent_bytes;       /* of a response, in blocks that libuv has */
	size_t held_bytes;         /* of the request that arrives, as counted in the front door */
	struct exchange *exchange; /* of a request in pieces; owned; exchange.h */
	struct adopted *adopted;   /* a router passed it on: what it said; owned */
};
TAILQ_HEAD(conn_list, conn);

struct mf_front {
	uv_loop_t *loop;
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
		uv_poll_t poll; /* is_router: router_fd is watched */
	} listener;
	int router_fd;  /* with is_router; else -1 */
	char *handoff;  /* what comes from there; owned */
	uv_idle_t idle; /* active while `resuming` is not empty */
	struct mf_front_settings settings;
	const struct mf_front_backend_ops *ops;
	void *backend;
	struct mf_front_stats stats;
	struct mf_hist times; /* of requests: mf_front_times */
	uint64_t next_id;
	uint64_t id_seed, ids_made; /* of requests that brought none */
	uint32_t turn;              /* of front_resume */
	bool is_unix, is_router, router_ended, accept_waits, draining, listener_closed, ending,
		ended;
	void (*done)(void *arg);
	void *done_arg;
	struct conn *pool;  /* max_connections of them; memory of those never used is not touched */
	uint32_t pool_used; /* that were ever used */
	struct conn_list spare, conns, resuming;
	long long date_second;
	char date[MF_HTTP_DATE_BYTES];
	char read_buffer[MF_FRONT_READ_BYTES];
	char head_buffer[MF_HTTP_RESPONSE_HEAD_MAX];
};

/* The stream was just accepted: begin to read. Closes the connection when that fails. */
void conn_start(struct conn *conn);

/* Nothing has arrived that waits for an answer. */
bool conn_is_idle(const struct conn *conn);

/* Cancels what runs and closes. */
void conn_abort(struct conn *conn);

/* Feeds what was pending (from the idle handle). */
void conn_resume(struct conn *conn);

/* Bytes that came with the connection, as if they had been read. */
void conn_feed(struct conn *conn, const char *data, size_t size);

/* adopt.c: forgets what came with the connection. */
void conn_forget_adoption(struct conn *conn);

/* adopt.c: whether the complete request is one that may be asked on this connection. */
bool conn_may_ask(const struct conn *conn);

/* adopt.c: lets the router have the connection again, with what is pending. True: it has a
 * descriptor of its own; the caller closes. */
bool conn_give_back(struct conn *conn);

/* adopt.c: watches the router's socket, which is the front door's from then on, also on failure. */
int front_adopt_start(struct mf_front *front, int fd);

/* adopt.c: takes more of what the router passes on, after there was no room. */
int front_adopt_more(struct mf_front *front);

/* Server's: a connection without a stream; only when there is room. */
struct conn *front_conn_get(struct mf_front *front);

/* Server's: is there a place for one more connection? If not, one that idles is asked to leave. */
bool front_has_room(struct mf_front *front);

/* Server's: closes what connections come from. */
void front_close_listener(struct mf_front *front);

/* Server's: the connection's handles are closed. */
void front_conn_closed(struct conn *conn);

/* Server's: feeds the connections in `resuming`; the callback of `idle`. */
void front_resume(uv_idle_t *idle);

/* Server's: the current `Date`. */
const char *front_date(struct mf_front *front);

/* conn.c: closes so that the client sees that something is missing. */
void conn_cut(struct conn *conn);

/* conn.c: forgets the bytes behind the running request. */
void conn_drop_pending(struct conn *conn);

/* conn.c: reads on, after it was stopped. */
void conn_read_on(struct conn *conn);

/* write.c: sends the buffers, or keeps what the socket does not take. Negative errno. */
int conn_put(struct conn *conn, const uv_buf_t *bufs, unsigned int count);

/* write.c: the request ends: what the connection has to know for its next one. */
void conn_end_request(struct conn *conn);

/* write.c: the record of a request, unless it was made. */
void conn_record(struct conn *conn, int status, uint64_t bytes, const char *outcome);

/* write.c: what a head says of this connection. */
struct mf_http_response_frame conn_frame(struct conn *conn);

/* write.c: sends head_buffer[0..head_bytes) and the body; goes on in conn_written, perhaps at once.
 */
void conn_send(struct conn *conn, size_t head_bytes, const void *body, size_t body_bytes);

/* write.c: sends a sentence of our own, then closes if asked to. */
void conn_send_error(struct conn *conn, int status, const char *mayfly_error, bool close);

/* conn.c: the whole response is with the kernel, or cannot be sent (negative errno). */
void conn_written(struct conn *conn, int code);

/* conn.c: arms the timer for `wait`. */
void conn_await(struct conn *conn, enum conn_wait wait);

#endif
