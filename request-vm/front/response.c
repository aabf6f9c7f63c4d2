// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <mayfly/abi/call.h>

#include "request-vm/front/chars.h"
#include "request-vm/front/reading.h"
#include "request-vm/front/response.h"

/* A guest's header text while it is being checked in its copy. */
struct check {
	const struct named *named; /* of a server's own answer; NULL: of a guest's claims */
	size_t body_bytes;
	bool foretold; /* Content-Length may be that of a body that is not sent */
	unsigned lines, lengths, dates;
	uint64_t length; /* what Content-Length claimed */
};

#define NAMED_MAX 16u

/* What the Connection of an answer names. */
struct named {
	struct mf_http_span words[NAMED_MAX];
	unsigned count;
	bool upgrades;
};

enum verdict { KEEP, DROP, BAD };

static const char *const hop_by_hop[] = {
	"connection", "keep-alive", "proxy-connection", "upgrade", "te", "trailer",
};

static enum verdict check_length(struct check *check, const char *value, size_t length)
{
	uint64_t number = 0;

	if (length == 0 || length > 18 || ++check->lengths > 1)
		return BAD;
	for (size_t i = 0; i < length; i++) {
		if (value[i] < '0' || value[i] > '9')
			return BAD;
		number = number * 10 + (uint64_t)(value[i] - '0');
	}
	check->length = number;
	if (number != check->body_bytes && !(check->foretold && check->body_bytes == 0))
		return BAD;
	return DROP;
}

/* A line of a server's own answer. It was judged before. */
static enum verdict check_own(struct check *check, const char *line, size_t name_bytes)
{
	const struct named *named = check->named;

	if (named->upgrades && mf_text_is(line, name_bytes, "upgrade"))
		return KEEP;
	if (mf_text_is(line, name_bytes, "content-length") ||
	    mf_text_is(line, name_bytes, "transfer-encoding") ||
	    mf_text_is(line, name_bytes, "mayfly-error"))
		return DROP;
	if (mf_text_is(line, name_bytes, "date") && ++check->dates > 1)
		return DROP;
	for (size_t i = 0; i < sizeof(hop_by_hop) / sizeof(hop_by_hop[0]); i++)
		if (mf_text_is(line, name_bytes, hop_by_hop[i]))
			return DROP;
	for (unsigned i = 0; i < named->count; i++)
		if (named->words[i].length == name_bytes &&
		    strncasecmp(named->words[i].at, line, name_bytes) == 0)
			return DROP;
	return KEEP;
}

static enum verdict check_line(struct check *check, const char *line, size_t length)
{
	const char *value = memchr(line, ':', length);
	size_t name_bytes, value_bytes;

	if (++check->lines > MF_ABI_MAX_HEADERS || !value || value == line)
		return BAD;
	name_bytes = (size_t)(value - line);
	for (size_t i = 0; i < name_bytes; i++)
		if (!mf_char_token((unsigned char)line[i]))
			return BAD;
	value_bytes = length - name_bytes - 1;
	value++;
	for (size_t i = 0; i < value_bytes; i++)
		if (!mf_char_value((unsigned char)value[i]))
			return BAD;
	mf_text_trim(&value, &value_bytes);
	if (check->named)
		return check_own(check, line, name_bytes);
	if (mf_text_is(line, name_bytes, "content-length"))
		return check_length(check, value, value_bytes);
	if (mf_text_is(line, name_bytes, "transfer-encoding") ||
	    mf_text_is(line, name_bytes, "mayfly-error"))
		return BAD;
	if (mf_text_is(line, name_bytes, "date") && ++check->dates > 1)
		return BAD;
	for (size_t i = 0; i < sizeof(hop_by_hop) / sizeof(hop_by_hop[0]); i++)
		if (mf_text_is(line, name_bytes, hop_by_hop[i]))
			return DROP;
	return KEEP;
}

/* Checks `size` bytes of copied text in place, closing the gaps of dropped lines. */
static ssize_t check_text(struct check *check, char *text, size_t size)
{
	size_t from = 0, to = 0;

	while (from < size) {
		char *line = text + from;
		char *lf = memchr(line, '\n', size - from);
		size_t length;

		if (!lf || lf == line || lf[-1] != '\r')
			return -EINVAL;
		length = (size_t)(lf - line) + 1;
		switch (check_line(check, line, length - 2)) {
		case BAD:
			return check->lines > MF_ABI_MAX_HEADERS ? -E2BIG : -EINVAL;
		case KEEP:
			memmove(text + to, line, length);
			to += length;
			break;
		case DROP:
			break;
		}
		from += length;
	}
	return (ssize_t)to;
}

/* Appends; the callers' room is large enough for everything of ours. */
__attribute__((format(printf, 4, 5))) static void add(char *out, size_t room, size_t *at,
						      const char *format, ...)
{
	va_list args;
	int bytes;

	va_start(args, format);
	bytes = vsnprintf(out + *at, room - *at, format, args);
	va_end(args);
	if (bytes > 0 && (size_t)bytes < room - *at)
		*at += (size_t)bytes;
}

static void add_frame(char *out, size_t room, size_t *at,
		      const struct mf_http_response_frame *frame, bool dated)
{
	if (frame->date && !dated)
		add(out, room, at, "Date: %s\r\n", frame->date);
	if (frame->close)
		add(out, room, at, "Connection: close\r\n");
	else if (frame->old)
		add(out, room, at, "Connection: keep-alive\r\n");
	add(out, room, at, "\r\n");
}

ssize_t mf_http_response_head(char *out, size_t room, const struct mf_http_response *response,
			      const struct mf_http_response_frame *frame, size_t *body_bytes)
{
	struct check check = {.body_bytes = response->body_bytes};
	int status = response->status;
	bool bodiless = status == 204 || status == 304;
	size_t at = 0;
	ssize_t kept;

	*body_bytes = 0;
	check.foretold = bodiless || frame->is_head;
	if (status < 200 || status > 599)
		return -EINVAL;
	if (response->headers_bytes > MF_HTTP_RESPONSE_HEADERS_MAX)
		return -E2BIG;
	if (room < MF_HTTP_RESPONSE_HEAD_MAX)
		return -ENOSPC;
	add(out, room, &at, "HTTP/1.1 %d %s\r\n", status, mf_http_reason(status));
	if (response->headers_bytes > 0) {
		memcpy(out + at, response->headers, response->headers_bytes);
		kept = check_text(&check, out + at, response->headers_bytes);
		if (kept < 0)
			return kept;
		at += (size_t)kept;
	}
	if (!bodiless)
		add(out, room, &at, "Content-Length: %zu\r\n",
		    check.lengths ? (size_t)check.length : response->body_bytes);
	add_frame(out, room, &at, frame, check.dates > 0);
	if (!bodiless && !frame->is_head)
		*body_bytes = response->body_bytes;
	return (ssize_t)at;
}

/* The value of the line when it has this name. */
static bool value_of(const char *line, size_t length, const char *name, struct mf_http_span *value)
{
	const char *colon = memchr(line, ':', length);

	if (!colon || !mf_text_is(line, (size_t)(colon - line), name))
		return false;
	*value = (struct mf_http_span){colon + 1, length - (size_t)(colon - line) - 1};
	mf_text_trim(&value->at, &value->length);
	return true;
}

/* The next line of judged text, without its CR LF; moves on. */
static struct mf_http_span next_line(struct mf_http_piece *text)
{
	const char *lf = memchr(text->at, '\n', text->bytes);
	size_t length = lf ? (size_t)(lf - text->at) + 1 : text->bytes;
	struct mf_http_span line = {text->at, length > 2 ? length - 2 : 0};

	text->at += length;
	text->bytes -= length;
	return line;
}

static void note_named(void *arg, const char *at, size_t length)
{
	struct named *named = arg;

	if (named->count < NAMED_MAX && length > 0)
		named->words[named->count++] = (struct mf_http_span){at, length};
}

static void find_named(struct named *named, const struct mf_http_answer *answer)
{
	struct mf_http_piece text = answer->headers;

	named->count = 0;
	named->upgrades = answer->body == MF_HTTP_BODY_TUNNEL;
	while (text.bytes > 0) {
		struct mf_http_span line = next_line(&text), value;

		if (value_of(line.at, line.length, "connection", &value))
			mf_http_each_word(value, note_named, named);
	}
}

bool mf_http_answer_lasts(const struct mf_http_answer *answer)
{
	static const char stream[] = "text/event-stream";
	struct mf_http_piece text = answer->headers;

	while (text.bytes > 0) {
		struct mf_http_span line = next_line(&text), value;

		if (value_of(line.at, line.length, "content-type", &value))
			return value.length >= sizeof(stream) - 1 &&
			       strncasecmp(value.at, stream, sizeof(stream) - 1) == 0;
	}
	return false;
}

/* How long the body is, as far as it can be said. */
static void add_length(char *out, size_t room, size_t *at, const struct mf_http_answer *answer,
		       bool chunked)
{
	bool foretold = answer->body == MF_HTTP_BODY_NONE && answer->status >= 200 &&
			answer->status != 204 && answer->status != 304;

	if (chunked)
		add(out, room, at, "Transfer-Encoding: chunked\r\n");
	else if (answer->has_length && (answer->body == MF_HTTP_BODY_LENGTH || foretold))
		add(out, room, at, "Content-Length: %llu\r\n", (unsigned long long)answer->length);
}

ssize_t mf_http_answer_head(char *out, size_t room, const struct mf_http_answer *answer,
			    const struct mf_http_response_frame *frame, bool *chunked)
{
	struct named named;
	struct check check = {.named = &named};
	size_t at = 0;
	ssize_t kept;

	if (room < MF_HTTP_RESPONSE_HEAD_MAX)
		return -ENOSPC;
	find_named(&named, answer);
	*chunked = !frame->old && (answer->body == MF_HTTP_BODY_CHUNKS ||
				   answer->body == MF_HTTP_BODY_UNTIL_CLOSE);
	if (answer->reason.bytes > 0)
		add(out, room, &at, "HTTP/1.1 %d %.*s\r\n", answer->status,
		    (int)answer->reason.bytes, answer->reason.at);
	else
		add(out, room, &at, "HTTP/1.1 %d %s\r\n", answer->status,
		    mf_http_reason(answer->status));
	memcpy(out + at, answer->headers.at, answer->headers.bytes);
	kept = check_text(&check, out + at, answer->headers.bytes);
	at += kept > 0 ? (size_t)kept : 0;
	add_length(out, room, &at, answer, *chunked);
	if (named.upgrades)
		add(out, room, &at, "Connection: Upgrade\r\n\r\n");
	else
		add_frame(out, room, &at, frame, check.dates > 0);
	return (ssize_t)at;
}

static const struct {
	int status;
	const char *sentence;
} sentences[] = {
	{400, "The request is not valid HTTP/1."},
	{404, "There is nothing at this address."},
	{405, "This address knows only GET and HEAD."},
	{408, "The request took too long to arrive."},
	{409, "The request conflicted with another one; try again."},
	{413, "The body is larger than this server takes."},
	{414, "The target is longer than this server takes."},
	{417, "The only expectation that this server meets is 100-continue."},
	{421, "This server does not serve that host."},
	{429, "There are more requests than this server's owner has a share for; try again later."},
	{431, "The headers are larger or more than this server takes."},
	{500, "The server failed."},
	{501, "This server does not know that method or transfer coding."},
	{502, "The program gave no valid response."},
	{503, "The server is busy or going away; try again later."},
	{504, "The program did not answer before its deadline."},
	{505, "This server speaks HTTP/1.0 and HTTP/1.1."},
	{507, "The store is full."},
};

static const char *sentence(int status, const char *mayfly_error)
{
	if (mayfly_error && strcmp(mayfly_error, "crash") == 0)
		return "The program crashed while it served this request.";
	if (mayfly_error && strcmp(mayfly_error, "memory") == 0)
		return "The program ran out of memory while it served this request.";
	if (mayfly_error && strcmp(mayfly_error, "kept") == 0)
		return "Every VM is kept by a client's connection; try again later.";
	if (mayfly_error && strcmp(mayfly_error, "store") == 0)
		return "The store did not take what this request wrote: nothing of it was done.";
	if (mayfly_error && strcmp(mayfly_error, "commit") == 0)
		return "What this request wrote to the store may have been done, or not.";
	for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++)
		if (sentences[i].status == status)
			return sentences[i].sentence;
	return "The request was not served.";
}

ssize_t mf_http_response_error(char *out, size_t room, int status, const char *mayfly_error,
			       const struct mf_http_response_frame *frame)
{
	const char *text = sentence(status, mayfly_error);
	size_t at = 0;

	if (room < MF_HTTP_RESPONSE_HEAD_MAX)
		return -ENOSPC;
	add(out, room, &at, "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n",
	    status, mf_http_reason(status), strlen(text) + 1);
	if (mayfly_error)
		add(out, room, &at, "Mayfly-Error: %.32s\r\n", mayfly_error);
	if (status == 503 || status == 429)
		add(out, room, &at, "Retry-After: 1\r\n");
	if (status == 405)
		add(out, room, &at, "Allow: GET, HEAD\r\n");
	add_frame(out, room, &at, frame, false);
	if (!frame->is_head)
		add(out, room, &at, "%s\n", text);
	return (ssize_t)at;
}
