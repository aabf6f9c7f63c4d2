/* SPDX-License-Identifier: MIT */
#include "ipc/control/wire.h"
#include "ipc/control/server.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Protocol numbers: REQ is 0x30, REP 0x31 (nng's protocol/reqrep0 headers: 3 * 16 + 0 and 1). */
const uint8_t mf_wire_hello_rep[MF_WIRE_HELLO_BYTES] = {0, 'S', 'P', 0, 0, 0x31, 0, 0};
const uint8_t mf_wire_hello_req[MF_WIRE_HELLO_BYTES] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};

#define LENGTH_MARK 1u

static size_t head_wanted(const struct mf_wire *wire)
{
	return wire->greeted ? MF_WIRE_LENGTH_BYTES : MF_WIRE_HELLO_BYTES;
}

uint8_t *mf_wire_room(struct mf_wire *wire, size_t *bytes)
{
	if (wire->message) {
		*bytes = wire->message_bytes - wire->have_bytes;
		return wire->message + wire->have_bytes;
	}
	*bytes = head_wanted(wire) - wire->head_bytes;
	return wire->head + wire->head_bytes;
}

static int take_hello(struct mf_wire *wire)
{
	if (memcmp(wire->head, mf_wire_hello_req, MF_WIRE_HELLO_BYTES) != 0)
		return -EPROTO;
	wire->greeted = true;
	wire->head_bytes = 0;
	return 0;
}

static int take_length(struct mf_wire *wire)
{
	uint64_t length;

	memcpy(&length, wire->head + 1, sizeof(length));
	length = be64toh(length);
	if (wire->head[0] != LENGTH_MARK || length < sizeof(uint32_t))
		return -EPROTO;
	if (length > MF_CONTROL_MESSAGE_MAX + MF_WIRE_ROUTE_MAX)
		return -EMSGSIZE;
	wire->message = malloc(length);
	wire->message_bytes = length;
	wire->have_bytes = 0;
	return wire->message ? 0 : -ENOMEM;
}

int mf_wire_add(struct mf_wire *wire, size_t bytes)
{
	if (wire->message) {
		wire->have_bytes += bytes;
		return wire->have_bytes == wire->message_bytes;
	}
	wire->head_bytes += bytes;
	if (wire->head_bytes < head_wanted(wire))
		return 0;
	return wire->greeted ? take_length(wire) : take_hello(wire);
}

const uint8_t *mf_wire_body(const struct mf_wire *wire, size_t *route_bytes, size_t *body_bytes)
{
	size_t at;

	/* The request's number has the top bit, hops have not. */
	for (at = 0; at + 4 <= wire->message_bytes && at < MF_WIRE_ROUTE_MAX; at += 4) {
		if (!(wire->message[at] & 0x80))
			continue;
		*route_bytes = at + 4;
		*body_bytes = wire->message_bytes - *route_bytes;
		return wire->message + *route_bytes;
	}
	return NULL;
}

void mf_wire_next(struct mf_wire *wire)
{
	free(wire->message);
	*wire = (struct mf_wire){.greeted = wire->greeted};
}

bool mf_wire_is_open(const struct mf_wire *wire)
{
	return !wire->greeted || wire->message || wire->head_bytes;
}

void mf_wire_put_length(uint8_t head[MF_WIRE_LENGTH_BYTES], uint64_t bytes)
{
	uint64_t length = htobe64(bytes);

	head[0] = LENGTH_MARK;
	memcpy(head + 1, &length, sizeof(length));
}
