/* SPDX-License-Identifier: MIT */
/* Commands about the server, and about commands. */
#include "guest/store/redis/keys.h"

#include <stdio.h>
#include <time.h>

static void tell_clock(struct call *call)
{
	struct timespec now;
	char text[24];

	clock_gettime(CLOCK_REALTIME, &now);
	reply_array(call->reply, 2);
	snprintf(text, sizeof(text), "%lld", (long long)now.tv_sec);
	reply_text(call->reply, text);
	snprintf(text, sizeof(text), "%ld", now.tv_nsec / 1000);
	reply_text(call->reply, text);
}

/* ---- INFO ---- */

static const char *const sections[][2] = {
	{"server", "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n"
		   "server_name:mayfly\r\narch_bits:64\r\n"},
	{"persistence", "# Persistence\r\nloading:0\r\n"},
	{"replication", "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"},
	{"cluster", "# Cluster\r\ncluster_enabled:0\r\n"},
	{"keyspace", "# Keyspace\r\n"},
};

static bool wants_section(const struct call *call, const char *section)
{
	uint32_t i;

	for (i = 1; i < call->count; i++)
		if (same_word(call->args[i], section) || same_word(call->args[i], "all") ||
		    same_word(call->args[i], "default") || same_word(call->args[i], "everything"))
			return true;
	return call->count == 1;
}

static size_t tell_keys(struct call *call, char *text, size_t room)
{
	unsigned long long count = 0, timed = 0;
	struct place place = {.any = false};
	struct key key;

	while (key_next(call, &place, &key)) {
		count++;
		timed += key.expires_ms != 0;
	}
	return count ? (size_t)snprintf(text, room, "db0:keys=%llu,expires=%llu,avg_ttl=0\r\n",
					count, timed)
		     : 0;
}

static void info(struct call *call)
{
	char text[1024];
	size_t length = 0;
	size_t i;

	for (i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (!wants_section(call, sections[i][0]))
			continue;
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s",
					   length ? "\r\n" : "", sections[i][1]);
		if (!strcmp(sections[i][0], "keyspace"))
			length += tell_keys(call, text + length, sizeof(text) - length);
	}
	reply_verbatim(call->reply, (struct mf_bytes){text, length});
}

/* ---- CONFIG ---- */

/* What clients ask for, as it is here. */
static const char *const settings[][2] = {
	{"appendfsync", "always"},
	{"appendonly", "yes"},
	{"databases", "1"},
	{"maxmemory", "0"},
	{"maxmemory-policy", "noeviction"},
	{"notify-keyspace-events", ""},
	{"proto-max-bulk-len", "67108864"},
	{"save", ""},
	{"timeout", "0"},
};

static bool asks_for(const struct call *call, const char *name)
{
	uint32_t i;

	for (i = 2; i < call->count; i++)
		if (pattern_matches(call->args[i], bytes_of(name), true))
			return true;
	return false;
}

static void config_get(struct call *call)
{
	size_t pairs = 0;
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		pairs += asks_for(call, settings[i][0]);
	reply_map(call->reply, pairs);
	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (asks_for(call, settings[i][0])) {
			reply_text(call->reply, settings[i][0]);
			reply_text(call->reply, settings[i][1]);
		}
}

static void config_set(struct call *call)
{
	reply_errorf(call->reply,
		     "ERR CONFIG SET failed (possibly related to argument '%.*s') - can't set "
		     "immutable config",
		     (int)(call->args[2].length < 128 ? call->args[2].length : 128),
		     (const char *)call->args[2].data);
}

static const struct part config_parts[] = {
	{"get", -3, config_get},
	{"set", -4, config_set},
	{0},
};

/* ---- MEMORY ---- */

/* The bytes of its records. */
static void memory_usage(struct call *call)
{
	struct place place = {.any = false};
	struct mf_bytes value;
	struct key key;
	size_t bytes;

	if (call->count != 3 && !(call->count == 5 && same_word(call->args[3], "samples"))) {
		reply_error(call->reply, ERROR_SYNTAX);
		return;
	}
	if (!key_get(call, call->args[2], &key))
		return;
	bytes = call->args[2].length + 17 + key.value.length;
	while (key.kind == KIND_HASH && field_next(call, call->args[2], &place, &value))
		bytes += 3 + call->args[2].length + place.bytes + value.length;
	if (key.kind)
		reply_number(call->reply, (int64_t)bytes);
	else
		reply_null(call->reply);
}

static const struct part memory_parts[] = {
	{"usage", -3, memory_usage},
	{0},
};

/* ---- COMMAND ---- */

static size_t count_commands(void)
{
	size_t count = 0;

	while (command_at(count))
		count++;
	return count;
}

static void tell_command(struct reply *reply, const struct command *command)
{
	bool writes = command->flags & COMMAND_WRITES;
	bool fast = command->flags & COMMAND_FAST;

	reply_array(reply, 10);
	reply_text(reply, command->name);
	reply_number(reply, command->arity);
	reply_set(reply, (size_t)1 + fast);
	reply_status(reply, writes                             ? "write"
			    : command->flags & COMMAND_CONTROL ? "noscript"
							       : "readonly");
	if (fast)
		reply_status(reply, "fast");
	reply_number(reply, command->first);
	reply_number(reply, command->last);
	reply_number(reply, command->step);
	reply_set(reply, 0);   /* categories of access lists, */
	reply_array(reply, 0); /* hints, */
	reply_array(reply, 0); /* keys, told otherwise, */
	reply_array(reply, 0); /* subcommands: not told */
}

static void tell_commands(struct call *call, uint32_t from)
{
	size_t i;

	if (from >= call->count) {
		reply_array(call->reply, count_commands());
		for (i = 0; command_at(i); i++)
			tell_command(call->reply, command_at(i));
		return;
	}
	reply_array(call->reply, call->count - from);
	for (; from < call->count; from++) {
		const struct command *command = command_find(call->args[from]);

		if (command)
			tell_command(call->reply, command);
		else
			reply_null_array(call->reply);
	}
}

static void command_info(struct call *call)
{
	tell_commands(call, 2);
}

static void command_count(struct call *call)
{
	reply_number(call->reply, (int64_t)count_commands());
}

static void command_list(struct call *call)
{
	size_t i;

	reply_array(call->reply, count_commands());
	for (i = 0; command_at(i); i++)
		reply_text(call->reply, command_at(i)->name);
}

static void tell_docs(struct reply *reply, const struct command *command)
{
	reply_text(reply, command->name);
	reply_map(reply, 2);
	reply_text(reply, "summary");
	reply_text(reply, command->summary);
	reply_text(reply, "group");
	reply_text(reply, command->group);
}

static void command_docs(struct call *call)
{
	size_t pairs = 0;
	uint32_t i;

	if (call->count == 2) {
		reply_map(call->reply, count_commands());
		for (i = 0; command_at(i); i++)
			tell_docs(call->reply, command_at(i));
		return;
	}
	for (i = 2; i < call->count; i++)
		pairs += command_find(call->args[i]) != NULL;
	reply_map(call->reply, pairs);
	for (i = 2; i < call->count; i++)
		if (command_find(call->args[i]))
			tell_docs(call->reply, command_find(call->args[i]));
}

static const struct part command_parts[] = {
	{"count", 2, command_count},
	{"docs", -2, command_docs},
	{"info", -2, command_info},
	{"list", 2, command_list},
	{0},
};

static void command(struct call *call)
{
	if (call->count == 1)
		tell_commands(call, 1);
	else
		command_part(call);
}

#define CONTROL COMMAND_CONTROL

const struct command server_commands[] = {
	COMMANDS("command", -1, CONTROL, command, 0, 0, 0, "server", "About commands",
		 command_parts),
	COMMANDS("config", -2, CONTROL, command_part, 0, 0, 0, "server",
		 "Settings, which nobody changes", config_parts),
	COMMAND("info", -1, CONTROL, info, 0, 0, 0, "server", "About the server"),
	COMMANDS("memory", -2, 0, command_part, 0, 0, 0, "server", "How many bytes a key takes",
		 memory_parts),
	COMMAND("time", 1, CONTROL | COMMAND_FAST, tell_clock, 0, 0, 0, "server",
		"The time of day"),
	{0},
};
