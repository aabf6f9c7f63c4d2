/* SPDX-License-Identifier: MIT */
/* A client's connection, from its first byte to its last. */
#include "guest/store/redis/redis.h"

#include <stdio.h>

/* While so much of the answers is not taken, no further command is run. */
#define UNTAKEN_MAX 65536u

static uint64_t last_id;

void client_init(struct client *client, uint32_t request, int protocol)
{
	*client = (struct client){.request = request, .id = ++last_id};
	client->reply.protocol = protocol == 3 ? 3 : 2;
}

void client_finish(struct client *client)
{
	multi_forget(client);
	parser_finish(&client->parser);
	buffer_finish(&client->reply.out);
}

void client_reset(struct client *client)
{
	multi_forget(client);
	client->reply.protocol = 2;
	client->name[0] = 0;
}

/* It does not speak the protocol: it is told so, and heard no more. */
static void refuse(struct client *client, const char *why)
{
	char text[160];

	snprintf(text, sizeof(text), "ERR Protocol error: %s", why);
	reply_error(&client->reply, text);
	client->closing = true;
}

bool client_feed(struct client *client, const void *bytes, size_t count)
{
	client->stopped = false;
	return client->closing || parser_feed(&client->parser, bytes, count);
}

bool client_has_more(const struct client *client)
{
	return client->stopped;
}

void client_work(struct client *client)
{
	enum parsed got;
	const char *why;

	while (!client->closing && buffer_bytes(&client->reply.out) < UNTAKEN_MAX) {
		got = parser_next(&client->parser, &why);
		if (got == PARSED_ERROR)
			refuse(client, why);
		if (got != PARSED_COMMAND)
			break;
		command_take(client);
		parser_done(&client->parser);
	}
	client->stopped = !client->closing && buffer_bytes(&client->reply.out) >= UNTAKEN_MAX;
}
