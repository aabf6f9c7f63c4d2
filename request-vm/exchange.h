/* SPDX-License-Identifier: MIT */
/*
 * A request and its answer over a connection within the VM (engine/linux/connection.h), for
 * programs that listen: the request's bytes go in as far as there is room, what comes out is read
 * as an HTTP/1 answer. In pieces both ways between the front door and the program; or a whole
 * request, of whose answer the status alone is kept (answer.status). Called by who runs the VM,
 * after each MF_EXIT_CONNECTION and MF_EXIT_WAIT.
 */
#ifndef MF_REQUEST_VM_EXCHANGE_H
#define MF_REQUEST_VM_EXCHANGE_H

#include "engine/linux/connection.h"
#include "request-vm/front/answer.h"
#include "request-vm/front/server.h"
#include "request-vm/front/whole.h"
#include "request-vm/function.h"

enum mf_exchange_state {
	MF_EXCHANGE_NONE,
	MF_EXCHANGE_RUNS,
	MF_EXCHANGE_HELD, /* its end, or the head of what has none, is held: mf_exchange_release */
	MF_EXCHANGE_DONE, /* the answer is complete: read, or with the front door */
	MF_EXCHANGE_BAD,  /* the program gave none that is valid: `why` */
	MF_EXCHANGE_GONE, /* the client went away: the front door knows */
};

struct mf_exchange {
	enum mf_exchange_state state;
	const char *why; /* with BAD; static */
	/* its own */
	struct mf_front_request *front; /* in pieces; NULL: whole, or over */
	bool in_ended;                  /* the client of a tunnel sends no more */
	bool spoke;                     /* some of the answer has come */
	bool open;                      /* `connection` is one */
	uint32_t connection;
	const struct mf_http_whole *request; /* the caller's; NULL: in pieces, or over */
	size_t sent;                         /* of it */
	struct mf_http_answer answer;
};

/*
 * Begin: over the connection of the last exchange, if another may follow it there, else over a new
 * one. The request is in wire form, and used until the exchange is finished. -EMFILE, -ENOTCONN
 * (nobody listens any more), -ENOMEM; then it is as it was finished.
 */
int mf_exchange_begin(struct mf_exchange *exchange, struct mf_process *process,
		      const struct mf_http_whole *request);

/* Some of the request has not had room yet. */
bool mf_exchange_has_more(const struct mf_exchange *exchange);

/* The same of a request in pieces. `front` is used until the exchange is not MF_EXCHANGE_RUNS any
 * more: then the front door has answered. */
int mf_exchange_begin_pieces(struct mf_exchange *exchange, struct mf_process *process,
			     struct mf_front_request *front);

/* Both ends of the connection are open and nothing is left in it, whoever its client is. */
bool mf_exchange_may_follow(const struct mf_exchange *exchange, const struct mf_process *process);

/* A tunnel, or an answer without end: the front door's limits hold, and no deadline. */
static inline bool mf_exchange_lasts(const struct mf_exchange *exchange)
{
	return exchange->front && exchange->front->lasting;
}

/* What is held is sent: DONE, GONE, or RUNS when it has no end. */
void mf_exchange_release(struct mf_exchange *exchange);

/* Move bytes as far as they go. True: something has moved, and the program may go on with it. */
bool mf_exchange_move(struct mf_exchange *exchange, struct mf_process *process);

/* When the exchange is over: what the program has written since is thrown away. */
void mf_exchange_drop_rest(struct mf_exchange *exchange, struct mf_process *process);

/* The program has ended by itself, and its connection with it. */
void mf_exchange_exited(struct mf_exchange *exchange, struct mf_process *process);

/* The exchange is over: its bytes are wiped. The connection stays. */
void mf_exchange_finish(struct mf_exchange *exchange);

/* Let go of the connection, in a VM that goes on; and after a VM was reset. */
void mf_exchange_hang_up(struct mf_exchange *exchange, struct mf_process *process);
void mf_exchange_forget(struct mf_exchange *exchange);

#endif
