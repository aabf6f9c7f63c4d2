/* SPDX-License-Identifier: MIT */
/* Which commands there are, and running one. */
#include "guest/store/redis/redis.h"
#include "guest/store/redis/number.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define SHOWN_MAX 128u /* of a command that there is not */

static const struct command *const groups[] = {
	connection_commands, hash_commands,   key_commands,    multi_commands,
	scan_commands,       server_commands, string_commands,
};

const struct command *command_at(size_t index)
{
	size_t i;

	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		size_t count = 0;

		while (groups[i][count].name)
			count++;
		if (index < count)
			return &groups[i][index];
		index -= count;
	}
	return NULL;
}

bool same_word(struct mf_bytes bytes, const char *word)
{
	const char *at = bytes.data;
	size_t i;

	for (i = 0; i < bytes.length; i++)
		if (!word[i] || tolower((unsigned char)at[i]) != tolower((unsigned char)word[i]))
			return false;
	return !word[i];
}

const struct command *command_find(struct mf_bytes name)
{
	size_t i;

	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		const struct command *command = groups[i];

		for (; command->name; command++)
			if (same_word(name, command->name))
				return command;
	}
	return NULL;
}

bool take_number(struct call *call, uint32_t arg, int64_t *number)
{
	if (number_parse(call->args[arg], number))
		return true;
	reply_error(call->reply, ERROR_NUMBER);
	return false;
}

bool take_database(struct call *call, uint32_t arg)
{
	int64_t number;

	if (!take_number(call, arg, &number))
		return false;
	if (number < INT32_MIN || number > INT32_MAX)
		reply_errorf(call->reply, "ERR value is out of range, value must between %d and %d",
			     INT32_MIN, INT32_MAX);
	else if (number)
		reply_error(call->reply, "ERR DB index is out of range");
	return !number;
}

/* ---- what is refused before it runs ---- */

static void shown(struct mf_bytes bytes, char text[SHOWN_MAX + 1])
{
	size_t count = bytes.length < SHOWN_MAX ? bytes.length : SHOWN_MAX;

	memcpy(text, bytes.data, count);
	text[strnlen(text, count)] = 0;
}

static void say_unknown(struct client *client)
{
	const struct parser *parser = &client->parser;
	char name[SHOWN_MAX + 1], arg[SHOWN_MAX + 1], args[2 * SHOWN_MAX + 8] = "";
	size_t count = 0;
	uint32_t i;

	for (i = 1; i < parser->count && count < SHOWN_MAX; i++) {
		size_t room = SHOWN_MAX - count;

		shown(parser->args[i], arg);
		arg[room < SHOWN_MAX ? room : SHOWN_MAX] = 0;
		count += (size_t)snprintf(args + count, sizeof(args) - count, "'%s' ", arg);
	}
	shown(parser->args[0], name);
	reply_errorf(&client->reply, "ERR unknown command '%s', with args beginning with: %s", name,
		     args);
}

static bool has_arity(int arity, uint32_t count)
{
	return arity >= 0 ? count == (uint32_t)arity : count >= (uint32_t)-arity;
}

static const struct part *find_part(const struct command *command, struct mf_bytes name)
{
	const struct part *part = command->parts;

	while (part->name && !same_word(name, part->name))
		part++;
	return part->name ? part : NULL;
}

static void no_such_part(struct client *client, const struct command *command)
{
	char text[SHOWN_MAX + 1];
	char upper[32];
	size_t i;

	for (i = 0; command->name[i] && i < sizeof(upper) - 1; i++)
		upper[i] = (char)toupper((unsigned char)command->name[i]);
	upper[i] = 0;
	shown(client->parser.args[1], text);
	reply_errorf(&client->reply, "ERR unknown subcommand '%s'. Try %s HELP.", text, upper);
}

/* Is the command's part there, with so many arguments? If not, an error was replied. */
static bool check_part(struct client *client, const struct command *command)
{
	const struct parser *parser = &client->parser;
	const struct part *part;

	if (!command->parts || parser->count < 2)
		return true;
	part = find_part(command, parser->args[1]);
	if (!part)
		no_such_part(client, command);
	else if (!has_arity(part->arity, parser->count))
		reply_errorf(&client->reply, "ERR wrong number of arguments for '%s|%s' command",
			     command->name, part->name);
	else
		return true;
	return false;
}

void command_part(struct call *call)
{
	find_part(call->command, call->args[1])->run(call);
}

static void say_arity(struct client *client, const struct command *command)
{
	char text[96];

	snprintf(text, sizeof(text), "wrong number of arguments for '%s' command", command->name);
	if (!strcmp(command->name, "exec"))
		multi_abort(client, text);
	else
		reply_errorf(&client->reply, "ERR %s", text);
}

/* A command that may run, or NULL with an error replied. */
static const struct command *check(struct client *client)
{
	const struct parser *parser = &client->parser;
	const struct command *command = command_find(parser->args[0]);

	if (!command)
		say_unknown(client);
	else if (!has_arity(command->arity, parser->count))
		say_arity(client, command);
	else if (client->read_only &&
		 (command->flags & (COMMAND_WRITES | COMMAND_NOW)) == COMMAND_WRITES)
		reply_error(&client->reply, "READONLY nothing can be written while the image of "
					    "the program is built");
	else if (check_part(client, command))
		return command;
	return NULL;
}

/* ---- running ---- */

/* What a command said before the store failed is taken back. */
static void say_failure(struct reply *reply, size_t before, int error)
{
	reply->failed = false;
	reply->out.end = reply->out.start + before;
	switch (error) {
	case -ENOSPC:
		reply_error(reply, "OOM the store is full; delete something or raise --store-size");
		break;
	case -ENOMEM:
		reply_error(reply, "OOM the storage program has no memory for this: raise "
				   "--store-memory");
		break;
	case -EFBIG:
		reply_error(reply, "ERR a value has at most 64 MiB, and what a request writes "
				   "96 MiB");
		break;
	case -EMSGSIZE:
		reply_error(reply, "ERR the reply would be too large");
		break;
	default:
		reply_errorf(reply, "ERR the store failed: %s", strerror(-error));
	}
}

int command_run(struct client *client, const struct command *command, const struct mf_bytes *args,
		uint32_t count)
{
	struct reply *reply = &client->reply;
	size_t before = buffer_bytes(&reply->out);
	bool writes = command->flags & COMMAND_WRITES;
	struct call call = {.client = client,
			    .reply = reply,
			    .command = command,
			    .args = args,
			    .count = count,
			    .now_ms = records_now_ms()};

	if (writes)
		call.error = records_save();
	if (call.error) {
		say_failure(reply, before, call.error);
		return call.error;
	}
	command->run(&call);
	if (!call.error && reply->failed)
		call.error = -EMSGSIZE;
	if (writes && !call.error)
		call.error = records_keep();
	else if (writes)
		records_undo();
	if (call.error)
		say_failure(reply, before, call.error);
	return call.error;
}

void command_take(struct client *client)
{
	const struct parser *parser = &client->parser;
	const struct command *command;

	if (!parser->count)
		return;
	command = check(client);
	if (!command)
		client->multi_failed |= client->in_multi;
	else if (client->in_multi && !(command->flags & COMMAND_NOW))
		multi_queue(client, command);
	else
		command_run(client, command, parser->args, parser->count);
}
