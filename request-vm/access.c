// SPDX-License-Identifier: MIT
#include "request-vm/access.h"
#include "request-vm/front/chars.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TARGET_MAX 1024u /* bytes of a text before escaping */
#define HEADER_MAX 256u
#define FIXED      512u /* room for everything but the escaped texts */

struct line {
	char *out;
	size_t at;
	bool json;
};

struct text {
	const char *at;
	size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
	size_t room = MF_ACCESS_LINE_BYTES - line->at;
	va_list args;
	int bytes;

	va_start(args, format);
	bytes = vsnprintf(line->out + line->at, room, format, args);
	va_end(args);
	if (bytes > 0)
		line->at += (size_t)bytes < room ? (size_t)bytes : room - 1;
}

/* Text of a client: quotes, backslashes and whatever is no plain ASCII as hexadecimal digits. */
static void add_text(struct line *line, struct text text, size_t most)
{
	size_t end = MF_ACCESS_LINE_BYTES - FIXED;

	text.length = text.length < most ? text.length : most;
	if (text.length == 0 && !line->json)
		add(line, "-");
	for (size_t i = 0; i < text.length && line->at < end; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
			line->out[line->at++] = (char)c;
		else
			add(line, line->json ? "\\u%04x" : "\\x%02x", c);
	}
}

static struct text slice(const struct mf_http_message *message, struct mf_abi_slice at)
{
	if (!at.length)
		return (struct text){0};
	return (struct text){mf_http_text(message, at), at.length};
}

/* A header of a request in the form of the ABI. */
static struct text header(const struct mf_http_message *message, const char *name)
{
	const struct mf_abi_request *request = message->request;
	const struct mf_abi_slice *pair;

	if (!request)
		return (struct text){0};
	pair = (const void *)((const char *)request + request->headers_offset);
	for (uint32_t i = 0; i < request->header_count; i++, pair += 2)
		if (mf_text_is((const char *)request + pair[0].offset, pair[0].length, name))
			return (struct text){(const char *)request + pair[1].offset,
					     pair[1].length};
	return (struct text){0};
}

/* The same of one as a server reads it. */
static struct text wire_header(const struct mf_http_message *message, const char *name)
{
	const char *at = message->wire, *end = at ? at + message->wire_bytes : NULL;

	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		const char *colon = memchr(at, ':', (size_t)((lf ? lf : end) - at));

		if (!lf)
			break;
		if (colon && mf_text_is(at, (size_t)(colon - at), name) && lf - colon > 2)
			return (struct text){colon + 2, (size_t)(lf - colon) - 3};
		at = lf + 1;
	}
	return (struct text){0};
}

static struct text header_of(const struct mf_http_message *message, const char *name)
{
	return message->wire ? wire_header(message, name) : header(message, name);
}

static void add_request(struct line *line, const struct mf_http_message *message)
{
	if (!message->method.length) {
		add(line, "-");
		return;
	}
	add_text(line, slice(message, message->method), 32);
	add(line, " ");
	add_text(line, slice(message, message->target), TARGET_MAX);
	add(line, " HTTP/1.%u", message->minor);
}

static void write_common(struct line *line, enum mf_access_form form,
			 const struct mf_front_record *record, uint64_t now_ns)
{
	const struct mf_http_message *message = record->message;
	const struct mf_front_request *request = record->request;
	char date[MF_HTTP_DATE_BYTES]; /* "Sat, 21 Nov 2026 18:59:00 GMT" */

	mf_http_date(date, (long long)(now_ns / 1000000000ull));
	add(line, "%s - - [%.2s/%.3s/%.4s:%.8s +0000] \"", record->client[0] ? record->client : "-",
	    date + 5, date + 8, date + 12, date + 17);
	add_request(line, message);
	add(line, "\" %d %llu", record->status, (unsigned long long)record->bytes);
	if (form == MF_ACCESS_COMBINED) {
		add(line, " \"");
		add_text(line, header_of(message, "referer"), HEADER_MAX);
		add(line, "\" \"");
		add_text(line, header_of(message, "user-agent"), HEADER_MAX);
		add(line, "\"");
	}
	add(line, " id=%s", message->id[0] ? message->id : "-");
	if (request->vm >= 0)
		add(line, " vm=%d exits=%llu", request->vm, (unsigned long long)request->exits);
	add(line, " us=%llu outcome=%s\n", (unsigned long long)record->duration_ns / 1000,
	    record->outcome);
}

static void add_member(struct line *line, const char *name, struct text text, size_t most)
{
	add(line, ",\"%s\":\"", name);
	add_text(line, text, most);
	add(line, "\"");
}

static void write_json(struct line *line, const struct mf_front_record *record, uint64_t now_ns)
{
	const struct mf_http_message *message = record->message;
	const struct mf_front_request *request = record->request;

	line->json = true;
	add(line, "{\"time\":%llu.%06llu", (unsigned long long)(now_ns / 1000000000ull),
	    (unsigned long long)(now_ns / 1000 % 1000000));
	add(line, ",\"id\":\"%s\",\"client\":\"%s\"", message->id, record->client);
	add_member(line, "method", slice(message, message->method), 32);
	add_member(line, "target", slice(message, message->target), TARGET_MAX);
	if (message->method.length)
		add(line, ",\"version\":\"1.%u\"", message->minor);
	add_member(line, "referer", header_of(message, "referer"), HEADER_MAX);
	add_member(line, "agent", header_of(message, "user-agent"), HEADER_MAX);
	add(line, ",\"status\":%d,\"bytes\":%llu,\"us\":%llu", record->status,
	    (unsigned long long)record->bytes, (unsigned long long)record->duration_ns / 1000);
	if (request->vm >= 0)
		add(line, ",\"vm\":%d,\"exits\":%llu", request->vm,
		    (unsigned long long)request->exits);
	add(line, ",\"outcome\":\"%s\"}\n", record->outcome);
}

size_t mf_access_line(char out[MF_ACCESS_LINE_BYTES], enum mf_access_form form,
		      const struct mf_front_record *record, uint64_t now_ns)
{
	struct line line = {.out = out};

	if (form == MF_ACCESS_JSON)
		write_json(&line, record, now_ns);
	else
		write_common(&line, form, record, now_ns);
	return line.at;
}
