// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "request-vm/front/whole.h"

/* What of the body has come, in room for all of it. */
struct body {
	char *at;
	size_t bytes;
	bool begun;
};

static void on_piece(struct mf_http_whole *whole, struct mf_http_parser *parser, struct body *body)
{
	if (!body->begun)
		mf_http_parser_take_head(parser, &whole->message);
	body->begun = true;
	memcpy(body->at + body->bytes, parser->piece.at, parser->piece.bytes);
	body->bytes += parser->piece.bytes;
}

/* True: it is complete, and nothing is behind it. */
static bool parse(struct mf_http_whole *whole, enum mf_http_form form, const char *bytes,
		  size_t size, struct body *body)
{
	struct mf_http_message rest = {0};
	struct mf_http_limits limits;
	struct mf_http_parser parser;
	enum mf_http_state state;
	size_t at = 0, used;

	mf_http_limits_default(&limits);
	limits.body_bytes = MF_HTTP_BODY_MAX;
	limits.form = form;
	mf_http_parser_init(&parser, &limits);
	do {
		state = mf_http_parser_feed(&parser, bytes + at, size - at, &used);
		at += used;
		if (state == MF_HTTP_PIECE)
			on_piece(whole, &parser, body);
	} while (state == MF_HTTP_PIECE || state == MF_HTTP_CONTINUE);
	if (state == MF_HTTP_READY)
		mf_http_parser_take(&parser, body->begun ? &rest : &whole->message);
	mf_http_parser_finish(&parser);
	return state == MF_HTTP_READY && at == size;
}

/* Head and body, one behind the other. */
static int join(struct mf_http_whole *whole, const struct body *body)
{
	struct mf_http_message *message = &whole->message;

	mf_http_wire_end(message, body->bytes);
	whole->size = message->wire_bytes + body->bytes;
	whole->bytes = malloc(whole->size);
	if (!whole->bytes)
		return -ENOMEM;
	memcpy(whole->bytes, message->wire, message->wire_bytes);
	memcpy(whole->bytes + message->wire_bytes, body->at, body->bytes);
	return 0;
}

int mf_http_whole_frame(struct mf_http_whole *whole, enum mf_http_form form, const char *bytes,
			size_t size)
{
	struct body body = {.at = malloc(size + 1)};
	int ret = -ENOMEM;

	*whole = (struct mf_http_whole){0};
	if (body.at)
		ret = parse(whole, form, bytes, size, &body) ? 0 : -EINVAL;
	if (!ret && form == MF_HTTP_FORM_WIRE)
		ret = join(whole, &body);
	if (body.at)
		explicit_bzero(body.at, body.bytes);
	free(body.at);
	if (ret)
		mf_http_whole_finish(whole);
	return ret;
}

void mf_http_whole_finish(struct mf_http_whole *whole)
{
	mf_http_message_finish(&whole->message);
	if (whole->bytes)
		explicit_bzero(whole->bytes, whole->size);
	free(whole->bytes);
	*whole = (struct mf_http_whole){0};
}
