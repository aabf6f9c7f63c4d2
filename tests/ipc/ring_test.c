/* SPDX-License-Identifier: MIT */
/*
 * The rings with one thread, where every byte and every return can be told in advance: all sizes at
 * all offsets, full and empty, indices that wrap, each rule that a peer can break, and the bytes of
 * the worked example in docs/formats/ring.md (MAYFLY_TEST_RING_DOC is its path).
 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mayfly/abi/ring_ops.h>

#define HEADER   ((uint32_t)sizeof(struct mf_abi_message))
#define ANYTHING 0xa5 /* what lies in a ring before a message */

/* Both ends of one ring. Its bytes are an allocation of their own, so that ASan sees a step out. */
struct pair {
	struct mf_ring producer;
	struct mf_ring consumer;
	struct mf_abi_index tail;
	struct mf_abi_index head;
	uint8_t *bytes;
	uint32_t ring_bytes;
};

/* As if `at` bytes had passed already. */
static void pair_move(struct pair *pair, uint32_t at)
{
	mf_ring_init(&pair->producer, pair->bytes, pair->ring_bytes, &pair->tail, &pair->head);
	mf_ring_init(&pair->consumer, pair->bytes, pair->ring_bytes, &pair->tail, &pair->head);
	pair->tail.at = pair->head.at = at;
	pair->producer.mine = pair->producer.seen = at;
	pair->consumer.mine = pair->consumer.seen = at;
}

static struct pair *pair_create(uint32_t ring_bytes, uint32_t at)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	cr_assert(pair);
	pair->bytes = malloc(ring_bytes);
	cr_assert(pair->bytes);
	memset(pair->bytes, ANYTHING, ring_bytes);
	pair->ring_bytes = ring_bytes;
	pair_move(pair, at);
	return pair;
}

static void pair_destroy(struct pair *pair)
{
	free(pair->bytes);
	free(pair);
}

static int put(struct pair *pair, uint64_t id, const void *payload, uint32_t bytes)
{
	struct mf_piece piece = {payload, bytes};

	return mf_ring_put(&pair->producer, 3, id, -5, &piece, 1);
}

static void fill(uint8_t *to, uint32_t bytes, uint32_t seed)
{
	uint32_t i;

	for (i = 0; i < bytes; i++)
		to[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

/* Takes a message that must be there and must be what was put. */
static void take(struct pair *pair, uint64_t id, const void *payload, uint32_t bytes)
{
	struct mf_abi_message message;
	uint8_t *copy = malloc(bytes + 1);

	cr_assert(copy);
	cr_assert_eq(mf_ring_peek(&pair->consumer, &message), 1);
	cr_assert_eq(message.size_bytes, HEADER + bytes);
	cr_assert_eq(message.function, 3);
	cr_assert_eq(message.id, id);
	cr_assert_eq(message.status, -5);
	cr_assert_eq(message.reserved, 0);
	mf_ring_read(&pair->consumer, 0, copy, bytes);
	cr_assert(!bytes || !memcmp(copy, payload, bytes), "payload of %u bytes", bytes);
	mf_ring_next(&pair->consumer, message.size_bytes);
	free(copy);
}

static void nothing_left(struct pair *pair)
{
	struct mf_abi_message message;

	cr_assert_eq(mf_ring_peek(&pair->consumer, &message), 0);
	cr_assert_eq(pair->tail.at, pair->head.at);
}

TestSuite(ring, .timeout = 60);

Test(ring, every_size_passes_at_every_offset)
{
	uint8_t payload[4096];
	struct pair *pair = pair_create(4096, 0);
	uint32_t at;
	uint32_t bytes;

	fill(payload, sizeof(payload), 1);
	for (at = 0; at < 4096; at += MF_RING_ALIGN) {
		for (bytes = 0; bytes <= 4096 - HEADER; bytes++) {
			pair_move(pair, at);
			cr_assert_eq(put(pair, at, payload, bytes), 0);
			take(pair, at, payload, bytes);
		}
	}
	nothing_left(pair);
	pair_destroy(pair);
}

Test(ring, a_message_changes_its_own_bytes_and_pads_with_zeros)
{
	static const uint8_t none[MF_RING_ALIGN];
	uint8_t payload[256];
	struct pair *pair = pair_create(256, 0);
	uint32_t bytes;

	fill(payload, sizeof(payload), 9);
	for (bytes = 0; bytes <= 256 - HEADER; bytes++) {
		uint32_t end = HEADER + bytes;
		uint32_t padded = mf_ring_padded(end);
		uint32_t i;

		memset(pair->bytes, ANYTHING, 256);
		pair_move(pair, 0);
		cr_assert_eq(put(pair, 1, payload, bytes), 0);
		cr_assert_eq(pair->tail.at, padded);
		cr_assert(!memcmp(pair->bytes + end, none, padded - end));
		for (i = padded; i < 256; i++)
			cr_assert_eq(pair->bytes[i], ANYTHING);
	}
	pair_destroy(pair);
}

Test(ring, pieces_are_one_payload_wherever_they_are_cut)
{
	uint8_t payload[40];
	uint32_t at;
	uint32_t first;
	uint32_t second;

	fill(payload, sizeof(payload), 5);
	for (at = 0; at < 64; at += MF_RING_ALIGN) {
		struct pair *pair = pair_create(64, at);

		for (first = 0; first <= 40; first++) {
			for (second = first; second <= 40; second++) {
				struct mf_piece pieces[4] = {{payload, first},
							     {NULL, 0},
							     {payload + first, second - first},
							     {payload + second, 40 - second}};

				cr_assert_eq(mf_ring_put(&pair->producer, 3, 8, -5, pieces, 4), 0);
				take(pair, 8, payload, 40);
			}
		}
		pair_destroy(pair);
	}
}

Test(ring, a_part_of_a_payload_can_be_read)
{
	uint8_t payload[40];
	uint8_t copy[40];
	struct mf_abi_message message;
	uint32_t from;
	uint32_t bytes;
	struct pair *pair = pair_create(64, 24);

	fill(payload, sizeof(payload), 3);
	cr_assert_eq(put(pair, 1, payload, 40), 0);
	cr_assert_eq(mf_ring_peek(&pair->consumer, &message), 1);
	for (from = 0; from <= 40; from++) {
		for (bytes = 0; from + bytes <= 40; bytes++) {
			mf_ring_read(&pair->consumer, from, copy, bytes);
			cr_assert(!memcmp(copy, payload + from, bytes));
		}
	}
	pair_destroy(pair);
}

Test(ring, a_full_ring_says_so_and_an_empty_one_too)
{
	uint32_t start;

	for (start = 0; start < 128; start += MF_RING_ALIGN) {
		struct pair *pair = pair_create(128, start);

		nothing_left(pair);
		cr_assert_eq(put(pair, 1, "12345678", 8), 0);
		cr_assert_eq(put(pair, 2, "12345678", 8), 0);
		cr_assert_eq(put(pair, 3, "12345678", 8), 0);
		cr_assert_eq(put(pair, 4, "123456789", 9), -EAGAIN, "32 are left, not 40");
		cr_assert_eq(put(pair, 4, "12345678", 8), 0);
		pair_move(pair, start);
		cr_assert_eq(put(pair, 1, pair->bytes, 0), 0);
		cr_assert_eq(put(pair, 2, "12345678901234567890123456789012345678901234567890", 50),
			     0);
		cr_assert_eq(put(pair, 3, NULL, 0), 0, "exactly full");
		cr_assert_eq(pair->tail.at - pair->head.at, 128);
		cr_assert_eq(put(pair, 4, NULL, 0), -EAGAIN);
		take(pair, 1, NULL, 0);
		cr_assert_eq(put(pair, 4, "1", 1), -EAGAIN);
		cr_assert_eq(put(pair, 4, NULL, 0), 0);
		take(pair, 2, "12345678901234567890123456789012345678901234567890", 50);
		take(pair, 3, NULL, 0);
		take(pair, 4, NULL, 0);
		nothing_left(pair);
		pair_destroy(pair);
	}
}

Test(ring, indices_wrap_at_two_to_the_32)
{
	struct pair *pair = pair_create(128, 0u - 200);
	uint64_t id;

	for (id = 0; id < 40; id += 3) {
		cr_assert_eq(put(pair, id, "abc", 3), 0);
		cr_assert_eq(put(pair, id + 1, "defgh", 5), 0);
		cr_assert_eq(put(pair, id + 2, NULL, 0), 0);
		take(pair, id, "abc", 3);
		take(pair, id + 1, "defgh", 5);
		take(pair, id + 2, NULL, 0);
	}
	cr_assert_lt(pair->tail.at, 0x80000000u);
	nothing_left(pair);
	pair_destroy(pair);
}

Test(ring, what_never_fits_is_told_apart_and_nothing_is_put)
{
	struct pair *pair = pair_create(128, 64);
	struct mf_piece huge[3] = {{"", UINT32_MAX}, {"", UINT32_MAX}, {"", 2}};
	uint8_t payload[128] = {0};
	uint32_t i;

	cr_assert_eq(mf_ring_payload_max(&pair->producer), 128 - HEADER);
	cr_assert_eq(put(pair, 1, payload, 128 - HEADER + 1), -EMSGSIZE);
	cr_assert_eq(put(pair, 1, payload, UINT32_MAX), -EMSGSIZE);
	cr_assert_eq(mf_ring_put(&pair->producer, 1, 1, 0, huge, 3), -EMSGSIZE);
	cr_assert_eq(put(pair, 1, payload, 128 - HEADER), 0, "the largest one fits");
	cr_assert_eq(put(pair, 1, payload, 128 - HEADER + 1), -EMSGSIZE, "also when full");
	take(pair, 1, payload, 128 - HEADER);
	memset(pair->bytes, ANYTHING, 128);
	cr_assert_eq(put(pair, 1, payload, 128), -EMSGSIZE);
	for (i = 0; i < 128; i++)
		cr_assert_eq(pair->bytes[i], ANYTHING);
	nothing_left(pair);
	pair_destroy(pair);
}

/* The consumer of a ring with one message whose header says `size`; `used` bytes are in use. */
static int peek_claim(uint32_t size, uint32_t used)
{
	struct pair *pair = pair_create(128, 120);
	struct mf_abi_message message = {.size_bytes = size};
	int ret;

	mf_ring_copy_in(&pair->producer, 120, &message, sizeof(message));
	pair->tail.at = 120 + used;
	ret = mf_ring_peek(&pair->consumer, &message);
	cr_assert_eq(mf_ring_peek(&pair->consumer, &message), ret, "it stays so");
	if (ret == -EPROTO) {
		memset(pair->bytes, 0, 128);
		pair->tail.at = pair->head.at;
		cr_assert_eq(mf_ring_peek(&pair->consumer, &message), -EPROTO, "no way back");
	}
	pair_destroy(pair);
	return ret;
}

Test(ring, sizes_that_cannot_be_are_refused)
{
	cr_assert_eq(peek_claim(24, 24), 1);
	cr_assert_eq(peek_claim(128, 128), 1);
	cr_assert_eq(peek_claim(25, 32), 1);
	cr_assert_eq(peek_claim(0, 24), -EPROTO);
	cr_assert_eq(peek_claim(23, 24), -EPROTO, "less than a header");
	cr_assert_eq(peek_claim(25, 24), -EPROTO, "more than is in use");
	cr_assert_eq(peek_claim(24, 8), -EPROTO, "less in use than a header");
	cr_assert_eq(peek_claim(129, 128), -EPROTO, "more than the ring");
	cr_assert_eq(peek_claim(UINT32_MAX, 128), -EPROTO);
	cr_assert_eq(peek_claim(UINT32_MAX - 6, 128), -EPROTO, "0 once padded");
	cr_assert_eq(peek_claim(0x80000018, 128), -EPROTO);
}

Test(ring, tails_that_cannot_be_are_refused)
{
	cr_assert_eq(peek_claim(24, 136), -EPROTO, "more in use than the ring has");
	cr_assert_eq(peek_claim(24, 0u - 8), -EPROTO, "before the head");
	cr_assert_eq(peek_claim(24, 0x80000000u), -EPROTO);
	cr_assert_eq(peek_claim(24, 25), -EPROTO, "misaligned");
	cr_assert_eq(peek_claim(24, 28), -EPROTO);
	cr_assert_eq(peek_claim(24, 0), 0);
}

/* The producer of a ring with `used` bytes in use when the consumer's head moves by `by`. */
static int put_after_claim(uint32_t used, uint32_t by)
{
	struct pair *pair = pair_create(128, 0u - 64);
	uint8_t payload[128] = {0};
	int ret;

	cr_assert_eq(put(pair, 1, payload, used - HEADER), 0);
	pair->head.at += by;
	ret = put(pair, 2, payload, 128 - HEADER); /* needs a look at the head */
	if (ret == -EPROTO) {
		pair->head.at = pair->tail.at;
		cr_assert_eq(put(pair, 3, NULL, 0), -EPROTO, "no way back");
		cr_assert_eq(pair->producer.mine, pair->tail.at, "nothing was put");
	}
	pair_destroy(pair);
	return ret;
}

Test(ring, heads_that_cannot_be_are_refused)
{
	cr_assert_eq(put_after_claim(64, 64), 0);
	cr_assert_eq(put_after_claim(64, 0), -EAGAIN);
	cr_assert_eq(put_after_claim(64, 24), -EAGAIN);
	cr_assert_eq(put_after_claim(64, 72), -EPROTO, "after the tail");
	cr_assert_eq(put_after_claim(64, 0u - 8), -EPROTO, "back");
	cr_assert_eq(put_after_claim(64, 0u - 64), -EPROTO, "all in use, but back");
	cr_assert_eq(put_after_claim(64, 0x80000000u), -EPROTO);
	cr_assert_eq(put_after_claim(64, 4), -EPROTO, "misaligned");
	cr_assert_eq(put_after_claim(64, 63), -EPROTO, "misaligned");
}

Test(ring, a_header_that_changes_after_the_look_changes_nothing)
{
	struct pair *pair = pair_create(128, 0);
	struct mf_abi_message message;
	uint8_t payload[16] = {1, 2, 3};

	cr_assert_eq(put(pair, 7, payload, 16), 0);
	cr_assert_eq(mf_ring_peek(&pair->consumer, &message), 1);
	memset(pair->bytes, 0xff, HEADER);
	pair->tail.at = 0x77777777;
	cr_assert_eq(message.size_bytes, HEADER + 16);
	mf_ring_next(&pair->consumer, message.size_bytes);
	cr_assert_eq(pair->head.at, HEADER + 16, "moved by what was checked");
	cr_assert_eq(mf_ring_peek(&pair->consumer, &message), -EPROTO);
	pair_destroy(pair);
}

Test(ring, nothing_of_this_sides_own_is_read_back)
{
	struct pair *pair = pair_create(128, 0);

	cr_assert_eq(put(pair, 1, "a", 1), 0);
	pair->tail.at = 0x12345678;
	cr_assert_eq(put(pair, 2, "b", 1), 0);
	cr_assert_eq(pair->tail.at, 64);
	take(pair, 1, "a", 1);
	pair->head.at = 0x12345678;
	take(pair, 2, "b", 1);
	nothing_left(pair);
	pair_destroy(pair);
}

static _Alignas(4096) uint8_t window[MF_CHANNEL_HEAD_BYTES + 2 * 8192];

static struct mf_abi_channel *channel_made(uint32_t ring_bytes)
{
	struct mf_abi_channel *channel = (struct mf_abi_channel *)(void *)window;

	memset(window, 0, sizeof(window));
	channel->magic = MF_CHANNEL_MAGIC;
	channel->version = MF_CHANNEL_VERSION;
	channel->ring_bytes = ring_bytes;
	return channel;
}

static int open_sized(uint32_t ring_bytes, size_t window_bytes)
{
	struct mf_ring requests;
	struct mf_ring replies;

	channel_made(ring_bytes);
	return mf_channel_open(window, window_bytes, &requests, &replies);
}

Test(channel, opens_both_rings_where_they_lie)
{
	struct mf_abi_channel *channel = channel_made(8192);
	struct mf_ring requests;
	struct mf_ring replies;

	cr_assert_eq(mf_channel_open(window, sizeof(window), &requests, &replies), 0);
	cr_assert_eq(requests.bytes, window + 4096);
	cr_assert_eq(replies.bytes, window + 4096 + 8192);
	cr_assert_eq(requests.tail, &channel->request_tail.at);
	cr_assert_eq(requests.head, &channel->request_head.at);
	cr_assert_eq(replies.tail, &channel->reply_tail.at);
	cr_assert_eq(replies.head, &channel->reply_head.at);
	cr_assert_eq(requests.mask, 8191);
	cr_assert_eq(replies.mask, 8191);
}

Test(channel, that_leads_nowhere_or_is_another_is_told_apart)
{
	struct mf_abi_channel *channel = channel_made(4096);
	struct mf_ring ring;

	channel->version = 2;
	cr_assert_eq(mf_channel_open(window, sizeof(window), &ring, &ring), -EPROTO);
	channel->magic = 0;
	cr_assert_eq(mf_channel_open(window, sizeof(window), &ring, &ring), -ENXIO);
	channel->magic = MF_CHANNEL_MAGIC + 1;
	cr_assert_eq(mf_channel_open(window, sizeof(window), &ring, &ring), -ENXIO);
	channel_made(4096);
	cr_assert_eq(mf_channel_open(window, 319, &ring, &ring), -ENXIO, "no room for a header");
}

Test(channel, geometry_is_checked)
{
	cr_assert_eq(open_sized(4096, sizeof(window)), 0);
	cr_assert_eq(open_sized(8192, sizeof(window)), 0);
	cr_assert_eq(open_sized(8192, sizeof(window) - 1), -EPROTO, "does not fit");
	cr_assert_eq(open_sized(16384, sizeof(window)), -EPROTO);
	cr_assert_eq(open_sized(0, sizeof(window)), -EPROTO);
	cr_assert_eq(open_sized(2048, sizeof(window)), -EPROTO, "too small");
	cr_assert_eq(open_sized(4096 + 8, sizeof(window)), -EPROTO, "no power of two");
	cr_assert_eq(open_sized(0x80000000u, SIZE_MAX), -EPROTO, "larger than any ring");
	cr_assert_eq(open_sized(UINT32_MAX, SIZE_MAX), -EPROTO);
}

/* Compares the bytes of `OFFSET  XX XX XX  words` with memory; false when it is no such line. */
static bool compare_line(const char *line)
{
	char *at;
	unsigned long offset = strtoul(line, &at, 16);
	unsigned int byte;

	if (at != line + 4 || strncmp(at, "  ", 2))
		return false;
	for (at += 2; isxdigit(at[0]) && sscanf(at, "%2x", &byte) == 1; at += at[2] == ' ' ? 3 : 2)
		cr_assert_eq(window[offset++], byte, "0x%02x in memory, but: %s",
			     window[offset - 1], line);
	return true;
}

static unsigned int compare_with_doc(const char *path)
{
	FILE *doc = path ? fopen(path, "re") : NULL;
	unsigned int lines = 0;
	char line[256];

	cr_assert(doc, "MAYFLY_TEST_RING_DOC leads nowhere: %s", path);
	while (fgets(line, sizeof(line), doc))
		lines += compare_line(line);
	fclose(doc);
	return lines;
}

Test(channel, the_documents_example_is_what_lies_in_memory)
{
	struct mf_abi_channel *channel = channel_made(4096);
	struct mf_piece pieces[2] = {{"color", 5}, {"blue", 4}};
	struct mf_abi_message message;
	struct mf_ring requests;
	struct mf_ring replies;

	channel->poll_ns = 50000;
	cr_assert_eq(mf_channel_open(window, sizeof(window), &requests, &replies), 0);
	cr_assert_eq(mf_ring_put(&requests, 2, 7, 0, pieces, 2), 0);
	cr_assert_eq(mf_channel_open(window, sizeof(window), &requests, &replies), 0);
	cr_assert_eq(mf_ring_peek(&requests, &message), 1); /* now as the storage VM */
	mf_ring_next(&requests, message.size_bytes);
	cr_assert_eq(mf_ring_put(&replies, message.function, message.id, -ENOENT, NULL, 0), 0);
	cr_assert_eq(compare_with_doc(getenv("MAYFLY_TEST_RING_DOC")), 11);
}
