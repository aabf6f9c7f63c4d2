// SPDX-License-Identifier: MIT
/* The end of an answer that is held back until the backend says that it stands. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "request-vm/front/exchange.h"

#define ROOM_MIN (16u << 10)

void exchange_drop_held(struct conn *conn)
{
	struct exchange *exchange = conn->exchange;

	if (exchange->held)
		explicit_bzero(exchange->held, exchange->held_bytes);
	free(exchange->held);
	conn->front->stats.unsent_bytes -= exchange->held_bytes;
	exchange->held = NULL;
	exchange->held_bytes = exchange->held_room = 0;
	exchange->is_held = false;
}

static int send_held(struct conn *conn)
{
	struct exchange *exchange = conn->exchange;
	uv_buf_t buf = {.base = exchange->held, .len = exchange->held_bytes};
	int code = buf.len ? conn_put(conn, &buf, 1) : 0;

	exchange->sent |= buf.len > 0;
	exchange_drop_held(conn);
	return code;
}

static bool make_room(struct exchange *exchange, size_t more)
{
	size_t room = exchange->held_room ? 2 * exchange->held_room : ROOM_MIN;
	char *held;

	if (exchange->held_room - exchange->held_bytes >= more)
		return true;
	room = room < exchange->held_bytes + more ? exchange->held_bytes + more : room;
	held = malloc(room);
	if (!held)
		return false;
	if (exchange->held_bytes)
		memcpy(held, exchange->held, exchange->held_bytes);
	if (exchange->held)
		explicit_bzero(exchange->held, exchange->held_bytes);
	free(exchange->held);
	exchange->held = held;
	exchange->held_room = room;
	return true;
}

static int hold(struct conn *conn, const uv_buf_t *bufs, unsigned int count, size_t bytes)
{
	struct exchange *exchange = conn->exchange;

	if (!make_room(exchange, bytes))
		return -ENOMEM;
	for (unsigned int i = 0; i < count; i++) {
		memcpy(exchange->held + exchange->held_bytes, bufs[i].base, bufs[i].len);
		exchange->held_bytes += bufs[i].len;
	}
	conn->front->stats.unsent_bytes += bytes;
	return 0;
}

/* What came last stays here in any case: so does the end. */
int exchange_send(struct conn *conn, const uv_buf_t *bufs, unsigned int count)
{
	const struct mf_front *front = conn->front;
	size_t bytes = 0;
	int code = 0;

	for (unsigned int i = 0; i < count; i++)
		bytes += bufs[i].len;
	if (!conn->request.holds) {
		code = send_held(conn);
		conn->exchange->sent |= bytes > 0;
		return code < 0 ? code : conn_put(conn, bufs, count);
	}
	if (conn->exchange->held_bytes + bytes > MF_FRONT_HELD_BYTES ||
	    front->stats.unsent_bytes >= front->settings.unsent_bytes)
		code = send_held(conn);
	return code < 0 ? code : hold(conn, bufs, count, bytes);
}

enum mf_front_took mf_front_release(struct mf_front_request *request)
{
	struct conn *conn = exchange_conn(request);

	if (!conn)
		return MF_FRONT_OVER;
	request->holds = false;
	if (send_held(conn) < 0)
		return exchange_gone(conn);
	return request->lasting ? MF_FRONT_MORE : exchange_over(conn);
}

bool mf_front_again(struct mf_front_request *request)
{
	struct conn *conn = exchange_conn(request);
	struct exchange *exchange = conn ? conn->exchange : NULL;
	struct mf_http_asked asked;

	if (!exchange || exchange->sent || exchange->passes || exchange->in_lost)
		return false;
	asked = exchange->answer.asked;
	exchange_drop_held(conn);
	mf_http_answer_finish(&exchange->answer);
	mf_http_answer_init(&exchange->answer, &asked);
	conn->front->stats.waiting_bytes += exchange->in_at;
	exchange->head_at = exchange->in_at = 0;
	exchange->out_chunks = exchange->full = false;
	request->holds = request->lasting = false;
	exchange_settle(conn);
	return true;
}
