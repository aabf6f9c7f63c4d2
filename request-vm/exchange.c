/* SPDX-License-Identifier: MIT */
#include "request-vm/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PART_BYTES 65536u

static bool is_reusable(const struct mf_exchange *exchange, const struct mf_process *process)
{
	struct mf_connection_state state;

	if (!exchange->open)
		return false;
	mf_connection_look(process, exchange->connection, &state);
	return state.accepted && !state.ended && !state.closed && !state.unread && !state.output;
}

static int open_connection(struct mf_exchange *exchange, struct mf_process *process,
			   const struct sockaddr *from)
{
	int ret;

	if (is_reusable(exchange, process))
		return 0;
	mf_exchange_hang_up(exchange, process);
	ret = mf_connection_open(process, from, &exchange->connection);
	exchange->open = !ret;
	return ret;
}

static bool has_method(const struct mf_abi_request *request, const char *method)
{
	return request->method.length == strlen(method) &&
	       !memcmp((const char *)request + request->method.offset, method,
		       request->method.length);
}

/* As much of the request as there is room for. True: some. */
static bool put_request(struct mf_exchange *exchange, struct mf_process *process)
{
	int64_t put = 0;

	if (exchange->sent < exchange->wire.count)
		put = mf_connection_put(process, exchange->connection,
					exchange->wire.bytes + exchange->sent,
					exchange->wire.count - exchange->sent);
	exchange->sent += put > 0 ? (size_t)put : 0;
	return put > 0;
}

int mf_exchange_begin(struct mf_exchange *exchange, struct mf_process *process,
		      const struct mf_abi_request *request, const struct sockaddr *from)
{
	struct mf_http_asked asked = {.is_head = has_method(request, "HEAD"), .minor = 1};
	int ret = mf_wire_make(&exchange->wire, request);

	if (!ret)
		ret = open_connection(exchange, process, from);
	if (ret) {
		mf_exchange_finish(exchange);
		return ret;
	}
	mf_http_answer_init(&exchange->answer, &asked);
	exchange->sent = 0;
	exchange->body_room = 0;
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
			     struct mf_front_request *front, const struct sockaddr *from)
{
	int ret = open_connection(exchange, process, from);

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

/* Framing was the connection's; the client's is another. */
static bool is_framing(const char *line, size_t length)
{
	static const char *const names[] = {"content-length:", "transfer-encoding:"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (length >= strlen(names[i]) && !strncasecmp(line, names[i], strlen(names[i])))
			return true;
	return false;
}

/* Lines of the head, each with its CR LF; a length is kept where no body comes to be measured. */
static int take_head(struct mf_exchange *exchange, const struct mf_http_answer *answer)
{
	struct mf_function_response *response = &exchange->response;
	const char *from = answer->headers.at;
	const char *end = from + answer->headers.bytes;
	bool foretold = answer->has_length && answer->body == MF_HTTP_BODY_NONE;
	char *to = malloc(answer->headers.bytes + 1);

	if (!to)
		return -ENOMEM;
	response->status = answer->status;
	response->headers = to;
	while (from < end) {
		const char *line_end = memchr(from, '\n', (size_t)(end - from));
		size_t length = (size_t)((line_end ? line_end + 1 : end) - from);

		if (!is_framing(from, length) || (foretold && (*from | 32) == 'c')) {
			memcpy(to, from, length);
			to += length;
		}
		from += length;
	}
	*to = 0;
	response->headers_bytes = (size_t)(to - response->headers);
	return 0;
}

static int take_piece(struct mf_exchange *exchange, const struct mf_http_piece *piece)
{
	struct mf_function_response *response = &exchange->response;
	size_t need = response->body_bytes + piece->bytes;
	uint8_t *grown;

	if (need > MF_RESPONSE_MAX_BYTES)
		return -EMSGSIZE;
	if (need > exchange->body_room) {
		size_t room = exchange->body_room ? exchange->body_room * 2 : PART_BYTES;

		room = room > need ? room : need;
		/* Not realloc: what it leaves behind would not be wiped. */
		grown = malloc(room);
		if (!grown)
			return -ENOMEM;
		if (response->body_bytes) {
			memcpy(grown, response->body, response->body_bytes);
			explicit_bzero(response->body, response->body_bytes);
		}
		free(response->body);
		response->body = grown;
		exchange->body_room = room;
	}
	memcpy(response->body + response->body_bytes, piece->at, piece->bytes);
	response->body_bytes = need;
	return 0;
}

static void feed(struct mf_exchange *exchange, const char *bytes, size_t count)
{
	enum mf_http_answer_event event = MF_HTTP_ANSWER_HEAD;
	struct mf_http_answer *answer = &exchange->answer;
	struct mf_http_piece piece;
	size_t used;
	int ret = 0;

	while (!ret && (event == MF_HTTP_ANSWER_HEAD || event == MF_HTTP_ANSWER_PIECE)) {
		event = mf_http_answer_feed(answer, bytes, count, &used, &piece);
		bytes += used;
		count -= used;
		if (event == MF_HTTP_ANSWER_HEAD)
			ret = take_head(exchange, answer);
		else if (event == MF_HTTP_ANSWER_PIECE)
			ret = take_piece(exchange, &piece);
	}
	if (ret)
		fail(exchange, ret == -EMSGSIZE ? "its body is larger than 64 MiB"
						: "there is no memory for it");
	else if (event == MF_HTTP_ANSWER_DONE)
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

/* What has come out, as far as the client takes it. True: something. */
static bool give_pieces(struct mf_exchange *exchange, struct mf_process *process)
{
	char part[PART_BYTES];
	bool any = false;
	size_t count, used = 0;

	do {
		count = mf_connection_peek(process, exchange->connection, part, sizeof(part));
		if (!count)
			break;
		judge(exchange, mf_front_output(exchange->front, part, count, &used));
		explicit_bzero(part, count);
		mf_connection_taken(process, exchange->connection, used);
		any |= used > 0;
		exchange->spoke |= any;
	} while (exchange->front && used == count);
	return any;
}

static bool move_pieces(struct mf_exchange *exchange, struct mf_process *process)
{
	struct mf_connection_state state;
	bool moved = give_pieces(exchange, process);

	mf_connection_look(process, exchange->connection, &state);
	if (exchange->front && state.ended && (!state.output || state.aborted))
		judge(exchange, mf_front_output_end(exchange->front));
	if (exchange->front)
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

void mf_exchange_exited(struct mf_exchange *exchange, struct mf_process *process)
{
	if (!exchange->open)
		return;
	if (exchange->front) {
		give_pieces(exchange, process);
		if (exchange->front && exchange->spoke)
			judge(exchange, mf_front_output_end(exchange->front));
		return;
	}
	take_answer(exchange, process);
	closed(exchange);
}

void mf_exchange_finish(struct mf_exchange *exchange)
{
	mf_wire_finish(&exchange->wire);
	mf_http_answer_finish(&exchange->answer);
	mf_function_response_finish(&exchange->response);
	exchange->body_room = 0;
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
