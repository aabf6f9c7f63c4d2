/* SPDX-License-Identifier: MIT */
/* Commands on hashes. */
#include "guest/store/redis/keys.h"
#include "guest/store/redis/number.h"

#include <math.h>
#include <stdio.h>

#define NAME call->args[1]

/* HSET, HMSET: how many fields are new. False: an error was replied, or the store failed. */
static bool set_fields(struct call *call, int64_t *added)
{
	struct key key;
	uint32_t i;

	*added = 0;
	if (call->count % 2) {
		reply_errorf(call->reply, "ERR wrong number of arguments for '%s' command",
			     call->command->name);
		return false;
	}
	if (!key_get_kind(call, NAME, KIND_HASH, &key))
		return false;
	for (i = 2; i < call->count; i += 2) {
		struct mf_bytes old;
		bool found = false;

		if (key.kind && !field_get(call, NAME, call->args[i], &found, &old))
			return false;
		*added += !found;
		if (!field_put(call, NAME, &key, call->args[i], call->args[i + 1]))
			return false;
	}
	return true;
}

static void hset(struct call *call)
{
	int64_t added;

	if (set_fields(call, &added))
		reply_number(call->reply, added);
}

static void hmset(struct call *call)
{
	int64_t added;

	if (set_fields(call, &added))
		reply_status(call->reply, "OK");
}

/* One field of what may be no hash at all. False: it is over, with a reply. */
static bool get_field(struct call *call, struct key *key, bool *found, struct mf_bytes *value)
{
	*found = false;
	return key_get_kind(call, NAME, KIND_HASH, key) &&
	       (!key->kind || field_get(call, NAME, call->args[2], found, value));
}

static void hsetnx(struct call *call)
{
	struct mf_bytes value;
	struct key key;
	bool found;

	if (get_field(call, &key, &found, &value) &&
	    (found || field_put(call, NAME, &key, call->args[2], call->args[3])))
		reply_number(call->reply, !found);
}

static void hget(struct call *call)
{
	struct mf_bytes value;
	struct key key;
	bool found;

	if (!get_field(call, &key, &found, &value))
		return;
	if (found)
		reply_bulk(call->reply, value);
	else
		reply_null(call->reply);
}

static void hexists(struct call *call)
{
	struct mf_bytes value;
	struct key key;
	bool found;

	if (get_field(call, &key, &found, &value))
		reply_number(call->reply, found);
}

static void hstrlen(struct call *call)
{
	struct mf_bytes value;
	struct key key;
	bool found;

	if (get_field(call, &key, &found, &value))
		reply_number(call->reply, found ? (int64_t)value.length : 0);
}

static void hmget(struct call *call)
{
	struct key key;
	uint32_t i;

	if (!key_get_kind(call, NAME, KIND_HASH, &key))
		return;
	reply_array(call->reply, call->count - 2);
	for (i = 2; i < call->count; i++) {
		struct mf_bytes value;
		bool found = false;

		if (key.kind && !field_get(call, NAME, call->args[i], &found, &value))
			return;
		if (found)
			reply_bulk(call->reply, value);
		else
			reply_null(call->reply);
	}
}

/* Is any field left? If not, the key goes with the last. */
static bool drop_if_empty(struct call *call)
{
	struct place place = {.any = false};
	struct mf_bytes value;
	struct key key;

	if (field_next(call, NAME, &place, &value))
		return true;
	return !call->error && key_get(call, NAME, &key) && key_delete(call, NAME, &key);
}

static void hdel(struct call *call)
{
	int64_t gone = 0;
	struct key key;
	uint32_t i;

	if (!key_get_kind(call, NAME, KIND_HASH, &key))
		return;
	for (i = 2; key.kind && i < call->count; i++) {
		bool found;

		if (!field_delete(call, NAME, call->args[i], &found))
			return;
		gone += found;
	}
	if (!gone || drop_if_empty(call))
		reply_number(call->reply, gone);
}

/* All of a hash: fields, values, or both. */
static void all(struct call *call, bool fields, bool values)
{
	bool map = fields && values && call->reply->protocol >= 3;
	struct place place = {.any = false};
	struct mf_bytes value;
	size_t count = 0;
	struct key key;
	size_t where;

	if (!key_get_kind(call, NAME, KIND_HASH, &key))
		return;
	where = reply_later(call->reply);
	while (key.kind && field_next(call, NAME, &place, &value)) {
		if (fields)
			reply_bulk(call->reply, place_name(&place));
		if (values)
			reply_bulk(call->reply, value);
		count += fields && values && !map ? 2 : 1;
	}
	reply_later_is(call->reply, where, map ? '%' : '*', count);
}

static void hgetall(struct call *call)
{
	all(call, true, true);
}

static void hkeys(struct call *call)
{
	all(call, true, false);
}

static void hvals(struct call *call)
{
	all(call, false, true);
}

static void hlen(struct call *call)
{
	struct place place = {.any = false};
	struct mf_bytes value;
	int64_t count = 0;
	struct key key;

	if (!key_get_kind(call, NAME, KIND_HASH, &key))
		return;
	while (key.kind && field_next(call, NAME, &place, &value))
		count++;
	reply_number(call->reply, count);
}

static void hincrby(struct call *call)
{
	int64_t change, number = 0;
	struct mf_bytes value;
	struct key key;
	char text[24];
	int length;
	bool found;

	if (!take_number(call, 3, &change) || !get_field(call, &key, &found, &value))
		return;
	if (found && !number_parse(value, &number)) {
		reply_error(call->reply, "ERR hash value is not an integer");
		return;
	}
	if (__builtin_add_overflow(number, change, &number)) {
		reply_error(call->reply, "ERR increment or decrement would overflow");
		return;
	}
	length = snprintf(text, sizeof(text), "%lld", (long long)number);
	if (field_put(call, NAME, &key, call->args[2], (struct mf_bytes){text, (size_t)length}))
		reply_number(call->reply, number);
}

static void hincrbyfloat(struct call *call)
{
	long double change, number = 0;
	char text[NUMBER_TEXT];
	struct mf_bytes value;
	struct key key;
	bool found;

	if (!number_parse_real(call->args[3], &change)) {
		reply_error(call->reply, ERROR_REAL);
		return;
	}
	if (isinf(change)) {
		reply_error(call->reply, "ERR value is NaN or Infinity");
		return;
	}
	if (!get_field(call, &key, &found, &value))
		return;
	if (found && !number_parse_real(value, &number)) {
		reply_error(call->reply, "ERR hash value is not a float");
		return;
	}
	number += change;
	if (isnan(number) || isinf(number)) {
		reply_error(call->reply, "ERR increment would produce NaN or Infinity");
		return;
	}
	value = (struct mf_bytes){text, number_print_real(number, text)};
	if (field_put(call, NAME, &key, call->args[2], value))
		reply_bulk(call->reply, value);
}

#define READS  COMMAND_FAST
#define WRITES COMMAND_WRITES

const struct command hash_commands[] = {
	COMMAND("hdel", -3, WRITES, hdel, 1, 1, 1, "hash", "Deletes fields"),
	COMMAND("hexists", 3, READS, hexists, 1, 1, 1, "hash", "Whether a field is there"),
	COMMAND("hget", 3, READS, hget, 1, 1, 1, "hash", "The value of a field"),
	COMMAND("hgetall", 2, 0, hgetall, 1, 1, 1, "hash", "All fields with their values"),
	COMMAND("hincrby", 4, WRITES, hincrby, 1, 1, 1, "hash", "Adds to a number"),
	COMMAND("hincrbyfloat", 4, WRITES, hincrbyfloat, 1, 1, 1, "hash", "Adds to a real number"),
	COMMAND("hkeys", 2, 0, hkeys, 1, 1, 1, "hash", "All fields"),
	COMMAND("hlen", 2, 0, hlen, 1, 1, 1, "hash", "How many fields there are"),
	COMMAND("hmget", -3, READS, hmget, 1, 1, 1, "hash", "The values of fields"),
	COMMAND("hmset", -4, WRITES, hmset, 1, 1, 1, "hash", "Sets fields"),
	COMMAND("hset", -4, WRITES, hset, 1, 1, 1, "hash", "Sets fields"),
	COMMAND("hsetnx", 4, WRITES, hsetnx, 1, 1, 1, "hash", "Sets a field if it is not there"),
	COMMAND("hstrlen", 3, READS, hstrlen, 1, 1, 1, "hash", "The length of a field's value"),
	COMMAND("hvals", 2, 0, hvals, 1, 1, 1, "hash", "The values of all fields"),
	{0},
};
