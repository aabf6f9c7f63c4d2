// SPDX-License-Identifier: MIT
/*
 * Connections that a router passes on, instead of accepted ones, and their way back to it. All
 * front doors of an engine read the one socket that leads to the router.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/socket/handoff.h"
#include "ipc/socket/scope.h"
#include "request-vm/front/conn.h"

/* Taken at a time: connections that are here already want their turn, too. */
#define AT_A_TIME 16

/* What came with a connection. */
struct adopted {
	uint32_t origin;
	uint32_t scope_bytes;
	char scope[];
};

static bool remember(struct conn *conn, const struct mf_handoff *handoff)
{
	struct adopted *adopted = malloc(sizeof(*adopted) + handoff->scope_bytes);

	if (!adopted)
		return false;
	adopted->origin = handoff->origin;
	adopted->scope_bytes = handoff->scope_bytes;
	memcpy(adopted->scope, handoff->scope, handoff->scope_bytes);
	conn->adopted = adopted;
	return true;
}

void conn_forget_adoption(struct conn *conn)
{
	free(conn->adopted);
	conn->adopted = NULL;
}

bool conn_may_ask(const struct conn *conn)
{
	const struct mf_http_message *message = &conn->message;
	struct mf_asked asked;

	if (!conn->adopted || !conn->adopted->scope_bytes || !message->target.length)
		return true;
	mf_asked_read(&asked, mf_http_text(message, message->target), message->target.length,
		      message->host.offset ? mf_http_text(message, message->host) : NULL,
		      message->host.length);
	return mf_scope_allows(conn->adopted->scope, conn->adopted->scope_bytes, &asked);
}

bool conn_give_back(struct conn *conn)
{
	struct mf_handoff handoff = {.first = conn->pending, .first_bytes = conn->pending_bytes};
	uv_os_fd_t fd;

	/* What is kept of it here is nowhere else: it ends with the connection. */
	if (!conn->adopted || conn->connection.kept || conn->last || conn->eof ||
	    uv_fileno(&conn->io.handle, &fd))
		return false;
	handoff.origin = conn->adopted->origin;
	if (mf_handoff_send(conn->front->router_fd, fd, &handoff))
		return false;
	conn->front->stats.given_back++;
	return true;
}

/* libuv ends the process over a descriptor that cannot be waited for. */
static bool is_stream(int fd)
{
	int type = 0;
	socklen_t bytes = sizeof(type);

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) && type == SOCK_STREAM;
}

/* The descriptor is the connection's, or closed. */
static void adopt(struct mf_front *front, int fd, const struct mf_handoff *handoff)
{
	struct conn *conn;

	if (!is_stream(fd)) {
		close(fd);
		return;
	}
	conn = front_conn_get(front);
	if (uv_pipe_open(&conn->io.pipe, fd)) {
		close(fd);
		conn_abort(conn);
		return;
	}
	front->stats.accepted++;
	if (!remember(conn, handoff)) {
		conn_abort(conn);
		return;
	}
	conn_start(conn);
	if (handoff->first_bytes && conn->state == CONN_READING)
		conn_feed(conn, handoff->first, handoff->first_bytes);
	else if (front->draining && conn_is_idle(conn) && conn_give_back(conn))
		conn_abort(conn);
}

/* Nothing more will come. */
static void end_of_router(struct mf_front *front)
{
	front->router_ended = true;
	uv_poll_stop(&front->listener.poll);
	if (front->draining)
		front_close_listener(front);
}

static void on_handoff(uv_poll_t *poll, int status, int events)
{
	struct mf_front *front = poll->data;
	struct mf_handoff handoff;
	int taken;
	int fd;

	(void)status;
	(void)events;
	for (taken = 0; taken < AT_A_TIME; taken++) {
		if (!front_has_room(front)) {
			/* front_conn_closed() goes on */
			uv_poll_stop(poll);
			return;
		}
		fd = mf_handoff_receive(front->router_fd, front->handoff, &handoff);
		if (fd >= 0) {
			adopt(front, fd, &handoff);
			explicit_bzero((char *)handoff.first, handoff.first_bytes);
		}
		if (fd == -EAGAIN || fd == -EINTR)
			return;
		if (fd < 0 && fd != -EPROTO) {
			end_of_router(front);
			return;
		}
	}
}

int front_adopt_start(struct mf_front *front, int fd)
{
	int code;

	front->handoff = malloc(MF_HANDOFF_MAX);
	front->router_fd = fd; /* libuv watches it, and leaves it to us */
	code = uv_poll_init(front->loop, &front->listener.poll, fd);
	front->listener.handle.data = front;
	if (!code && !front->handoff)
		code = -ENOMEM;
	return code ? code : front_adopt_more(front);
}

int front_adopt_more(struct mf_front *front)
{
	if (front->router_ended || uv_is_closing(&front->listener.handle))
		return 0;
	return uv_poll_start(&front->listener.poll, UV_READABLE, on_handoff);
}
