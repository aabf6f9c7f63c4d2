/* SPDX-License-Identifier: MIT */
#include "request-vm/wire.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OURS_BYTES 64u /* version, length and the last line */

/* One hop's headers, and those that the front door has acted upon: not passed on. */
static const char *const dropped[] = {
	"connection", "keep-alive",     "proxy-connection",  "te", "trailer", "expect",
	"upgrade",    "content-length", "transfer-encoding",
};

struct writer {
	char *at;
	const char *end;
};

static const char *text_of(const struct mf_abi_request *request, struct mf_abi_slice slice)
{
	return (const char *)request + slice.offset;
}

static void put(struct writer *writer, const char *text, size_t length)
{
	size_t room = (size_t)(writer->end - writer->at);

	length = length < room ? length : room;
	memcpy(writer->at, text, length);
	writer->at += length;
}

static void put_text(struct writer *writer, const char *text)
{
	put(writer, text, strlen(text));
}

static void put_line(struct writer *writer, const char *name, size_t name_bytes, const char *value,
		     size_t value_bytes)
{
	put(writer, name, name_bytes);
	put_text(writer, ": ");
	put(writer, value, value_bytes);
	put_text(writer, "\r\n");
}

static bool passes(const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
		if (length == strlen(dropped[i]) && !memcmp(name, dropped[i], length))
			return false;
	return true;
}

static void write_head(struct writer *writer, const struct mf_abi_request *request)
{
	const struct mf_abi_slice *pair =
		(const void *)((const char *)request + request->headers_offset);
	char length[16];
	uint32_t i;

	put(writer, text_of(request, request->method), request->method.length);
	put_text(writer, " ");
	put(writer, text_of(request, request->target), request->target.length);
	put_text(writer, " HTTP/1.1\r\n");
	for (i = 0; i < request->header_count; i++, pair += 2)
		if (passes(text_of(request, pair[0]), pair[0].length))
			put_line(writer, text_of(request, pair[0]), pair[0].length,
				 text_of(request, pair[1]), pair[1].length);
	snprintf(length, sizeof(length), "%u", request->body.length);
	if (request->body.length)
		put_line(writer, "Content-Length", strlen("Content-Length"), length,
			 strlen(length));
	put_text(writer, "\r\n");
}

int mf_wire_make(struct mf_wire *wire, const struct mf_abi_request *request)
{
	/* The ABI form has as much beside each header as a line has. */
	size_t room = request->size_bytes + 4u * request->header_count + OURS_BYTES;
	struct writer writer;

	*wire = (struct mf_wire){.bytes = malloc(room)};
	if (!wire->bytes)
		return -ENOMEM;
	writer = (struct writer){wire->bytes, wire->bytes + room};
	write_head(&writer, request);
	put(&writer, text_of(request, request->body), request->body.length);
	wire->count = (size_t)(writer.at - wire->bytes);
	return 0;
}

void mf_wire_finish(struct mf_wire *wire)
{
	if (wire->bytes)
		explicit_bzero(wire->bytes, wire->count);
	free(wire->bytes);
	*wire = (struct mf_wire){0};
}
