// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "request-vm/front/answer.h"
#include "request-vm/front/reading.h"

enum phase {
	PHASE_STATUS_LINE,
	PHASE_STATUS_LF,
	PHASE_LINES,
	PHASE_BODY, /* what it is says answer->body */
	PHASE_DONE,
	PHASE_BAD,
};

/* "HTTP/1.1 200 Reason": where the parts of a status line begin */
#define AT_MINOR  7u
#define AT_STATUS 9u
#define AT_BLANK  12u
#define AT_REASON 13u

/* Header lines that say where an answer ends. */
struct meaning {
	uint32_t lengths, encodings, upgrades;
	bool close, keep_alive; /* Connection */
	struct mf_http_span length, encoding;
};

void mf_http_answer_init(struct mf_http_answer *answer, const struct mf_http_asked *asked)
{
	*answer = (struct mf_http_answer){.asked = *asked, .chunks.limit = UINT64_MAX};
}

static void stash_drop(struct mf_http_answer *answer)
{
	if (!answer->stash)
		return;
	explicit_bzero(answer->stash, MF_HTTP_ANSWER_HEAD_MAX);
	free(answer->stash);
	answer->stash = NULL;
}

void mf_http_answer_finish(struct mf_http_answer *answer)
{
	stash_drop(answer);
	*answer = (struct mf_http_answer){.phase = PHASE_BAD, .why = "it is over"};
}

static enum mf_http_answer_event bad(struct mf_http_answer *answer, const char *why)
{
	answer->phase = PHASE_BAD;
	answer->why = why;
	stash_drop(answer);
	return MF_HTTP_ANSWER_BAD;
}

/* Judges one byte of the status line. NULL: it may stand there. */
static const char *scan_status_line(struct mf_http_answer *answer, unsigned char c)
{
	static const char begin[] = "HTTP/1.";
	uint8_t at = answer->line_bytes;

	if (c == '\r' && at >= AT_BLANK) {
		answer->phase = PHASE_STATUS_LF;
		return NULL;
	}
	answer->line_bytes += at < AT_REASON;
	if (at < AT_MINOR)
		return c == (unsigned char)begin[at] ? NULL : "it does not begin with HTTP/1";
	if (at == AT_MINOR) {
		answer->minor = (uint8_t)(c - '0');
		return c == '0' || c == '1' ? NULL : "its version is neither 1.0 nor 1.1";
	}
	if (at == AT_STATUS - 1 || at == AT_BLANK)
		return c == ' ' ? NULL : "its status line has no blank where one belongs";
	if (at < AT_BLANK) {
		if (at == AT_STATUS)
			answer->status = 0;
		answer->status = answer->status * 10 + (c - '0');
		return c >= '0' && c <= '9' ? NULL : "its status is no number of three digits";
	}
	return mf_char_value(c) ? NULL : "its status line holds a control character";
}

static const char *scan_lines(struct mf_http_answer *answer, unsigned char c, bool *over)
{
	switch (mf_http_lines_scan(&answer->lines, c)) {
	case MF_HTTP_LINES_END:
		*over = true;
		return NULL;
	case MF_HTTP_LINES_MORE:
		return NULL;
	case MF_HTTP_LINES_MANY:
		return "it has too many headers";
	default:
		return "one of its headers is no clean line";
	}
}

/* Judges one byte of a head; *over with the last one. NULL, or why it is none. */
static const char *scan(struct mf_http_answer *answer, unsigned char c, bool *over)
{
	if (answer->spent_bytes + ++answer->head_bytes > MF_HTTP_ANSWER_HEAD_MAX)
		return "its head is too large";
	switch (answer->phase) {
	case PHASE_STATUS_LINE:
		return scan_status_line(answer, c);
	case PHASE_STATUS_LF:
		answer->phase = PHASE_LINES;
		answer->status_line_bytes = answer->head_bytes;
		return c == '\n' ? NULL : "its status line does not end in CR LF";
	default:
		return scan_lines(answer, c, over);
	}
}

static void note_word(void *arg, const char *at, size_t length)
{
	struct meaning *meaning = arg;

	meaning->close |= mf_text_is(at, length, "close");
	meaning->keep_alive |= mf_text_is(at, length, "keep-alive");
}

static void note(struct meaning *meaning, struct mf_http_span name, struct mf_http_span value)
{
	if (mf_text_is(name.at, name.length, "content-length")) {
		meaning->lengths++;
		meaning->length = value;
	} else if (mf_text_is(name.at, name.length, "transfer-encoding")) {
		meaning->encodings++;
		meaning->encoding = value;
	} else if (mf_text_is(name.at, name.length, "upgrade")) {
		meaning->upgrades++;
	} else if (mf_text_is(name.at, name.length, "connection")) {
		mf_http_each_word(value, note_word, meaning);
	}
}

static const char *judge_length(struct mf_http_answer *answer, const struct meaning *meaning)
{
	struct mf_http_span text = meaning->length;

	if (meaning->lengths == 0)
		return NULL;
	if (meaning->lengths > 1)
		return "it has two lengths";
	if (text.length == 0 || text.length > 18)
		return "its Content-Length is no number";
	for (size_t i = 0; i < text.length; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return "its Content-Length is no number";
		answer->length = answer->length * 10 + (uint64_t)(text.at[i] - '0');
	}
	answer->has_length = true;
	return NULL;
}

static const char *judge_encoding(const struct mf_http_answer *answer,
				  const struct meaning *meaning)
{
	if (meaning->encodings == 0)
		return NULL;
	if (meaning->lengths > 0)
		return "it has a Content-Length and a Transfer-Encoding";
	if (answer->minor == 0 || answer->asked.minor == 0)
		return "HTTP/1.0 knows no Transfer-Encoding";
	if (meaning->encodings > 1 ||
	    !mf_text_is(meaning->encoding.at, meaning->encoding.length, "chunked"))
		return "its Transfer-Encoding is not chunked";
	return NULL;
}

static const char *judge_interim(struct mf_http_answer *answer, const struct meaning *meaning)
{
	if (answer->minor == 0 || answer->asked.minor == 0)
		return "HTTP/1.0 knows no interim answers";
	if (meaning->lengths > 0 || meaning->encodings > 0)
		return "an interim answer of it has a body";
	if (answer->status != 101)
		return ++answer->interims > MF_HTTP_ANSWER_INTERIMS
			       ? "it has too many interim answers"
			       : NULL;
	if (!answer->asked.upgrade || meaning->upgrades == 0)
		return "it switches protocols and was not asked to";
	answer->body = MF_HTTP_BODY_TUNNEL;
	return NULL;
}

static enum mf_http_body_kind body_kind(const struct mf_http_answer *answer,
					const struct meaning *meaning)
{
	if (answer->asked.is_head || answer->status == 204 || answer->status == 304)
		return MF_HTTP_BODY_NONE;
	if (meaning->encodings > 0)
		return MF_HTTP_BODY_CHUNKS;
	return answer->has_length ? MF_HTTP_BODY_LENGTH : MF_HTTP_BODY_UNTIL_CLOSE;
}

/* What a complete head means. NULL, or why it is none. */
static const char *judge(struct mf_http_answer *answer, const char *text)
{
	struct mf_http_reading reading;
	static const char disagree[] = "two parsers do not agree on it";
	struct meaning meaning = {0};
	const char *why;

	(void)mf_http_read_answer(&reading, text, answer->head_bytes);
	if (!reading.complete || reading.major != 1 || reading.minor != answer->minor ||
	    reading.status != answer->status || reading.name_count != answer->lines.count ||
	    reading.value_count != answer->lines.count)
		return disagree;
	for (uint32_t i = 0; i < reading.name_count; i++)
		note(&meaning, reading.names[i], reading.values[i]);
	if (answer->status < 100 || answer->status > 599)
		return "its status is not 100 to 599";
	if (answer->status < 200)
		return judge_interim(answer, &meaning);
	why = judge_length(answer, &meaning);
	if (!why)
		why = judge_encoding(answer, &meaning);
	if (!why &&
	    (reading.chunked != (meaning.encodings > 0) || reading.length != answer->length))
		return disagree;
	answer->body = body_kind(answer, &meaning);
	answer->closes = meaning.close || answer->body == MF_HTTP_BODY_UNTIL_CLOSE ||
			 (answer->minor == 0 && !meaning.keep_alive);
	return why;
}

/* Ready for the next head: this one was an interim one. */
static void next_head(struct mf_http_answer *answer)
{
	answer->spent_bytes += answer->head_bytes;
	answer->head_bytes = answer->line_bytes = 0;
	answer->lines = (struct mf_http_lines){0};
	answer->phase = PHASE_STATUS_LINE;
}

/* Keeps the `size` bytes of the head that came last. */
static bool stash_add(struct mf_http_answer *answer, const char *data, size_t size)
{
	if (!answer->stash)
		answer->stash = malloc(MF_HTTP_ANSWER_HEAD_MAX);
	if (!answer->stash)
		return false;
	if (size > 0)
		memcpy(answer->stash + answer->head_bytes - size, data, size);
	return true;
}

/* A head is complete and lies at `text`. */
static enum mf_http_answer_event head_end(struct mf_http_answer *answer, const char *text)
{
	const char *why = judge(answer, text);
	uint32_t reason = AT_REASON, line = answer->status_line_bytes;

	if (why)
		return bad(answer, why);
	if (answer->status < 200 && answer->status != 101) {
		next_head(answer);
		return MF_HTTP_ANSWER_MORE;
	}
	if (line > reason + 2)
		answer->reason = (struct mf_http_piece){text + reason, line - reason - 2};
	answer->headers = (struct mf_http_piece){text + line, answer->head_bytes - line - 2};
	answer->phase = PHASE_BODY;
	return MF_HTTP_ANSWER_HEAD;
}

/* The head begins in the stash or in `data`; all of it lies in one of the two in the end. */
static enum mf_http_answer_event feed_head(struct mf_http_answer *answer, const char *data,
					   size_t size, size_t *used)
{
	bool over = false;
	size_t at = 0;

	while (at < size && !over) {
		const char *why = scan(answer, (unsigned char)data[at], &over);

		if (why)
			return bad(answer, why);
		at++;
	}
	*used += at;
	if ((!over || answer->stash) && !stash_add(answer, data, at))
		return bad(answer, "there was no memory for its head");
	return over ? head_end(answer, answer->stash ? answer->stash : data) : MF_HTTP_ANSWER_MORE;
}

static enum mf_http_answer_event done(struct mf_http_answer *answer)
{
	answer->phase = PHASE_DONE;
	return MF_HTTP_ANSWER_DONE;
}

static enum mf_http_answer_event feed_chunks(struct mf_http_answer *answer, const char *data,
					     size_t size, size_t *used, struct mf_http_piece *piece)
{
	switch (mf_http_chunks_feed(&answer->chunks, data, size, used, piece)) {
	case MF_HTTP_CHUNKS_MORE:
		return MF_HTTP_ANSWER_MORE;
	case MF_HTTP_CHUNKS_END:
		return done(answer);
	case MF_HTTP_CHUNKS_BAD:
		return bad(answer, "one of its chunks is none");
	default:
		answer->body_bytes += piece->bytes;
		return MF_HTTP_ANSWER_PIECE;
	}
}

static enum mf_http_answer_event feed_body(struct mf_http_answer *answer, const char *data,
					   size_t size, size_t *used, struct mf_http_piece *piece)
{
	uint64_t left = UINT64_MAX;

	if (answer->body == MF_HTTP_BODY_CHUNKS)
		return feed_chunks(answer, data, size, used, piece);
	if (answer->body == MF_HTTP_BODY_LENGTH)
		left = answer->length - answer->body_bytes;
	if (answer->body == MF_HTTP_BODY_NONE || left == 0)
		return done(answer);
	if (size == 0)
		return MF_HTTP_ANSWER_MORE;
	*used = size < left ? size : (size_t)left;
	*piece = (struct mf_http_piece){data, *used};
	answer->body_bytes += *used;
	return MF_HTTP_ANSWER_PIECE;
}

enum mf_http_answer_event mf_http_answer_feed(struct mf_http_answer *answer, const void *data,
					      size_t size, size_t *used,
					      struct mf_http_piece *piece)
{
	enum mf_http_answer_event event = MF_HTTP_ANSWER_MORE;

	*used = 0;
	if (answer->phase == PHASE_BODY) {
		stash_drop(answer);
		answer->reason = answer->headers = (struct mf_http_piece){0};
		event = feed_body(answer, data, size, used, piece);
	}
	while (answer->phase < PHASE_BODY && *used < size && event == MF_HTTP_ANSWER_MORE)
		event = feed_head(answer, (const char *)data + *used, size - *used, used);
	if (answer->phase == PHASE_BAD)
		return MF_HTTP_ANSWER_BAD;
	if (answer->phase != PHASE_DONE)
		return event;
	answer->extra_bytes += size - *used;
	*used = size;
	return MF_HTTP_ANSWER_DONE;
}

enum mf_http_answer_event mf_http_answer_close(struct mf_http_answer *answer)
{
	if (answer->phase == PHASE_BAD)
		return MF_HTTP_ANSWER_BAD;
	if (answer->phase < PHASE_BODY)
		return bad(answer, answer->head_bytes + answer->spent_bytes
					   ? "the program closed before the end of its head"
					   : "the program closed without an answer");
	if (answer->phase == PHASE_BODY &&
	    (answer->body == MF_HTTP_BODY_CHUNKS ||
	     (answer->body == MF_HTTP_BODY_LENGTH && answer->body_bytes < answer->length)))
		return bad(answer, "the program closed before the end of its body");
	stash_drop(answer);
	return done(answer);
}
