/* SPDX-License-Identifier: MIT */
/*
 * A request in pieces (MF_FRONT_WIRE, MF_FRONT_RAW) while it arrives and while the backend has it:
 * what waits for the program, and what has become of its answer. Private to the front door: conn.c
 * feeds it, exchange.c is what the backend calls.
 */
#ifndef REQUEST_VM_FRONT_EXCHANGE_H
#define REQUEST_VM_FRONT_EXCHANGE_H

#include "request-vm/front/answer.h"
#include "request-vm/front/conn.h"

struct exchange {
	struct mf_http_answer answer;
	size_t head_at; /* of conn->message.wire, taken */
	char *in;       /* what comes behind it: bytes [in_at, in_end) */
	size_t in_at, in_end, in_room;
	bool submitted;  /* the backend has it */
	bool news;       /* something came in that the backend was not told of */
	bool in_chunks;  /* the program reads the body in chunks: its length was not known */
	bool in_ended;   /* nothing more comes in: of the request, or of the tunnel */
	bool passes;     /* not HTTP, or no more: bytes go both ways as they are */
	bool sent;       /* the client has something of the answer */
	bool full;       /* the backend was told so */
	bool out_chunks; /* the client reads the body in chunks */
	bool in_lost;    /* bytes that the program took are gone */
	bool is_held;    /* the answer's end is, or the head of what has none */
	char *held;      /* what the client is not sent yet; owned */
	size_t held_bytes, held_room;
	uint64_t passed_bytes;
	uint64_t life_end_ms; /* of a tunnel or an endless answer; 0: no limit */
};

/* The head is in conn->message (or there is none: RAW). False: no memory. */
bool exchange_begin(struct conn *conn);

/* A piece of the body, or bytes of a tunnel. False: no memory. */
bool exchange_put(struct conn *conn, const char *data, size_t size);

/* Nothing more of the request comes. False: no memory. */
bool exchange_end_input(struct conn *conn);

/* Just before the backend gets it: the rest of the head, as much as is known of the body's length.
 * False: no memory. */
bool exchange_submit(struct conn *conn);

/* Bytes that wait for the program. */
size_t exchange_waiting(const struct conn *conn);

/* May more come in? */
bool exchange_wants(const struct conn *conn);

/* Has the tunnel used up its bytes? */
bool exchange_is_spent(const struct conn *conn);

/* A connection without HTTP: bytes go both ways from its beginning. */
void exchange_begin_raw(struct conn *conn);

/* Something has changed: stops reading when the program is too slow, arms the timer. */
void exchange_settle(struct conn *conn);

/* A block was written: tells the backend if it waited for that. */
void exchange_has_room(struct conn *conn);

/* hold.c: sends bytes of the answer, or holds them back. Negative errno. */
int exchange_send(struct conn *conn, const uv_buf_t *bufs, unsigned int count);

/* hold.c: nothing is held any more. */
void exchange_drop_held(struct conn *conn);

/* The answer, or the tunnel, is over: all of it is written or in blocks. */
enum mf_front_took exchange_over(struct conn *conn);

/* The client is gone, or there is no memory for what it does not take. */
enum mf_front_took exchange_gone(struct conn *conn);

/* The connection whose request the backend still has, or NULL. */
struct conn *exchange_conn(const struct mf_front_request *request);

/* Can something of our own still be said to the client, in HTTP? */
bool exchange_may_refuse(const struct conn *conn);

/*
 * Throws it away; the connection will be closed when not all of the request has come. False:
 * nothing that is HTTP can be said to the client any more.
 */
bool exchange_drop(struct conn *conn);

#endif
