/* SPDX-License-Identifier: MIT */
/*
 * A served program that does to the store what a request says: "/do" takes a batch of honest calls,
 * see storing.py; all other targets are /NAME or /NAME?NUMBER and stand in hostile.c.
 */
#include "store_guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mayfly/store.h>

#define OUT_BYTES (6u << 20)
#define ROOM_MAX  (4u << 20)

static uint8_t out[OUT_BYTES];
static uint8_t scratch[ROOM_MAX];
static char table[1024];
static size_t out_used;
static int at_boot[4];

/* An operation of a batch: this head, then table, key, first and second, without gaps. */
struct head {
	char what;
	uint8_t pad[3];
	uint32_t table_bytes;
	uint32_t key_bytes;
	uint32_t first_bytes;
	uint32_t second_bytes;
	uint32_t room;
	int64_t number;
};

struct operation {
	struct head head;
	struct mf_bytes key;
	struct mf_bytes first;
	struct mf_bytes second;
};

void say(const char *text)
{
	mf_respond(200, "text/plain", text, strlen(text));
}

void nap(unsigned long ms)
{
	struct timespec span = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

	nanosleep(&span, NULL);
}

static int run_kv(const struct operation *op, size_t *bytes)
{
	const struct head *head = &op->head;
	int64_t sum = 0;
	int code;

	switch (head->what) {
	case 'g':
		return mf_store_get(table, op->key, scratch, head->room, bytes);
	case 'p':
		return mf_store_put(table, op->key, op->first);
	case 'd':
		return mf_store_delete(table, op->key);
	case 's':
		return mf_store_scan(table, op->key, op->first, (unsigned int)head->number, scratch,
				     head->room, bytes);
	case 'w':
		return mf_store_swap(table, op->key, op->first, op->second);
	case 'W':
		return mf_store_swap(table, op->key, (struct mf_bytes){NULL, 0}, op->second);
	case 'a':
		code = mf_store_add(table, op->key, head->number, &sum);
		memcpy(scratch, &sum, sizeof(sum));
		*bytes = code ? 0 : sizeof(sum);
		return code;
	default:
		return -ENOTSUP;
	}
}

/* A call that is sent, waited for and collected one by one; the wait looks at nothing before. */
static int run_flight(const struct operation *op, size_t *bytes)
{
	uint64_t id;

	switch (op->head.what) {
	case 'u':
		return mf_store_submit((uint32_t)op->head.number, &op->first, 1, &id);
	case 'v':
		return (int)mf_sdk_exit(MF_CALL_CHANNEL_WAIT, NULL, 0, 0);
	default:
		return mf_store_collect(&id, scratch, op->head.room, bytes);
	}
}

static int run(const struct operation *op, size_t *bytes)
{
	uint32_t number = 0;
	int code;

	if (strchr("uvo", op->head.what))
		return run_flight(op, bytes);

	if (op->head.what == 'c')
		return mf_store_call((uint32_t)op->head.number, &op->first, 1, scratch,
				     op->head.room, bytes);
	if (op->head.what == 'r') {
		code = mf_store_resolve(table, &number);
		memcpy(scratch, &number, sizeof(number));
		*bytes = code ? 0 : sizeof(number);
		return code;
	}
	if (op->head.what == 'n') {
		nap((unsigned long)op->head.number);
		return 0;
	}
	return run_kv(op, bytes);
}

/* The result: int32 code, uint32 whole length, uint32 bytes that follow, and these. */
static void append(int32_t code, size_t bytes, size_t room)
{
	uint32_t copied = bytes > room || code == -ENOBUFS || code == -EAGAIN ? 0 : (uint32_t)bytes;
	uint32_t words[3] = {(uint32_t)code, (uint32_t)bytes, copied};

	if (out_used + sizeof(words) + copied > OUT_BYTES)
		abort();
	memcpy(out + out_used, words, sizeof(words));
	memcpy(out + out_used + sizeof(words), scratch, copied);
	out_used += sizeof(words) + copied;
}

static size_t take(const char *from, struct operation *op)
{
	memcpy(&op->head, from, sizeof(op->head));
	from += sizeof(op->head);
	memcpy(table, from, op->head.table_bytes);
	table[op->head.table_bytes] = 0;
	from += op->head.table_bytes;
	op->key = (struct mf_bytes){from, op->head.key_bytes};
	op->first = (struct mf_bytes){from + op->head.key_bytes, op->head.first_bytes};
	op->second = (struct mf_bytes){from + op->head.key_bytes + op->head.first_bytes,
				       op->head.second_bytes};
	return sizeof(op->head) + op->head.table_bytes + op->head.key_bytes + op->head.first_bytes +
	       op->head.second_bytes;
}

static void do_batch(const struct mf_request *request, unsigned long number)
{
	struct mf_text body = mf_request_body(request);
	struct operation op;
	size_t at = 0;

	out_used = 0;
	while (at < body.length) {
		size_t bytes = 0;
		int code;

		at += take(body.data + at, &op);
		code = run(&op, &bytes);
		append(code, bytes, op.head.what == 'a' || op.head.what == 'r' ? 8 : op.head.room);
	}
	mf_respond(200, NULL, out, out_used);
}

/* What calls said before the ready point. */
static void boot_codes(const struct mf_request *request, unsigned long number)
{
	mf_respond(200, NULL, at_boot, sizeof(at_boot));
}

static void call_at_boot(void)
{
	uint32_t number;

	at_boot[0] = mf_store_put("t", MF_STRING("k"), MF_STRING("v"));
	at_boot[1] = mf_store_get("t", MF_STRING("k"), scratch, 10, NULL);
	at_boot[2] = mf_store_resolve("kv.get", &number);
	at_boot[3] = mf_store_call(1, NULL, 0, NULL, 0, NULL);
}

static const struct target own[] = {{"do", do_batch}, {"boot", boot_codes}, {NULL, NULL}};

static const struct target *find(const struct target *targets, const char *name, size_t length)
{
	for (; targets->name; targets++)
		if (strlen(targets->name) == length && !memcmp(targets->name, name, length))
			return targets;
	return NULL;
}

static void serve(const struct mf_request *request)
{
	const char *name = mf_request_target(request).data + 1;
	size_t length = strcspn(name, "?");
	unsigned long number = name[length] ? strtoul(name + length + 1, NULL, 10) : 0;
	const struct target *target = find(own, name, length);

	if (!target)
		target = find(hostile_targets, name, length);
	if (!target)
		target = find(storm_targets, name, length);
	if (!target)
		target = find(taint_targets, name, length);
	if (target)
		target->serve(request, number);
	else
		mf_respond(404, NULL, "", 0);
}

int main(void)
{
	const struct mf_request *request;

	call_at_boot();
	mf_request_capacity(3u << 20);
	while ((request = mf_wait()))
		serve(request);
	return 0;
}
