/* SPDX-License-Identifier: MIT */
/*
 * Calls that a program makes over its connection to the store: the engine's other half
 * (request-vm/streams.h) brings its bytes over a stream, and here frames are made of them, and
 * frames of the answers. What is kept of a connection is bounded for each VM. A message of a stream
 * is answered when there is something to say: bytes of an answer, or that more calls may come.
 */
#include "storage-vm/calls.h"
#include "storage-vm/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mayfly/abi/store.h>

#define GIVE_BYTES 16384u     /* in one message: those of all connections have room in a ring */
#define LINE_BYTES (4u << 20) /* kept for one VM */
#define STATE_BUSY 1u         /* in the middle of something: it cannot go on elsewhere */
#define FRAME_MAX  ((uint32_t)sizeof(struct mf_abi_calls_ask) + MF_CALLS_PAYLOAD_MAX)

/* Bytes that wait. */
struct bytes {
	uint8_t *at;
	uint32_t from; /* those before were taken */
	uint32_t to;
	uint32_t room;
};

struct mf_calls_client {
	struct mf_calls_client *next;
	uint32_t line;
	uint32_t number;
	uint32_t life; /* of the channel: it goes with that */
	uint32_t flights;
	bool asked;     /* a message of it waits for its answer */
	uint32_t room;  /* that this may bring */
	bool read_only; /* the program is at its start: it calls nobody */
	bool closing;   /* it broke the rules: what was called before is answered */
	struct bytes in;
	struct bytes out;
};

static uint32_t held(const struct bytes *bytes)
{
	return bytes->to - bytes->from;
}

static void forget_bytes(struct bytes *bytes)
{
	free(bytes->at);
	*bytes = (struct bytes){0};
}

static void drop(struct bytes *bytes, uint32_t count)
{
	bytes->from += count;
	if (bytes->from == bytes->to)
		forget_bytes(bytes);
}

/* Room for so many more behind what is there; NULL: there is none. */
static uint8_t *extend(struct bytes *bytes, uint32_t count)
{
	uint8_t *grown;

	if (bytes->from) {
		memmove(bytes->at, bytes->at + bytes->from, held(bytes));
		bytes->to -= bytes->from;
		bytes->from = 0;
	}
	if (bytes->to + count > bytes->room) {
		uint32_t room =
			2 * bytes->room > bytes->to + count ? 2 * bytes->room : bytes->to + count;

		grown = realloc(bytes->at, room);
		if (!grown)
			return NULL;
		bytes->at = grown;
		bytes->room = room;
	}
	grown = bytes->at + bytes->to;
	bytes->to += count;
	return grown;
}

/* ---- connections ---- */

static struct mf_calls_client *find(const struct mf_calls *calls, uint32_t line, uint32_t number)
{
	struct mf_calls_client *client = calls->clients;

	while (client && (client->line != line || client->number != number))
		client = client->next;
	return client;
}

/* What is kept for its VM. */
static uint32_t kept(const struct mf_calls *calls, uint32_t line)
{
	uint32_t bytes = 0;

	for (const struct mf_calls_client *client = calls->clients; client; client = client->next)
		if (client->line == line)
			bytes += client->in.room + client->out.room;
	return bytes;
}

/* Calls of its VM that came by connections. */
static uint32_t flights_of(const struct mf_calls *calls, uint32_t line)
{
	uint32_t flights = 0;

	for (const struct mf_calls_client *client = calls->clients; client; client = client->next)
		if (client->line == line)
			flights += client->flights;
	return flights;
}

/* Its calls are answered to nobody. */
static void forget(struct mf_calls *calls, struct mf_calls_client *client)
{
	struct mf_calls_client **at = &calls->clients;

	for (unsigned int i = 0; client->flights && i < MF_CALLS_FLIGHTS; i++)
		if (calls->flights[i].client == client)
			calls->flights[i].client = NULL;
	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	free(client->in.at);
	free(client->out.at);
	free(client);
}

void mf_calls_forget_clients(struct mf_calls *calls)
{
	while (calls->clients)
		forget(calls, calls->clients);
}

static int meet(struct mf_calls *calls, uint32_t line, const struct mf_abi_stream *head,
		struct mf_calls_client **out)
{
	struct mf_calls_client *client = find(calls, line, head->connection);

	if (client && client->asked)
		return -ECONNRESET;
	if (head->flags & MF_STREAM_FIRST) {
		if (client)
			forget(calls, client);
		if (head->state & STATE_BUSY)
			return -ECONNRESET;
		client = calloc(1, sizeof(*client));
		if (!client)
			return -ENOMEM;
		client->line = line;
		client->number = head->connection;
		client->life = mf_calls_life(calls, line);
		client->next = calls->clients;
		calls->clients = client;
	}
	*out = client;
	return client ? 0 : -ECONNRESET;
}

/* ---- answers ---- */

/* Of the frame that begins what came in: its length, as far as that is known by now; 0: no frame
 * has this length. */
static uint32_t frame_bytes(const struct mf_calls_client *client)
{
	uint32_t bytes = sizeof(struct mf_abi_calls_ask);

	if (held(&client->in) < bytes)
		return bytes;
	memcpy(&bytes, client->in.at + client->in.from, sizeof(bytes));
	return bytes < sizeof(struct mf_abi_calls_ask) || bytes > FRAME_MAX ? 0 : bytes;
}

static bool has_frame(const struct mf_calls_client *client)
{
	uint32_t bytes = frame_bytes(client);

	return !client->closing && bytes && held(&client->in) >= bytes;
}

/* Does what comes next keep the rules? */
static void judge(struct mf_calls_client *client)
{
	if (frame_bytes(client))
		return;
	client->closing = true;
	forget_bytes(&client->in);
}

/* The message that waits is answered, if there is something to say. */
static void give(struct mf_store *store, struct mf_calls_client *client)
{
	uint32_t count = held(&client->out);
	struct mf_abi_stream head = {.connection = client->number};
	bool busy;

	judge(client);
	busy = client->flights || has_frame(client);
	if (!client->asked || (!count && busy))
		return;
	count = count < client->room ? count : client->room;
	count = count < GIVE_BYTES ? count : GIVE_BYTES;
	if (busy || count < held(&client->out))
		head.flags = MF_STREAM_MORE;
	else if (client->closing)
		head.flags = MF_STREAM_CLOSE;
	if (head.flags == MF_STREAM_MORE || held(&client->in))
		head.state = STATE_BUSY;
	client->asked = false;
	mf_calls_give(store, client->line, client->number,
		      (struct mf_piece[]){{&head, sizeof(head)},
					  {client->out.at + client->out.from, count}});
	if (count)
		drop(&client->out, count);
}

/* A frame for the program; without its payload where there is no room. */
static void put_answer(struct mf_calls *calls, struct mf_calls_client *client, uint64_t id,
		       int status, const void *payload, uint32_t bytes)
{
	struct mf_abi_calls_answer head = {.status = status, .id = id};
	uint8_t *to;

	if (kept(calls, client->line) + bytes > LINE_BYTES) {
		head.status = -ENOBUFS;
		bytes = 0;
	}
	head.size_bytes = (uint32_t)sizeof(head) + bytes;
	to = extend(&client->out, head.size_bytes);
	if (!to) {
		client->closing = true;
		return;
	}
	memcpy(to, &head, sizeof(head));
	if (bytes)
		memcpy(to + sizeof(head), payload, bytes);
}

void mf_calls_answer_client(struct mf_store *store, struct mf_calls_client *client, uint64_t id,
			    int status, const void *payload, uint32_t bytes)
{
	client->flights--;
	put_answer(store->calls_of, client, id, status, payload, bytes);
	give(store, client);
}

/* ---- calls ---- */

/* The next frame of a connection becomes a call: true; or an answer at once. */
static bool take_frame(struct mf_store *store, struct mf_calls_client *client)
{
	struct mf_calls *calls = store->calls_of;
	const uint8_t *from = client->in.at + client->in.from;
	struct mf_abi_calls_ask ask;

	memcpy(&ask, from, sizeof(ask));
	if (client->read_only) {
		put_answer(calls, client, ask.id, -ENOTCONN, NULL, 0);
	} else {
		memcpy(mf_calls_fly(store,
				    &(struct mf_calls_flight){.line = client->line,
							      .client = client,
							      .function = ask.function,
							      .id = ask.id},
				    ask.size_bytes - (uint32_t)sizeof(ask)),
		       from + sizeof(ask), ask.size_bytes - sizeof(ask));
		client->flights++;
	}
	drop(&client->in, ask.size_bytes);
	return !client->read_only;
}

/* What can be done for a connection. True: a call is in calls->out. */
static bool serve(struct mf_store *store, struct mf_calls_client *client)
{
	struct mf_calls *calls = store->calls_of;
	bool taken = false;

	while (!taken && has_frame(client) &&
	       flights_of(calls, client->line) < MF_CALLS_LINE_FLIGHTS)
		taken = take_frame(store, client);
	if (!taken)
		give(store, client);
	return taken;
}

bool mf_calls_take_frame(struct mf_store *store)
{
	struct mf_calls *calls = store->calls_of;
	struct mf_calls_client *next;

	for (struct mf_calls_client *client = calls->clients; client; client = next) {
		next = client->next;
		if (client->life != mf_calls_life(calls, client->line))
			forget(calls, client); /* of a request that is over */
		else if (has_frame(client) && serve(store, client))
			return true;
	}
	return false;
}

/* What came with a message, which is answered later: 0. */
static int feed(struct mf_calls *calls, struct mf_calls_client *client,
		const struct mf_abi_stream *head, const struct mf_ring *ring, uint32_t bytes)
{
	uint8_t *to;

	if (bytes && !client->closing) {
		if (kept(calls, client->line) + bytes > LINE_BYTES)
			return -ENOBUFS;
		to = extend(&client->in, bytes);
		if (!to)
			return -ENOMEM;
		mf_ring_read(ring, sizeof(*head), to, bytes);
	}
	client->asked = true;
	client->room = head->room;
	client->read_only = head->flags & MF_STREAM_READ_ONLY;
	return 0;
}

int mf_calls_hear_stream(struct mf_store *store, uint32_t line, const struct mf_ring *ring,
			 const struct mf_abi_message *message, bool *taken)
{
	struct mf_calls *calls = store->calls_of;
	uint32_t bytes = message->size_bytes - (uint32_t)sizeof(*message);
	struct mf_calls_client *client;
	struct mf_abi_stream head;
	int ret;

	*taken = false;
	if (message->function != MF_KV_STREAM || bytes < sizeof(head))
		return -ENOSYS;
	mf_ring_read(ring, 0, &head, sizeof(head));
	if (head.connection >= MF_STREAM_CONNECTIONS || head.connection != message->id)
		return -EINVAL;
	ret = meet(calls, line, &head, &client);
	if (!ret && head.flags & MF_STREAM_GONE) {
		forget(calls, client);
		return MF_CALLS_DONE;
	}
	if (!ret)
		ret = feed(calls, client, &head, ring, bytes - (uint32_t)sizeof(head));
	if (!ret)
		calls->of_line[line]++; /* the message, until it is answered */
	if (!ret)
		*taken = serve(store, client);
	return ret;
}
