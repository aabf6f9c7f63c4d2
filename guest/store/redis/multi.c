/* SPDX-License-Identifier: MIT */
/*
 * MULTI and WATCH. Other requests are never seen while this one runs: its transaction has a
 * snapshot and ends in a conflict, with the request served again, when what it has read was written
 * by somebody. So a watched key is one that was read, and what EXEC itself has to see are other
 * connections of the same request.
 */
#include "guest/store/redis/keys.h"

#include <errno.h>
#include <stdlib.h>

static struct client *watchers; /* clients that watch something */

static bool watches(const struct client *client, struct mf_bytes key)
{
	const struct watched *at;

	for (at = client->watched; at; at = at->next)
		if (bytes_equal((struct mf_bytes){at->key, at->bytes}, key))
			return true;
	return false;
}

void multi_touch(uint32_t request, struct mf_bytes key)
{
	struct client *client;

	for (client = watchers; client; client = client->next)
		if (client->request == request && watches(client, key))
			client->watch_failed = true;
}

static void unwatch_all(struct client *client)
{
	struct client **at = &watchers;

	client->watch_failed = false;
	if (!client->watched)
		return;
	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	while (client->watched) {
		struct watched *gone = client->watched;

		client->watched = gone->next;
		free(gone);
	}
}

/* The queue goes; what is watched stays. */
static void drop_queue(struct client *client)
{
	buffer_finish(&client->queue);
	client->queued = 0;
	client->in_multi = client->multi_failed = false;
}

void multi_forget(struct client *client)
{
	drop_queue(client);
	unwatch_all(client);
}

void multi_queue(struct client *client, const struct command *command)
{
	const struct parser *parser = &client->parser;
	struct buffer *queue = &client->queue;
	size_t before = buffer_bytes(queue);
	uint64_t word = parser->count;
	bool fits;
	uint32_t i;

	fits = buffer_add(queue, &command, sizeof(command)) &&
	       buffer_add(queue, &word, sizeof(word));
	for (i = 0; i < parser->count && fits; i++) {
		word = parser->args[i].length;
		fits = buffer_bytes(queue) + word <= PARSE_COMMAND_MAX &&
		       buffer_add(queue, &word, sizeof(word)) &&
		       buffer_add(queue, parser->args[i].data, word);
	}
	if (fits) {
		client->queued++;
		reply_status(&client->reply, "QUEUED");
		return;
	}
	queue->end = queue->start + before;
	client->multi_failed = true;
	reply_error(&client->reply, "OOM the queue of this transaction is too large");
}

static void multi(struct call *call)
{
	if (call->client->in_multi) {
		reply_error(call->reply, "ERR MULTI calls can not be nested");
		return;
	}
	call->client->in_multi = true;
	reply_status(call->reply, "OK");
}

static void discard(struct call *call)
{
	if (!call->client->in_multi) {
		reply_error(call->reply, "ERR DISCARD without MULTI");
		return;
	}
	multi_forget(call->client);
	reply_status(call->reply, "OK");
}

static uint64_t take_word(const struct buffer *queue, size_t *at)
{
	uint64_t word;

	memcpy(&word, buffer_data(queue) + *at, sizeof(word));
	*at += sizeof(word);
	return word;
}

/* One of the queue. 0, or how the store failed. */
static int run_queued(struct client *client, const struct buffer *queue, size_t *at)
{
	const struct command *command;
	struct mf_bytes *args;
	uint32_t count, i;
	int error;

	memcpy(&command, buffer_data(queue) + *at, sizeof(command));
	*at += sizeof(command);
	count = (uint32_t)take_word(queue, at);
	args = malloc(count * sizeof(*args));
	if (!args)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		size_t bytes = take_word(queue, at);

		args[i] = (struct mf_bytes){buffer_data(queue) + *at, bytes};
		*at += bytes;
	}
	error = command_run(client, command, args, count);
	free(args);
	return error;
}

static void run_all(struct call *call)
{
	struct client *client = call->client;
	struct buffer queue = client->queue;
	uint32_t left = client->queued;
	size_t at = 0;

	client->queue = (struct buffer){0};
	drop_queue(client);
	unwatch_all(client);
	reply_array(call->reply, left);
	while (left-- && !call->error)
		call->error = run_queued(client, &queue, &at);
	buffer_finish(&queue);
}

void multi_abort(struct client *client, const char *why)
{
	multi_forget(client);
	reply_errorf(&client->reply, "EXECABORT Transaction discarded because of: %s", why);
}

static void exec(struct call *call)
{
	struct client *client = call->client;

	if (!client->in_multi) {
		reply_error(call->reply, "ERR EXEC without MULTI");
	} else if (client->multi_failed) {
		reply_error(call->reply,
			    "EXECABORT Transaction discarded because of previous errors.");
		multi_forget(client);
	} else if (client->watch_failed) {
		reply_null_array(call->reply);
		multi_forget(client);
	} else {
		run_all(call);
	}
}

static bool watch_one(struct client *client, struct mf_bytes key)
{
	struct watched *one;

	if (watches(client, key))
		return true;
	one = malloc(sizeof(*one) + key.length);
	if (!one)
		return false;
	if (!client->watched) {
		client->next = watchers;
		watchers = client;
	}
	one->next = client->watched;
	one->bytes = key.length;
	memcpy(one->key, key.data, key.length);
	client->watched = one;
	return true;
}

/* A watched key has been read: that is what the request's transaction goes by. */
static void watch(struct call *call)
{
	struct key key;
	uint32_t i;

	if (call->client->in_multi) {
		reply_error(call->reply, "ERR WATCH inside MULTI is not allowed");
		return;
	}
	for (i = 1; i < call->count && !call->error; i++) {
		if (!key_get(call, call->args[i], &key))
			return;
		if (call->args[i].length > KEY_MAX)
			continue; /* nobody can write it */
		if (!watch_one(call->client, call->args[i]))
			call->error = -ENOMEM;
	}
	reply_status(call->reply, "OK");
}

static void unwatch(struct call *call)
{
	unwatch_all(call->client);
	reply_status(call->reply, "OK");
}

const struct command multi_commands[] = {
	COMMAND("discard", 1, COMMAND_NOW | COMMAND_CONTROL, discard, 0, 0, 0, "transactions",
		"Throws the queue away"),
	COMMAND("exec", 1, COMMAND_NOW | COMMAND_CONTROL | COMMAND_WRITES, exec, 0, 0, 0,
		"transactions", "Runs the queue"),
	COMMAND("multi", 1, COMMAND_NOW | COMMAND_CONTROL, multi, 0, 0, 0, "transactions",
		"Queues commands"),
	COMMAND("unwatch", 1, COMMAND_CONTROL, unwatch, 0, 0, 0, "transactions", "Watches no key"),
	COMMAND("watch", -2, COMMAND_NOW | COMMAND_CONTROL, watch, 1, -1, 1, "transactions",
		"Watches keys"),
	{0},
};
