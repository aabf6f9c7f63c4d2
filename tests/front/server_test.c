// SPDX-License-Identifier: MIT
/* The front door on a unix socket, its loop in a thread; the test is the client. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "request-vm/front/health.h"
#include "request-vm/front/server.h"

#define BIG_BYTES (8u << 20)

static char folder[] = "/tmp/mayfly-front-XXXXXX";
static uv_loop_t loop;
static uv_async_t wake;
static uv_timer_t later_timer;
static pthread_t thread;
static struct mf_listener listener, health_listener;
static struct mf_front *front;
static struct mf_health *health;
static struct mf_front_settings settings;
static struct mf_front_request *held[64]; /* answered 30 ms later, or never */
static _Atomic int command, drained, cancelled, running, not_ready;
static struct mf_front_stats final_stats;
static bool over_tcp;

enum { NONE, DRAIN, CLOSE };

static const char *text_of(const struct mf_front_request *request, struct mf_abi_slice slice)
{
	return (const char *)request->abi + slice.offset;
}

static void respond(struct mf_front_request *request, const char *headers, const char *body,
		    size_t body_bytes)
{
	struct mf_http_response response = {.status = 200,
					    .headers = headers,
					    .headers_bytes = strlen(headers),
					    .body = body,
					    .body_bytes = body_bytes};
	mf_front_respond(request, &response);
	mf_front_respond(request, &response); /* once is enough */
}

static void on_later(uv_timer_t *timer)
{
	(void)timer;
	for (size_t i = 0; i < 64; i++) {
		struct mf_front_request *request = held[i];

		if (!request || strncmp(text_of(request, request->abi->target), "/later", 6) != 0)
			continue;
		held[i] = NULL;
		running--;
		respond(request, "", text_of(request, request->abi->target),
			request->abi->target.length);
	}
}

static int hold(struct mf_front_request *request)
{
	for (size_t i = 0; i < 64; i++) {
		if (held[i])
			continue;
		held[i] = request;
		running++;
		uv_timer_start(&later_timer, on_later, 30, 0);
		return 0;
	}
	return -EAGAIN;
}

static int submit(void *backend, struct mf_front_request *request)
{
	const char *target = text_of(request, request->abi->target);
	static char *big;

	cr_assert(backend == &loop);
	if (strncmp(target, "/later", 6) == 0 || strcmp(target, "/never") == 0)
		return hold(request);
	if (strcmp(target, "/full") == 0)
		return -EAGAIN;
	if (strcmp(target, "/down") == 0)
		return -ESHUTDOWN;
	if (strcmp(target, "/crash") == 0)
		mf_front_respond_error(request, 502, "crash");
	else if (strcmp(target, "/inject") == 0)
		respond(request, "A: b\r\n\r\nHTTP/1.1 200 OK\r\n", "x", 1);
	else if (strcmp(target, "/big") == 0)
		respond(request, "", big ? big : (big = calloc(1, BIG_BYTES)), BIG_BYTES);
	else if (request->abi->body.length > 0)
		respond(request, "", text_of(request, request->abi->body),
			request->abi->body.length);
	else
		respond(request, "X-Test: 1\r\n", target, request->abi->target.length);
	return 0;
}

static void cancel(void *backend, struct mf_front_request *request)
{
	(void)backend;
	for (size_t i = 0; i < 64; i++) {
		if (held[i] == request) {
			held[i] = NULL;
			running--;
			cancelled++;
		}
	}
	respond(request, "", "nobody", 6); /* must be harmless */
}

static const struct mf_front_backend_ops ops = {.submit = submit, .cancel = cancel};

static void on_health_closed(void *arg)
{
	(void)arg;
	uv_close((uv_handle_t *)&wake, NULL);
	uv_close((uv_handle_t *)&later_timer, NULL);
}

static void on_drained(void *arg)
{
	cr_assert(arg == &drained);
	final_stats = *mf_front_stats(front);
	mf_front_destroy(front);
	front = NULL;
	drained = 1;
	mf_health_close(health, on_health_closed, NULL);
}

static void on_wake(uv_async_t *async)
{
	int what = atomic_exchange(&command, NONE);

	(void)async;
	if (!front)
		return;
	if (what == DRAIN)
		mf_front_drain(front, on_drained, &drained);
	else if (what == CLOSE)
		mf_front_close(front, on_drained, &drained);
}

static void *turn(void *arg)
{
	(void)arg;
	uv_run(&loop, UV_RUN_DEFAULT);
	return NULL;
}

static const char *why_not_ready(void *arg)
{
	(void)arg;
	return not_ready ? "no image yet\n" : NULL;
}

static void start(void)
{
	struct mf_error err = {""};
	char address[128];

	cr_assert(mkdtemp(folder) != NULL);
	uv_loop_init(&loop);
	uv_async_init(&loop, &wake, on_wake);
	uv_timer_init(&loop, &later_timer);
	if (over_tcp)
		strcpy(address, "127.0.0.1:0");
	else
		snprintf(address, sizeof(address), "unix:%s/s", folder);
	cr_assert_eq(mf_listen_open(&listener, address, &err), 0, "%s", err.text);
	cr_assert_eq(mf_front_open(&front, &loop, &listener, &settings, &ops, &loop, &err), 0, "%s",
		     err.text);
	snprintf(address, sizeof(address), "unix:%s/h", folder);
	cr_assert_eq(mf_listen_open(&health_listener, address, &err), 0, "%s", err.text);
	cr_assert_eq(mf_health_open(&health, &loop, &health_listener, why_not_ready, NULL, &err),
		     0);
	pthread_create(&thread, NULL, turn, NULL);
}

static void send_command(int what)
{
	command = what;
	uv_async_send(&wake);
}

static void join(void)
{
	pthread_join(thread, NULL);
	cr_assert_eq(uv_loop_close(&loop), 0, "every handle is closed");
	cr_assert_eq(final_stats.connections, 0);
	cr_assert_eq(final_stats.running, 0);
	mf_listen_close(&listener);
	mf_listen_close(&health_listener);
	cr_assert_eq(rmdir(folder), 0, "the socket files are gone");
}

static void stop(void)
{
	send_command(CLOSE);
	join();
}

static void defaults(void)
{
	mf_front_settings_default(&settings);
}

TestSuite(server, .init = defaults, .timeout = 100);

static int dial_to(const struct mf_listener *to)
{
	const struct timeval limit = {.tv_sec = 10};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	cr_assert_eq(connect(fd, (const struct sockaddr *)&to->path, sizeof(to->path)), 0);
	return fd;
}

static int dial(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	int fd;

	if (!over_tcp)
		return dial_to(&listener);
	to.sin_port = htons((uint16_t)atoi(strrchr(listener.name, ':') + 1));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void say_bytes(int fd, const char *text, size_t size)
{
	cr_assert_eq(send(fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

static void say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

/* Reads until the text has `count` responses by their status lines and ends with `end`, or EOF. */
static char heard[256 << 10];

static size_t hear_until(int fd, const char *end)
{
	size_t at = 0;

	heard[0] = '\0';
	while (at < sizeof(heard) - 1) {
		ssize_t got = read(fd, heard + at, sizeof(heard) - 1 - at);

		if (got <= 0)
			break;
		at += (size_t)got;
		heard[at] = '\0';
		if (end && at >= strlen(end) && strcmp(heard + at - strlen(end), end) == 0)
			break;
	}
	return at;
}

#define HEARD(text)     cr_expect(strstr(heard, text) != NULL, "no \"%s\" in: %s", text, heard)
#define NOT_HEARD(text) cr_expect(strstr(heard, text) == NULL, "\"%s\" in: %s", text, heard)

static bool closed_within(int fd, int ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	char c;

	return poll(&poll_fd, 1, ms) == 1 && read(fd, &c, 1) <= 0;
}

static void wait_for(_Atomic int *what, int value)
{
	for (int i = 0; i < 1000 && *what != value; i++)
		usleep(5000);
	cr_assert_eq(*what, value);
}

#define TAIL " HTTP/1.1\r\nHost: a\r\n\r\n"

Test(server, a_connection_serves_request_after_request)
{
	int fd;

	start();
	fd = dial();
	for (int i = 0; i < 50; i++) {
		say(fd, i % 2 ? "GET /one" TAIL : "GET /later1" TAIL);
		hear_until(fd, i % 2 ? "/one" : "/later1");
		HEARD("HTTP/1.1 200 OK\r\n");
		HEARD("Date: ");
		NOT_HEARD("Connection: close");
	}
	close(fd);
	stop();
	cr_assert_eq(final_stats.requests, 50);
	cr_assert_eq(final_stats.accepted, 1);
	cr_assert_eq(final_stats.partial_writes, 0, "one write each");
}

Test(server, pipelined_requests_are_answered_in_order)
{
	static char many[64 << 10];
	size_t at = 0;
	char *from;
	int fd;

	start();
	fd = dial();
	/* more than one read and more than pending holds; every hundredth is answered late */
	for (int i = 0; i < 600; i++)
		at += (size_t)sprintf(many + at,
				      "GET /%s%d HTTP/1.1\r\nHost: a\r\nX: %060d\r\n\r\n",
				      i % 100 ? "now" : "later", i, i);
	say_bytes(fd, many, at);
	say(fd, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nend");
	hear_until(fd, NULL);
	from = heard;
	for (int i = 0; i < 600; i++) {
		char want[32];

		snprintf(want, sizeof(want), "\r\n\r\n/%s%d", i % 100 ? "now" : "later", i);
		from = strstr(from, want);
		cr_assert(from != NULL, "answer %d is missing or out of order", i);
	}
	cr_assert_str_eq(heard + strlen(heard) - 3, "end");
	close(fd);
	stop();
}

Test(server, tcp_serves_like_a_unix_socket)
{
	int fd;

	over_tcp = true;
	start();
	fd = dial();
	say(fd, "GET /one" TAIL "GET /later1" TAIL);
	hear_until(fd, "/later1");
	HEARD("/one");
	/* refused while the client still sends: it must see the answer and no reset */
	say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n");
	for (int i = 0; i < 20; i++) {
		(void)!send(fd, heard, 10000, MSG_NOSIGNAL);
		usleep(2000);
	}
	hear_until(fd, NULL);
	HEARD("HTTP/1.1 413 ");
	close(fd);
	stop();
}

Test(server, a_request_that_comes_byte_by_byte_is_served)
{
	static const char text[] = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
	int fd;

	start();
	fd = dial();
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		say_bytes(fd, text + i, 1);
		usleep(1000);
	}
	hear_until(fd, "body");
	HEARD("Content-Length: 4\r\n");
	close(fd);
	stop();
}

Test(server, a_bad_request_is_answered_and_the_connection_closed)
{
	int fd;

	start();
	fd = dial();
	say(fd, "GET / HTTP/1.1\r\nHost : a\r\n\r\nGET /hidden" TAIL);
	hear_until(fd, NULL);
	HEARD("HTTP/1.1 400 Bad Request\r\n");
	HEARD("Connection: close\r\n");
	NOT_HEARD("hidden");
	close(fd);
	fd = dial();
	say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n");
	for (int i = 0; i < 100; i++) /* the client is not reset while it still talks */
		if (send(fd, heard, 100, MSG_NOSIGNAL) < 0)
			break;
	hear_until(fd, NULL);
	HEARD("HTTP/1.1 413 ");
	close(fd);
	stop();
	cr_assert_eq(final_stats.refused, 2);
	cr_assert_eq(final_stats.requests, 0);
}

Test(server, http_1_0_closes_unless_asked)
{
	int fd;

	start();
	fd = dial();
	say(fd, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	hear_until(fd, "/a");
	HEARD("Connection: keep-alive\r\n");
	say(fd, "GET /b HTTP/1.0\r\n\r\n");
	hear_until(fd, NULL);
	HEARD("Connection: close\r\n");
	close(fd);
	stop();
}

Test(server, expect_100_continue_is_answered_before_the_body)
{
	int fd;

	start();
	fd = dial();
	say(fd, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	hear_until(fd, "\r\n\r\n");
	cr_assert_str_eq(heard, "HTTP/1.1 100 Continue\r\n\r\n");
	say(fd, "hi");
	hear_until(fd, "hi");
	HEARD("HTTP/1.1 200 OK\r\n");
	close(fd);
	stop();
}

Test(server, an_unwilling_backend_means_503)
{
	int fd;

	start();
	fd = dial();
	say(fd, "GET /full" TAIL);
	hear_until(fd, "later.\n");
	HEARD("HTTP/1.1 503 Service Unavailable\r\n");
	HEARD("Retry-After: 1\r\n");
	NOT_HEARD("Connection: close");
	say(fd, "GET /down" TAIL);
	hear_until(fd, NULL);
	HEARD("HTTP/1.1 503 ");
	HEARD("Connection: close\r\n");
	close(fd);
	stop();
	cr_assert_eq(final_stats.unavailable, 2);
}

Test(server, a_crash_and_an_injected_header_are_told_apart)
{
	int fd;

	start();
	fd = dial();
	say(fd, "GET /crash" TAIL);
	hear_until(fd, "request.\n");
	HEARD("HTTP/1.1 502 Bad Gateway\r\n");
	HEARD("Mayfly-Error: crash\r\n");
	say(fd, "GET /inject" TAIL);
	hear_until(fd, "response.\n");
	HEARD("HTTP/1.1 502 Bad Gateway\r\n");
	HEARD("Mayfly-Error: response\r\n");
	NOT_HEARD("200 OK");
	say(fd, "HEAD /crash" TAIL "GET /fine" TAIL);
	hear_until(fd, "/fine");
	HEARD("HTTP/1.1 200 OK\r\n");
	NOT_HEARD("The program crashed");
	close(fd);
	stop();
	cr_assert_eq(final_stats.invalid, 1);
}

Test(server, a_large_response_waits_for_its_reader)
{
	size_t got = 0;
	ssize_t bytes;
	int fd;

	start();
	fd = dial();
	say(fd, "GET /big" TAIL "GET /after" TAIL);
	usleep(100 * 1000);
	while (got < BIG_BYTES && (bytes = read(fd, heard, sizeof(heard) - 1)) > 0)
		got += (size_t)bytes;
	if (!memmem(heard, (size_t)bytes, "/after", 6))
		hear_until(fd, "/after");
	close(fd);
	stop();
	cr_assert_eq(final_stats.partial_writes, 1);
	cr_assert_eq(final_stats.requests, 2);
}

Test(server, slow_clients_are_let_go)
{
	int silent, head, body, idle, deaf;

	settings.head_timeout_ms = settings.body_timeout_ms = 150;
	settings.idle_timeout_ms = settings.write_timeout_ms = 250;
	settings.linger_ms = 50;
	start();
	silent = dial();
	head = dial();
	body = dial();
	idle = dial();
	deaf = dial();
	say(head, "GET / HTTP/1.1\r\nHo");
	say(body, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
	say(idle, "GET /idle" TAIL);
	say(deaf, "GET /big" TAIL);
	for (int i = 0; i < 4; i++) { /* dripping does not help */
		usleep(50 * 1000);
		(void)!send(head, "s", 1, MSG_NOSIGNAL);
	}
	hear_until(head, NULL);
	HEARD("HTTP/1.1 408 Request Timeout\r\n");
	hear_until(body, NULL);
	HEARD("HTTP/1.1 408 Request Timeout\r\n");
	cr_expect(closed_within(silent, 1000));
	hear_until(idle, NULL);
	HEARD("/idle");
	NOT_HEARD("408");
	send_command(DRAIN);
	join();
	cr_assert_eq(final_stats.timeouts, 4);
	close(silent), close(head), close(body), close(idle), close(deaf);
}

Test(server, a_client_that_goes_away_cancels_its_request)
{
	int fd;

	start();
	fd = dial();
	say(fd, "GET /never" TAIL "GET /also" TAIL);
	wait_for(&running, 1);
	close(fd);
	wait_for(&cancelled, 1);
	fd = dial();
	say(fd, "GET / HTTP/1.1\r\nHo");
	close(fd);
	fd = dial();
	say(fd, "GET /big" TAIL);
	close(fd);
	fd = dial();
	say(fd, "GET /alive" TAIL);
	hear_until(fd, "/alive");
	HEARD("200 OK");
	close(fd);
	stop();
	cr_assert_eq(final_stats.cancelled, 1);
}

Test(server, a_half_closed_client_gets_its_answers_when_allowed)
{
	int fd;

	settings.half_close = true;
	start();
	fd = dial();
	say(fd, "GET /later1" TAIL "GET /later2" TAIL "GET /three" TAIL);
	shutdown(fd, SHUT_WR);
	hear_until(fd, NULL);
	HEARD("/later1");
	HEARD("/later2");
	HEARD("/three");
	close(fd);
	stop();
}

Test(server, a_drain_finishes_what_runs)
{
	int busy, idle, begun;

	start();
	busy = dial();
	idle = dial();
	begun = dial();
	say(idle, "GET /idle" TAIL);
	hear_until(idle, "/idle");
	say(begun, "GET /begun HTTP/1.1\r\nHost");
	usleep(50 * 1000);
	say(busy, "GET /later1" TAIL);
	wait_for(&running, 1);
	send_command(DRAIN);
	cr_expect(closed_within(idle, 1000));
	cr_expect_eq(drained, 0);
	hear_until(busy, NULL);
	HEARD("/later1");
	HEARD("Connection: close\r\n");
	say(begun, ": a\r\n\r\n");
	hear_until(begun, NULL);
	HEARD("/begun");
	HEARD("Connection: close\r\n");
	join();
	cr_assert_eq(drained, 1);
	close(busy), close(idle), close(begun);
}

Test(server, a_close_cancels_what_runs)
{
	int fd;

	start();
	fd = dial();
	say(fd, "GET /never" TAIL);
	wait_for(&running, 1);
	stop();
	cr_assert_eq(cancelled, 1);
	cr_assert(closed_within(fd, 1000));
	close(fd);
}

Test(server, connections_are_bounded_and_the_idle_make_room)
{
	int fds[12];

	settings.max_connections = 4;
	start();
	for (int i = 0; i < 4; i++) {
		fds[i] = dial();
		say(fds[i], "GET /never" TAIL);
	}
	wait_for(&running, 4);
	fds[4] = dial(); /* waits: nobody idles */
	say(fds[4], "GET /five" TAIL);
	cr_expect(!closed_within(fds[4], 100));
	close(fds[0]);
	hear_until(fds[4], "/five");
	HEARD("200 OK");
	for (int i = 5; i < 12; i++) { /* each takes the place of the one before, which idles */
		fds[i] = dial();
		say(fds[i], "GET /next" TAIL);
		hear_until(fds[i], "/next");
		HEARD("200 OK");
		cr_expect(closed_within(fds[i - 1], 1000));
	}
	stop();
	for (int i = 1; i < 12; i++)
		close(fds[i]);
	cr_assert_eq(final_stats.evicted, 7);
}

Test(server, many_connections_at_once_are_all_served)
{
	int fds[200];

	settings.max_connections = 64; /* the rest wait their turn */
	start();
	for (int i = 0; i < 200; i++) {
		fds[i] = dial();
		say(fds[i], i % 2 ? "GET /x HTTP/1.0\r\n\r\n" : "GET /later HTTP/1.0\r\n\r\n");
	}
	for (int i = 0; i < 200; i++) {
		hear_until(fds[i], NULL);
		cr_expect(strstr(heard, "200 OK") || strstr(heard, "503 "), "%d: %s", i, heard);
		close(fds[i]);
	}
	stop();
	cr_assert_eq(final_stats.accepted, 200);
}

Test(server, health_and_readiness_are_told)
{
	int fd;

	start();
	fd = dial_to(&health_listener);
	say(fd, "GET /healthz" TAIL);
	hear_until(fd, "ok\n");
	HEARD("HTTP/1.1 200 OK\r\n");
	say(fd, "GET /readyz?verbose" TAIL);
	hear_until(fd, "ready\n");
	HEARD("HTTP/1.1 200 OK\r\n");
	not_ready = 1;
	say(fd, "GET /readyz" TAIL);
	hear_until(fd, "no image yet\n");
	HEARD("HTTP/1.1 503 ");
	say(fd, "GET /readyzz" TAIL);
	hear_until(fd, "address.\n");
	HEARD("HTTP/1.1 404 ");
	say(fd, "DELETE /healthz" TAIL);
	hear_until(fd, "HEAD.\n");
	HEARD("HTTP/1.1 405 ");
	HEARD("Allow: GET, HEAD\r\n");
	close(fd);
	stop();
}

/* Never blocks: a full backlog means that all who are served must go. */
static int dial_or_leave(int fds[16])
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const struct sockaddr *to = (const struct sockaddr *)&listener.path;

	while (connect(fd, to, sizeof(listener.path)) < 0) {
		cr_assert_eq(errno, EAGAIN);
		for (size_t i = 0; i < 16; i++) {
			if (fds[i] >= 0)
				close(fds[i]);
			fds[i] = -1;
		}
		usleep(1000);
	}
	return fd;
}

/* Clients that say parts of things, in pieces, and leave when they like. */
Test(server, chaos_leaves_nothing_behind)
{
	static const char *const says[] = {
		"GET /now" TAIL,
		"GET /later" TAIL,
		"GET /never" TAIL,
		"GET /full" TAIL,
		"GET /big" TAIL,
		"GET /down" TAIL,
		"GET /inject" TAIL,
		"HEAD /big" TAIL,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
		"GET / HTTP/1.1\r\nbad\r\n",
		"\r\n",
	};
	const char *seed_text = getenv("MAYFLY_TEST_SEED"), *is_long = getenv("MAYFLY_TEST_LONG");
	unsigned seed = seed_text ? (unsigned)strtoul(seed_text, NULL, 0) : (unsigned)time(NULL);
	int rounds = is_long && *is_long == '1' ? 50000 : 2000, fds[16];

	printf("MAYFLY_TEST_SEED=%u, %d rounds\n", seed, rounds);
	fflush(stdout);
	memset(fds, -1, sizeof(fds));
	settings.max_connections = 12;
	settings.half_close = seed % 2;
	settings.linger_ms = settings.idle_timeout_ms = 20;
	start();
	for (int round = 0; round < rounds; round++) {
		int *fd = &fds[rand_r(&seed) % 16];
		const char *text = says[(size_t)rand_r(&seed) % (sizeof(says) / sizeof(says[0]))];
		size_t size;

		/* one who may only have half closed is waited for: he must get an answer */
		if (settings.half_close && strncmp(text, "GET /never", 10) == 0)
			text = "GET /later" TAIL;
		size = strlen(text);
		if (*fd < 0)
			*fd = dial_or_leave(fds);
		if (rand_r(&seed) % 4 == 0)
			size = (size_t)rand_r(&seed) % (size + 1);
		(void)!send(*fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (rand_r(&seed) % 4 == 0)
			(void)!recv(*fd, heard, sizeof(heard), MSG_DONTWAIT);
		if (rand_r(&seed) % 16 == 0)
			shutdown(*fd, SHUT_WR);
		if (rand_r(&seed) % 6 == 0) {
			close(*fd);
			*fd = -1;
		}
	}
	stop();
	for (size_t i = 0; i < 16; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	cr_assert(final_stats.requests > 0);
}
