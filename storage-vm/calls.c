/* SPDX-License-Identifier: MIT */
/* Frames on the program's connection. */
#include "storage-vm/calls.h"
#include "storage-vm/internal.h"

#include "engine/linux/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERRNO_MAX 4095
#define IN_BYTES  ((uint32_t)sizeof(struct mf_abi_calls_answer) + MF_CALLS_PAYLOAD_MAX)
#define OUT_BYTES ((uint32_t)sizeof(struct mf_abi_calls_call) + MF_CALLS_PAYLOAD_MAX)

int mf_calls_create(struct mf_calls **out, unsigned int lines)
{
	struct mf_calls *calls = calloc(1, sizeof(*calls));

	if (!calls)
		return -ENOMEM;
	calls->of_line = calloc(lines, sizeof(*calls->of_line));
	calls->lives = calloc(lines, sizeof(*calls->lives));
	calls->in = malloc(IN_BYTES);
	calls->out = malloc(OUT_BYTES);
	if (!calls->of_line || !calls->lives || !calls->in || !calls->out) {
		mf_calls_destroy(calls);
		return -ENOMEM;
	}
	*out = calls;
	return 0;
}

void mf_calls_destroy(struct mf_calls *calls)
{
	if (!calls)
		return;
	mf_calls_forget_clients(calls);
	free(calls->lives);
	free(calls->of_line);
	free(calls->in);
	free(calls->out);
	free(calls);
}

void mf_calls_reset(struct mf_store *store)
{
	struct mf_calls *calls = store->calls_of;

	if (!calls)
		return;
	mf_calls_forget_clients(calls);
	calls->open = false;
	calls->flying = 0;
	calls->in_bytes = calls->out_bytes = calls->out_done = 0;
	memset(calls->flights, 0, sizeof(calls->flights));
	memset(calls->of_line, 0, 2 * store->settings.channels * sizeof(*calls->of_line));
}

bool mf_calls_are_awaited(struct mf_store *store)
{
	return store->calls_of && mf_listener_waits(&store->process);
}

uint64_t mf_calls_since_ns(const struct mf_store *store)
{
	const struct mf_calls *calls = store->calls_of;
	uint64_t since = UINT64_MAX;

	for (unsigned int i = 0; calls->flying && i < MF_CALLS_FLIGHTS; i++)
		if (calls->flights[i].used && calls->flights[i].since_ns < since)
			since = calls->flights[i].since_ns;
	return since;
}

static bool broken(char text[160], const char *how)
{
	snprintf(text, 160, "it broke the rules of its calls: %s", how);
	return false;
}

/* ---- answers ---- */

/* A whole frame has come. */
static bool hear(struct mf_store *store, char text[160])
{
	struct mf_calls *calls = store->calls_of;
	struct mf_calls_flight *flight;
	struct mf_abi_calls_answer answer;

	memcpy(&answer, calls->in, sizeof(answer));
	flight = &calls->flights[(uint32_t)answer.id % MF_CALLS_FLIGHTS];
	if (!flight->used || (uint32_t)answer.id >= MF_CALLS_FLIGHTS ||
	    flight->serial != answer.id >> 32)
		return broken(text, "an answer to a call that there is not");
	if (answer.status > 0 || answer.status < -ERRNO_MAX)
		return broken(text, "an answer whose status is neither 0 nor a negative errno");
	mf_calls_answer(store, flight, answer.status, calls->in + sizeof(answer),
			answer.size_bytes - (uint32_t)sizeof(answer));
	calls->in_bytes = 0;
	return true;
}

/* How long the frame that comes in is, as far as that is known by now: 0: no frame has this length.
 */
static uint32_t frame_bytes(const struct mf_calls *calls)
{
	uint32_t bytes = sizeof(struct mf_abi_calls_answer);

	if (calls->in_bytes < bytes)
		return bytes;
	memcpy(&bytes, calls->in, sizeof(bytes));
	return bytes < sizeof(struct mf_abi_calls_answer) || bytes > IN_BYTES ? 0 : bytes;
}

static bool take_answers(struct mf_store *store, char text[160])
{
	struct mf_calls *calls = store->calls_of;

	for (;;) {
		uint32_t want = frame_bytes(calls);
		uint32_t got;

		if (!want)
			return broken(text, "a frame that is too short, or longer than 1 MiB");
		if (calls->in_bytes == want) {
			if (!hear(store, text))
				return false;
			continue;
		}
		got = (uint32_t)mf_connection_take(&store->process, calls->connection,
						   calls->in + calls->in_bytes,
						   want - calls->in_bytes);
		if (!got)
			return true;
		calls->in_bytes += got;
	}
}

/* ---- calls ---- */

/* The frame at hand, as far as there is room. True: all of it. */
static bool put_frame(struct mf_store *store, bool *moved)
{
	struct mf_calls *calls = store->calls_of;
	uint32_t left = calls->out_bytes - calls->out_done;
	int64_t put = left ? mf_connection_put(&store->process, calls->connection,
					       calls->out + calls->out_done, left)
			   : 0;

	if (put > 0) {
		calls->out_done += (uint32_t)put;
		*moved = true;
	}
	return calls->out_done == calls->out_bytes;
}

static bool open_connection(struct mf_store *store, char text[160])
{
	struct mf_calls *calls = store->calls_of;

	if (mf_connection_open(&store->process, NULL, 0, &calls->connection))
		return broken(text, "it has no room for its connection");
	calls->open = true;
	return true;
}

bool mf_calls_move(struct mf_store *store, bool *moved, char text[160])
{
	struct mf_calls *calls = store->calls_of;
	struct mf_connection_state state;

	*moved = false;
	if (!calls->open && !open_connection(store, text))
		return false;
	mf_connection_look(&store->process, calls->connection, &state);
	if (!take_answers(store, text))
		return false;
	if (state.ended || state.closed || state.aborted)
		return broken(text, "it closed the connection that they come by");
	while (put_frame(store, moved) && mf_calls_take(store))
		;
	return true;
}
