// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/front/harness.h"

static char folder[] = "/tmp/mayfly-front-XXXXXX";
static uv_loop_t loop;
static uv_async_t wake;
static uv_timer_t later_timer;
static pthread_t thread;
struct mf_listener listener, health_listener;
static struct mf_front *front;
static struct mf_health *health;
struct mf_front_settings settings;
static struct mf_front_request *held[64]; /* answered later, or never */
static _Atomic int command;
_Atomic int drained, cancelled, running, not_ready;
struct mf_front_stats final_stats;
bool over_tcp;
unsigned int later_ms = 30;

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

/* Its headers as text, one a line. */
static void tell_headers(struct mf_front_request *request)
{
	const struct mf_abi_slice *pair =
		(const struct mf_abi_slice *)((const char *)request->abi +
					      request->abi->headers_offset);
	char text[4096];
	int at = 0;

	for (uint32_t i = 0; i < request->abi->header_count; i++, pair += 2)
		at += snprintf(text + at, sizeof(text) - (size_t)at, "%s: %s\n",
			       text_of(request, pair[0]), text_of(request, pair[1]));
	respond(request, "", text, (size_t)at);
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
		uv_timer_start(&later_timer, on_later, later_ms, 0);
		return 0;
	}
	return -EAGAIN;
}

void (*program)(struct mf_front_request *request);

static void go_on(void *backend, struct mf_front_request *request)
{
	cr_assert(backend == &loop);
	program(request);
}

static int submit(void *backend, struct mf_front_request *request)
{
	static char *big;
	const char *target;

	cr_assert(backend == &loop);
	if (!request->abi) {
		program(request);
		return 0;
	}
	target = text_of(request, request->abi->target);
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
	else if (strcmp(target, "/headers") == 0)
		tell_headers(request);
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
	cancelled += !request->abi;
	for (size_t i = 0; i < 64; i++) {
		if (held[i] == request) {
			held[i] = NULL;
			running--;
			cancelled++;
		}
	}
	respond(request, "", "nobody", 6); /* must be harmless */
}

static const struct mf_front_backend_ops ops = {.submit = submit, .cancel = cancel, .go_on = go_on};

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

void start(void)
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
	cr_assert_eq(
		mf_health_open(&health, &loop, &health_listener, why_not_ready, NULL, NULL, &err),
		0);
	pthread_create(&thread, NULL, turn, NULL);
}

void send_command(int what)
{
	command = what;
	uv_async_send(&wake);
}

void join(void)
{
	pthread_join(thread, NULL);
	cr_assert_eq(uv_loop_close(&loop), 0, "every handle is closed");
	cr_assert_eq(final_stats.connections, 0);
	cr_assert_eq(final_stats.running, 0);
	mf_listen_close(&listener);
	mf_listen_close(&health_listener);
	cr_assert_eq(rmdir(folder), 0, "the socket files are gone");
}

void stop(void)
{
	send_command(CLOSE);
	join();
}

void defaults(void)
{
	mf_front_settings_default(&settings);
}

int dial_to(const struct mf_listener *to)
{
	const struct timeval limit = {.tv_sec = 30};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	cr_assert_eq(
		connect(fd, (const struct sockaddr *)&to->file.address, sizeof(to->file.address)),
		0);
	return fd;
}

int dial(void)
{
	const struct timeval limit = {.tv_sec = 30};
	struct sockaddr_in to = {.sin_family = AF_INET};
	int fd;

	if (!over_tcp)
		return dial_to(&listener);
	to.sin_port = htons((uint16_t)atoi(strrchr(listener.name, ':') + 1));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	cr_assert_eq(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

void say_bytes(int fd, const char *text, size_t size)
{
	cr_assert_eq(send(fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

void say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

char heard[256 << 10];

size_t hear_until(int fd, const char *end)
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

bool closed_within(int fd, int ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	char c;

	return poll(&poll_fd, 1, ms) == 1 && read(fd, &c, 1) <= 0;
}

void wait_for(_Atomic int *what, int value)
{
	while (*what != value) /* the test has a timeout */
		usleep(5000);
}
