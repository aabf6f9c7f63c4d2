/* SPDX-License-Identifier: MIT */
#include "request-vm/exchange.h"

#include <errno.h>
#include <string.h>

#define PART_BYTES 65536u

bool mf_exchange_may_follow(const struct mf_exchange *exchange, const struct mf_process *process)
{
	struct mf_connection_state state;

	if (!exchange->open)
		return false;
	mf_connection_look(process, exchange->connection, &state);
	return state.accepted && !state.ended && !state.closed && !state.unread && !state.output;
}

/* `client`: NULL: nobody is known. */
static int open_connection(struct mf_exchange *exchange, struct mf_process *process,
			   const struct mf_front_connection *client)
{
	const struct sockaddr *from = client ? client->from : NULL;
	socklen_t bytes = client ? client->from_bytes : 0;
	int ret;

	if (mf_exchange_may_follow(exchange, process) &&
	    mf_connection_is_from(process, exchange->connection, from, bytes))
		return 0;
	mf_exchange_hang_up(exchange, process);
	ret = mf_connection_open(process, from, bytes, &exchange->connection);
	exchange->open = !ret;
	return ret;
}

bool mf_exchange_has_more(const struct mf_exchange *exchange)
{
	return exchange->request && exchange->sent < exchange->request->size;
}

/* As much of the request as there is room for. True: some. */
static bool put_request(struct mf_exchange *exchange, struct mf_process *process)
{
	int64_t put = 0;

	if (mf_exchange_has_more(exchange))
		put = mf_connection_put(process, exchange->connection,
					exchange->request->bytes + exchange->sent,
					exchange->request->size - exchange->sent);
	exchange->sent += put > 0 ? (size_t)put : 0;
	return put > 0;
}

int mf_exchange_begin(struct mf_exchange *exchange, struct mf_process *process,
		      const struct mf_http_whole *request)
{
	const struct mf_http_message *message = &request->message;
	struct mf_http_asked asked = {
		.is_head = message->is_head, .upgrade = message->upgrade, .minor = message->minor};
	int ret = open_connection(exchange, process, NULL);

	if (ret) {
		mf_exchange_finish(exchange);
		return ret;
	}
	mf_http_answer_init(&exchange->answer, &asked);
	exchange->request = request;
	exchange->sent = 0;
	exchange->state = MF_EXCHANGE_RUNS;
	put_request(exchange, process);
	return 0;
}

/* Pieces of the request, as far as there is room. True: some. */
static bool put_pieces(struct mf_exchange *exchange, struct mf_process *process)
{
	bool any = false;
	size_t bytes;
	int64_t put;
	bool ended;

	do {
		const char *piece = mf_front_input(exchange->front, &bytes, &ended);

		put = bytes ? mf_connection_put(process, exchange->connection, piece, bytes) : 0;
		if (put > 0)
			mf_front_taken(exchange->front, (size_t)put);
		any |= put > 0;
	} while (put > 0);
	if (ended && !exchange->in_ended) {
		mf_connection_end(process, exchange->connection);
		exchange->in_ended = any = true;
	}
	return any;
}

int mf_exchange_begin_pieces(struct mf_exchange *exchange, struct mf_process *process,
			     struct mf_front_request *front)
{
	int ret = open_connection(exchange, process, front->connection);

	if (ret)
		return ret;
	exchange->front = front;
	exchange->in_ended = exchange->spoke = false;
	exchange->state = MF_EXCHANGE_RUNS;
	put_pieces(exchange, process);
	return 0;
}

static void fail(struct mf_exchange *exchange, const char *why)
{
	exchange->state = MF_EXCHANGE_BAD;
	exchange->why = why;
}

/* Of an answer that nobody wants but for its status. */
static void feed(struct mf_exchange *exchange, const char *bytes, size_t count)
{
	enum mf_http_answer_event event = MF_HTTP_ANSWER_HEAD;
	struct mf_http_answer *answer = &exchange->answer;
	struct mf_http_piece piece;
	size_t used;

	while (event == MF_HTTP_ANSWER_HEAD || event == MF_HTTP_ANSWER_PIECE) {
		event = mf_http_answer_feed(answer, bytes, count, &used, &piece);
		bytes += used;
		count -= used;
	}
	if (answer->body_bytes > MF_RESPONSE_MAX_BYTES)
		fail(exchange, "its body is larger than 64 MiB");
	else if (event == MF_HTTP_ANSWER_DONE || answer->body == MF_HTTP_BODY_TUNNEL)
		exchange->state = MF_EXCHANGE_DONE;
	else if (event == MF_HTTP_ANSWER_BAD)
		fail(exchange, answer->why);
}

/* What has come out. True: something. Behind the end of the answer it is thrown away. */
static bool take_answer(struct mf_exchange *exchange, struct mf_process *process)
{
	char part[PART_BYTES];
	bool any = false;
	size_t count;

	while ((count = mf_connection_take(process, exchange->connection, part, sizeof(part)))) {
		any = true;
		if (exchange->state == MF_EXCHANGE_RUNS)
			feed(exchange, part, count);
		explicit_bzero(part, count);
	}
	return any;
}

/* What the front door says of the answer. */
static void judge(struct mf_exchange *exchange, enum mf_front_took took)
{
	switch (took) {
	case MF_FRONT_MORE:
	case MF_FRONT_FULL:
		return;
	case MF_FRONT_HELD:
		exchange->state = MF_EXCHANGE_HELD;
		return;
	case MF_FRONT_OVER:
		exchange->state = MF_EXCHANGE_DONE;
		break;
	case MF_FRONT_GONE:
		exchange->state = MF_EXCHANGE_GONE;
		break;
	default:
		fail(exchange, exchange->front->why);
	}
	exchange->front = NULL;
}

/* Something has come out, and the client takes nothing now. */
static bool is_stuck(const struct mf_exchange *exchange, const struct mf_process *process)
{
	struct mf_connection_state state;

	mf_connection_look(process, exchange->connection, &state);
	return state.output && !mf_front_takes(exchange->front);
}

/* What has come out, as far as the client takes it. True: something. */
static bool give_pieces(struct mf_exchange *exchange, struct mf_process *process)
{
	char part[PART_BYTES];
	bool any = false;
	size_t count, used = 0;

	do {
		if (is_stuck(exchange, process))
			break;
		count = mf_connection_peek(process, exchange->connection, part, sizeof(part));
		if (!count)
			break;
		judge(exchange, mf_front_output(exchange->front, part, count, &used));
		explicit_bzero(part, count);
		mf_connection_taken(process, exchange->connection, used);
		any |= used > 0;
		exchange->spoke |= any;
	} while (exchange->state == MF_EXCHANGE_RUNS && used == count);
	return any;
}

static bool move_pieces(struct mf_exchange *exchange, struct mf_process *process)
{
	struct mf_connection_state state;
	bool moved = give_pieces(exchange, process);

	mf_connection_look(process, exchange->connection, &state);
	if (exchange->state == MF_EXCHANGE_RUNS && state.ended && (!state.output || state.aborted))
		judge(exchange, mf_front_output_end(exchange->front));
	if (exchange->state == MF_EXCHANGE_RUNS)
		moved |= put_pieces(exchange, process);
	return moved;
}

static void closed(struct mf_exchange *exchange)
{
	if (exchange->state != MF_EXCHANGE_RUNS)
		return;
	if (mf_http_answer_close(&exchange->answer) == MF_HTTP_ANSWER_DONE)
		exchange->state = MF_EXCHANGE_DONE;
	else
		fail(exchange, exchange->answer.why);
}

bool mf_exchange_move(struct mf_exchange *exchange, struct mf_process *process)
{
	struct mf_connection_state state;
	bool moved;

	if (!exchange->open)
		return false;
	if (exchange->front)
		return move_pieces(exchange, process);
	mf_connection_look(process, exchange->connection, &state);
	moved = take_answer(exchange, process);
	if (state.aborted && exchange->state == MF_EXCHANGE_RUNS)
		fail(exchange, "its connection was reset");
	if (state.ended)
		closed(exchange);
	if (exchange->state == MF_EXCHANGE_RUNS)
		moved |= put_request(exchange, process);
	return moved;
}

void mf_exchange_drop_rest(struct mf_exchange *exchange, struct mf_process *process)
{
	if (exchange->open && !exchange->front && exchange->state != MF_EXCHANGE_RUNS)
		take_answer(exchange, process);
}

void mf_exchange_exited(struct mf_exchange *exchange, struct mf_process *process)
{
	if (!exchange->open)
		return;
	if (exchange->front) {
		give_pieces(exchange, process);
		if (exchange->state == MF_EXCHANGE_RUNS && exchange->spoke)
			judge(exchange, mf_front_output_end(exchange->front));
		return;
	}
	take_answer(exchange, process);
	closed(exchange);
}

void mf_exchange_release(struct mf_exchange *exchange)
{
	exchange->state = MF_EXCHANGE_RUNS;
	judge(exchange, mf_front_release(exchange->front));
}

void mf_exchange_finish(struct mf_exchange *exchange)
{
	exchange->request = NULL;
	mf_http_answer_finish(&exchange->answer);
	exchange->front = NULL;
	exchange->state = MF_EXCHANGE_NONE;
	exchange->why = NULL;
}

void mf_exchange_hang_up(struct mf_exchange *exchange, struct mf_process *process)
{
	if (exchange->open)
		mf_connection_close(process, exchange->connection);
	exchange->open = false;
}

void mf_exchange_forget(struct mf_exchange *exchange)
{
	mf_exchange_finish(exchange);
	exchange->open = false;
}
