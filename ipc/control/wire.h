/* SPDX-License-Identifier: MIT */
/*
 * One client's bytes: nng's mapping of scalability protocols to Unix sockets, the REP side, as
 * docs/formats/control.md has it. Knows no commands and no sockets: bytes in, messages out. For
 * this folder and its tests.
 */
#ifndef MF_IPC_CONTROL_WIRE_H
#define MF_IPC_CONTROL_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MF_WIRE_HELLO_BYTES  8u
#define MF_WIRE_LENGTH_BYTES 9u /* a one, and the length */
/* The way back: hops of four bytes, and the request's number. nng forwards no further. */
#define MF_WIRE_ROUTE_MAX 32u

extern const uint8_t mf_wire_hello_rep[MF_WIRE_HELLO_BYTES]; /* what we say */
extern const uint8_t mf_wire_hello_req[MF_WIRE_HELLO_BYTES]; /* what we want to hear */

/* All zero is the beginning. */
struct mf_wire {
	bool greeted;
	uint8_t head[MF_WIRE_LENGTH_BYTES]; /* also the hello */
	size_t head_bytes;
	uint8_t *message; /* owned; once the length is known */
	size_t message_bytes;
	size_t have_bytes;
};

/* Where the next bytes go, and how many are wanted there; never 0. */
uint8_t *mf_wire_room(struct mf_wire *wire, size_t *bytes);

/*
 * So many bytes have come there. 1: a message is complete, see mf_wire_message; 0: more is wanted;
 * -EPROTO, -EMSGSIZE, -ENOMEM: end it.
 */
int mf_wire_add(struct mf_wire *wire, size_t bytes);

/* The complete message: its body; the route before it is *route_bytes long. NULL: no route. */
const uint8_t *mf_wire_body(const struct mf_wire *wire, size_t *route_bytes, size_t *body_bytes);

/* Ready for the next message. */
void mf_wire_next(struct mf_wire *wire);

/* In the middle of something: the hello or a message. */
bool mf_wire_is_open(const struct mf_wire *wire);

/* The head of a reply whose route and body have so many bytes together. */
void mf_wire_put_length(uint8_t head[MF_WIRE_LENGTH_BYTES], uint64_t bytes);

#endif
