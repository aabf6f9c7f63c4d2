/* SPDX-License-Identifier: MIT */
/* Commands on keys, whatever they hold. */
#include "guest/store/redis/keys.h"
#include "guest/store/redis/number.h"

#include <errno.h>
#include <stdlib.h>

static void count_them(struct call *call)
{
	int64_t there = 0;
	uint32_t i;

	for (i = 1; i < call->count; i++) {
		struct key key;

		if (!key_get(call, call->args[i], &key))
			return;
		there += key.kind != KIND_NONE;
	}
	reply_number(call->reply, there);
}

static void del(struct call *call)
{
	int64_t gone = 0;
	uint32_t i;

	for (i = 1; i < call->count; i++) {
		struct key key;

		if (!key_get(call, call->args[i], &key) || !key_delete(call, call->args[i], &key))
			return;
		gone += key.kind != KIND_NONE;
	}
	reply_number(call->reply, gone);
}

static void type(struct call *call)
{
	struct key key;

	if (key_get(call, call->args[1], &key))
		reply_status(call->reply, key.kind == KIND_STRING ? "string"
					  : key.kind == KIND_HASH ? "hash"
								  : "none");
}

/* ---- times ---- */

enum {
	EXPIRE_NX = 1,
	EXPIRE_XX = 2,
	EXPIRE_GT = 4,
	EXPIRE_LT = 8,
};

/* False: an error was replied. */
static bool take_conditions(struct call *call, uint32_t *conditions)
{
	uint32_t i;

	*conditions = 0;
	for (i = 3; i < call->count; i++) {
		uint32_t one = same_word(call->args[i], "nx")   ? EXPIRE_NX
			       : same_word(call->args[i], "xx") ? EXPIRE_XX
			       : same_word(call->args[i], "gt") ? EXPIRE_GT
			       : same_word(call->args[i], "lt") ? EXPIRE_LT
								: 0;

		if (!one) {
			reply_errorf(call->reply, "ERR Unsupported option %.*s",
				     (int)(call->args[i].length < 128 ? call->args[i].length : 128),
				     (const char *)call->args[i].data);
			return false;
		}
		*conditions |= one;
	}
	if (*conditions & EXPIRE_NX && *conditions & (EXPIRE_XX | EXPIRE_GT | EXPIRE_LT))
		reply_error(call->reply, "ERR NX and XX, GT or LT options at the same time are "
					 "not compatible");
	else if (*conditions & EXPIRE_GT && *conditions & EXPIRE_LT)
		reply_error(call->reply,
			    "ERR GT and LT options at the same time are not compatible");
	else
		return true;
	return false;
}

static bool conditions_hold(uint32_t conditions, int64_t old_ms, int64_t new_ms)
{
	if ((conditions & EXPIRE_NX && old_ms) || (conditions & EXPIRE_XX && !old_ms))
		return false;
	if (conditions & EXPIRE_GT && (!old_ms || new_ms <= old_ms))
		return false;
	return !(conditions & EXPIRE_LT && old_ms && new_ms >= old_ms);
}

static void expire(struct call *call, bool seconds, bool absolute)
{
	int64_t number, at_ms;
	uint32_t conditions;
	struct key key;

	if (!take_conditions(call, &conditions) || !take_number(call, 2, &number))
		return;
	if ((seconds && (number > INT64_MAX / 1000 || number < INT64_MIN / 1000)) ||
	    __builtin_add_overflow(seconds ? number * 1000 : number, absolute ? 0 : call->now_ms,
				   &at_ms)) {
		reply_errorf(call->reply, "ERR invalid expire time in '%s' command",
			     call->command->name);
		return;
	}
	if (!key_get(call, call->args[1], &key))
		return;
	if (!key.kind || !conditions_hold(conditions, key.expires_ms, at_ms)) {
		reply_number(call->reply, 0);
		return;
	}
	if (at_ms <= call->now_ms ? key_delete(call, call->args[1], &key)
				  : key_set_time(call, call->args[1], &key, at_ms))
		reply_number(call->reply, 1);
}

static void expire_s(struct call *call)
{
	expire(call, true, false);
}

static void expire_ms(struct call *call)
{
	expire(call, false, false);
}

static void expireat_s(struct call *call)
{
	expire(call, true, true);
}

static void expireat_ms(struct call *call)
{
	expire(call, false, true);
}

static void persist(struct call *call)
{
	struct key key;

	if (!key_get(call, call->args[1], &key))
		return;
	if (!key.kind || !key.expires_ms)
		reply_number(call->reply, 0);
	else if (key_set_time(call, call->args[1], &key, 0))
		reply_number(call->reply, 1);
}

/* -2: not there; -1: for ever. */
static void tell_time(struct call *call, bool seconds, bool absolute)
{
	struct key key;
	int64_t ms;

	if (!key_get(call, call->args[1], &key))
		return;
	ms = key.expires_ms - (absolute ? 0 : call->now_ms);
	if (!key.kind || !key.expires_ms)
		reply_number(call->reply, key.kind ? -1 : -2);
	else
		reply_number(call->reply, seconds ? ms / 1000 + (ms % 1000 >= 500) : ms);
}

static void ttl(struct call *call)
{
	tell_time(call, true, false);
}

static void pttl(struct call *call)
{
	tell_time(call, false, false);
}

static void expiretime(struct call *call)
{
	tell_time(call, true, true);
}

static void pexpiretime(struct call *call)
{
	tell_time(call, false, true);
}

/* ---- another name ---- */

/* The fields of one hash into another, of which nothing is there. */
static bool copy_fields(struct call *call, struct mf_bytes from, struct mf_bytes to,
			struct key *key)
{
	struct place place = {.any = false};
	struct mf_bytes value;

	while (field_next(call, from, &place, &value)) {
		uint8_t *copy = key_value_room(call, value.length);

		if (!copy)
			return false;
		if (value.length)
			memcpy(copy, value.data, value.length);
		if (!field_put(call, to, key, place_name(&place),
			       (struct mf_bytes){copy, value.length}))
			return false;
	}
	return !call->error;
}

/* What `from` holds under another name as well. */
static bool copy_key(struct call *call, struct mf_bytes from, const struct key *source,
		     struct mf_bytes to, const struct key *old)
{
	struct key key = {.kind = KIND_NONE};
	uint8_t *value;

	if (source->kind == KIND_HASH)
		return key_delete(call, to, old) && copy_fields(call, from, to, &key) &&
		       (!source->expires_ms || key_set_time(call, to, &key, source->expires_ms));
	value = key_value_room(call, source->value.length); /* a write makes it void */
	if (!value)
		return false;
	if (source->value.length)
		memcpy(value, source->value.data, source->value.length);
	return key_put_string(call, to, old, (struct mf_bytes){value, source->value.length},
			      source->expires_ms);
}

/* False: it is over, with a reply. */
static bool both_keys(struct call *call, struct key *source, struct key *old)
{
	if (!key_get(call, call->args[1], source))
		return false;
	if (!source->kind) {
		reply_error(call->reply, "ERR no such key");
		return false;
	}
	return key_get(call, call->args[2], old);
}

/* Its copy is written first: a write makes what was read void. */
static bool move(struct call *call)
{
	struct key source, old;

	return key_get(call, call->args[1], &source) && key_get(call, call->args[2], &old) &&
	       copy_key(call, call->args[1], &source, call->args[2], &old) &&
	       key_get(call, call->args[1], &source) && key_delete(call, call->args[1], &source);
}

static void rename_key(struct call *call)
{
	struct key source, old;

	if (both_keys(call, &source, &old) &&
	    (bytes_equal(call->args[1], call->args[2]) || move(call)))
		reply_status(call->reply, "OK");
}

static void renamenx(struct call *call)
{
	struct key source, old;

	if (!both_keys(call, &source, &old))
		return;
	if (old.kind)
		reply_number(call->reply, 0);
	else if (move(call))
		reply_number(call->reply, 1);
}

/* COPY's options. False: an error was replied. */
static bool take_copy_options(struct call *call, bool *replace)
{
	uint32_t i;

	*replace = false;
	for (i = 3; i < call->count; i++) {
		if (same_word(call->args[i], "replace")) {
			*replace = true;
		} else if (same_word(call->args[i], "db") && i + 1 < call->count) {
			if (!take_database(call, ++i))
				return false;
		} else {
			reply_error(call->reply, ERROR_SYNTAX);
			return false;
		}
	}
	return true;
}

static void copy(struct call *call)
{
	struct key source, old;
	bool replace;

	if (!take_copy_options(call, &replace))
		return;
	if (bytes_equal(call->args[1], call->args[2])) {
		reply_error(call->reply, "ERR source and destination objects are the same");
		return;
	}
	if (!key_get(call, call->args[1], &source) || !key_get(call, call->args[2], &old))
		return;
	if (!source.kind || (old.kind && !replace))
		reply_number(call->reply, 0);
	else if (copy_key(call, call->args[1], &source, call->args[2], &old))
		reply_number(call->reply, 1);
}

/* ---- all keys ---- */

static void keys(struct call *call)
{
	size_t where = reply_later(call->reply);
	struct place place = {.any = false};
	size_t count = 0;
	struct key key;

	while (key_next(call, &place, &key)) {
		if (!pattern_matches(call->args[1], place_name(&place), false))
			continue;
		reply_bulk(call->reply, place_name(&place));
		count++;
	}
	reply_later_is(call->reply, where, '*', count);
}

static void dbsize(struct call *call)
{
	struct place place = {.any = false};
	int64_t count = 0;
	struct key key;

	while (key_next(call, &place, &key))
		count++;
	reply_number(call->reply, count);
}

/* Each of n keys stays the chosen one with the chance of one in n. */
static void randomkey(struct call *call)
{
	struct place place = {.any = false}, chosen = {.any = false};
	long count = 0;
	struct key key;

	while (key_next(call, &place, &key))
		if (!(random() % ++count))
			chosen = place;
	if (chosen.any)
		reply_bulk(call->reply, place_name(&chosen));
	else
		reply_null(call->reply);
}

static void flush(struct call *call)
{
	uint8_t name[RECORD_KEY_MAX];
	struct record record;
	size_t bytes = 0;
	int ret = 0;

	if (call->count > 2 || (call->count == 2 && !same_word(call->args[1], "sync") &&
				!same_word(call->args[1], "async"))) {
		reply_error(call->reply, ERROR_SYNTAX);
		return;
	}
	while (!ret && !(ret = records_next((struct mf_bytes){0}, (struct mf_bytes){name, bytes},
					    name, &bytes, &record))) {
		ret = records_delete((struct mf_bytes){name, bytes});
		key_touch(call, (struct mf_bytes){name, bytes});
	}
	call->error = ret == -ENOENT ? 0 : ret;
	reply_status(call->reply, "OK");
}

#define READS  COMMAND_FAST
#define WRITES COMMAND_WRITES

const struct command key_commands[] = {
	COMMAND("copy", -3, WRITES, copy, 1, 2, 1, "generic", "Copies a key"),
	COMMAND("dbsize", 1, 0, dbsize, 0, 0, 0, "server", "How many keys there are"),
	COMMAND("del", -2, WRITES, del, 1, -1, 1, "generic", "Deletes keys"),
	COMMAND("exists", -2, READS, count_them, 1, -1, 1, "generic",
		"How many of the keys are there"),
	COMMAND("expire", -3, WRITES, expire_s, 1, 1, 1, "generic", "Sets a key's time in seconds"),
	COMMAND("expireat", -3, WRITES, expireat_s, 1, 1, 1, "generic",
		"Sets when a key ends, in seconds"),
	COMMAND("expiretime", 2, READS, expiretime, 1, 1, 1, "generic",
		"When a key ends, in seconds"),
	COMMAND("flushall", -1, WRITES, flush, 0, 0, 0, "server", "Deletes all keys"),
	COMMAND("flushdb", -1, WRITES, flush, 0, 0, 0, "server", "Deletes all keys"),
	COMMAND("keys", 2, 0, keys, 0, 0, 0, "generic", "All keys that match a pattern"),
	COMMAND("persist", 2, WRITES, persist, 1, 1, 1, "generic", "Takes a key's time away"),
	COMMAND("pexpire", -3, WRITES, expire_ms, 1, 1, 1, "generic",
		"Sets a key's time in milliseconds"),
	COMMAND("pexpireat", -3, WRITES, expireat_ms, 1, 1, 1, "generic",
		"Sets when a key ends, in milliseconds"),
	COMMAND("pexpiretime", 2, READS, pexpiretime, 1, 1, 1, "generic",
		"When a key ends, in milliseconds"),
	COMMAND("pttl", 2, READS, pttl, 1, 1, 1, "generic", "A key's time in milliseconds"),
	COMMAND("randomkey", 1, 0, randomkey, 0, 0, 0, "generic", "Any key"),
	COMMAND("rename", 3, WRITES, rename_key, 1, 2, 1, "generic", "Gives a key another name"),
	COMMAND("renamenx", 3, WRITES, renamenx, 1, 2, 1, "generic",
		"Gives a key another name that nobody has"),
	COMMAND("touch", -2, READS, count_them, 1, -1, 1, "generic",
		"How many of the keys are there"),
	COMMAND("ttl", 2, READS, ttl, 1, 1, 1, "generic", "A key's time in seconds"),
	COMMAND("type", 2, READS, type, 1, 1, 1, "generic", "What a key holds"),
	COMMAND("unlink", -2, WRITES, del, 1, -1, 1, "generic", "Deletes keys"),
	{0},
};
