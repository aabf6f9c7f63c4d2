/* SPDX-License-Identifier: MIT */
/*
 * A program whose requests say what to do with the store and with the request itself: a function
 * program of the SDK, or (LISTENS) a server of its own. The target is /STEP;STEP;... with
 *
 *	a:KEY=N  add to a counter, tell the sum       g:KEY  tell a value
 *	p:KEY=V  put                                  d:KEY  delete
 *	t:FROM,TO=N  move N from a counter to another, unless it has less
 *	r:KEY    tell a counter                       w:A,B  one from A, if both have one
 *	f:A,B    both have one
 *	s:N      the answer's status                  n:MS   sleep
 *	b:N      N bytes of body, at once if it streams
 *	e        answer now, go on behind it          c      crash
 *	x        exit behind the answer               o      answer as a stream without end
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <mayfly/sdk.h>
#include <mayfly/store.h>

#define BODY (8u << 20)

static char body[BODY];
static size_t used;
static int status;
static bool answered, exits, streams;
static int client = -1;

static void put_all(const char *bytes, size_t count)
{
	while (count) {
		ssize_t got = write(client, bytes, count);

		if (got <= 0)
			_exit(4);
		bytes += got;
		count -= (size_t)got;
	}
}

/* What there is so far, in a chunk. */
static void stream(void)
{
	char line[32];

	if (!used)
		return;
	put_all(line, (size_t)snprintf(line, sizeof(line), "%zx\r\n", used));
	put_all(body, used);
	put_all("\r\n", 2);
	used = 0;
}

static void begin_stream(const char *type)
{
	char head[128];

	if (!streams)
		put_all(head, (size_t)snprintf(head, sizeof(head),
					       "HTTP/1.1 %d X\r\nContent-Type: %s\r\n"
					       "Transfer-Encoding: chunked\r\n\r\n",
					       status, type));
	streams = true;
	stream();
}

static void answer(void)
{
	char head[128];

	if (answered)
		return;
	answered = true;
	if (client < 0) {
		mf_respond(status, "text/plain", body, used);
	} else if (streams) {
		stream();
		put_all("0\r\n\r\n", 5);
	} else {
		put_all(head, (size_t)snprintf(head, sizeof(head),
					       "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n",
					       status, used));
		put_all(body, used);
	}
}

static void answer_now(void)
{
	answer();
	if (client < 0)
		mf_done();
}

static void tell(int code, const char *text, size_t bytes)
{
	used += (size_t)snprintf(body + used, sizeof(body) - used, "%d %.*s\n", code, (int)bytes,
				 text);
}

static struct mf_bytes key_of(const char *text)
{
	return (struct mf_bytes){text, strcspn(text, "=,")};
}

static void move(const char *text)
{
	struct mf_bytes from = key_of(text), to = key_of(text + from.length + 1);
	int64_t number = atoll(strchr(text, '=') + 1), now = 0;
	size_t bytes = 0;
	int code = mf_store_get("t", from, &now, sizeof(now), &bytes);

	if (!code && bytes == sizeof(now) && now >= number) {
		code = mf_store_add("t", from, -number, &now);
		if (!code)
			code = mf_store_add("t", to, number, &now);
	}
	tell(code, "", 0);
}

static int64_t counter(struct mf_bytes key, int *code)
{
	int64_t now = 0;
	size_t bytes = 0;

	*code = mf_store_get("t", key, &now, sizeof(now), &bytes);
	return *code || bytes != sizeof(now) ? 0 : now;
}

static void read_counter(const char *text)
{
	int code;
	int64_t now = counter(key_of(text), &code);

	used += (size_t)snprintf(body + used, sizeof(body) - used, "%d %lld\n", code,
				 (long long)now);
}

/* Two keys, of which one has to be there. */
static void pair(char what, const char *text)
{
	struct mf_bytes a = key_of(text), b = key_of(text + a.length + 1);
	int code, code_b;
	int64_t has_a = counter(a, &code), has_b = counter(b, &code_b), now;

	if (what == 'w' && has_a && has_b)
		code = mf_store_add("t", a, -1, &now);
	else if (what == 'f' && !has_a)
		code = mf_store_add("t", a, 1, &now);
	if (what == 'f' && !has_b)
		code = mf_store_add("t", b, 1, &now);
	tell(code, "", 0);
}

static void call_store(char what, const char *text)
{
	struct mf_bytes key = key_of(text);
	const char *rest = text + key.length + (text[key.length] == '=');
	char value[256];
	size_t bytes = 0;
	int64_t sum = 0;
	int code = 0;

	if (what == 'a') {
		code = mf_store_add("t", key, atoll(rest), &sum);
		bytes = (size_t)snprintf(value, sizeof(value), "%lld", (long long)sum);
	} else if (what == 'g') {
		code = mf_store_get("t", key, value, sizeof(value), &bytes);
	} else if (what == 'p') {
		code = mf_store_put("t", key, MF_STRING(rest));
	} else {
		code = mf_store_delete("t", key);
	}
	tell(code, value, code ? 0 : bytes);
}

static void rest(long ms)
{
	struct timespec span = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&span, NULL);
}

static void fill(size_t bytes)
{
	memset(body + used, 'b', bytes);
	used += bytes;
	if (client >= 0)
		begin_stream("text/plain");
}

static void step(const char *text)
{
	const char *argument = text[0] && text[1] ? text + 2 : "";

	if (strchr("agpd", text[0]) && text[0])
		call_store(text[0], argument);
	else if (text[0] == 't')
		move(argument);
	else if (text[0] == 'r')
		read_counter(argument);
	else if (text[0] == 'w' || text[0] == 'f')
		pair(text[0], argument);
	else if (text[0] == 's')
		status = atoi(argument);
	else if (text[0] == 'n')
		rest(atol(argument));
	else if (text[0] == 'b')
		fill((size_t)atol(argument));
	else if (text[0] == 'e')
		answer_now();
	else if (text[0] == 'c')
		abort();
	else if (text[0] == 'x')
		exits = true;
	else if (text[0] == 'o')
		begin_stream("text/event-stream");
}

/* The steps, up to the end of the target. */
static void run(const char *target, size_t bytes)
{
	static char text[2048];
	char *at = text;
	char *next;

	snprintf(text, sizeof(text), "%.*s", (int)bytes, target);
	used = 0;
	status = 200;
	answered = exits = streams = false;
	while ((next = strsep(&at, ";")))
		step(next);
	answer();
	if (exits && client < 0)
		mf_done();
	if (exits)
		exit(3);
}

#ifdef LISTENS
int main(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(80)};
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	static char request[4096];

	bind(listener, (struct sockaddr *)&any, sizeof(any));
	listen(listener, 16);
	for (;;) {
		ssize_t got = 0, more;

		client = accept(listener, NULL, NULL);
		while ((more = read(client, request + got, sizeof(request) - 1 - (size_t)got)) >
		       0) {
			const char *target = request + strcspn(request, " ") + 2;

			got += more;
			request[got] = 0;
			if (!strstr(request, "\r\n\r\n"))
				continue;
			run(target, strcspn(target, " "));
			got = 0;
		}
		close(client);
	}
}
#else
int main(void)
{
	const struct mf_request *request;

	while ((request = mf_wait())) {
		struct mf_text target = mf_request_target(request);

		run(target.data + 1, target.length - 1);
	}
	return 0;
}
#endif
