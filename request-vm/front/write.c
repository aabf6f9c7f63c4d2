// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "request-vm/front/conn.h"
#include "request-vm/front/exchange.h"

/* What of a response the socket did not take at once; libuv has it until it is written. */
struct block {
	uv_write_t write;
	struct conn *conn;
	size_t bytes;
	char data[];
};

static void block_drop(struct block *block)
{
	block->conn->unsent_bytes -= block->bytes;
	block->conn->front->stats.unsent_bytes -= block->bytes;
	explicit_bzero(block->data, block->bytes);
	free(block);
}

static void on_block_written(uv_write_t *write, int status)
{
	struct block *block = (struct block *)write;
	struct conn *conn = block->conn;

	block_drop(block);
	if (conn->state == CONN_RUNNING && status < 0)
		conn_abort(conn);
	else if (conn->state == CONN_RUNNING)
		exchange_has_room(conn);
	else if (status < 0 || (conn->unsent_bytes == 0 && conn->state == CONN_WRITING))
		conn_written(conn, status);
}

/* Keeps what the socket did not take. */
static int put_rest(struct conn *conn, const uv_buf_t *bufs, unsigned int count, size_t sent,
		    size_t bytes)
{
	struct block *block = malloc(sizeof(*block) + bytes - sent);
	size_t at = 0;
	uv_buf_t buf;
	int code;

	if (!block)
		return -ENOMEM;
	block->conn = conn;
	block->bytes = bytes - sent;
	for (; count > 0; count--, bufs++) {
		size_t skip = sent < bufs->len ? sent : bufs->len;

		sent -= skip;
		if (bufs->len > skip)
			memcpy(block->data + at, bufs->base + skip, bufs->len - skip);
		at += bufs->len - skip;
	}
	conn->unsent_bytes += block->bytes;
	conn->front->stats.unsent_bytes += block->bytes;
	conn->front->stats.partial_writes++;
	buf = (uv_buf_t){.base = block->data, .len = block->bytes};
	code = uv_write(&block->write, &conn->io.stream, &buf, 1, on_block_written);
	if (code < 0)
		block_drop(block);
	return code;
}

int conn_put(struct conn *conn, const uv_buf_t *bufs, unsigned int count)
{
	size_t bytes = 0, sent;
	int code;

	for (unsigned int i = 0; i < count; i++)
		bytes += bufs[i].len;
	code = uv_try_write(&conn->io.stream, bufs, count);
	if (code < 0 && code != UV_EAGAIN)
		return code;
	sent = code > 0 ? (size_t)code : 0;
	return sent < bytes ? put_rest(conn, bufs, count, sent, bytes) : 0;
}

/* May so much more wait for readers? An error's sentence always may: it has no body. */
static bool rest_fits(const struct mf_front *front, size_t body_bytes, size_t rest_bytes)
{
	return body_bytes == 0 ||
	       front->stats.unsent_bytes + rest_bytes <= front->settings.unsent_bytes;
}

void conn_send(struct conn *conn, size_t head_bytes, const void *body, size_t body_bytes)
{
	char *head = conn->front->head_buffer;
	uv_buf_t bufs[2] = {{.base = head, .len = head_bytes},
			    {.base = (char *)body, .len = body_bytes}};
	int code = uv_try_write(&conn->io.stream, bufs, body_bytes > 0 ? 2 : 1);
	size_t sent = code > 0 ? (size_t)code : 0;

	if (code == UV_EAGAIN)
		code = 0;
	if (code >= 0 && !rest_fits(conn->front, body_bytes, head_bytes + body_bytes - sent)) {
		conn->front->stats.dropped++;
		explicit_bzero(head, head_bytes);
		if (sent == 0)
			conn_send_error(conn, 503, NULL, true);
		else
			conn_written(conn, -ENOBUFS);
		return;
	}
	if (code >= 0 && sent < head_bytes + body_bytes) {
		conn->state = CONN_WRITING;
		code = put_rest(conn, bufs, 2, sent, head_bytes + body_bytes);
		conn_await(conn, WAIT_WRITE);
	}
	explicit_bzero(head, head_bytes);
	if (code < 0 || sent == head_bytes + body_bytes)
		conn_written(conn, code < 0 ? code : 0);
}

void conn_record(struct conn *conn, int status, uint64_t bytes, const char *outcome)
{
	struct mf_front *front = conn->front;
	struct mf_front_record record = {
		.message = &conn->message,
		.request = &conn->request,
		.client = conn->edge.client,
		.status = status,
		.bytes = bytes,
		.outcome = conn->request.outcome ? conn->request.outcome : outcome,
	};

	if (conn->recorded)
		return;
	conn->recorded = true;
	if (conn->began_ns) {
		record.duration_ns = uv_hrtime() - conn->began_ns;
		mf_hist_note(&front->times, record.duration_ns);
	}
	if (front->ops->record)
		front->ops->record(front->backend, &record);
}

/* One whose answer breaks off. */
static void record_broken(struct conn *conn)
{
	const struct mf_http_answer *answer = &conn->exchange->answer;

	conn_record(conn, answer->status, answer->body_bytes, "broken");
}

struct mf_http_response_frame conn_frame(struct conn *conn)
{
	return (struct mf_http_response_frame){
		.is_head = conn->message.is_head,
		.close = conn->close_after,
		.old = conn->message.minor == 0,
		.date = front_date(conn->front),
	};
}

/* Of a whole response of our own: what is behind its head. */
static size_t error_body_bytes(const char *text, size_t bytes)
{
	const char *end = memmem(text, bytes, "\r\n\r\n", 4);

	return end ? bytes - (size_t)(end - text) - 4 : 0;
}

void conn_send_error(struct conn *conn, int status, const char *mayfly_error, bool close)
{
	struct mf_front *front = conn->front;
	struct mf_http_response_frame frame;
	ssize_t bytes;

	if (conn->exchange && !exchange_may_refuse(conn))
		record_broken(conn);
	if (conn->exchange && !exchange_drop(conn)) {
		conn_cut(conn); /* it has something else of an answer, or speaks no HTTP */
		return;
	}
	conn->close_after |= close;
	frame = conn_frame(conn);
	bytes = mf_http_response_error(front->head_buffer, sizeof(front->head_buffer), status,
				       mayfly_error, &frame);
	conn_record(conn, status, error_body_bytes(front->head_buffer, (size_t)bytes),
		    mayfly_error ? mayfly_error : "refused");
	mf_http_message_finish(&conn->message);
	conn_send(conn, (size_t)bytes, NULL, 0);
}

void conn_end_request(struct conn *conn)
{
	conn->front->stats.running--;
	conn->close_after = !conn->message.keep_alive || conn->front->draining || conn->last;
}

/* The connection of a request that still waits for its answer, or NULL. */
static struct conn *begin(struct mf_front_request *request)
{
	struct conn *conn = (struct conn *)((char *)request - offsetof(struct conn, request));

	if (conn->state != CONN_RUNNING)
		return NULL;
	conn_end_request(conn);
	return conn;
}

void mf_front_respond(struct mf_front_request *request, const struct mf_http_response *response)
{
	struct conn *conn = begin(request);
	struct mf_http_response_frame frame;
	struct mf_http_message message;
	size_t body_bytes;
	ssize_t bytes;

	if (!conn)
		return;
	if (conn->exchange && !exchange_may_refuse(conn))
		record_broken(conn);
	if (conn->exchange && !exchange_drop(conn)) {
		conn_cut(conn);
		return;
	}
	frame = conn_frame(conn);
	bytes = mf_http_response_head(conn->front->head_buffer, sizeof(conn->front->head_buffer),
				      response, &frame, &body_bytes);
	if (bytes < 0) {
		conn->front->stats.invalid++;
		explicit_bzero(conn->front->head_buffer, sizeof(conn->front->head_buffer));
		conn_send_error(conn, 502, "response", false);
		return;
	}
	conn_record(conn, response->status, body_bytes, "ok");
	/* the body may be part of the request: send first, drop the request then */
	message = conn->message;
	conn->message = (struct mf_http_message){0};
	conn_send(conn, (size_t)bytes, response->body, body_bytes);
	mf_http_message_finish(&message);
}

void mf_front_respond_error(struct mf_front_request *request, int status, const char *mayfly_error)
{
	struct conn *conn = begin(request);

	if (conn)
		conn_send_error(conn, status, mayfly_error, false);
}
