/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <x86intrin.h>

#include <mayfly/abi/ring_ops.h>
#include <mayfly/abi/store.h>
#include <mayfly/sdk.h>

#include "forge.h"

#define FORGE_NS    5000000u
#define FLOOD_NS    10000000u
#define FLOOD_LARGE (64u << 10) /* a value that fills the reply ring soon */
#define LOOKS_MASK  63u         /* forgeries between two looks at the clock */
#define TABLE       "forged"

static struct mf_abi_channel *const window = (void *)MF_CHANNEL_VA;
static uint64_t seed;
static char filler[FLOOD_LARGE];

/* Marsaglia's xorshift64. */
static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static bool has_channel(void)
{
	seed = __rdtsc() | 1;
	return mf_inside() && (getauxval(MF_AUX_TYPE) & MF_AUX_CHANNEL) &&
	       window->magic == MF_CHANNEL_MAGIC;
}

/* Half of them nearly right. */
static uint32_t forged_number(uint32_t near)
{
	switch (draw() % 4) {
	case 0:
		return (uint32_t)draw();
	case 1:
		return near + (uint32_t)draw() % 64 - 32;
	case 2:
		return near + (uint32_t)draw() % 64 * MF_RING_ALIGN;
	default:
		return 1u << draw() % 32;
	}
}

static void forge_index(void)
{
	struct mf_abi_index *indices = &window->request_tail;
	struct mf_abi_index *index = &indices[draw() % 4];

	mf_store_release(&index->at, forged_number(index->at));
}

static void forge_geometry(void)
{
	uint32_t *words = (uint32_t *)window;

	uint64_t i = draw() % 6;

	words[i] = forged_number(words[i]);
}

static uint8_t *ring_at(uint32_t ring_bytes, uint32_t at)
{
	return (uint8_t *)window + MF_CHANNEL_HEAD_BYTES + (at & (ring_bytes - 1));
}

/* A header where the storage VM may be reading one this moment. */
static void forge_header(uint32_t ring_bytes)
{
	struct mf_abi_message message = {.size_bytes = forged_number(64),
					 .function = (uint32_t)draw() % 9,
					 .id = draw(),
					 .status = (int32_t)draw()};
	uint32_t at = (window->request_head.at + (uint32_t)draw() % 4096) & ~(MF_RING_ALIGN - 1);

	if ((at & (ring_bytes - 1)) <= ring_bytes - sizeof(message))
		memcpy(ring_at(ring_bytes, at), &message, sizeof(message));
}

/* Anywhere behind the header page, the replies too. */
static void forge_bytes(uint32_t ring_bytes)
{
	uint64_t noise[8];
	uint32_t at = (uint32_t)draw() % (2 * ring_bytes - (uint32_t)sizeof(noise));

	for (size_t i = 0; i < 8; i++)
		noise[i] = draw();
	memcpy((uint8_t *)window + MF_CHANNEL_HEAD_BYTES + at, noise, sizeof(noise));
}

static int put_call(struct mf_ring *ring, uint32_t function, struct mf_abi_kv head, uint32_t value)
{
	char key = (char)('a' + draw() % 16);
	struct mf_piece pieces[] = {
		{&head, sizeof(head)}, {TABLE, sizeof(TABLE) - 1}, {&key, 1}, {filler, value}};

	return mf_ring_put(ring, function, draw(), 0, pieces, 4);
}

/* A whole call, whose head lies about what follows every other time. */
static void forge_call(struct mf_ring *ring)
{
	uint32_t value = (uint32_t)draw() % 512;
	struct mf_abi_kv head = {sizeof(TABLE) - 1, 1, value, draw() % 64};

	if (draw() % 2)
		head = (struct mf_abi_kv){(uint16_t)forged_number(6), (uint16_t)forged_number(1),
					  forged_number(value), draw()};
	put_call(ring, (uint32_t)draw() % 9, head, value);
}

/* Mostly calls: a channel that was found broken is not heard any more. */
static void forge(struct mf_ring *requests, uint32_t ring_bytes)
{
	switch (draw() % 64) {
	case 0:
		forge_index();
		break;
	case 1:
		forge_geometry();
		break;
	case 2 ... 7:
		forge_header(ring_bytes);
		break;
	case 8 ... 23:
		forge_bytes(ring_bytes);
		break;
	default:
		forge_call(requests);
	}
}

size_t forge_ring(void)
{
	uint64_t end = mf_clock_ns() + FORGE_NS;
	struct mf_ring requests, replies;
	size_t forgeries = 0;

	if (!has_channel() ||
	    mf_channel_open(window, mf_channel_bytes(MF_RING_BYTES_MAX), &requests, &replies))
		return 0;
	while (mf_clock_ns() < end) {
		for (unsigned int i = 0; i <= LOOKS_MASK; i++)
			forge(&requests, requests.mask + 1);
		forgeries += LOOKS_MASK + 1;
		/* Its turn, with whatever it finds; the answer may be that it is over. */
		if (draw() % 16 == 0)
			mf_sdk_exit(MF_CALL_CHANNEL_WAIT, NULL, 0, 0);
	}
	return forgeries;
}

size_t forge_flood(void)
{
	uint64_t end = mf_clock_ns() + FLOOD_NS;
	struct mf_abi_kv small = {sizeof(TABLE) - 1, 1, 64, 0};
	struct mf_abi_kv large = {sizeof(TABLE) - 1, 1, FLOOD_LARGE, 0};
	struct mf_abi_kv get = {sizeof(TABLE) - 1, 1, 0, 0};
	struct mf_ring requests, replies;
	size_t calls = 0;

	if (!has_channel() ||
	    mf_channel_open(window, mf_channel_bytes(MF_RING_BYTES_MAX), &requests, &replies))
		return 0;
	put_call(&requests, MF_KV_PUT, large, FLOOD_LARGE);
	while (mf_clock_ns() < end) {
		for (unsigned int i = 0; i <= LOOKS_MASK; i++)
			calls += put_call(&requests, i % 4 ? MF_KV_GET : MF_KV_PUT,
					  i % 4 ? get : small, i % 4 ? 0 : small.value_bytes) == 0;
		mf_sdk_exit(MF_CALL_CHANNEL_WAIT, NULL, 0, 0);
	}
	return calls;
}
