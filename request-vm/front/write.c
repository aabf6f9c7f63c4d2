// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "request-vm/front/conn.h"

static void rest_drop(struct conn *conn)
{
	if (!conn->rest)
		return;
	explicit_bzero(conn->rest, conn->rest_bytes);
	free(conn->rest);
	conn->front->stats.unsent_bytes -= conn->rest_bytes;
	conn->rest = NULL;
	conn->rest_bytes = 0;
}

static void on_rest_written(uv_write_t *write, int status)
{
	struct conn *conn = write->data;

	rest_drop(conn);
	conn_written(conn, status);
}

/* Keeps what the socket did not take. */
static int send_rest(struct conn *conn, const uv_buf_t bufs[2], size_t sent)
{
	size_t head_sent = sent < bufs[0].len ? sent : bufs[0].len;
	size_t head_rest = bufs[0].len - head_sent;
	size_t body_rest = bufs[1].len - (sent - head_sent);
	uv_buf_t buf;
	int code;

	conn->rest = malloc(head_rest + body_rest);
	if (!conn->rest)
		return -ENOMEM;
	conn->rest_bytes = head_rest + body_rest;
	conn->front->stats.partial_writes++;
	conn->front->stats.unsent_bytes += conn->rest_bytes;
	memcpy(conn->rest, bufs[0].base + head_sent, head_rest);
	if (body_rest > 0)
		memcpy(conn->rest + head_rest, bufs[1].base + (sent - head_sent), body_rest);
	conn->write.data = conn;
	buf = (uv_buf_t){.base = conn->rest, .len = conn->rest_bytes};
	conn->state = CONN_WRITING;
	code = uv_write(&conn->write, &conn->io.stream, &buf, 1, on_rest_written);
	if (code < 0) {
		rest_drop(conn);
		return code;
	}
	conn_await(conn, WAIT_WRITE);
	return 0;
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
	if (code >= 0 && sent < head_bytes + body_bytes)
		code = send_rest(conn, bufs, sent);
	explicit_bzero(head, head_bytes);
	if (code < 0 || sent == head_bytes + body_bytes)
		conn_written(conn, code < 0 ? code : 0);
}

static struct mf_http_response_frame frame_of(struct conn *conn)
{
	return (struct mf_http_response_frame){
		.is_head = conn->message.is_head,
		.close = conn->close_after,
		.old = conn->message.minor == 0,
		.date = front_date(conn->front),
	};
}

void conn_send_error(struct conn *conn, int status, const char *mayfly_error, bool close)
{
	struct mf_front *front = conn->front;
	struct mf_http_response_frame frame;
	ssize_t bytes;

	conn->close_after |= close;
	frame = frame_of(conn);
	bytes = mf_http_response_error(front->head_buffer, sizeof(front->head_buffer), status,
				       mayfly_error, &frame);
	mf_http_message_finish(&conn->message);
	conn_send(conn, (size_t)bytes, NULL, 0);
}

/* The connection of a request that still waits for its answer, or NULL. */
static struct conn *begin(struct mf_front_request *request)
{
	struct conn *conn = (struct conn *)((char *)request - offsetof(struct conn, request));

	if (conn->state != CONN_RUNNING)
		return NULL;
	conn->front->stats.running--;
	conn->close_after = !conn->message.keep_alive || conn->front->draining;
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
	frame = frame_of(conn);
	bytes = mf_http_response_head(conn->front->head_buffer, sizeof(conn->front->head_buffer),
				      response, &frame, &body_bytes);
	if (bytes < 0) {
		conn->front->stats.invalid++;
		explicit_bzero(conn->front->head_buffer, sizeof(conn->front->head_buffer));
		conn_send_error(conn, 502, "response", false);
		return;
	}
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
