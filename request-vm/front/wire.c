// SPDX-License-Identifier: MIT
/* A request as a server on a plain connection reads it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request-vm/front/chars.h"
#include "request-vm/front/http_head.h"

#define NAMED_MAX 32u /* headers that Connection may name */

/* What Connection names. */
struct named {
	struct mf_http_span words[NAMED_MAX];
	uint32_t count;
	bool too_many;
};

static void note_word(void *arg, const char *at, size_t length)
{
	struct named *named = arg;

	if (named->count == NAMED_MAX)
		named->too_many = true;
	else if (length > 0)
		named->words[named->count++] = (struct mf_http_span){at, length};
}

static bool is_between_hops(const struct mf_http_message *message, struct mf_http_span name)
{
	static const char *const always[] = {
		"connection", "keep-alive",     "proxy-connection", "te",
		"trailer",    "content-length", "expect",           "http2-settings",
	};

	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if (mf_text_is(name.at, name.length, always[i]))
			return true;
	return !message->upgrade && mf_text_is(name.at, name.length, "upgrade");
}

/* Host is the program's in any case, Upgrade was judged. */
static bool is_named(const struct named *named, struct mf_http_span name)
{
	if (mf_text_is(name.at, name.length, "host") || mf_text_is(name.at, name.length, "upgrade"))
		return false;
	for (uint32_t i = 0; i < named->count; i++)
		if (named->words[i].length == name.length &&
		    strncasecmp(named->words[i].at, name.at, name.length) == 0)
			return true;
	return false;
}

static void put(struct mf_http_message *message, const char *at, size_t length)
{
	memcpy(message->wire + message->wire_bytes, at, length);
	message->wire_bytes += (uint32_t)length;
}

static void put_line(struct mf_http_message *message, struct mf_http_span name,
		     struct mf_http_span value)
{
	put(message, name.at, name.length);
	put(message, ": ", 2);
	if (value.length > 0)
		put(message, value.at, value.length);
	put(message, "\r\n", 2);
}

static size_t room(const struct mf_http_parts *parts)
{
	static const char line[] = "  HTTP/1.1\r\nConnection: Upgrade\r\n";
	size_t size = MF_HTTP_WIRE_SPARE + sizeof(line) + parts->reading->method.length +
		      parts->reading->target.length;

	for (uint32_t i = 0; i < parts->count; i++)
		size += parts->names[i]->length + parts->values[i]->length + 4;
	return size;
}

void mf_http_wire_end(struct mf_http_message *message, size_t body_bytes)
{
	char *end = message->wire + message->wire_bytes;
	int bytes = message->chunked || message->has_length
			    ? snprintf(end, MF_HTTP_WIRE_SPARE, "Content-Length: %zu\r\n\r\n",
				       body_bytes)
			    : snprintf(end, MF_HTTP_WIRE_SPARE, "\r\n");

	message->wire_bytes += (uint32_t)bytes;
}

int mf_http_wire_build(struct mf_http_message *message, const struct mf_http_parts *parts)
{
	const struct mf_http_reading *reading = parts->reading;
	struct named named = {.count = 0};

	for (uint32_t i = 0; i < reading->name_count; i++)
		if (mf_text_is(reading->names[i].at, reading->names[i].length, "connection"))
			mf_http_each_word(reading->values[i], note_word, &named);
	if (named.too_many)
		return 431;
	message->wire = malloc(room(parts));
	if (!message->wire)
		return 503;
	put(message, reading->method.at, reading->method.length);
	put(message, " ", 1);
	message->method.length = (uint32_t)reading->method.length;
	message->target =
		(struct mf_abi_slice){message->wire_bytes, (uint32_t)reading->target.length};
	put(message, reading->target.at, reading->target.length);
	put(message, message->minor ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n", 11);
	for (uint32_t i = 0; i < parts->count; i++) {
		bool is_ours = i >= parts->count - parts->added;

		if (parts->values[i]->at == parts->host.at)
			message->host = (struct mf_abi_slice){
				message->wire_bytes + (uint32_t)parts->names[i]->length + 2,
				(uint32_t)parts->host.length};
		if (is_ours || (!is_between_hops(message, *parts->names[i]) &&
				!is_named(&named, *parts->names[i])))
			put_line(message, *parts->names[i], *parts->values[i]);
	}
	if (message->upgrade)
		put(message, "Connection: Upgrade\r\n", 21);
	return 0;
}
