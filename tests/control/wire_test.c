/* SPDX-License-Identifier: MIT */
/* The framing of the control socket: a client's bytes in any pieces. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/control/server.h"
#include "ipc/control/wire.h"

/* Feeds bytes in pieces of at most `piece`; counts messages, stops at an error. */
static int feed(struct mf_wire *wire, const uint8_t *bytes, size_t count, size_t piece,
		unsigned int *messages)
{
	*messages = 0;
	while (count) {
		size_t room;
		uint8_t *to = mf_wire_room(wire, &room);
		size_t now = room < piece ? room : piece;
		int state;

		cr_assert_gt(room, 0);
		now = now < count ? now : count;
		memcpy(to, bytes, now);
		bytes += now;
		count -= now;
		state = mf_wire_add(wire, now);
		if (state < 0)
			return state;
		if (state == 1) {
			size_t route, body;
			const uint8_t *at = mf_wire_body(wire, &route, &body);

			cr_assert(!at || route + body == wire->message_bytes);
			++*messages;
			mf_wire_next(wire);
		}
	}
	return 0;
}

static size_t put_message(uint8_t *to, const char *body)
{
	static const uint8_t number[4] = {0x80, 0, 0, 1};
	size_t length = strlen(body);

	mf_wire_put_length(to, sizeof(number) + length);
	memcpy(to + MF_WIRE_LENGTH_BYTES, number, sizeof(number));
	memcpy(to + MF_WIRE_LENGTH_BYTES + sizeof(number), body, length);
	return MF_WIRE_LENGTH_BYTES + sizeof(number) + length;
}

Test(wire, pieces_of_any_size_make_the_same_messages)
{
	uint8_t bytes[256];
	size_t count = MF_WIRE_HELLO_BYTES;

	memcpy(bytes, mf_wire_hello_req, MF_WIRE_HELLO_BYTES);
	count += put_message(bytes + count, "one");
	count += put_message(bytes + count, "");
	count += put_message(bytes + count, "three is longer than the others");
	for (size_t piece = 1; piece <= count; piece++) {
		struct mf_wire wire = {0};
		unsigned int messages;

		cr_assert_eq(feed(&wire, bytes, count, piece, &messages), 0);
		cr_assert_eq(messages, 3);
		cr_assert(!mf_wire_is_open(&wire));
		mf_wire_next(&wire);
	}
}

Test(wire, any_other_hello_ends_it)
{
	for (size_t at = 0; at < MF_WIRE_HELLO_BYTES; at++) {
		uint8_t hello[MF_WIRE_HELLO_BYTES];
		struct mf_wire wire = {0};
		unsigned int messages;

		memcpy(hello, mf_wire_hello_req, sizeof(hello));
		hello[at] ^= 1;
		cr_expect_eq(feed(&wire, hello, sizeof(hello), 8, &messages), -EPROTO);
	}
}

static int feed_length(uint8_t mark, uint64_t length)
{
	struct mf_wire wire = {.greeted = true};
	uint8_t head[MF_WIRE_LENGTH_BYTES];
	unsigned int messages;
	int code;

	mf_wire_put_length(head, length);
	head[0] = mark;
	code = feed(&wire, head, sizeof(head), sizeof(head), &messages);
	mf_wire_next(&wire);
	return code;
}

Test(wire, lengths_are_bounded)
{
	cr_expect_eq(feed_length(1, 4), 0);
	cr_expect_eq(feed_length(1, MF_CONTROL_MESSAGE_MAX + MF_WIRE_ROUTE_MAX), 0);
	cr_expect_eq(feed_length(1, MF_CONTROL_MESSAGE_MAX + MF_WIRE_ROUTE_MAX + 1), -EMSGSIZE);
	cr_expect_eq(feed_length(1, UINT64_MAX), -EMSGSIZE);
	cr_expect_eq(feed_length(1, UINT64_C(1) << 63), -EMSGSIZE);
	cr_expect_eq(feed_length(1, 3), -EPROTO);
	cr_expect_eq(feed_length(1, 0), -EPROTO);
	cr_expect_eq(feed_length(0, 4), -EPROTO);
	cr_expect_eq(feed_length(2, 4), -EPROTO);
}

static const uint8_t *body_of(uint8_t *message, size_t bytes, size_t *route, size_t *body)
{
	struct mf_wire wire = {.greeted = true, .message = message, .message_bytes = bytes};

	return mf_wire_body(&wire, route, body);
}

Test(wire, a_route_ends_with_the_requests_number)
{
	uint8_t message[64] = {0};
	size_t route, body;

	cr_expect_null(body_of(message, 64, &route, &body), "no end");
	message[MF_WIRE_ROUTE_MAX] = 0x80;
	cr_expect_null(body_of(message, 64, &route, &body), "too many hops");
	message[MF_WIRE_ROUTE_MAX - 4] = 0x80;
	cr_expect_eq(body_of(message, 64, &route, &body), message + MF_WIRE_ROUTE_MAX);
	cr_expect_eq(route, MF_WIRE_ROUTE_MAX);
	message[0] = 0xff;
	cr_expect_eq(body_of(message, 4, &route, &body), message + 4);
	cr_expect(route == 4 && body == 0);
	message[0] = 0;
	message[4] = 0x80;
	cr_expect_null(body_of(message, 7, &route, &body), "half a number");
}

Test(wire, random_bytes_are_survived)
{
	uint8_t bytes[200];

	srand(2);
	for (int round = 0; round < 50000; round++) {
		size_t count = MF_WIRE_HELLO_BYTES;
		struct mf_wire wire = {0};
		unsigned int messages;

		memcpy(bytes, mf_wire_hello_req, count);
		count += put_message(bytes + count, "body");
		for (size_t i = count; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(rand() % 4 ? 0 : rand());
		bytes[(size_t)rand() % count] = (uint8_t)rand();
		feed(&wire, bytes, sizeof(bytes), (size_t)rand() % 60 + 1, &messages);
		mf_wire_next(&wire);
	}
}
