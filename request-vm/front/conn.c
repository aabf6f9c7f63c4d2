// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "request-vm/front/conn.h"
#include "request-vm/front/exchange.h"

void conn_drop_pending(struct conn *conn)
{
	if (conn->pending) {
		explicit_bzero(conn->pending, conn->pending_bytes);
		free(conn->pending);
	}
	conn->pending = NULL;
	conn->pending_bytes = conn->pending_room = 0;
}

static void drop_preamble(struct conn *conn)
{
	if (conn->preamble)
		explicit_bzero(conn->preamble, sizeof(*conn->preamble));
	free(conn->preamble);
	conn->preamble = NULL;
}

static void on_closed(uv_handle_t *handle)
{
	struct conn *conn = handle->data;

	if (--conn->open_handles > 0)
		return;
	mf_http_parser_finish(&conn->parser);
	mf_http_message_finish(&conn->message);
	(void)exchange_drop(conn);
	conn->front->stats.waiting_bytes -= conn->held_bytes;
	drop_preamble(conn);
	conn_drop_pending(conn);
	conn_forget_adoption(conn);
	front_conn_closed(conn);
}

/* Nothing more will be asked: what the backend keeps of it is of no use any more. */
static void tell_end(struct conn *conn)
{
	struct mf_front *front = conn->front;

	if (conn->connection.kept)
		front->ops->ended(front->backend, &conn->connection);
	conn->connection.kept = NULL;
}

static void conn_close(struct conn *conn)
{
	if (conn->state == CONN_CLOSING)
		return;
	tell_end(conn);
	if (conn->state == CONN_RESUMING)
		TAILQ_REMOVE(&conn->front->resuming, conn, resuming);
	conn->state = CONN_CLOSING;
	uv_close(&conn->io.handle, on_closed);
	uv_close((uv_handle_t *)&conn->timer, on_closed);
}

/* The backend loses the request, if it has one: nothing can answer it any more. */
static void take_back(struct conn *conn)
{
	struct mf_front *front = conn->front;

	if (conn->state != CONN_RUNNING)
		return;
	front->stats.cancelled++;
	front->stats.running--;
	conn->state = CONN_WRITING;
	front->ops->cancel(front->backend, &conn->request);
}

void conn_abort(struct conn *conn)
{
	if (conn->state == CONN_RUNNING)
		conn_record(conn, MF_FRONT_STATUS_GONE,
			    conn->exchange ? conn->exchange->answer.body_bytes : 0, "cancelled");
	take_back(conn);
	conn_close(conn);
}

/* What is closed with bytes unsent, and no time to wait for the client, is reset (a TCP one). */
void conn_cut(struct conn *conn)
{
	const struct linger now = {.l_onoff = 1};
	uv_os_fd_t fd;

	if (conn->state != CONN_CLOSING && !uv_fileno(&conn->io.handle, &fd))
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	conn_close(conn);
}

void mf_front_end_connection(struct mf_front_connection *connection)
{
	struct conn *conn = (struct conn *)((char *)connection - offsetof(struct conn, connection));

	conn->last = conn->close_after = true;
	if (conn->state == CONN_READING || conn->state == CONN_RESUMING)
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
	if ((conn->state == CONN_READING && mf_http_parser_begun(&conn->parser)) ||
	    conn->wait == WAIT_BODY) {
		take_back(conn);
		conn->linger_after = true;
		conn_send_error(conn, 408, NULL, true);
		return;
	}
	conn_abort(conn);
}

/* A tunnel has a time of its own, and no more than what is left of its life. */
static uint64_t tunnel_ms(const struct conn *conn)
{
	uint64_t idle = conn->front->settings.tunnel_idle_ms, now = uv_now(conn->front->loop);
	uint64_t end = conn->exchange ? conn->exchange->life_end_ms : 0;

	if (end == 0)
		return idle;
	end = end > now ? end - now : 0;
	return end < idle ? end : idle;
}

static uint64_t timeout_ms(const struct conn *conn, enum conn_wait wait)
{
	const struct mf_front_settings *settings = &conn->front->settings;

	switch (wait) {
	case WAIT_HEAD:
		return settings->head_timeout_ms;
	case WAIT_BODY:
		return settings->body_timeout_ms;
	case WAIT_WRITE:
		return settings->write_timeout_ms;
	case WAIT_LINGER:
		return settings->linger_ms;
	case WAIT_TUNNEL:
		return tunnel_ms(conn);
	default:
		return conn->connection.kept ? settings->kept_timeout_ms
					     : settings->idle_timeout_ms;
	}
}

/* A deadline that moves later costs nothing: the timer notices when it fires. */
void conn_await(struct conn *conn, enum conn_wait wait)
{
	uint64_t now = uv_now(conn->front->loop);
	uint64_t timeout = timeout_ms(conn, wait);

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

/* Gives the request in conn->message to the backend. */
static void submit(struct conn *conn)
{
	struct mf_front *front = conn->front;
	struct mf_abi_request *abi = conn->message.request;
	int code;

	conn->request = (struct mf_front_request){.abi = abi,
						  .size_bytes = abi ? abi->size_bytes : 0,
						  .connection = &conn->connection,
						  .name = conn->message.id,
						  .client = conn->edge.client,
						  .vm = -1};
	conn->began_ns = uv_hrtime();
	if (abi)
		abi->id = front->next_id++;
	conn->state = CONN_RUNNING;
	conn_await(conn, WAIT_NONE);
	if (!conn_may_ask(conn)) {
		front->stats.refused++;
		conn_send_error(conn, 421, NULL, front->draining || !conn->message.keep_alive);
		return;
	}
	if (front->settings.form == MF_FRONT_RAW)
		exchange_begin_raw(conn);
	front->stats.requests++;
	front->stats.running++;
	code = front->ops->submit(front->backend, &conn->request);
	if (code == 0 || conn->state != CONN_RUNNING)
		return;
	front->stats.running--;
	front->stats.unavailable++;
	conn_send_error(conn, 503, code == -EBUSY ? "kept" : NULL,
			code == -ESHUTDOWN || front->draining || !conn->message.keep_alive);
}

/* The same of one in pieces, as far as it has come. */
static void submit_pieces(struct conn *conn)
{
	if (exchange_submit(conn))
		submit(conn);
	else
		conn_abort(conn);
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

/* Lets the backend see what has come for its request. */
static void tell(struct conn *conn)
{
	struct mf_front *front = conn->front;

	exchange_settle(conn);
	if (conn->state != CONN_RUNNING || !conn->exchange || !conn->exchange->news)
		return;
	conn->exchange->news = false;
	front->ops->go_on(front->backend, &conn->request);
}

/* Bytes that go to the program as they are, of a body's rest or of a tunnel. */
static void tunnel(struct conn *conn, const char *data, size_t size)
{
	if (!exchange_put(conn, data, size) || exchange_is_spent(conn))
		conn_abort(conn);
	else
		tell(conn);
}

/* A piece of a body: the backend gets the request when enough of it is there. */
static void on_piece(struct conn *conn)
{
	const struct mf_http_piece *piece = &conn->parser.piece;

	if (!conn->exchange) {
		mf_http_parser_take_head(&conn->parser, &conn->message);
		if (!exchange_begin(conn)) {
			conn_abort(conn);
			return;
		}
	}
	if (!exchange_put(conn, piece->at, piece->bytes))
		conn_abort(conn);
	else if (!conn->exchange->submitted &&
		 exchange_waiting(conn) >= conn->front->settings.window_bytes)
		submit_pieces(conn);
}

/* All of a request is here, `rest` bytes of others behind it. */
static void on_ready(struct conn *conn, size_t rest)
{
	struct mf_http_message message;
	bool is_new = !conn->exchange;

	mf_http_parser_take(&conn->parser, is_new ? &conn->message : &message);
	conn->linger_after = rest > 0;
	if (conn->front->settings.form == MF_FRONT_CALLS)
		submit(conn);
	else if ((is_new && !exchange_begin(conn)) || !exchange_end_input(conn))
		conn_abort(conn);
	else if (!conn->exchange->submitted)
		submit_pieces(conn);
}

/* Counts what the parser holds of a request. False: all connections together hold too much. */
static bool count_held(struct conn *conn)
{
	struct mf_front *front = conn->front;
	size_t held =
		mf_http_parser_in_body(&conn->parser) ? mf_http_parser_held(&conn->parser) : 0;

	front->stats.waiting_bytes += held;
	front->stats.waiting_bytes -= conn->held_bytes;
	conn->held_bytes = held;
	return (!held && !conn->exchange) ||
	       front->stats.waiting_bytes <= front->settings.waiting_bytes;
}

static void refuse(struct conn *conn, int status)
{
	take_back(conn);
	mf_http_parser_finish(&conn->parser);
	(void)count_held(conn);
	conn->linger_after = true;
	conn_send_error(conn, status, NULL, true);
}

/* May the parser have more of what the client sends? */
static bool is_fed(const struct conn *conn)
{
	return conn->state == CONN_READING || (exchange_wants(conn) && !conn->exchange->passes);
}

/* What is to be done when the parser has had all that it wants. */
static void pumped(struct conn *conn, const char *data, size_t size)
{
	struct mf_front *front = conn->front;
	bool fits = count_held(conn);

	if (conn->state == CONN_READING && conn->eof) {
		conn_close(conn);
	} else if (conn->state == CONN_READING && !fits) {
		front->stats.unavailable++;
		refuse(conn, 503);
	} else if (conn->state == CONN_READING) {
		await_request(conn);
	} else if (conn->state == CONN_RUNNING && exchange_wants(conn)) {
		tunnel(conn, data, size); /* 101 was said at once */
	} else if (conn->state == CONN_RUNNING || conn->state == CONN_WRITING) {
		pending_add(conn, data, size);
		tell(conn);
	}
}

/* Feeds bytes to the parser, request after request, until they or its patience end. */
static void pump(struct conn *conn, const char *data, size_t size)
{
	enum mf_http_state state = MF_HTTP_MORE;
	size_t used = 0;

	conn->pumping = true;
	while ((size > 0 || state == MF_HTTP_PIECE) && is_fed(conn)) {
		state = mf_http_parser_feed(&conn->parser, data, size, &used);
		data += used;
		size -= used;
		if (state == MF_HTTP_CONTINUE) {
			say_continue(conn);
		} else if (state == MF_HTTP_PIECE) {
			on_piece(conn);
		} else if (state == MF_HTTP_READY) {
			on_ready(conn, size);
		} else if (state == MF_HTTP_REFUSED) {
			conn->front->stats.refused++;
			refuse(conn, conn->parser.status);
		}
	}
	conn->pumping = false;
	pumped(conn, data, size);
}

static void feed_preamble(struct conn *conn, const char *data, size_t size);

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct conn *conn = handle->data;
	size_t room = sizeof(conn->front->read_buffer);

	(void)suggested;
	if (conn->state != CONN_READING && conn->state != CONN_LINGER && !exchange_wants(conn))
		room = (conn->pending ? conn->pending_room : MF_FRONT_PENDING_BYTES) -
		       conn->pending_bytes;
	*buf = (uv_buf_t){.base = conn->front->read_buffer, .len = room};
}

static void on_end(struct conn *conn, ssize_t code)
{
	conn->eof = true;
	if (code == UV_EOF && conn->state == CONN_WRITING)
		return; /* the write will tell whether anybody is left */
	if (code == UV_EOF && exchange_wants(conn) && conn->exchange->passes) {
		conn->exchange->in_ended = conn->exchange->news = true;
		tell(conn);
		return;
	}
	if (code == UV_EOF && conn->front->settings.half_close && !exchange_wants(conn) &&
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
	if (conn->preamble)
		feed_preamble(conn, buf->base, (size_t)size);
	else if (is_fed(conn))
		pump(conn, buf->base, (size_t)size);
	else if (exchange_wants(conn))
		tunnel(conn, buf->base, (size_t)size);
	else if (conn->state != CONN_LINGER)
		pending_add(conn, buf->base, (size_t)size);
	explicit_bzero(buf->base, (size_t)size);
}

void conn_feed(struct conn *conn, const char *data, size_t size)
{
	if (exchange_wants(conn))
		tunnel(conn, data, size);
	else
		pump(conn, data, size);
}

static int read_on(struct conn *conn)
{
	conn->stopped = false;
	return uv_read_start(&conn->io.stream, on_alloc, on_read);
}

void conn_read_on(struct conn *conn)
{
	if (read_on(conn) < 0)
		conn->stopped = true; /* the timer ends it */
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
	tell_end(conn);
	conn_drop_pending(conn);
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
	conn->request = (struct mf_front_request){.vm = -1};
	conn->recorded = false;
	conn->began_ns = 0;
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

/* The client's address is in conn->from: what is told of it, and it as text: a Unix socket's has
 * none. */
static void note_client(struct conn *conn, socklen_t bytes)
{
	struct sockaddr *from = (struct sockaddr *)&conn->from;

	conn->connection.from = from;
	conn->connection.from_bytes = bytes < sizeof(conn->from) ? bytes : sizeof(conn->from);
	if (uv_ip_name(from, conn->edge.client, sizeof(conn->edge.client)) < 0)
		conn->edge.client[0] = '\0';
}

/* One system call a connection. */
static void name_client(struct conn *conn)
{
	socklen_t bytes = sizeof(conn->from);
	uv_os_fd_t fd;

	if (!uv_fileno(&conn->io.handle, &fd) &&
	    !getpeername(fd, (struct sockaddr *)&conn->from, &bytes))
		note_client(conn, bytes);
}

/* The whole connection is one request. */
static void start_raw(struct conn *conn)
{
	if (!exchange_begin(conn)) {
		conn_close(conn);
		return;
	}
	conn->exchange->submitted = true;
	submit(conn);
	tell(conn);
}

/* From here on it is the client that sends. */
static void start_client(struct conn *conn)
{
	if (conn->front->settings.form == MF_FRONT_RAW)
		start_raw(conn);
}

/* What the proxy says first. What is none ends the connection: nobody could be answered. */
static void feed_preamble(struct conn *conn, const char *data, size_t size)
{
	struct mf_preamble *preamble = conn->preamble;
	size_t used;

	switch (mf_preamble_feed(preamble, data, size, &used)) {
	case MF_PREAMBLE_MORE:
		return;
	case MF_PREAMBLE_BAD:
		conn->front->stats.refused++;
		conn_close(conn);
		return;
	default:
		break;
	}
	if (preamble->from_bytes) {
		conn->from = preamble->from;
		note_client(conn, preamble->from_bytes);
	}
	drop_preamble(conn);
	start_client(conn);
	if (used < size && conn->state != CONN_CLOSING)
		conn_feed(conn, data + used, size - used);
}

void conn_start(struct conn *conn)
{
	struct mf_front *front = conn->front;
	struct mf_http_limits limits = front->settings.http;

	limits.edge = NULL;
	conn->request.vm = -1;
	if (front->settings.forwarded || front->ops->record ||
	    front->settings.form != MF_FRONT_CALLS)
		name_client(conn);
	if (front->settings.forwarded) {
		conn->edge.trust = front->settings.forwarded == MF_FRONT_FORWARDED_TRUST;
		conn->edge.seed = front->id_seed;
		conn->edge.made = &front->ids_made;
		limits.edge = &conn->edge;
	}
	limits.form = front->settings.form == MF_FRONT_CALLS ? MF_HTTP_FORM_ABI : MF_HTTP_FORM_WIRE;
	mf_http_parser_init(&conn->parser, &limits);
	conn->armed_ms = UINT64_MAX;
	conn->state = CONN_READING;
	conn_await(conn, WAIT_HEAD);
	if (front->settings.preamble && !front->is_router)
		conn->preamble = calloc(1, sizeof(*conn->preamble));
	if (read_on(conn) < 0 || (front->settings.preamble && !front->is_router && !conn->preamble))
		conn_close(conn);
	else if (!conn->preamble)
		start_client(conn);
}
