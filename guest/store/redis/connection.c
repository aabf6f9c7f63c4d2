/* SPDX-License-Identifier: MIT */
/* Commands about the connection. There is one user, `default`, without a password: who may reach
 * this address is the engine's to say. */
#include "guest/store/redis/redis.h"
#include "guest/store/redis/number.h"

#include <stdio.h>

#define VERSION "7.0.15" /* whose replies these are */

static void ping(struct call *call)
{
	if (call->count > 2)
		reply_error(call->reply, "ERR wrong number of arguments for 'ping' command");
	else if (call->count == 2)
		reply_bulk(call->reply, call->args[1]);
	else
		reply_status(call->reply, "PONG");
}

static void echo(struct call *call)
{
	reply_bulk(call->reply, call->args[1]);
}

static void select_database(struct call *call)
{
	if (take_database(call, 1))
		reply_status(call->reply, "OK");
}

static void quit(struct call *call)
{
	call->client->closing = true;
	reply_status(call->reply, "OK");
}

static void reset(struct call *call)
{
	client_reset(call->client);
	reply_status(call->reply, "RESET");
}

static bool is_default_user(struct mf_bytes name)
{
	return bytes_equal(name, bytes_of("default"));
}

static void refuse_user(struct call *call)
{
	reply_error(call->reply, "WRONGPASS invalid username-password pair or user is disabled.");
}

static void auth(struct call *call)
{
	if (call->count > 3)
		reply_error(call->reply, ERROR_SYNTAX);
	else if (call->count == 2)
		reply_error(call->reply, "ERR AUTH <password> called without any password "
					 "configured for the default user. Are you sure your "
					 "configuration is correct?");
	else if (is_default_user(call->args[1]))
		reply_status(call->reply, "OK");
	else
		refuse_user(call);
}

/* ---- HELLO ---- */

static bool is_name(struct mf_bytes name)
{
	const char *at = name.data;
	size_t i;

	for (i = 0; i < name.length; i++)
		if (at[i] < '!' || at[i] > '~')
			return false;
	return name.length <= CLIENT_NAME_MAX;
}

static void keep_name(char to[CLIENT_NAME_MAX + 1], struct mf_bytes name)
{
	memcpy(to, name.data, name.length);
	to[name.length] = 0;
}

static bool check_name(struct call *call, struct mf_bytes name)
{
	if (is_name(name))
		return true;
	reply_error(call->reply,
		    "ERR Client names cannot contain spaces, newlines or special characters.");
	return false;
}

/* Its options. False: an error was replied. */
static bool take_hello(struct call *call)
{
	const struct mf_bytes *name = NULL;
	uint32_t i = 2;

	while (i < call->count) {
		uint32_t left = call->count - i - 1;

		if (same_word(call->args[i], "auth") && left >= 2) {
			if (!is_default_user(call->args[i + 1])) {
				refuse_user(call);
				return false;
			}
			i += 3;
		} else if (same_word(call->args[i], "setname") && left) {
			name = &call->args[i + 1];
			if (!check_name(call, *name))
				return false;
			i += 2;
		} else {
			reply_errorf(call->reply, "ERR Syntax error in HELLO option '%.*s'",
				     (int)(call->args[i].length < 128 ? call->args[i].length : 128),
				     (const char *)call->args[i].data);
			return false;
		}
	}
	if (name)
		keep_name(call->client->name, *name);
	return true;
}

static void hello(struct call *call)
{
	struct reply *reply = call->reply;
	int64_t protocol = reply->protocol;

	if (call->count > 1 && !number_parse(call->args[1], &protocol)) {
		reply_error(reply, "ERR Protocol version is not an integer or out of range");
		return;
	}
	if (protocol != 2 && protocol != 3) {
		reply_error(reply, "NOPROTO unsupported protocol version");
		return;
	}
	if (!take_hello(call))
		return;
	reply->protocol = (int)protocol;
	reply_map(reply, 7);
	reply_text(reply, "server");
	reply_text(reply, "redis");
	reply_text(reply, "version");
	reply_text(reply, VERSION);
	reply_text(reply, "proto");
	reply_number(reply, protocol);
	reply_text(reply, "id");
	reply_number(reply, (int64_t)call->client->id);
	reply_text(reply, "mode");
	reply_text(reply, "standalone");
	reply_text(reply, "role");
	reply_text(reply, "master");
	reply_text(reply, "modules");
	reply_array(reply, 0);
}

/* ---- CLIENT ---- */

static void describe(struct call *call)
{
	const struct client *client = call->client;
	char text[1024];
	int length = snprintf(
		text, sizeof(text),
		"id=%llu addr=127.0.0.1:0 laddr=127.0.0.1:6379 fd=-1 name=%s db=0 multi=%lld "
		"cmd=client resp=%d lib-name=%s lib-ver=%s\n",
		(unsigned long long)client->id, client->name,
		client->in_multi ? (long long)client->queued : -1ll, client->reply.protocol,
		client->library, client->library_version);

	reply_verbatim(call->reply, (struct mf_bytes){text, (size_t)length});
}

static void set_info(struct call *call)
{
	struct mf_bytes value = call->args[3];
	bool name = same_word(call->args[2], "lib-name");

	if (!name && !same_word(call->args[2], "lib-ver")) {
		reply_errorf(call->reply, "ERR Unrecognized option '%.*s'",
			     (int)(call->args[2].length < 128 ? call->args[2].length : 128),
			     (const char *)call->args[2].data);
	} else if (!is_name(value)) {
		reply_errorf(call->reply,
			     "ERR %s cannot contain spaces, newlines or special characters.",
			     name ? "lib-name" : "lib-ver");
	} else {
		keep_name(name ? call->client->library : call->client->library_version, value);
		reply_status(call->reply, "OK");
	}
}

static void set_client_name(struct call *call)
{
	if (!check_name(call, call->args[2]))
		return;
	keep_name(call->client->name, call->args[2]);
	reply_status(call->reply, "OK");
}

static void get_client_name(struct call *call)
{
	if (call->client->name[0])
		reply_text(call->reply, call->client->name);
	else
		reply_null(call->reply);
}

static void get_client_id(struct call *call)
{
	reply_number(call->reply, (int64_t)call->client->id);
}

static const struct part client_parts[] = {
	{"getname", 2, get_client_name},
	{"id", 2, get_client_id},
	{"info", 2, describe},
	{"list", -2, describe},
	{"setinfo", 4, set_info},
	{"setname", 3, set_client_name},
	{0},
};

#define CONTROL COMMAND_CONTROL | COMMAND_FAST

const struct command connection_commands[] = {
	COMMAND("auth", -2, CONTROL, auth, 0, 0, 0, "connection", "Accepts the user default alone"),
	COMMANDS("client", -2, CONTROL, command_part, 0, 0, 0, "connection",
		 "About this connection", client_parts),
	COMMAND("echo", 2, CONTROL, echo, 0, 0, 0, "connection", "Says the same"),
	COMMAND("hello", -1, CONTROL, hello, 0, 0, 0, "connection",
		"Chooses the protocol's version"),
	COMMAND("ping", -1, CONTROL, ping, 0, 0, 0, "connection", "Says PONG, or the same"),
	COMMAND("quit", -1, CONTROL | COMMAND_NOW, quit, 0, 0, 0, "connection",
		"Closes the connection"),
	COMMAND("reset", 1, CONTROL | COMMAND_NOW, reset, 0, 0, 0, "connection",
		"Makes the connection as new"),
	COMMAND("select", 2, CONTROL, select_database, 0, 0, 0, "connection",
		"Database 0, the only one"),
	{0},
};
