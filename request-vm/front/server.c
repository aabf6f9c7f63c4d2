// SPDX-License-Identifier: MIT
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "request-vm/front/conn.h"

void mf_front_settings_default(struct mf_front_settings *settings)
{
	*settings = (struct mf_front_settings){
		.max_connections = 512,
		.head_timeout_ms = 10 * 1000,
		.body_timeout_ms = 30 * 1000,
		.idle_timeout_ms = 60 * 1000,
		.kept_timeout_ms = 30 * 1000,
		.write_timeout_ms = 30 * 1000,
		.unsent_bytes = 256ull << 20,
		.linger_ms = 1000,
		.window_bytes = 64u << 10,
		.waiting_bytes = 256ull << 20,
		.tunnel_idle_ms = 5 * 60 * 1000,
		.tunnel_life_ms = 60 * 60 * 1000,
	};
	mf_http_limits_default(&settings->http);
}

const char *front_date(struct mf_front *front)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0 && now.tv_sec != front->date_second) {
		front->date_second = now.tv_sec;
		mf_http_date(front->date, now.tv_sec);
	}
	return front->date;
}

static void on_idle_closed(uv_handle_t *handle)
{
	struct mf_front *front = handle->data;

	front->ended = true;
	if (front->done)
		front->done(front->done_arg);
}

/* Ends when the listener and the last connection are closed. */
static void end_if_over(struct mf_front *front)
{
	if (!front->draining || front->ending || !front->listener_closed ||
	    front->stats.connections > 0)
		return;
	front->ending = true;
	uv_close((uv_handle_t *)&front->idle, on_idle_closed);
}

static int init_stream(struct mf_front *front, uv_handle_t *handle)
{
	/* a passed descriptor is any stream socket: uv_pipe_open takes it as it is */
	if (front->is_unix || front->is_router)
		return uv_pipe_init(front->loop, (uv_pipe_t *)handle, 0);
	return uv_tcp_init(front->loop, (uv_tcp_t *)handle);
}

struct conn *front_conn_get(struct mf_front *front)
{
	struct conn *conn = TAILQ_FIRST(&front->spare);

	if (conn)
		TAILQ_REMOVE(&front->spare, conn, all);
	else
		conn = &front->pool[front->pool_used++];
	*conn = (struct conn){.front = front, .open_handles = 2};
	/* neither can fail: they make no descriptor */
	(void)init_stream(front, &conn->io.handle);
	(void)uv_timer_init(front->loop, &conn->timer);
	conn->io.handle.data = conn;
	conn->timer.data = conn;
	TAILQ_INSERT_TAIL(&front->conns, conn, all);
	front->stats.connections++;
	return conn;
}

/* Makes room for one more, if any connection idles. */
static void evict(struct mf_front *front)
{
	struct conn *conn;

	TAILQ_FOREACH(conn, &front->conns, all)
	{
		if (conn_is_idle(conn) && conn->wait == WAIT_IDLE) {
			front->stats.evicted++;
			conn_abort(conn);
			return;
		}
	}
}

bool front_has_room(struct mf_front *front)
{
	/* libuv stops accepting until uv_accept is called */
	front->accept_waits =
		TAILQ_EMPTY(&front->spare) && front->pool_used == front->settings.max_connections;
	if (front->accept_waits)
		evict(front);
	return !front->accept_waits;
}

static void accept_one(struct mf_front *front)
{
	struct conn *conn;

	if (!front_has_room(front))
		return;
	conn = front_conn_get(front);
	if (uv_accept(&front->listener.stream, &conn->io.stream) < 0) {
		conn_abort(conn);
		return;
	}
	front->stats.accepted++;
	conn_start(conn);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct mf_front *front = listener->data;

	if (status == 0 && !front->draining)
		accept_one(front);
}

void front_conn_closed(struct conn *conn)
{
	struct mf_front *front = conn->front;

	TAILQ_REMOVE(&front->conns, conn, all);
	TAILQ_INSERT_TAIL(&front->spare, conn, all);
	front->stats.connections--;
	if (front->accept_waits && front->is_router) {
		front->accept_waits = false;
		(void)front_adopt_more(front); /* it is watched already: cannot fail */
	} else if (front->accept_waits && !front->draining) {
		accept_one(front);
	}
	end_if_over(front);
}

void front_resume(uv_idle_t *idle)
{
	struct mf_front *front = idle->data;
	uint32_t turn = ++front->turn;
	struct conn *conn;

	/* those that come back while this runs have their turn after the sockets */
	while ((conn = TAILQ_FIRST(&front->resuming)) && conn->turn != turn) {
		TAILQ_REMOVE(&front->resuming, conn, resuming);
		conn_resume(conn);
	}
	if (TAILQ_EMPTY(&front->resuming))
		uv_idle_stop(idle);
}

static int check_settings(const struct mf_front_settings *settings, struct mf_error *err)
{
	struct rlimit files;
	const uint32_t times[] = {settings->head_timeout_ms,  settings->body_timeout_ms,
				  settings->idle_timeout_ms,  settings->kept_timeout_ms,
				  settings->write_timeout_ms, settings->linger_ms,
				  settings->tunnel_idle_ms};

	if (settings->max_connections < 1 || settings->max_connections > 65536)
		return mf_error_set(err, -EINVAL, "The limit of connections must be 1 to 65536.");
	if (settings->window_bytes < MF_FRONT_WINDOW_MIN ||
	    settings->window_bytes > MF_FRONT_WINDOW_MAX)
		return mf_error_set(err, -EINVAL,
				    "The window of a connection must be 4 KiB to 16 MiB.");
	/* out of descriptors, libuv opens and closes files to get by: never let it come to that */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
	    files.rlim_cur < settings->max_connections + MF_FRONT_SPARE_FILES)
		return mf_error_set(
			err, -EMFILE,
			"%u connections need more than the %llu descriptors that ulimit -n "
			"allows; raise it or serve fewer connections.",
			settings->max_connections, (unsigned long long)files.rlim_cur);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (times[i] == 0)
			return mf_error_set(
				err, -EINVAL,
				"A time limit of the front door is zero; each must be at "
				"least 1 ms.");
	return 0;
}

static struct mf_front *front_new(uv_loop_t *loop, const struct mf_front_settings *settings)
{
	struct mf_front *front = calloc(1, sizeof(*front));

	if (!front)
		return NULL;
	front->loop = loop;
	front->settings = *settings;
	front->next_id = 1;
	front->router_fd = -1;
	if (getrandom(&front->id_seed, sizeof(front->id_seed), GRND_NONBLOCK) < 0)
		front->id_seed = uv_hrtime();
	front->pool = calloc(settings->max_connections, sizeof(*front->pool));
	if (!front->pool) {
		free(front);
		return NULL;
	}
	TAILQ_INIT(&front->spare);
	TAILQ_INIT(&front->conns);
	TAILQ_INIT(&front->resuming);
	return front;
}

static void destroy_in_callback(void *front)
{
	mf_front_destroy(front);
}

static int start_accepting(struct mf_front *front, struct mf_listener *listener)
{
	int code;

	(void)init_stream(front, &front->listener.handle);
	front->listener.handle.data = front;
	code = front->is_unix ? uv_pipe_open(&front->listener.pipe, listener->fd)
			      : uv_tcp_open(&front->listener.tcp, listener->fd);
	if (code == 0) {
		listener->fd = -1; /* libuv's now */
		code = uv_listen(&front->listener.stream, 511, on_connection);
	}
	return code;
}

static int start_adopting(struct mf_front *front, struct mf_listener *listener)
{
	int fd = listener->fd;

	listener->fd = -1;
	return front_adopt_start(front, fd);
}

static int start_listening(struct mf_front *front, struct mf_listener *listener,
			   struct mf_error *err)
{
	int code;

	front->is_unix = listener->is_unix;
	front->is_router = listener->is_router;
	(void)uv_idle_init(front->loop, &front->idle);
	front->idle.data = front;
	code = front->is_router ? start_adopting(front, listener)
				: start_accepting(front, listener);
	if (code < 0) {
		mf_front_close(front, destroy_in_callback, front);
		return mf_error_set(err, code, "Cannot serve %s: %s.", listener->name,
				    uv_strerror(code));
	}
	return 0;
}

int mf_front_open(struct mf_front **out, uv_loop_t *loop, struct mf_listener *listener,
		  const struct mf_front_settings *settings, const struct mf_front_backend_ops *ops,
		  void *backend, struct mf_error *err)
{
	struct mf_front_settings defaults;
	struct mf_front *front = NULL;
	int code;

	*out = NULL;
	mf_front_settings_default(&defaults);
	if (!settings)
		settings = &defaults;
	code = check_settings(settings, err);
	if (!code) {
		front = front_new(loop, settings);
		if (!front)
			code = mf_error_set(err, -ENOMEM, "No memory for %u connections.",
					    settings->max_connections);
	}
	if (!code) {
		front->ops = ops;
		front->backend = backend;
		signal(SIGPIPE, SIG_IGN); /* libuv writes without MSG_NOSIGNAL */
		code = start_listening(front, listener, err);
	}
	if (!code)
		*out = front;
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
	return code;
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct mf_front *front = handle->data;

	front->listener_closed = true;
	end_if_over(front);
}

void front_close_listener(struct mf_front *front)
{
	if (!uv_is_closing(&front->listener.handle))
		uv_close(&front->listener.handle, on_listener_closed);
}

static void stop(struct mf_front *front, bool all)
{
	struct conn *conn, *next;

	/* What a router has passed on already is served: it says when that was the last. */
	if (all || !front->is_router || front->router_ended)
		front_close_listener(front);
	front->draining = true;
	for (conn = TAILQ_FIRST(&front->conns); conn; conn = next) {
		next = TAILQ_NEXT(conn, all);
		if (!all && !conn_is_idle(conn))
			continue;
		if (!all)
			(void)conn_give_back(conn);
		conn_abort(conn);
	}
}

void mf_front_drain(struct mf_front *front, void (*done)(void *arg), void *arg)
{
	front->done = done;
	front->done_arg = arg;
	stop(front, false);
}

void mf_front_close(struct mf_front *front, void (*done)(void *arg), void *arg)
{
	front->done = done;
	front->done_arg = arg;
	stop(front, true);
}

void mf_front_destroy(struct mf_front *front)
{
	if (!front)
		return;
	if (front->router_fd >= 0)
		close(front->router_fd);
	free(front->handoff);
	explicit_bzero(front->read_buffer, sizeof(front->read_buffer));
	free(front->pool);
	free(front);
}

const struct mf_front_stats *mf_front_stats(const struct mf_front *front)
{
	return &front->stats;
}

const struct mf_hist *mf_front_times(const struct mf_front *front)
{
	return &front->times;
}
