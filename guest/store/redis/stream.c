/* SPDX-License-Identifier: MIT */
#include "guest/store/redis/stream.h"

#include <errno.h>
#include <stdlib.h>

#include "guest/store/redis/redis.h"

/* What the engine keeps of a connection while nobody knows it. */
#define STATE_VERSION_3 1u
#define STATE_BUSY      2u /* in the middle of something: it cannot go on elsewhere */

struct connections {
	struct client *clients[MF_STREAM_CONNECTIONS];
};

static struct connections **channels; /* NULL: none of that channel */
static uint32_t channel_count;

int stream_open(uint32_t count)
{
	channels = calloc(count, sizeof(*channels));
	channel_count = count;
	return channels ? 0 : -ENOMEM;
}

static void forget(struct connections *connections, uint32_t number)
{
	struct client *client = connections->clients[number];

	connections->clients[number] = NULL;
	if (client)
		client_finish(client);
	free(client);
}

void stream_drop(uint32_t channel)
{
	struct connections *connections = channels[channel];
	uint32_t i;

	if (!connections)
		return;
	for (i = 0; i < MF_STREAM_CONNECTIONS; i++)
		forget(connections, i);
	free(connections);
	channels[channel] = NULL;
}

/* A connection that is met first in this request: at rest when the last one ended. */
static int meet(struct connections *connections, uint32_t channel, const struct mf_abi_stream *head)
{
	struct client *client;

	forget(connections, head->connection);
	if (head->state & STATE_BUSY)
		return -ECONNRESET;
	client = malloc(sizeof(*client));
	if (!client)
		return -ENOMEM;
	client_init(client, channel, head->state & STATE_VERSION_3 ? 3 : 2);
	client->read_only = head->flags & MF_STREAM_READ_ONLY;
	connections->clients[head->connection] = client;
	return 0;
}

static bool is_busy(const struct client *client)
{
	return client->in_multi || client->watched || client->closing ||
	       buffer_bytes(&client->parser.input) || buffer_bytes(&client->reply.out);
}

/* As much of the answers as there is room for. */
static void answer(struct mf_storage_call *call, struct client *client,
		   const struct mf_abi_stream *asked)
{
	struct buffer *out = &client->reply.out;
	struct mf_abi_stream head = {.connection = asked->connection};
	size_t bytes = buffer_bytes(out);

	bytes = bytes < asked->room ? bytes : asked->room;
	bytes = bytes < MF_STREAM_BYTES_MAX ? bytes : MF_STREAM_BYTES_MAX;
	if (bytes)
		memcpy((uint8_t *)call->out + sizeof(head), buffer_data(out), bytes);
	buffer_drop(out, bytes);
	call->out_bytes = sizeof(head) + bytes;
	if (buffer_bytes(out) || client_has_more(client))
		head.flags |= MF_STREAM_MORE;
	else if (client->closing)
		head.flags |= MF_STREAM_CLOSE;
	head.state = (client->reply.protocol == 3 ? STATE_VERSION_3 : 0) |
		     (is_busy(client) ? STATE_BUSY : 0);
	memcpy(call->out, &head, sizeof(head));
}

static int serve(struct mf_storage_call *call, struct connections *connections,
		 const struct mf_abi_stream *head)
{
	const uint8_t *bytes = (const uint8_t *)call->in + sizeof(*head);
	struct client *client;
	int ret = 0;

	if (head->flags & MF_STREAM_FIRST)
		ret = meet(connections, call->channel, head);
	client = connections->clients[head->connection];
	if (!ret && !client)
		ret = -ECONNRESET;
	if (ret)
		return ret;
	if (!client_feed(client, bytes, call->in_bytes - sizeof(*head)))
		return -ENOMEM;
	client_work(client);
	answer(call, client, head);
	return 0;
}

int stream_call(struct mf_storage_call *call)
{
	struct connections *connections;
	struct mf_abi_stream head;

	if (call->in_bytes < sizeof(head) || call->channel >= channel_count)
		return -EINVAL;
	memcpy(&head, call->in, sizeof(head));
	if (head.connection >= MF_STREAM_CONNECTIONS)
		return -EINVAL;
	if (!channels[call->channel])
		channels[call->channel] = calloc(1, sizeof(*connections));
	connections = channels[call->channel];
	if (!connections)
		return -ENOMEM;
	if (head.flags & MF_STREAM_GONE) {
		forget(connections, head.connection);
		return 0;
	}
	return serve(call, connections, &head);
}
