/* SPDX-License-Identifier: MIT */
#include "guest/store/redis/reply.h"

#include <stdarg.h>
#include <stdio.h>

#define HEADER_MAX  32u
#define LATER_BYTES 13u /* a kind, ten digits, a line's end */

static void add(struct reply *reply, const void *bytes, size_t count)
{
	if (!reply->failed)
		reply->failed = buffer_bytes(&reply->out) + count > REPLY_MAX ||
				!buffer_add(&reply->out, bytes, count);
}

static void add_header(struct reply *reply, char kind, long long number)
{
	char text[HEADER_MAX];
	int length = snprintf(text, sizeof(text), "%c%lld\r\n", kind, number);

	add(reply, text, (size_t)length);
}

static void add_line(struct reply *reply, char kind, const char *text)
{
	size_t length = strlen(text);
	size_t i;

	add(reply, &kind, 1);
	add(reply, text, length);
	for (i = 1; !reply->failed && i <= length; i++)
		if (reply->out.at[reply->out.end - i] == '\r' ||
		    reply->out.at[reply->out.end - i] == '\n')
			reply->out.at[reply->out.end - i] = ' ';
	add(reply, "\r\n", 2);
}

void reply_status(struct reply *reply, const char *text)
{
	add_line(reply, '+', text);
}

void reply_error(struct reply *reply, const char *text)
{
	add_line(reply, '-', text);
}

void reply_errorf(struct reply *reply, const char *format, ...)
{
	char text[640];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	reply_error(reply, text);
}

void reply_number(struct reply *reply, int64_t number)
{
	add_header(reply, ':', number);
}

void reply_bulk(struct reply *reply, struct mf_bytes bytes)
{
	add_header(reply, '$', (long long)bytes.length);
	add(reply, bytes.data, bytes.length);
	add(reply, "\r\n", 2);
}

void reply_text(struct reply *reply, const char *text)
{
	reply_bulk(reply, bytes_of(text));
}

void reply_verbatim(struct reply *reply, struct mf_bytes text)
{
	if (reply->protocol < 3) {
		reply_bulk(reply, text);
		return;
	}
	add_header(reply, '=', (long long)text.length + 4);
	add(reply, "txt:", 4);
	add(reply, text.data, text.length);
	add(reply, "\r\n", 2);
}

void reply_null(struct reply *reply)
{
	add(reply, reply->protocol < 3 ? "$-1\r\n" : "_\r\n", reply->protocol < 3 ? 5 : 3);
}

void reply_null_array(struct reply *reply)
{
	add(reply, reply->protocol < 3 ? "*-1\r\n" : "_\r\n", reply->protocol < 3 ? 5 : 3);
}

void reply_array(struct reply *reply, size_t count)
{
	add_header(reply, '*', (long long)count);
}

void reply_map(struct reply *reply, size_t pairs)
{
	add_header(reply, reply->protocol < 3 ? '*' : '%',
		   (long long)(reply->protocol < 3 ? 2 * pairs : pairs));
}

void reply_set(struct reply *reply, size_t count)
{
	add_header(reply, reply->protocol < 3 ? '*' : '~', (long long)count);
}

/* The place is kept relative to the buffer's start, which moves with the bytes. */
size_t reply_later(struct reply *reply)
{
	size_t where = buffer_bytes(&reply->out);

	add(reply, "*0000000000\r\n", LATER_BYTES);
	return where;
}

/* Its header was made as long as any; what is left over goes. */
void reply_later_is(struct reply *reply, size_t where, char kind, size_t count)
{
	char text[HEADER_MAX];
	size_t length = (size_t)snprintf(text, sizeof(text), "%c%zu\r\n", kind, count);
	uint8_t *at;

	if (reply->failed)
		return;
	at = reply->out.at + reply->out.start + where;
	memcpy(at, text, length);
	memmove(at + length, at + LATER_BYTES, buffer_bytes(&reply->out) - where - LATER_BYTES);
	reply->out.end -= LATER_BYTES - length;
}

void reply_part(struct reply *reply, struct reply *part)
{
	add(reply, buffer_data(&part->out), buffer_bytes(&part->out));
	reply->failed |= part->failed;
	buffer_finish(&part->out);
}
