/* SPDX-License-Identifier: MIT */
/*
 * "/hide?WAY" takes a secret of 16 bytes into the channel in one of the ways below and, with it, a
 * number that chooses the place; "/find" looks for it, told by its complement, so that the search
 * itself does not put it into memory.
 */
#include "store_guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mayfly/abi/store.h>
#include <mayfly/store.h>

#define SECRET     16
#define VALUE_MAX  (1u << 20)
#define STACK_LOOK (256u << 10)

extern char __executable_start[], _end[];

struct order {
	uint8_t secret[SECRET];
	uint32_t place;
};

static struct mf_abi_channel *const header = (void *)MF_CHANNEL_VA;
static uint8_t value[VALUE_MAX];
static char answer[64];

/* The secret over and over, ending at a byte that the place chooses. */
static struct mf_bytes fill(const struct order *order)
{
	size_t bytes = SECRET + order->place % (VALUE_MAX - SECRET);
	size_t at;

	for (at = 0; at + SECRET <= bytes; at += SECRET)
		memcpy(value + at, order->secret, SECRET);
	return (struct mf_bytes){value, bytes};
}

static struct mf_bytes key_of(const struct order *order)
{
	return (struct mf_bytes){order->secret, SECRET};
}

static void put_value(const struct order *order)
{
	mf_store_put("taint", MF_STRING("value"), fill(order));
}

static void get_value(const struct order *order)
{
	put_value(order);
	mf_store_get("taint", MF_STRING("value"), value, sizeof(value), NULL);
}

static void use_as_key(const struct order *order)
{
	mf_store_put("taint", key_of(order), key_of(order));
	mf_store_get("taint", key_of(order), value, sizeof(value), NULL);
	mf_store_swap("taint", key_of(order), key_of(order), MF_STRING("swapped"));
	mf_store_delete("taint", key_of(order));
}

static void scan(const struct order *order)
{
	size_t bytes;

	mf_store_put("taint", key_of(order), fill(order));
	mf_store_scan("taint", key_of(order), (struct mf_bytes){"", 0}, 10, value, sizeof(value),
		      &bytes);
	mf_store_delete("taint", key_of(order));
}

/* Asks so often for the value and takes no reply. */
static void ask_for_value(uint32_t times)
{
	struct mf_abi_kv head = {5, 5, 0, 0};
	struct mf_piece pieces[] = {{&head, sizeof(head)}, {"taint", 5}, {"value", 5}};
	struct mf_ring requests, replies;
	uint32_t i;

	if (mf_channel_open(header, mf_channel_bytes(header->ring_bytes), &requests, &replies))
		abort();
	requests.mine = header->request_tail.at; /* the SDK's calls came before */
	requests.seen = header->request_head.at;
	for (i = 0; i < times; i++)
		mf_ring_put(&requests, MF_KV_GET, i, 0, pieces, 3);
}

/* Replies that are left where they are; some are still under way at the end. */
static void leave_replies(const struct order *order)
{
	put_value(order);
	ask_for_value(1 + order->place % 3);
	if (order->place % 2)
		mf_sdk_exit(MF_CALL_CHANNEL_WAIT, NULL, 0, 0);
}

/* The storage VM alone touches the reply's pages; the value is an earlier request's. */
static void leave_a_reply_untouched(const struct order *order)
{
	ask_for_value(1);
	mf_sdk_exit(MF_CALL_CHANNEL_WAIT, NULL, 0, 0);
}

/* Anywhere in the window, whatever stands there. */
static void write_anywhere(const struct order *order)
{
	size_t bytes = mf_channel_bytes(header->ring_bytes);
	uint32_t pages = (uint32_t)(bytes / 4096);
	uint32_t page = order->place % pages;

	memcpy(WINDOW + page * 4096u + (order->place / pages * 8) % (4096 - SECRET), order->secret,
	       SECRET);
}

static void write_everywhere(const struct order *order)
{
	size_t bytes = mf_channel_bytes(header->ring_bytes);
	size_t at;

	for (at = order->place % 4080; at + SECRET <= bytes; at += 4096)
		memcpy(WINDOW + at, order->secret, SECRET);
}

/* So that it can be ended at any point of a call. */
static void call_for_ever(const struct order *order)
{
	for (;;)
		get_value(order);
}

static void call_and_crash(const struct order *order)
{
	get_value(order);
	__asm__ volatile("ud2");
}

static void (*const ways[])(const struct order *) = {
	put_value,      get_value,        use_as_key,    scan,           leave_replies,
	write_anywhere, write_everywhere, call_for_ever, call_and_crash, leave_a_reply_untouched,
};

static void hide(const struct mf_request *request, unsigned long number)
{
	struct order order;

	memcpy(&order, mf_request_body(request).data, sizeof(order));
	ways[number % (sizeof(ways) / sizeof(ways[0]))](&order);
	memset(&order, 0, sizeof(order));
	say("hidden");
}

static unsigned int count(const uint8_t *at, size_t bytes, const uint8_t *complement)
{
	unsigned int found = 0;
	size_t i, k;

	for (i = 0; i + SECRET <= bytes; i++) {
		if (at[i] != (uint8_t)~complement[0])
			continue;
		for (k = 1; k < SECRET && at[i + k] == (uint8_t)~complement[k]; k++)
			;
		found += k == SECRET;
	}
	return found;
}

/* Where: the channel alone, or all that this program has and knows of. */
static void find(const struct mf_request *request, unsigned long number)
{
	const uint8_t *complement = (const uint8_t *)mf_request_body(request).data;
	const uint8_t *here = __builtin_frame_address(0);
	uint8_t *heap = malloc(200000);
	unsigned int outside = 0;
	unsigned int found = count(WINDOW, mf_channel_bytes(header->ring_bytes), complement);

	__asm__ volatile("" : "+r"(heap) : : "memory"); /* what is in it already is the point */
	if (!number) {
		outside = count((uint8_t *)__executable_start, (size_t)(_end - __executable_start),
				complement);
		outside += count(here - STACK_LOOK, STACK_LOOK, complement);
		outside += count(heap, 200000, complement);
		outside += count((const uint8_t *)request, 3u << 20, complement);
	}
	free(heap);
	snprintf(answer, sizeof(answer), "found %u %u", found, outside);
	say(answer);
}

/* A request that does both: the search must be able to find. */
static void hide_and_find(const struct mf_request *request, unsigned long number)
{
	uint8_t complement[SECRET];
	struct order order;
	int i;

	memcpy(&order, mf_request_body(request).data, sizeof(order));
	ways[number % (sizeof(ways) / sizeof(ways[0]))](&order);
	for (i = 0; i < SECRET; i++)
		complement[i] = (uint8_t)~order.secret[i];
	snprintf(answer, sizeof(answer), "found %u",
		 count(WINDOW, mf_channel_bytes(header->ring_bytes), complement));
	say(answer);
}

const struct target taint_targets[] = {
	{"hide", hide},
	{"find", find},
	{"hide-and-find", hide_and_find},
	{NULL, NULL},
};
