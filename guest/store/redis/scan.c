/* SPDX-License-Identifier: MIT */
/*
 * SCAN and HSCAN. A cursor stands for the last name that was given: it is a hash of that name, and
 * where the names go on is remembered with it. A cursor that is not remembered any more (of an
 * earlier request, or of long ago) is looked for among all names; when its name is gone, the scan
 * begins anew: some names come twice then, as SCAN may, and none is left out.
 */
#include "guest/store/redis/keys.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT_USUAL 10
#define REMEMBERED  256u

/* Where a scan goes on, by the hash of a name: direct-mapped. */
static struct {
	uint64_t cursor;
	struct place place;
} places[REMEMBERED];

struct scan {
	struct call *call;
	const struct mf_bytes *hash; /* its fields; NULL: keys */
	struct mf_bytes pattern;     /* no data: all */
	struct mf_bytes kind;        /* TYPE; no data: all */
	int64_t count;
	uint64_t cursor;
};

/* FNV-1a; never 0, which is the end of a scan, and exact as a double: clients of JavaScript have no
 * other numbers. */
static uint64_t cursor_of(struct mf_bytes name)
{
	uint64_t hash = 0xcbf29ce484222325ull;
	size_t i;

	for (i = 0; i < name.length; i++)
		hash = (hash ^ ((const uint8_t *)name.data)[i]) * 0x100000001b3ull;
	hash = (hash ^ hash >> 48) & ((1ull << 48) - 1);
	return hash ? hash : 1;
}

/* The next name; of a hash its value, too. */
static bool next(const struct scan *scan, struct place *place, struct key *key,
		 struct mf_bytes *value)
{
	return scan->hash ? field_next(scan->call, *scan->hash, place, value)
			  : key_next(scan->call, place, key);
}

/* The name that the cursor stands for; none: from the beginning. */
static void find_place(const struct scan *scan, struct place *place)
{
	size_t i = scan->cursor % REMEMBERED;
	struct mf_bytes value;
	struct key key;

	place->any = false;
	if (!scan->cursor)
		return;
	if (places[i].cursor == scan->cursor) {
		*place = places[i].place;
		return;
	}
	while (next(scan, place, &key, &value))
		if (cursor_of(place_name(place)) == scan->cursor)
			return;
	place->any = false;
}

static bool is_wanted(const struct scan *scan, struct mf_bytes name, const struct key *key)
{
	if (scan->pattern.data && !pattern_matches(scan->pattern, name, false))
		return false;
	if (scan->hash || !scan->kind.data)
		return true;
	return same_word(scan->kind, key->kind == KIND_STRING ? "string" : "hash");
}

/* The names come behind the cursor, which is known when they are: they are put together apart. */
static void answer(const struct scan *scan)
{
	struct reply names = {.protocol = scan->call->reply->protocol};
	size_t where = reply_later(&names);
	struct mf_bytes value;
	struct place place;
	int64_t left = scan->count;
	size_t count = 0;
	uint64_t cursor = 0;
	char text[24];
	bool more = true;
	struct key key;

	find_place(scan, &place);
	while (left-- > 0 && (more = next(scan, &place, &key, &value))) {
		if (!is_wanted(scan, place_name(&place), &key))
			continue;
		reply_bulk(&names, place_name(&place));
		if (scan->hash)
			reply_bulk(&names, value);
		count += scan->hash ? 2 : 1;
	}
	reply_later_is(&names, where, '*', count);
	if (more) {
		cursor = cursor_of(place_name(&place));
		places[cursor % REMEMBERED].cursor = cursor;
		places[cursor % REMEMBERED].place = place;
	}
	snprintf(text, sizeof(text), "%llu", (unsigned long long)cursor);
	reply_array(scan->call->reply, 2);
	reply_text(scan->call->reply, text);
	reply_part(scan->call->reply, &names);
}

/* As Redis: whatever strtoul() takes as a whole. False: an error was replied. */
static bool take_cursor(struct scan *scan, struct mf_bytes arg)
{
	char text[32] = "";
	char *end = text;

	errno = 0;
	if (arg.length < sizeof(text)) {
		memcpy(text, arg.data, arg.length);
		scan->cursor = strtoul(text, &end, 10);
	}
	if (arg.length < sizeof(text) && !isspace((unsigned char)text[0]) && !errno &&
	    end == text + arg.length)
		return true;
	reply_error(scan->call->reply, "ERR invalid cursor");
	return false;
}

/* The argument behind a word. False: an error was replied. */
static bool take_option(struct scan *scan, uint32_t arg)
{
	struct call *call = scan->call;
	struct mf_bytes value = call->args[arg + 1];

	if (same_word(call->args[arg], "match")) {
		scan->pattern = value;
	} else if (same_word(call->args[arg], "type") && !scan->hash) {
		scan->kind = value;
	} else if (same_word(call->args[arg], "count")) {
		if (!take_number(call, arg + 1, &scan->count))
			return false;
		if (scan->count < 1)
			reply_error(call->reply, ERROR_SYNTAX);
		return scan->count >= 1;
	} else {
		reply_error(call->reply, ERROR_SYNTAX);
		return false;
	}
	return true;
}

static void scan_from(struct scan *scan, uint32_t arg)
{
	struct call *call = scan->call;

	for (; arg < call->count; arg += 2) {
		if (arg + 1 == call->count) {
			reply_error(call->reply, ERROR_SYNTAX);
			return;
		}
		if (!take_option(scan, arg))
			return;
	}
	answer(scan);
}

static void scan_keys(struct call *call)
{
	struct scan scan = {.call = call, .count = COUNT_USUAL};

	if (take_cursor(&scan, call->args[1]))
		scan_from(&scan, 2);
}

static void scan_fields(struct call *call)
{
	struct scan scan = {.call = call, .count = COUNT_USUAL, .hash = &call->args[1]};
	struct key key;

	if (!take_cursor(&scan, call->args[2]) ||
	    !key_get_kind(call, call->args[1], KIND_HASH, &key))
		return;
	if (key.kind) {
		scan_from(&scan, 3);
		return;
	}
	reply_array(call->reply, 2);
	reply_text(call->reply, "0");
	reply_array(call->reply, 0);
}

const struct command scan_commands[] = {
	COMMAND("hscan", -3, 0, scan_fields, 1, 1, 1, "hash", "Some fields of a hash"),
	COMMAND("scan", -2, 0, scan_keys, 0, 0, 0, "generic", "Some of the keys"),
	{0},
};
