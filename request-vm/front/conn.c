// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "request-vm/front/conn.h"

static void pending_drop(struct conn *conn)
{
	if (conn->pending) {
		explicit_bzero(conn->pending, conn->pending_bytes);
		free(conn->pending);
	}
	conn->pending = NULL;
	conn->pending_bytes = conn->pending_room = 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct conn *conn = handle->data;

	if (--conn->open_handles > 0)
		return;
	mf_http_parser_finish(&conn->parser);
	mf_http_message_finish(&conn->message);
	pending_drop(conn);
	conn_forget_adoption(conn);
	front_conn_closed(conn);
}

static void conn_close(struct conn *conn)
{
	if (conn->state == CONN_CLOSING)
		return;
	if (conn->state == CONN_RESUMING)
		TAILQ_REMOVE(&conn->front->resuming, conn, resuming);
	conn->state = CONN_CLOSING;
	uv_close(&conn->io.handle, on_closed);
	uv_close((uv_handle_t *)&conn->timer, on_closed);
}

void conn_abort(struct conn *conn)
{
	struct mf_front *front = conn->front;

	if (conn->state == CONN_RUNNING) {
		front->stats.cancelled++;
		front->stats.running--;
		conn->state = CONN_WRITING; /* nothing can answer it any more */
		front->ops->cancel(front->backend, &conn->request);
	}
	conn_close(conn);
}

bool conn_is_idle(const struct conn *conn)
{
	return conn->state == CONN_READING && !mf_http_parser_begun(&conn->parser);
}

static void on_timer(uv_timer_t *timer)
{
	struct conn *conn = timer->data;
	uint64_t now = uv_now(conn->front->loop);

	conn->armed_ms = UINT64_MAX;
	if (conn->wait == WAIT_NONE || conn->state == CONN_CLOSING)
		return;
	if (now < conn->deadline_ms) {
		conn->armed_ms = conn->deadline_ms;
		uv_timer_start(timer, on_timer, conn->deadline_ms - now, 0);
		return;
	}
	if (conn->wait == WAIT_HEAD || conn->wait == WAIT_BODY || conn->wait == WAIT_WRITE)
		conn->front->stats.timeouts++;
	if (conn->state == CONN_READING && mf_http_parser_begun(&conn->parser)) {
		conn->linger_after = true;
		conn_send_error(conn, 408, NULL, true);
		return;
	}
	conn_close(conn);
}

static uint32_t timeout_ms(const struct mf_front_settings *settings, enum conn_wait wait)
{
	switch (wait) {
	case WAIT_HEAD:
		return settings->head_timeout_ms;
	case WAIT_BODY:
		return settings->body_timeout_ms;
	case WAIT_WRITE:
		return settings->write_timeout_ms;
	case WAIT_LINGER:
		return settings->linger_ms;
	default:
		return settings->idle_timeout_ms;
	}
}

/* A deadline that moves later costs nothing: the timer notices when it fires. */
void conn_await(struct conn *conn, enum conn_wait wait)
{
	uint64_t now = uv_now(conn->front->loop);
	uint32_t timeout = timeout_ms(&conn->front->settings, wait);

	conn->wait = wait;
	if (wait == WAIT_NONE)
		return;
	conn->deadline_ms = now + timeout;
	if (conn->deadline_ms >= conn->armed_ms)
		return;
	conn->armed_ms = conn->deadline_ms;
	uv_timer_start(&conn->timer, on_timer, timeout, 0);
}

static void await_request(struct conn *conn)
{
	enum conn_wait wait = WAIT_IDLE;

	if (mf_http_parser_in_body(&conn->parser))
		wait = WAIT_BODY;
	else if (mf_http_parser_begun(&conn->parser) || conn->wait == WAIT_HEAD)
		wait = WAIT_HEAD;
	if (conn->wait != wait)
		conn_await(conn, wait);
}

/* Gives the complete request to the backend. */
static void submit(struct conn *conn)
{
	struct mf_front *front = conn->front;
	int code;

	mf_http_parser_take(&conn->parser, &conn->message);
	conn->message.request->id = front->next_id++;
	conn->request = (struct mf_front_request){.abi = conn->message.request,
						  .size_bytes = conn->message.request->size_bytes,
						  .slow = &conn->slow};
	conn->state = CONN_RUNNING;
	conn_await(conn, WAIT_NONE);
	if (!conn_may_ask(conn)) {
		front->stats.refused++;
		conn_send_error(conn, 421, NULL, front->draining || !conn->message.keep_alive);
		return;
	}
	front->stats.requests++;
	front->stats.running++;
	code = front->ops->submit(front->backend, &conn->request);
	if (code == 0 || conn->state != CONN_RUNNING)
		return;
	front->stats.running--;
	front->stats.unavailable++;
	conn_send_error(conn, 503, NULL,
			code == -ESHUTDOWN || front->draining || !conn->message.keep_alive);
}

static void say_continue(struct conn *conn)
{
	static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	uv_buf_t buf = {.base = text, .len = sizeof(text) - 1};

	/* earlier responses are out, so a socket that takes less than this is not worth keeping */
	if (uv_try_write(&conn->io.stream, &buf, 1) != (int)buf.len)
		conn_close(conn);
}

/* Keeps bytes for later. Room is grown once, to what one read may leave over. */
static void pending_add(struct conn *conn, const char *data, size_t size)
{
	if (size == 0)
		return;
	if (!conn->pending) {
		conn->pending_room = MF_FRONT_PENDING_BYTES;
		if (size > conn->pending_room)
			conn->pending_room = (uint32_t)size;
		conn->pending = malloc(conn->pending_room);
	}
	if (!conn->pending || size > conn->pending_room - conn->pending_bytes) {
		conn_abort(conn);
		return;
	}
	memcpy(conn->pending + conn->pending_bytes, data, size);
	conn->pending_bytes += (uint32_t)size;
	if (conn->pending_bytes == conn->pending_room && !conn->eof) {
		uv_read_stop(&conn->io.stream);
		conn->stopped = true;
	}
}

/* Feeds bytes to the parser, request after request, until they or its patience end. */
static void pump(struct conn *conn, const char *data, size_t size)
{
	size_t used = 0;

	conn->pumping = true;
	while (size > 0 && conn->state == CONN_READING) {
		enum mf_http_state state = mf_http_parser_feed(&conn->parser, data, size, &used);

		data += used;
		size -= used;
		if (state == MF_HTTP_CONTINUE) {
			say_continue(conn);
		} else if (state == MF_HTTP_READY) {
			conn->linger_after = size > 0;
			submit(conn);
		} else if (state == MF_HTTP_REFUSED) {
			conn->front->stats.refused++;
			conn->linger_after = true;
			conn_send_error(conn, conn->parser.status, NULL, true);
		}
	}
	conn->pumping = false;
	if (conn->state == CONN_READING) {
		if (conn->eof)
			conn_close(conn);
		else
			await_request(conn);
	} else if (conn->state == CONN_RUNNING || conn->state == CONN_WRITING) {
		pending_add(conn, data, size);
	}
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct conn *conn = handle->data;
	size_t room = sizeof(conn->front->read_buffer);

	(void)suggested;
	if (conn->state != CONN_READING && conn->state != CONN_LINGER)
		room = (conn->pending ? conn->pending_room : MF_FRONT_PENDING_BYTES) -
		       conn->pending_bytes;
	*buf = (uv_buf_t){.base = conn->front->read_buffer, .len = room};
}

static void on_end(struct conn *conn, ssize_t code)
{
	conn->eof = true;
	if (code == UV_EOF && conn->state == CONN_WRITING)
		return; /* the write will tell whether anybody is left */
	if (code == UV_EOF && conn->front->settings.half_close &&
	    (conn->state == CONN_RUNNING || conn->state == CONN_RESUMING))
		return;
	conn_abort(conn);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
	struct conn *conn = stream->data;

	if (size < 0 && conn->state != CONN_CLOSING)
		on_end(conn, size);
	if (size <= 0)
		return;
	if (conn->state == CONN_READING)
		pump(conn, buf->base, (size_t)size);
	else if (conn->state != CONN_LINGER)
		pending_add(conn, buf->base, (size_t)size);
	explicit_bzero(buf->base, (size_t)size);
}

void conn_feed(struct conn *conn, const char *data, size_t size)
{
	pump(conn, data, size);
}

static int read_on(struct conn *conn)
{
	conn->stopped = false;
	return uv_read_start(&conn->io.stream, on_alloc, on_read);
}

void conn_resume(struct conn *conn)
{
	char *data = conn->pending;
	uint32_t size = conn->pending_bytes;

	conn->pending = NULL;
	conn->pending_bytes = conn->pending_room = 0;
	conn->state = CONN_READING;
	pump(conn, data, size);
	explicit_bzero(data, size);
	free(data);
	if (conn->stopped && conn->state <= CONN_WRITING &&
	    (!conn->pending || conn->pending_bytes < conn->pending_room) && read_on(conn) < 0)
		conn_abort(conn);
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
	struct conn *conn = shutdown->data;

	if (status < 0)
		conn_close(conn);
}

/*
 * Closing a socket that holds unread bytes resets it, and the client may lose the answer. So end
 * our side first, and drop what comes until the client ends its own.
 */
static void linger(struct conn *conn)
{
	pending_drop(conn);
	conn->state = CONN_LINGER;
	conn->shutdown.data = conn;
	if (conn->eof || uv_shutdown(&conn->shutdown, &conn->io.stream, on_shutdown) < 0 ||
	    (conn->stopped && read_on(conn) < 0)) {
		conn_close(conn);
		return;
	}
	conn_await(conn, WAIT_LINGER);
}

void conn_written(struct conn *conn, int code)
{
	struct mf_front *front = conn->front;

	if (conn->state == CONN_CLOSING)
		return;
	if (code < 0) {
		conn_close(conn);
		return;
	}
	if (front->draining && !conn->close_after && conn_give_back(conn)) {
		conn_close(conn);
		return;
	}
	if (conn->close_after || front->draining) {
		if (conn->linger_after || conn->pending_bytes > 0)
			linger(conn);
		else
			conn_close(conn);
		return;
	}
	conn_await(conn, WAIT_IDLE);
	TAILQ_REMOVE(&front->conns, conn, all);
	TAILQ_INSERT_TAIL(&front->conns, conn, all);
	if (conn->pending_bytes > 0) {
		conn->state = CONN_RESUMING;
		conn->turn = front->turn;
		TAILQ_INSERT_TAIL(&front->resuming, conn, resuming);
		uv_idle_start(&front->idle, front_resume);
	} else {
		conn->state = CONN_READING;
		if (conn->eof && !conn->pumping)
			conn_close(conn);
	}
}

/* The client's address as text; a Unix socket's has none. One system call a connection. */
static void name_client(struct conn *conn)
{
	struct sockaddr_storage peer = {0};
	socklen_t bytes = sizeof(peer);
	uv_os_fd_t fd;

	if ((conn->front->is_unix && !conn->front->is_router) || uv_fileno(&conn->io.handle, &fd) ||
	    getpeername(fd, (struct sockaddr *)&peer, &bytes) < 0 ||
	    uv_ip_name((struct sockaddr *)&peer, conn->edge.client, sizeof(conn->edge.client)) < 0)
		conn->edge.client[0] = '\0';
}

void conn_start(struct conn *conn)
{
	struct mf_front *front = conn->front;
	struct mf_http_limits limits = front->settings.http;

	limits.edge = NULL;
	if (front->settings.forwarded) {
		conn->edge.trust = front->settings.forwarded == MF_FRONT_FORWARDED_TRUST;
		conn->edge.seed = front->id_seed;
		conn->edge.made = &front->ids_made;
		name_client(conn);
		limits.edge = &conn->edge;
	}
	mf_http_parser_init(&conn->parser, &limits);
	conn->armed_ms = UINT64_MAX;
	conn->state = CONN_READING;
	conn_await(conn, WAIT_HEAD);
	if (read_on(conn) < 0)
		conn_close(conn);
}
