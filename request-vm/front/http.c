// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "request-vm/front/chars.h"
#include "request-vm/front/http.h"
#include "request-vm/front/http_head.h"

enum phase {
	PHASE_METHOD, /* also: nothing has arrived */
	PHASE_TARGET,
	PHASE_VERSION,
	PHASE_LINE, /* first byte of a header line, or of the empty line */
	PHASE_NAME,
	PHASE_VALUE,
	PHASE_END, /* the CR of the empty line was seen */
	PHASE_BODY,
	PHASE_CHUNKS,
	PHASE_READY,
	PHASE_REFUSED,
};

#define METHOD_MAX 32 /* longer than any method there is */

void mf_http_limits_default(struct mf_http_limits *limits)
{
	*limits = (struct mf_http_limits){
		.head_bytes = 16 << 10, .target_bytes = 8 << 10, .body_bytes = 1 << 20};
}

static uint32_t clamp(uint32_t value, uint32_t low, uint32_t high)
{
	return value < low ? low : value > high ? high : value;
}

void mf_http_parser_init(struct mf_http_parser *parser, const struct mf_http_limits *limits)
{
	*parser = (struct mf_http_parser){.phase = PHASE_METHOD};
	if (limits)
		parser->limits = *limits;
	else
		mf_http_limits_default(&parser->limits);
	limits = &parser->limits;
	parser->limits.head_bytes = clamp(limits->head_bytes, 1024, 1 << 20);
	parser->limits.target_bytes = clamp(limits->target_bytes, 1, limits->head_bytes);
	parser->limits.body_bytes = clamp(limits->body_bytes, 0, MF_HTTP_BODY_MAX);
	parser->chunks.limit = limits->body_bytes;
}

static void drop(void *bytes, size_t size)
{
	if (bytes)
		explicit_bzero(bytes, size);
	free(bytes);
}

void mf_http_message_finish(struct mf_http_message *message)
{
	drop(message->request, message->request ? message->request->size_bytes : 0);
	drop(message->wire, message->wire_bytes);
	*message = (struct mf_http_message){0};
}

static void stash_drop(struct mf_http_parser *parser)
{
	if (!parser->stash)
		return;
	explicit_bzero(parser->stash, parser->head_bytes);
	free(parser->stash);
	parser->stash = NULL;
}

/* Drop a request of which only `filled_bytes` were ever written. */
static void partial_drop(struct mf_http_parser *parser)
{
	struct mf_abi_request *request = parser->message.request;

	if (request && parser->phase != PHASE_READY)
		request->size_bytes = parser->filled_bytes;
	mf_http_message_finish(&parser->message);
}

void mf_http_parser_finish(struct mf_http_parser *parser)
{
	struct mf_http_limits limits = parser->limits;

	stash_drop(parser);
	partial_drop(parser);
	mf_http_parser_init(parser, &limits);
}

static int request_line_end(struct mf_http_parser *parser)
{
	const char *v = parser->version;

	if (parser->line_bytes != 8 || memcmp(v, "HTTP/", 5) != 0 || v[6] != '.')
		return 400;
	if (v[5] < '0' || v[5] > '9' || v[7] < '0' || v[7] > '9')
		return 400;
	if (v[5] != '1' || v[7] > '1')
		return 505;
	return 0;
}

static int scan_method(struct mf_http_parser *parser, unsigned char c, const char *start)
{
	if (c == ' ' && parser->method_bytes > 0) {
		if (!mf_http_method_known(start, parser->method_bytes))
			return 501;
		parser->phase = PHASE_TARGET;
		return 0;
	}
	if (!mf_char_token(c))
		return 400;
	if (parser->method_bytes == METHOD_MAX)
		return 501;
	parser->method_bytes++;
	return 0;
}

static int scan_target(struct mf_http_parser *parser, unsigned char c)
{
	if (c == ' ' && parser->target_bytes > 0) {
		parser->phase = PHASE_VERSION;
		parser->line_bytes = 0;
		return 0;
	}
	if (c <= ' ' || c >= 0x7f || c == '#')
		return 400;
	if (parser->target_bytes == 0 && c != '/' && c != '*')
		return 400;
	if (parser->target_bytes == parser->limits.target_bytes)
		return 414;
	parser->target_bytes++;
	return 0;
}

static int scan_version(struct mf_http_parser *parser, unsigned char c)
{
	if (parser->line_bytes == sizeof(parser->version))
		return 400;
	parser->version[parser->line_bytes++] = (char)c;
	return 0;
}

static int scan_name(struct mf_http_parser *parser, unsigned char c)
{
	if (c == ':' && parser->phase == PHASE_NAME) {
		parser->phase = PHASE_VALUE;
		return 0;
	}
	if (!mf_char_token(c)) /* a blank here is a folded line, or `Host : a` */
		return 400;
	if (parser->phase == PHASE_LINE && ++parser->header_count > MF_ABI_MAX_HEADERS)
		return 431;
	parser->phase = PHASE_NAME;
	return 0;
}

/* A CR came: may this line end here? */
static int scan_cr(struct mf_http_parser *parser)
{
	parser->cr = true;
	switch (parser->phase) {
	case PHASE_METHOD:
		if (parser->method_bytes > 0 || parser->blank_skipped)
			return 400;
		return 0;
	case PHASE_VERSION:
		return request_line_end(parser);
	case PHASE_LINE:
		parser->phase = PHASE_END;
		return 0;
	case PHASE_VALUE:
		return 0;
	default:
		return 400;
	}
}

/* The LF behind a CR; every other byte there is refused. */
static int scan_lf(struct mf_http_parser *parser, unsigned char c)
{
	parser->cr = false;
	if (c != '\n')
		return 400;
	if (parser->phase == PHASE_METHOD) {
		parser->blank_skipped = true;
		parser->head_bytes = 0; /* RFC 9112 2.2: one empty line may precede a request */
	} else if (parser->phase != PHASE_END) {
		parser->phase = PHASE_LINE;
	}
	return 0;
}

/* Judges one byte of the head. Returns 0 or the status to refuse with. */
static int scan(struct mf_http_parser *parser, unsigned char c, const char *start)
{
	if (++parser->head_bytes > parser->limits.head_bytes)
		return 431;
	if (parser->cr)
		return scan_lf(parser, c);
	if (c == '\r')
		return scan_cr(parser);
	switch (parser->phase) {
	case PHASE_METHOD:
		return scan_method(parser, c, start);
	case PHASE_TARGET:
		return scan_target(parser, c);
	case PHASE_VERSION:
		return scan_version(parser, c);
	case PHASE_VALUE:
		return mf_char_value(c) ? 0 : 400;
	default:
		return scan_name(parser, c);
	}
}

static enum mf_http_state refuse(struct mf_http_parser *parser, int status)
{
	if (parser->head_bytes > parser->limits.head_bytes)
		parser->head_bytes = parser->limits.head_bytes; /* what the stash can hold */
	stash_drop(parser);
	partial_drop(parser);
	parser->phase = PHASE_REFUSED;
	parser->status = status;
	return MF_HTTP_REFUSED;
}

/* Keeps the `size` bytes of the head that came last. */
static int stash_add(struct mf_http_parser *parser, const char *data, size_t size)
{
	if (size == 0)
		return 0;
	if (!parser->stash)
		parser->stash = malloc(parser->limits.head_bytes);
	if (!parser->stash)
		return -ENOMEM;
	memcpy(parser->stash + parser->head_bytes - size, data, size);
	return 0;
}

/* The head is complete, contiguous at `text`. */
static enum mf_http_state head_end(struct mf_http_parser *parser, const char *text)
{
	struct mf_http_head_expect expect = {
		.method_bytes = parser->method_bytes,
		.target_bytes = parser->target_bytes,
		.header_count = parser->header_count,
		.minor = (uint8_t)(parser->version[7] - '0'),
	};
	struct mf_http_head head;
	int status = mf_http_head_parse(&head, text, parser->head_bytes, &expect, &parser->limits);

	if (status)
		return refuse(parser, status);
	stash_drop(parser);
	parser->message = head.message;
	parser->filled_bytes = head.body_offset;
	parser->room_bytes = head.message.request ? head.message.request->size_bytes : 0;
	if (head.message.chunked)
		parser->phase = PHASE_CHUNKS;
	else
		parser->phase = head.message.length > 0 ? PHASE_BODY : PHASE_READY;
	if (parser->phase == PHASE_READY)
		return MF_HTTP_READY;
	return head.wants_continue ? MF_HTTP_CONTINUE : MF_HTTP_MORE;
}

/* Most of a head is values: their plain bytes go by in one loop. Returns how many. */
static size_t skip_value(struct mf_http_parser *parser, const char *data, size_t size)
{
	size_t room = parser->limits.head_bytes - parser->head_bytes, n = 0;

	if (parser->phase != PHASE_VALUE || parser->cr)
		return 0;
	size = size < room ? size : room;
	while (n < size && mf_char_value((unsigned char)data[n]))
		n++;
	parser->head_bytes += (uint32_t)n;
	return n;
}

/*
 * Where the head's first byte lies: in the stash, or in `data` behind `skip` bytes of an empty
 * line. All of a head lies in one of the two, or is moved to the stash before feed returns.
 */
static enum mf_http_state feed_head(struct mf_http_parser *parser, const char *data, size_t size,
				    size_t *used)
{
	size_t first = 0; /* of data that belongs to this head */
	bool stashed = parser->stash != NULL;

	for (size_t i = 0; i < size; i++) {
		const char *start = stashed ? parser->stash : data + first;
		int status;

		i += skip_value(parser, data + i, size - i);
		if (i == size)
			break;
		/* the method is judged in one piece: it may begin in the stash */
		if (stashed && parser->phase == PHASE_METHOD)
			parser->stash[parser->head_bytes] = data[i];
		status = scan(parser, (unsigned char)data[i], start);
		if (status) {
			*used = i;
			return refuse(parser, status);
		}
		if (parser->head_bytes == 0) { /* an empty line was skipped */
			first = i + 1;
			stashed = false;
			stash_drop(parser);
		}
		if (parser->phase != PHASE_END || parser->cr)
			continue;
		*used = i + 1;
		if (stashed && stash_add(parser, data + first, i + 1 - first) < 0)
			return refuse(parser, 503);
		return head_end(parser, stashed ? parser->stash : data + first);
	}
	*used = size;
	if (stash_add(parser, data + first, size - first) < 0)
		return refuse(parser, 503);
	return MF_HTTP_MORE;
}

/* Room for `more` bytes of a body whose length nobody told, and a NUL. */
static bool make_room(struct mf_http_parser *parser, size_t more)
{
	struct mf_abi_request *old = parser->message.request, *request;
	size_t wanted = parser->filled_bytes + more + 1, size = 2 * (size_t)parser->room_bytes;

	if (wanted <= parser->room_bytes)
		return true;
	size = size < 4096 ? 4096 : size;
	size = size < wanted ? wanted : size;
	if (size > UINT32_MAX)
		return false;
	request = malloc(size);
	if (!request)
		return false;
	memcpy(request, old, parser->filled_bytes);
	drop(old, parser->filled_bytes);
	parser->message.request = request;
	parser->room_bytes = (uint32_t)size;
	return true;
}

static enum mf_http_state body_end(struct mf_http_parser *parser)
{
	struct mf_abi_request *request = parser->message.request;

	parser->phase = PHASE_READY;
	if (parser->limits.form == MF_HTTP_FORM_WIRE)
		return MF_HTTP_READY;
	if (!make_room(parser, 0)) {
		parser->phase = PHASE_CHUNKS;
		return refuse(parser, 503);
	}
	request = parser->message.request;
	request->body.length = parser->body_bytes;
	request->size_bytes = parser->filled_bytes + 1;
	((char *)request)[parser->filled_bytes] = '\0';
	return MF_HTTP_READY;
}

/* One piece of a body: told, or kept behind the head. MORE: kept. */
static enum mf_http_state take_piece(struct mf_http_parser *parser)
{
	const struct mf_http_piece *piece = &parser->piece;

	if (parser->limits.form == MF_HTTP_FORM_ABI && !make_room(parser, piece->bytes))
		return refuse(parser, 503);
	parser->body_bytes += (uint32_t)piece->bytes;
	if (parser->limits.form == MF_HTTP_FORM_WIRE)
		return MF_HTTP_PIECE;
	memcpy((char *)parser->message.request + parser->filled_bytes, piece->at, piece->bytes);
	parser->filled_bytes += (uint32_t)piece->bytes;
	return MF_HTTP_MORE;
}

static enum mf_http_state feed_chunks(struct mf_http_parser *parser, const char *data, size_t size,
				      size_t *used)
{
	enum mf_http_state state = MF_HTTP_MORE;
	size_t more;

	*used = 0;
	while (state == MF_HTTP_MORE) {
		enum mf_http_chunks_event event = mf_http_chunks_feed(
			&parser->chunks, data + *used, size - *used, &more, &parser->piece);

		*used += more;
		if (event == MF_HTTP_CHUNKS_MORE)
			return MF_HTTP_MORE;
		if (event == MF_HTTP_CHUNKS_BAD || event == MF_HTTP_CHUNKS_LARGE)
			return refuse(parser, event == MF_HTTP_CHUNKS_BAD ? 400 : 413);
		state = event == MF_HTTP_CHUNKS_END ? body_end(parser) : take_piece(parser);
	}
	return state;
}

static enum mf_http_state feed_body(struct mf_http_parser *parser, const char *data, size_t size,
				    size_t *used)
{
	size_t wanted = parser->message.length - parser->body_bytes;

	if (parser->phase == PHASE_CHUNKS)
		return feed_chunks(parser, data, size, used);
	*used = size < wanted ? size : wanted;
	parser->piece = (struct mf_http_piece){data, *used};
	if (*used == wanted && parser->limits.form == MF_HTTP_FORM_WIRE)
		parser->phase = PHASE_READY; /* said at the next call */
	if (take_piece(parser) == MF_HTTP_PIECE)
		return MF_HTTP_PIECE;
	return *used < wanted ? MF_HTTP_MORE : body_end(parser);
}

enum mf_http_state mf_http_parser_feed(struct mf_http_parser *parser, const void *data, size_t size,
				       size_t *used)
{
	enum mf_http_state state;
	size_t more = 0;

	*used = 0;
	if (parser->phase == PHASE_REFUSED)
		return MF_HTTP_REFUSED;
	if (parser->phase == PHASE_READY)
		return MF_HTTP_READY;
	if (size == 0)
		return MF_HTTP_MORE;
	if (mf_http_parser_in_body(parser))
		return feed_body(parser, data, size, used);
	state = feed_head(parser, data, size, used);
	if (*used == size || !mf_http_parser_in_body(parser))
		return state;
	/* The body is here already: nobody waits for a "100 Continue". */
	state = feed_body(parser, (const char *)data + *used, size - *used, &more);
	*used += more;
	return state;
}

void mf_http_parser_take(struct mf_http_parser *parser, struct mf_http_message *message)
{
	*message = parser->message;
	parser->message = (struct mf_http_message){0};
	mf_http_parser_finish(parser);
}

void mf_http_parser_take_head(struct mf_http_parser *parser, struct mf_http_message *message)
{
	*message = parser->message;
	parser->message.wire = NULL;
	parser->message.wire_bytes = 0;
}

size_t mf_http_parser_held(const struct mf_http_parser *parser)
{
	return parser->filled_bytes;
}

bool mf_http_parser_begun(const struct mf_http_parser *parser)
{
	return parser->phase != PHASE_METHOD || parser->method_bytes > 0;
}

bool mf_http_parser_in_body(const struct mf_http_parser *parser)
{
	return parser->phase == PHASE_BODY || parser->phase == PHASE_CHUNKS;
}
