/* SPDX-License-Identifier: MIT */
/*
 * Calls for a storage program in any language: it listens within its VM as a server does
 * (engine/linux/connection.h), and gets the calls of all channels as frames on one connection
 * (mayfly/abi/calls.h). Here the engine itself is the storage side of the channels: what it finds
 * in them is a request VM's claim, what it finds in frames is the storage program's. Private to the
 * storage role; used by whoever runs the vCPU, between runs.
 */
#ifndef MF_STORAGE_VM_CALLS_H
#define MF_STORAGE_VM_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include <mayfly/abi/calls.h>

#include <mayfly/abi/ring_ops.h>

struct mf_store;
struct mf_calls_client;

#define MF_CALLS_FLIGHTS      1024u /* calls that are not answered */
#define MF_CALLS_LINE_FLIGHTS 64u   /* of one channel */

/* A call that is not answered. */
struct mf_calls_flight {
	bool used;
	uint32_t serial; /* the upper half of its id; the lower one is its place */
	uint32_t line;   /* channel, or stream */
	uint32_t function;
	uint64_t id;                    /* the caller's */
	struct mf_calls_client *client; /* whose it is, of a stream; NULL: it has left */
	uint64_t since_ns;
};

struct mf_calls {
	bool open; /* the program has its connection */
	uint32_t connection;
	uint32_t serial;
	uint32_t next_line; /* where the next look begins */
	unsigned int flying;
	struct mf_calls_flight flights[MF_CALLS_FLIGHTS];
	uint32_t
		*of_line; /* of each channel and stream: messages and calls that are not answered */
	uint32_t *lives;  /* of each, atomic: how often it was wiped */
	struct mf_calls_client *clients; /* connections of request VMs' programs to the store */
	bool answered;                   /* somebody has a reply since this was last false */
	/* The frame that goes out, and the one that comes in. */
	uint8_t *out;
	uint32_t out_bytes;
	uint32_t out_done;
	uint8_t *in;
	uint32_t in_bytes;
};

/* -ENOMEM. NULL is fine for destroy. */
int mf_calls_create(struct mf_calls **out, unsigned int lines);
void mf_calls_destroy(struct mf_calls *calls);

/* A program begins: it has no connection yet, and no call. */
void mf_calls_reset(struct mf_store *store);

/* Does the program wait where it listens? Then it is ready. */
bool mf_calls_are_awaited(struct mf_store *store);

/*
 * Bring answers to the channels, and calls to the program, as far as they go. *moved: the program
 * has something to do. False: the program broke the rules; `text` says how.
 */
bool mf_calls_move(struct mf_store *store, bool *moved, char text[160]);

/* When the call that has been under way for longest began; UINT64_MAX: none is. */
uint64_t mf_calls_since_ns(const struct mf_store *store);

/* calls_line.c: the storage side of the channels. */

/* Find the next call that may be taken, and make a frame of it in calls->out. False: there is none.
 */
bool mf_calls_take(struct mf_store *store);

/* Answer a call, with what is after `payload`, and forget it. */
void mf_calls_answer(struct mf_store *store, struct mf_calls_flight *flight, int status,
		     const void *payload, uint32_t bytes);

/* A call is on its way, of a line that this side has entered: where its payload is to be put. There
 * is a place for it. */
uint8_t *mf_calls_fly(struct mf_store *store, const struct mf_calls_flight *call, uint32_t bytes);

/* The answer to a stream's message that waited, which are two pieces. */
void mf_calls_give(struct mf_store *store, uint32_t line, uint64_t id,
		   const struct mf_piece pieces[2]);

static inline uint32_t mf_calls_life(const struct mf_calls *calls, uint32_t line)
{
	return __atomic_load_n(&calls->lives[line], __ATOMIC_ACQUIRE);
}

/* calls_stream.c: programs' connections. */

/*
 * The message at hand of a stream: 0: it is answered later; MF_CALLS_DONE: at once, with nothing; a
 * negative errno. *taken: a call is in calls->out.
 */
#define MF_CALLS_DONE 1
int mf_calls_hear_stream(struct mf_store *store, uint32_t line, const struct mf_ring *ring,
			 const struct mf_abi_message *message, bool *taken);

/* The next call that has come by a connection, as mf_calls_take(). */
bool mf_calls_take_frame(struct mf_store *store);

void mf_calls_answer_client(struct mf_store *store, struct mf_calls_client *client, uint64_t id,
			    int status, const void *payload, uint32_t bytes);
void mf_calls_forget_clients(struct mf_calls *calls);

#endif
