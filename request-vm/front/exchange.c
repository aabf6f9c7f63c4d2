// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request-vm/front/exchange.h"

#define AT_A_TIME       (64u << 10) /* bytes of a program between two looks at what is unsent */
#define AT_A_TIME_TIGHT (4u << 10)  /* the same while all connections together have too much */
#define BUFFERS         48u         /* of one write */
#define CHUNK_LINE      20u

static uint64_t *waiting_in_all(struct conn *conn)
{
	return &conn->front->stats.waiting_bytes;
}

static size_t input_bytes(const struct exchange *exchange)
{
	return exchange->in_end - exchange->in_at;
}

size_t exchange_waiting(const struct conn *conn)
{
	return conn->exchange ? input_bytes(conn->exchange) : 0;
}

bool exchange_begin(struct conn *conn)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));
	const struct mf_http_asked asked = {.is_head = conn->message.is_head,
					    .upgrade = conn->message.upgrade,
					    .minor = conn->message.minor};

	if (!exchange)
		return false;
	mf_http_answer_init(&exchange->answer, &asked);
	conn->exchange = exchange;
	return true;
}

/* Room for so much more behind what is there. */
static bool make_room(struct exchange *exchange, size_t more)
{
	size_t bytes = input_bytes(exchange), room = 2 * exchange->in_room;
	char *in = exchange->in;

	if (exchange->in_room - exchange->in_end >= more)
		return true;
	if (exchange->in_room < bytes + more) {
		room = room < bytes + more ? bytes + more : room;
		in = malloc(room);
		if (!in)
			return false;
		exchange->in_room = room;
	}
	if (bytes > 0)
		memmove(in, exchange->in + exchange->in_at, bytes);
	if (in != exchange->in) {
		if (exchange->in)
			explicit_bzero(exchange->in, exchange->in_end);
		free(exchange->in);
	}
	exchange->in = in;
	exchange->in_lost |= exchange->in_at > 0;
	exchange->in_at = 0;
	exchange->in_end = bytes;
	return true;
}

static bool put(struct conn *conn, const char *data, size_t size)
{
	struct exchange *exchange = conn->exchange;

	if (!make_room(exchange, size))
		return false;
	memcpy(exchange->in + exchange->in_end, data, size);
	exchange->in_end += size;
	exchange->news = exchange->submitted;
	*waiting_in_all(conn) += size;
	return true;
}

static int chunk_line(char line[CHUNK_LINE], size_t size)
{
	return snprintf(line, CHUNK_LINE, "%zx\r\n", size);
}

bool exchange_put(struct conn *conn, const char *data, size_t size)
{
	char line[CHUNK_LINE];

	conn->exchange->passed_bytes += size;
	if (size == 0 || !conn->exchange->in_chunks)
		return size == 0 || put(conn, data, size);
	return put(conn, line, (size_t)chunk_line(line, size)) && put(conn, data, size) &&
	       put(conn, "\r\n", 2);
}

bool exchange_end_input(struct conn *conn)
{
	conn->exchange->in_ended = true;
	return !conn->exchange->in_chunks || put(conn, "0\r\n\r\n", 5);
}

bool exchange_submit(struct conn *conn)
{
	struct exchange *exchange = conn->exchange;
	struct mf_http_message *message = &conn->message;
	size_t body = input_bytes(exchange);
	int bytes;

	exchange->submitted = true;
	if (exchange->passes)
		return true;
	exchange->in_chunks = message->chunked && !exchange->in_ended;
	if (!exchange->in_chunks) {
		mf_http_wire_end(message, message->chunked ? body : message->length);
		return true;
	}
	bytes = snprintf(message->wire + message->wire_bytes, MF_HTTP_WIRE_SPARE,
			 "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", body);
	message->wire_bytes += (uint32_t)bytes;
	return put(conn, "\r\n", 2);
}

bool exchange_wants(const struct conn *conn)
{
	return conn->state == CONN_RUNNING && conn->exchange && !conn->exchange->in_ended;
}

static bool is_slow(const struct conn *conn)
{
	const struct mf_front *front = conn->front;
	size_t bytes = input_bytes(conn->exchange);

	return bytes >= front->settings.window_bytes ||
	       (bytes > 0 && front->stats.waiting_bytes >= front->settings.waiting_bytes);
}

void exchange_settle(struct conn *conn)
{
	struct exchange *exchange = conn->exchange;

	if (conn->state != CONN_RUNNING || !exchange)
		return;
	if (exchange_wants(conn) && !conn->stopped && is_slow(conn)) {
		conn->stopped = true;
		uv_read_stop(&conn->io.stream);
	}
	if (conn->request.lasting)
		conn_await(conn, WAIT_TUNNEL);
	else if (conn->unsent_bytes > 0)
		conn_await(conn, WAIT_WRITE);
	else
		conn_await(conn, exchange_wants(conn) && !conn->stopped ? WAIT_BODY : WAIT_NONE);
}

void exchange_has_room(struct conn *conn)
{
	struct mf_front *front = conn->front;
	struct exchange *exchange = conn->exchange;

	exchange_settle(conn);
	if (!exchange || !exchange->full || conn->unsent_bytes > front->settings.window_bytes / 2)
		return;
	exchange->full = false;
	front->ops->go_on(front->backend, &conn->request);
}

bool exchange_may_refuse(const struct conn *conn)
{
	return !conn->exchange->sent && (!conn->exchange->passes || conn->exchange->is_held);
}

bool exchange_drop(struct conn *conn)
{
	struct exchange *exchange = conn->exchange;
	bool silent;

	if (!exchange)
		return true;
	silent = exchange_may_refuse(conn);
	if (!exchange->in_ended) {
		conn->close_after = true;
		conn->linger_after = true;
	}
	*waiting_in_all(conn) -= input_bytes(exchange);
	if (exchange->in)
		explicit_bzero(exchange->in, exchange->in_end);
	free(exchange->in);
	exchange_drop_held(conn);
	mf_http_answer_finish(&exchange->answer);
	free(exchange);
	conn->exchange = NULL;
	return silent;
}

struct conn *exchange_conn(const struct mf_front_request *request)
{
	struct conn *conn = (struct conn *)((char *)request - offsetof(struct conn, request));

	return conn->state == CONN_RUNNING && conn->exchange ? conn : NULL;
}

const char *mf_front_input(const struct mf_front_request *request, size_t *bytes, bool *ended)
{
	struct conn *conn = exchange_conn(request);
	const struct exchange *exchange = conn ? conn->exchange : NULL;

	*bytes = 0;
	*ended = !exchange;
	if (!exchange)
		return NULL;
	*bytes = conn->message.wire_bytes - exchange->head_at;
	if (*bytes > 0)
		return conn->message.wire + exchange->head_at;
	*bytes = input_bytes(exchange);
	*ended = *bytes == 0 && exchange->passes && exchange->in_ended;
	return exchange->in + exchange->in_at;
}

bool mf_front_owes(const struct mf_front_request *request)
{
	const struct conn *conn = exchange_conn(request);

	if (!conn)
		return false;
	return conn->exchange->full || (exchange_wants(conn) && input_bytes(conn->exchange) == 0 &&
					conn->message.wire_bytes == conn->exchange->head_at);
}

void mf_front_taken(struct mf_front_request *request, size_t bytes)
{
	struct conn *conn = exchange_conn(request);
	struct exchange *exchange = conn ? conn->exchange : NULL;
	size_t head;

	if (!exchange)
		return;
	head = conn->message.wire_bytes - exchange->head_at;
	head = head < bytes ? head : bytes;
	exchange->head_at += head;
	bytes -= head;
	if (bytes > input_bytes(exchange))
		bytes = input_bytes(exchange);
	exchange->in_at += bytes;
	*waiting_in_all(conn) -= bytes;
	if (conn->stopped && exchange_wants(conn) &&
	    input_bytes(exchange) <= conn->front->settings.window_bytes / 2)
		conn_read_on(conn);
	exchange_settle(conn);
}

/* What goes to the client with one write. */
struct gather {
	size_t head_bytes; /* of the front door's head_buffer */
	uv_buf_t bufs[BUFFERS];
	char lines[BUFFERS / 3][CHUNK_LINE];
	unsigned int count, line_count;
};

static void add(struct gather *gather, const char *at, size_t bytes)
{
	gather->bufs[gather->count++] = (uv_buf_t){.base = (char *)at, .len = bytes};
}

static void add_piece(struct gather *gather, const struct mf_http_piece *piece, bool in_chunks)
{
	char *line = gather->lines[gather->line_count];

	if (in_chunks) {
		gather->line_count++;
		add(gather, line, (size_t)chunk_line(line, piece->bytes));
	}
	add(gather, piece->at, piece->bytes);
	if (in_chunks)
		add(gather, "\r\n", 2);
}

static int flush(struct conn *conn, struct gather *gather)
{
	int code = gather->count ? exchange_send(conn, gather->bufs, gather->count) : 0;

	explicit_bzero(conn->front->head_buffer, gather->head_bytes);
	gather->count = gather->line_count = 0;
	gather->head_bytes = 0;
	return code;
}

enum mf_front_took exchange_gone(struct conn *conn)
{
	struct mf_front *front = conn->front;

	front->stats.cancelled++;
	conn_record(conn, MF_FRONT_STATUS_GONE, conn->exchange->answer.body_bytes, "cancelled");
	conn_end_request(conn);
	conn->state = CONN_WRITING;
	conn_cut(conn);
	return MF_FRONT_GONE;
}

enum mf_front_took exchange_over(struct conn *conn)
{
	const struct mf_http_answer *answer = &conn->exchange->answer;
	bool passed = conn->exchange->passes;
	/* What came behind it would be taken for the next one. */
	bool close_too = conn->close_after || (conn->connection.kept && answer->extra_bytes);

	conn_record(conn, answer->status,
		    passed ? conn->exchange->passed_bytes : answer->body_bytes, "ok");
	conn_end_request(conn);
	conn->close_after = close_too; /* as the head told the client; it may be given back */
	if (passed) {
		conn->close_after = true;
		conn->linger_after = !conn->eof;
	}
	(void)exchange_drop(conn);
	mf_http_message_finish(&conn->message);
	conn->state = CONN_WRITING;
	if (conn->unsent_bytes > 0)
		conn_await(conn, WAIT_WRITE);
	else
		conn_written(conn, 0);
	return MF_FRONT_OVER;
}

static enum mf_front_took broken(struct conn *conn)
{
	const char *why = conn->exchange->answer.why;

	conn->front->stats.invalid++;
	conn_end_request(conn);
	conn->state = CONN_WRITING;
	conn_send_error(conn, 502, "response", conn->connection.kept != NULL);
	conn->request.why = why; /* behind all that may begin with the next one */
	return MF_FRONT_BROKEN;
}

/* From now on the front door's own limits hold. */
static void last(struct conn *conn)
{
	const struct mf_front_settings *settings = &conn->front->settings;

	conn->request.lasting = true;
	conn->exchange->life_end_ms =
		settings->tunnel_life_ms ? uv_now(conn->front->loop) + settings->tunnel_life_ms : 0;
}

/* 101: what the client has sent behind its request is the tunnel's. */
static bool become_tunnel(struct conn *conn)
{
	struct exchange *exchange = conn->exchange;
	bool kept;

	conn->front->stats.tunnels++;
	exchange->passes = true;
	exchange->in_ended = conn->eof;
	last(conn);
	kept = exchange_put(conn, conn->pending, conn->pending_bytes);
	conn_drop_pending(conn);
	if (conn->stopped && !conn->eof)
		conn_read_on(conn);
	return kept;
}

void exchange_begin_raw(struct conn *conn)
{
	conn->front->stats.tunnels++;
	conn->exchange->passes = true;
	last(conn);
}

static bool on_head(struct conn *conn, struct gather *gather)
{
	struct mf_front *front = conn->front;
	struct exchange *exchange = conn->exchange;
	const struct mf_http_answer *answer = &exchange->answer;
	struct mf_http_response_frame frame;
	ssize_t bytes;

	conn->close_after = !conn->message.keep_alive || front->draining || !exchange->in_ended ||
			    conn->last || (conn->connection.kept && answer->closes);
	if (conn->message.minor == 0 &&
	    (answer->body == MF_HTTP_BODY_UNTIL_CLOSE || answer->body == MF_HTTP_BODY_CHUNKS))
		conn->close_after = true;
	frame = conn_frame(conn);
	bytes = mf_http_answer_head(front->head_buffer, sizeof(front->head_buffer), answer, &frame,
				    &exchange->out_chunks);
	gather->head_bytes = (size_t)bytes;
	add(gather, front->head_buffer, gather->head_bytes);
	if (answer->body == MF_HTTP_BODY_TUNNEL)
		return become_tunnel(conn);
	if (mf_http_answer_lasts(answer))
		last(conn);
	return true;
}

/* The end of the answer is here, or the head of one without end: is it to be held? */
static enum mf_front_took held(struct conn *conn)
{
	conn->request.status = conn->exchange->answer.status;
	conn->exchange->is_held = true;
	return MF_FRONT_HELD;
}

/* Takes up to `size` bytes of the answer, *taken of them, and sends what they are. */
static enum mf_front_took take(struct conn *conn, const char *data, size_t size, size_t *taken)
{
	struct exchange *exchange = conn->exchange;
	struct gather gather;
	enum mf_http_answer_event event;
	struct mf_http_piece piece;
	size_t used;
	bool well = true;
	bool holds = false; /* a head behind which nothing ends */

	*taken = 0;
	gather.count = gather.line_count = 0;
	gather.head_bytes = 0;
	do {
		event = mf_http_answer_feed(&exchange->answer, data + *taken, size - *taken, &used,
					    &piece);
		*taken += used;
		if (event == MF_HTTP_ANSWER_HEAD) {
			well = on_head(conn, &gather);
			holds = conn->request.lasting && conn->request.holds;
		}
		if (event == MF_HTTP_ANSWER_PIECE)
			add_piece(&gather, &piece, exchange->out_chunks);
		if (gather.count + 4 > BUFFERS || gather.line_count == BUFFERS / 3)
			well = flush(conn, &gather) == 0 && well;
	} while (well && !holds && (event == MF_HTTP_ANSWER_HEAD || event == MF_HTTP_ANSWER_PIECE));
	if (event == MF_HTTP_ANSWER_BAD && !exchange->sent)
		return broken(conn);
	if (event == MF_HTTP_ANSWER_DONE && exchange->out_chunks)
		add(&gather, "0\r\n\r\n", 5);
	if (!well || flush(conn, &gather) < 0)
		return exchange_gone(conn);
	if (event == MF_HTTP_ANSWER_BAD)
		return broken(conn);
	if (holds || (event == MF_HTTP_ANSWER_DONE && conn->request.holds))
		return held(conn);
	return event == MF_HTTP_ANSWER_DONE ? exchange_over(conn) : MF_FRONT_MORE;
}

/* The same of a tunnel. */
static enum mf_front_took pass(struct conn *conn, const char *data, size_t size)
{
	uv_buf_t buf = {.base = (char *)data, .len = size};

	conn->exchange->passed_bytes += size;
	if (exchange_is_spent(conn) || conn_put(conn, &buf, 1) < 0)
		return exchange_gone(conn);
	return MF_FRONT_MORE;
}

bool exchange_is_spent(const struct conn *conn)
{
	uint64_t limit = conn->front->settings.tunnel_bytes;

	return limit && conn->exchange->passes && conn->exchange->passed_bytes > limit;
}

static bool is_tight(const struct mf_front *front)
{
	return front->stats.unsent_bytes >= front->settings.unsent_bytes;
}

static bool is_full(const struct conn *conn)
{
	return conn->unsent_bytes >= conn->front->settings.window_bytes ||
	       (conn->unsent_bytes > 0 && is_tight(conn->front));
}

bool mf_front_takes(struct mf_front_request *request)
{
	struct conn *conn = exchange_conn(request);

	if (!conn || conn->exchange->is_held || !is_full(conn))
		return true;
	conn->exchange->full = true;
	exchange_settle(conn);
	return false;
}

enum mf_front_took mf_front_output(struct mf_front_request *request, const void *data, size_t size,
				   size_t *used)
{
	struct conn *conn = exchange_conn(request);
	enum mf_front_took took = MF_FRONT_MORE;

	*used = 0;
	if (!conn)
		return MF_FRONT_OVER;
	if (conn->exchange->is_held)
		return MF_FRONT_HELD;
	while (*used < size && took == MF_FRONT_MORE) {
		size_t step = is_tight(conn->front) ? AT_A_TIME_TIGHT : AT_A_TIME;

		if (is_full(conn)) {
			conn->exchange->full = true;
			took = MF_FRONT_FULL;
			break;
		}
		step = step < size - *used ? step : size - *used;
		if (conn->exchange->passes)
			took = pass(conn, (const char *)data + *used, step);
		else
			took = take(conn, (const char *)data + *used, step, &step);
		*used += step;
	}
	if (took == MF_FRONT_MORE || took == MF_FRONT_FULL)
		exchange_settle(conn);
	return took;
}

enum mf_front_took mf_front_output_end(struct mf_front_request *request)
{
	struct conn *conn = exchange_conn(request);
	uv_buf_t buf = {.base = (char[]){"0\r\n\r\n"}, .len = 5};

	if (!conn)
		return MF_FRONT_OVER;
	if (conn->exchange->is_held)
		return MF_FRONT_HELD;
	if (conn->exchange->passes)
		return exchange_over(conn);
	if (mf_http_answer_close(&conn->exchange->answer) == MF_HTTP_ANSWER_BAD)
		return broken(conn);
	if (conn->exchange->out_chunks && exchange_send(conn, &buf, 1) < 0)
		return exchange_gone(conn);
	return conn->request.holds ? held(conn) : exchange_over(conn);
}
