/* SPDX-License-Identifier: MIT */
/*
 * The demo's guest program: POST a Debian control stanza, get JSON. It is an honest program with a
 * dishonest history: it keeps the last client's credentials, it counts in a global, and one field
 * is copied without a bounds check. Under Mayfly none of that reaches the next request.
 *
 * DO NOT RUN THIS NATIVELY AS A SERVER: `struct note` is a hole on purpose.
 *
 *	GET /			greeting with the number of requests that this VM has served; with a
 *				store and for browsers ("Accept: text/html") the page, see page.h
 *	POST / , POST /stanza	the body, one stanza, as JSON
 *	/package/NAME		kept in the store, see registry.h
 *	/hostile/..., /attack/..., /probe/...	see hostile.h and probe.h
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mayfly/sdk.h>

#include "control.h"
#include "hostile.h"
#include "page.h"
#include "probe.h"
#include "registry.h"

#define JSON_STATIC_BYTES (128u << 10)

static int served;
/* As forgetful programs do: the credentials of the last client that sent any. */
__attribute__((used)) static char session_cache[4096];
/* Said in the greeting when it is not empty. Nothing in this program ever sets it. */
__attribute__((used)) static char notice[64];

static char json[JSON_STATIC_BYTES];
static char *json_large;

static void answer_text(int status, const char *text)
{
	mf_respond(status, "text/plain", text, strlen(text));
}

/* `visits` < 0: there is no store to count them. */
static void greet(int64_t visits)
{
	static char text[256];
	int length =
		snprintf(text, sizeof(text), "Hello! Requests served by this machine: %d\n%.*s",
			 served, (int)sizeof(notice), notice);

	if (visits >= 0)
		length += snprintf(text + length, sizeof(text) - (size_t)length,
				   "Visits, as the store counts them: %lld\n", (long long)visits);
	mf_respond(200, "text/plain", text, (size_t)length);
}

static void welcome(const struct mf_request *request, struct mf_text query)
{
	struct mf_text accept = mf_request_header(request, "accept");
	int64_t visits;
	int code = registry_visit(&visits);

	if (code == -ENOTCONN)
		greet(-1);
	else if (code)
		answer_text(503, "the store did not do it\n");
	else if (accept.data && strstr(accept.data, "text/html"))
		page_answer(&(struct page){served, visits, notice, query});
	else
		greet(visits);
}

static void remember_session(const struct mf_request *request)
{
	struct mf_text authorization = mf_request_header(request, "authorization");

	if (!authorization.data)
		return;
	if (authorization.length >= sizeof(session_cache))
		authorization.length = sizeof(session_cache) - 1;
	memcpy(session_cache, authorization.data, authorization.length);
	session_cache[authorization.length] = '\0';
}

/*
 * Left over from development, never called: what an attacker is glad to find in a binary. As a
 * formatter (see struct note) they are an arbitrary read and an arbitrary write.
 */
__attribute__((used, noinline)) static void debug_dump(void *from, size_t length, const char *text)
{
	(void)text;
	mf_respond(200, "application/octet-stream", from, length);
}

__attribute__((used, noinline)) static void debug_patch(void *to, size_t length, const char *text)
{
	memcpy(to, text, length);
}

/*
 * THE PLANTED HOLE. The field's value is decoded into 64 bytes of stack, however long it is; behind
 * them stand the function that is called next and its arguments, and behind those the return
 * address.
 */
struct note {
	char text[64];
	void (*format)(void *prefix, size_t width, const char *text);
	void *prefix;
	size_t width;
	uint64_t reserved;
};

__attribute__((noinline)) static void format_note(void *prefix, size_t width, const char *text)
{
	char header[128];

	snprintf(header, sizeof(header), "%s%.*s", (const char *)prefix, (int)width, text);
	mf_response_header("Mayfly-Demo-Note", header);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decoding. Its caller should have said how much room there is. */
__attribute__((noinline)) static void decode_note(char *to, struct control_span from)
{
	for (size_t i = 0; i < from.length; i++) {
		int high = i + 2 < from.length ? hex_digit(from.data[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(from.data[i + 2]) : -1;

		if (from.data[i] == '%' && low >= 0) {
			*to++ = (char)(high << 4 | low);
			i += 2;
		} else {
			*to++ = from.data[i];
		}
	}
	*to = '\0';
}

__attribute__((noinline)) static void show_note(struct control_span value)
{
	struct note note = {.format = format_note, .prefix = (void *)"note: ", .width = 40};

	decode_note(note.text, value);
	/* The compiler must not believe that decode_note() kept inside `text`. */
	__asm__ volatile("" : : "r"(&note) : "memory");
	note.format(note.prefix, note.width, note.text);
}

static char *json_room(size_t bytes)
{
	free(json_large);
	json_large = bytes > sizeof(json) ? malloc(bytes) : NULL;
	return bytes > sizeof(json) ? json_large : json;
}

static void answer_error(const struct control_error *error)
{
	static char text[160];
	int length = snprintf(text, sizeof(text), "{\"error\":\"%s\",\"line\":%zu}\n",
			      error->reason, error->line);

	mf_respond(400, "application/json", text, (size_t)length);
}

static void answer_stanza(const struct mf_request *request)
{
	struct mf_text body = mf_request_body(request);
	struct control_span text = {body.data, body.length};
	size_t room = control_json_bound(text.length);
	struct control_error error;
	struct control_field note;
	char *out = json_room(room);

	if (!out) {
		answer_text(500, "no memory\n");
		return;
	}
	long length = control_to_json(text, out, room, &error);

	if (length < 0) {
		answer_error(&error);
		return;
	}
	mf_respond(200, "application/json", out, (size_t)length);
	if (control_find(text, "X-Mayfly-Demo-Note", &note) > 0) {
		while (note.value.length > 0 && *note.value.data == ' ') {
			note.value.data++;
			note.value.length--;
		}
		show_note(note.value);
	}
}

static bool equals(struct mf_text text, const char *word)
{
	return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

static void serve(const struct mf_request *request)
{
	struct mf_text method = mf_request_method(request);
	struct mf_text target = mf_request_target(request);
	bool post = equals(method, "POST");
	const char *mark = memchr(target.data, '?', target.length);
	struct mf_text query = {"", 0};

	if (mark) {
		query.data = mark + 1;
		query.length = target.length - (size_t)(mark + 1 - target.data);
		target.length = (size_t)(mark - target.data);
	}
	remember_session(request);
	if (post && (equals(target, "/") || equals(target, "/stanza")))
		answer_stanza(request);
	else if (equals(target, "/"))
		welcome(request, query);
	else if (equals(target, "/probe/registers"))
		probe_answer();
	else if (!registry_serve(request, target) && !hostile_serve(target, request))
		answer_text(404, "nothing here\n");
}

int main(void)
{
	const struct mf_request *request;

	probe_prepare();
	while ((request = mf_wait())) {
		served++;
		serve(request);
	}
	return errno != 0;
}
