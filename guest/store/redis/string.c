/* SPDX-License-Identifier: MIT */
/* Commands on strings. */
#include "guest/store/redis/keys.h"
#include "guest/store/redis/number.h"

#include <math.h>
#include <stdio.h>

#define ERROR_TOO_LONG "ERR string exceeds maximum allowed size (proto-max-bulk-len)"

static void get(struct call *call)
{
	struct key key;

	if (!key_get_kind(call, call->args[1], KIND_STRING, &key))
		return;
	if (key.kind)
		reply_bulk(call->reply, key.value);
	else
		reply_null(call->reply);
}

/* ---- SET and its kin ---- */

enum {
	SET_NX = 1,
	SET_XX = 2,
	SET_GET = 4,
	SET_KEEP = 8,
	SET_TIME = 16,
	SET_PERSIST = 32, /* of GETEX */
};

struct time_word {
	const char *word;
	bool seconds;
	bool absolute;
};

struct set {
	uint32_t options;
	const struct time_word *time; /* NULL: none was given */
	uint32_t time_arg;
	int64_t expires_ms;
};

/* A time. False: an error was replied. */
static bool take_time(struct call *call, uint32_t arg, const struct time_word *word,
		      int64_t *expires_ms)
{
	int64_t number;

	if (!take_number(call, arg, &number))
		return false;
	if (number <= 0 || (word->seconds && number > INT64_MAX / 1000) ||
	    (!word->absolute &&
	     (word->seconds ? number * 1000 : number) > INT64_MAX - call->now_ms)) {
		reply_errorf(call->reply, "ERR invalid expire time in '%s' command",
			     call->command->name);
		return false;
	}
	*expires_ms =
		(word->seconds ? number * 1000 : number) + (word->absolute ? 0 : call->now_ms);
	return true;
}

static const struct time_word time_words[] = {
	{"ex", true, false}, {"px", false, false}, {"exat", true, true}, {"pxat", false, true}};

static const struct time_word *time_word_of(struct mf_bytes arg)
{
	size_t i;

	for (i = 0; i < sizeof(time_words) / sizeof(time_words[0]); i++)
		if (same_word(arg, time_words[i].word))
			return &time_words[i];
	return NULL;
}

static uint32_t option_of(struct mf_bytes arg, bool is_set)
{
	if (!is_set)
		return same_word(arg, "persist") ? SET_PERSIST : 0;
	return same_word(arg, "nx")        ? SET_NX
	       : same_word(arg, "xx")      ? SET_XX
	       : same_word(arg, "get")     ? SET_GET
	       : same_word(arg, "keepttl") ? SET_KEEP
					   : 0;
}

/* May it stand beside those that were given? The same again may. */
static bool may_join(const struct set *set, uint32_t option, const struct time_word *time)
{
	const uint32_t times = SET_KEEP | SET_TIME | SET_PERSIST;

	if (option & times)
		return !(set->options & times & ~option) && (!set->time || set->time == time);
	return !(option == SET_NX && set->options & SET_XX) &&
	       !(option == SET_XX && set->options & SET_NX);
}

/* The options from that argument on. False: an error was replied. */
static bool take_options(struct call *call, uint32_t arg, bool is_set, struct set *set)
{
	*set = (struct set){0};
	for (; arg < call->count; arg++) {
		const struct time_word *time = time_word_of(call->args[arg]);
		uint32_t option = time ? SET_TIME : option_of(call->args[arg], is_set);

		if (!option || !may_join(set, option, time) || (time && arg + 1 == call->count)) {
			reply_error(call->reply, ERROR_SYNTAX);
			return false;
		}
		set->options |= option;
		if (time) {
			set->time = time;
			set->time_arg = ++arg;
		}
	}
	return true;
}

/* The time among them. False: an error was replied. */
static bool take_set_time(struct call *call, struct set *set)
{
	return !set->time || take_time(call, set->time_arg, set->time, &set->expires_ms);
}

static void reply_value(struct call *call, const struct key *key)
{
	if (key->kind)
		reply_bulk(call->reply, key->value);
	else
		reply_null(call->reply);
}

static void set(struct call *call)
{
	struct set with;
	struct key key;
	bool fits;

	if (!take_options(call, 3, true, &with) || !take_set_time(call, &with))
		return;
	if (with.options & SET_GET ? !key_get_kind(call, call->args[1], KIND_STRING, &key)
				   : !key_get(call, call->args[1], &key))
		return;
	fits = !(with.options & SET_NX && key.kind) && !(with.options & SET_XX && !key.kind);
	if (with.options & SET_GET)
		reply_value(call, &key);
	if (fits && !key_put_string(call, call->args[1], &key, call->args[2],
				    with.options & SET_KEEP ? key.expires_ms : with.expires_ms))
		return;
	if (with.options & SET_GET)
		return;
	if (fits)
		reply_status(call->reply, "OK");
	else
		reply_null(call->reply);
}

static void setnx(struct call *call)
{
	struct key key;

	if (!key_get(call, call->args[1], &key))
		return;
	if (key.kind || key_put_string(call, call->args[1], &key, call->args[2], 0))
		reply_number(call->reply, !key.kind);
}

static void set_with_time(struct call *call, const struct time_word *word)
{
	int64_t expires_ms;
	struct key key;

	if (take_time(call, 2, word, &expires_ms) && key_get(call, call->args[1], &key) &&
	    key_put_string(call, call->args[1], &key, call->args[3], expires_ms))
		reply_status(call->reply, "OK");
}

static void setex(struct call *call)
{
	set_with_time(call, &time_words[0]);
}

static void psetex(struct call *call)
{
	set_with_time(call, &time_words[1]);
}

static void getset(struct call *call)
{
	struct key key;

	if (!key_get_kind(call, call->args[1], KIND_STRING, &key))
		return;
	reply_value(call, &key);
	key_put_string(call, call->args[1], &key, call->args[2], 0);
}

static void getdel(struct call *call)
{
	struct key key;

	if (!key_get_kind(call, call->args[1], KIND_STRING, &key))
		return;
	reply_value(call, &key);
	key_delete(call, call->args[1], &key);
}

static void getex(struct call *call)
{
	struct set with;
	struct key key;

	if (!take_options(call, 2, false, &with) ||
	    !key_get_kind(call, call->args[1], KIND_STRING, &key))
		return;
	if (key.kind && !take_set_time(call, &with))
		return;
	reply_value(call, &key);
	if (!key.kind)
		return;
	if (with.expires_ms && with.expires_ms <= call->now_ms)
		key_delete(call, call->args[1], &key);
	else if (with.expires_ms || (with.options & SET_PERSIST && key.expires_ms))
		key_set_time(call, call->args[1], &key, with.expires_ms);
}

static void mget(struct call *call)
{
	uint32_t i;

	reply_array(call->reply, call->count - 1);
	for (i = 1; i < call->count; i++) {
		struct key key;

		if (!key_get(call, call->args[i], &key))
			return;
		if (key.kind == KIND_STRING)
			reply_bulk(call->reply, key.value);
		else
			reply_null(call->reply);
	}
}

/* Pairs of keys and values. False: an error was replied, or the store failed. */
static bool set_all(struct call *call)
{
	uint32_t i;

	for (i = 1; i < call->count; i += 2) {
		struct key key;

		if (!key_get(call, call->args[i], &key) ||
		    !key_put_string(call, call->args[i], &key, call->args[i + 1], 0))
			return false;
	}
	return true;
}

static bool are_pairs(struct call *call)
{
	if (call->count % 2)
		return true;
	reply_errorf(call->reply, "ERR wrong number of arguments for '%s' command",
		     call->command->name);
	return false;
}

static void mset(struct call *call)
{
	if (are_pairs(call) && set_all(call))
		reply_status(call->reply, "OK");
}

static void msetnx(struct call *call)
{
	uint32_t i;

	if (!are_pairs(call))
		return;
	for (i = 1; i < call->count; i += 2) {
		struct key key;

		if (!key_get(call, call->args[i], &key))
			return;
		if (key.kind) {
			reply_number(call->reply, 0);
			return;
		}
	}
	if (set_all(call))
		reply_number(call->reply, 1);
}

/* ---- parts of strings ---- */

static void append(struct call *call)
{
	struct key key;
	uint8_t *to;
	size_t bytes;

	if (!key_get_kind(call, call->args[1], KIND_STRING, &key))
		return;
	bytes = key.value.length + call->args[2].length;
	if (bytes > VALUE_MAX) {
		reply_error(call->reply, ERROR_TOO_LONG);
		return;
	}
	to = key_value_room(call, bytes);
	if (!to)
		return;
	if (key.value.length)
		memcpy(to, key.value.data, key.value.length);
	if (call->args[2].length)
		memcpy(to + key.value.length, call->args[2].data, call->args[2].length);
	if (key_put_string(call, call->args[1], &key, (struct mf_bytes){to, bytes}, key.expires_ms))
		reply_number(call->reply, (int64_t)bytes);
}

static void string_length(struct call *call)
{
	struct key key;

	if (key_get_kind(call, call->args[1], KIND_STRING, &key))
		reply_number(call->reply, (int64_t)key.value.length);
}

/* From the end when it is negative. */
static int64_t place(int64_t at, int64_t length)
{
	at = at < 0 ? at + length : at;
	return at < 0 ? 0 : at;
}

static void getrange(struct call *call)
{
	int64_t from, to, length;
	struct key key;

	if (!take_number(call, 2, &from) || !take_number(call, 3, &to) ||
	    !key_get_kind(call, call->args[1], KIND_STRING, &key))
		return;
	length = (int64_t)key.value.length;
	if (from < 0 && to < 0 && from > to)
		length = 0;
	from = place(from, length);
	to = place(to, length);
	to = to < length ? to : length - 1;
	if (!length || from > to)
		reply_text(call->reply, "");
	else
		reply_bulk(call->reply, (struct mf_bytes){(const uint8_t *)key.value.data + from,
							  (size_t)(to - from + 1)});
}

static void write_range(struct call *call, const struct key *key, size_t at)
{
	struct mf_bytes part = call->args[3];
	size_t bytes = at + part.length > key->value.length ? at + part.length : key->value.length;
	uint8_t *to = key_value_room(call, bytes);

	if (!to)
		return;
	memset(to, 0, bytes);
	if (key->value.length)
		memcpy(to, key->value.data, key->value.length);
	memcpy(to + at, part.data, part.length);
	if (key_put_string(call, call->args[1], key, (struct mf_bytes){to, bytes}, key->expires_ms))
		reply_number(call->reply, (int64_t)bytes);
}

static void setrange(struct call *call)
{
	struct key key;
	int64_t at;

	if (!take_number(call, 2, &at))
		return;
	if (at < 0) {
		reply_error(call->reply, "ERR offset is out of range");
		return;
	}
	if (!key_get_kind(call, call->args[1], KIND_STRING, &key))
		return;
	if (!call->args[3].length)
		reply_number(call->reply, (int64_t)key.value.length);
	else if ((uint64_t)at + call->args[3].length > VALUE_MAX)
		reply_error(call->reply, ERROR_TOO_LONG);
	else
		write_range(call, &key, (size_t)at);
}

/* ---- numbers ---- */

static void put_number(struct call *call, const struct key *key, int64_t number)
{
	char text[24];
	int length = snprintf(text, sizeof(text), "%lld", (long long)number);

	if (key_put_string(call, call->args[1], key, (struct mf_bytes){text, (size_t)length},
			   key->expires_ms))
		reply_number(call->reply, number);
}

static void add(struct call *call, int64_t change)
{
	struct key key;
	int64_t number = 0;

	if (!key_get_kind(call, call->args[1], KIND_STRING, &key))
		return;
	if (key.kind && !number_parse(key.value, &number))
		reply_error(call->reply, ERROR_NUMBER);
	else if (__builtin_add_overflow(number, change, &number))
		reply_error(call->reply, "ERR increment or decrement would overflow");
	else
		put_number(call, &key, number);
}

static void incr(struct call *call)
{
	add(call, 1);
}

static void decr(struct call *call)
{
	add(call, -1);
}

static void incrby(struct call *call)
{
	int64_t change;

	if (take_number(call, 2, &change))
		add(call, change);
}

static void decrby(struct call *call)
{
	int64_t change;

	if (!take_number(call, 2, &change))
		return;
	if (change == INT64_MIN)
		reply_error(call->reply, "ERR decrement would overflow");
	else
		add(call, -change);
}

static void incrbyfloat(struct call *call)
{
	long double number = 0, change;
	char text[NUMBER_TEXT];
	struct mf_bytes now = {text, 0};
	struct key key;

	if (!key_get_kind(call, call->args[1], KIND_STRING, &key))
		return;
	if ((key.kind && !number_parse_real(key.value, &number)) ||
	    !number_parse_real(call->args[2], &change)) {
		reply_error(call->reply, ERROR_REAL);
		return;
	}
	number += change;
	if (isnan(number) || isinf(number)) {
		reply_error(call->reply, "ERR increment would produce NaN or Infinity");
		return;
	}
	now.length = number_print_real(number, text);
	if (key_put_string(call, call->args[1], &key, now, key.expires_ms))
		reply_bulk(call->reply, now);
}

#define READS  COMMAND_FAST
#define WRITES COMMAND_WRITES

const struct command string_commands[] = {
	COMMAND("append", 3, WRITES, append, 1, 1, 1, "string", "Appends to a string"),
	COMMAND("decr", 2, WRITES, decr, 1, 1, 1, "string", "Subtracts 1 from a number"),
	COMMAND("decrby", 3, WRITES, decrby, 1, 1, 1, "string", "Subtracts from a number"),
	COMMAND("get", 2, READS, get, 1, 1, 1, "string", "The value of a key"),
	COMMAND("getdel", 2, WRITES, getdel, 1, 1, 1, "string",
		"The value of a key, which is deleted"),
	COMMAND("getex", -2, WRITES, getex, 1, 1, 1, "string",
		"The value of a key, with a new time"),
	COMMAND("getrange", 4, READS, getrange, 1, 1, 1, "string", "A part of a string"),
	COMMAND("getset", 3, WRITES, getset, 1, 1, 1, "string", "Sets a key, and says what it was"),
	COMMAND("incr", 2, WRITES, incr, 1, 1, 1, "string", "Adds 1 to a number"),
	COMMAND("incrby", 3, WRITES, incrby, 1, 1, 1, "string", "Adds to a number"),
	COMMAND("incrbyfloat", 3, WRITES, incrbyfloat, 1, 1, 1, "string", "Adds to a real number"),
	COMMAND("mget", -2, READS, mget, 1, -1, 1, "string", "The values of keys"),
	COMMAND("mset", -3, WRITES, mset, 1, -1, 2, "string", "Sets keys"),
	COMMAND("msetnx", -3, WRITES, msetnx, 1, -1, 2, "string", "Sets keys if none is there"),
	COMMAND("psetex", 4, WRITES, psetex, 1, 1, 1, "string",
		"Sets a key for so many milliseconds"),
	COMMAND("set", -3, WRITES, set, 1, 1, 1, "string", "Sets a key"),
	COMMAND("setex", 4, WRITES, setex, 1, 1, 1, "string", "Sets a key for so many seconds"),
	COMMAND("setnx", 3, WRITES, setnx, 1, 1, 1, "string", "Sets a key if it is not there"),
	COMMAND("setrange", 4, WRITES, setrange, 1, 1, 1, "string",
		"Overwrites a part of a string"),
	COMMAND("strlen", 2, READS, string_length, 1, 1, 1, "string", "The length of a string"),
	COMMAND("substr", 4, READS, getrange, 1, 1, 1, "string", "A part of a string"),
	{0},
};
