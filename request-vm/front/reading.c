// SPDX-License-Identifier: MIT
#include <llhttp/llhttp.h>
#include <string.h>

#include "request-vm/front/chars.h"
#include "request-vm/front/reading.h"

static int on_method(llhttp_t *parser, const char *at, size_t length)
{
	((struct mf_http_reading *)parser->data)->method = (struct mf_http_span){at, length};
	return 0;
}

static int on_target(llhttp_t *parser, const char *at, size_t length)
{
	((struct mf_http_reading *)parser->data)->target = (struct mf_http_span){at, length};
	return 0;
}

static int on_name(llhttp_t *parser, const char *at, size_t length)
{
	struct mf_http_reading *reading = parser->data;

	if (reading->name_count == MF_ABI_MAX_HEADERS)
		return -1;
	reading->names[reading->name_count++] = (struct mf_http_span){at, length};
	return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t length)
{
	struct mf_http_reading *reading = parser->data;

	if (reading->value_count == MF_ABI_MAX_HEADERS)
		return -1;
	mf_text_trim(&at, &length);
	reading->values[reading->value_count++] = (struct mf_http_span){at, length};
	return 0;
}

static int on_complete(llhttp_t *parser)
{
	((struct mf_http_reading *)parser->data)->complete = true;
	return HPE_PAUSED; /* the body is ours */
}

static int read_head(struct mf_http_reading *reading, llhttp_type_t type, const char *text,
		     size_t size)
{
	static const llhttp_settings_t settings = {
		.on_method = on_method,
		.on_url = on_target,
		.on_header_field = on_name,
		.on_header_value = on_value,
		.on_headers_complete = on_complete,
	};
	llhttp_t parser;
	llhttp_errno_t code;

	reading->name_count = reading->value_count = 0;
	reading->complete = false;
	llhttp_init(&parser, type, &settings);
	parser.data = reading;
	code = llhttp_execute(&parser, text, size);
	reading->status = parser.status_code;
	reading->major = parser.http_major;
	reading->minor = parser.http_minor;
	reading->chunked = parser.flags & F_CHUNKED;
	reading->length = parser.content_length;
	return code;
}

int mf_http_read_request(struct mf_http_reading *reading, const char *text, size_t size)
{
	return read_head(reading, HTTP_REQUEST, text, size);
}

int mf_http_read_answer(struct mf_http_reading *reading, const char *text, size_t size)
{
	return read_head(reading, HTTP_RESPONSE, text, size);
}

void mf_http_each_word(struct mf_http_span list,
		       void (*word)(void *arg, const char *at, size_t length), void *arg)
{
	while (list.length > 0) {
		const char *comma = memchr(list.at, ',', list.length);
		size_t step = comma ? (size_t)(comma - list.at) : list.length;
		const char *at = list.at;
		size_t length = step;

		mf_text_trim(&at, &length);
		word(arg, at, length);
		step += comma != NULL;
		list.at += step;
		list.length -= step;
	}
}
