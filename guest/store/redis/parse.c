/* SPDX-License-Identifier: MIT */
#include "guest/store/redis/parse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "guest/store/redis/number.h"

#define ARGS_KEPT     1024u
#define PROMISED_PART 8u

static const uint8_t *at_of(const struct parser *parser)
{
	return buffer_data(&parser->input) + parser->at;
}

static size_t left_of(const struct parser *parser)
{
	return buffer_bytes(&parser->input) - parser->at;
}

bool parser_feed(struct parser *parser, const void *bytes, size_t count)
{
	return buffer_add(&parser->input, bytes, count);
}

static bool grow(struct parser *parser)
{
	uint32_t room = parser->room ? 2 * parser->room : 8;
	struct parse_span *spans = realloc(parser->spans, room * sizeof(*spans));
	struct mf_bytes *args;

	if (!spans)
		return false;
	parser->spans = spans;
	args = realloc(parser->args, room * sizeof(*args));
	if (!args)
		return false;
	parser->args = args;
	parser->room = room;
	return true;
}

static bool add(struct parser *parser, size_t at, size_t count)
{
	if (parser->count == parser->room && !grow(parser))
		return false;
	parser->spans[parser->count++] = (struct parse_span){at, count};
	return true;
}

static enum parsed fail(const char **why, const char *text)
{
	*why = text;
	return PARSED_ERROR;
}

static enum parsed no_memory(const char **why)
{
	return fail(why, "too big command");
}

static enum parsed complete(struct parser *parser)
{
	uint32_t i;

	for (i = 0; i < parser->count; i++)
		parser->args[i] = (struct mf_bytes){
			buffer_data(&parser->input) + parser->spans[i].at, parser->spans[i].count};
	return PARSED_COMMAND;
}

/* ---- a line of words ---- */

struct line {
	struct parser *parser;
	uint8_t *bytes; /* words are unquoted in place */
	size_t at;
	size_t end;
};

static bool at_end(const struct line *line)
{
	return line->at == line->end;
}

static bool is_space_at(const struct line *line, size_t at)
{
	return at == line->end || isspace(line->bytes[at]);
}

static int hex_of(uint8_t c)
{
	return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

static uint8_t escape_of(uint8_t c)
{
	static const char from[] = "nrtba", to[] = "\n\r\t\b\a";
	const char *found = c ? strchr(from, c) : NULL;

	return found ? (uint8_t)to[found - from] : c;
}

/* One character behind a backslash within double quotes. */
static uint8_t unescape(struct line *line)
{
	const uint8_t *at = line->bytes + line->at;
	size_t left = line->end - line->at;

	if (left >= 3 && at[0] == 'x' && hex_of(at[1]) >= 0 && hex_of(at[2]) >= 0) {
		line->at += 3;
		return (uint8_t)(hex_of(at[1]) << 4 | hex_of(at[2]));
	}
	line->at++;
	return escape_of(at[0]);
}

/* A quoted part, behind its opening quote; its bytes go to *to. False: it does not end, or
 * something follows it at once. */
static bool quoted(struct line *line, uint8_t quote, size_t *to)
{
	while (!at_end(line)) {
		uint8_t c = line->bytes[line->at++];

		if (c == quote)
			return is_space_at(line, line->at);
		if (c == '\\' && !at_end(line) && quote == '"')
			c = unescape(line);
		else if (c == '\\' && !at_end(line) && line->bytes[line->at] == '\'')
			c = line->bytes[line->at++];
		line->bytes[(*to)++] = c;
	}
	return false;
}

/* False: quotes that do not pair. */
static bool word(struct line *line, size_t *from, size_t *to)
{
	*from = *to = line->at;
	while (!is_space_at(line, line->at)) {
		uint8_t c = line->bytes[line->at++];

		if (c == '"' || c == '\'')
			return quoted(line, c, to);
		line->bytes[(*to)++] = c;
	}
	return true;
}

static enum parsed words(struct line *line, const char **why)
{
	size_t from, to;

	for (;;) {
		while (!at_end(line) && isspace(line->bytes[line->at]))
			line->at++;
		if (at_end(line))
			return complete(line->parser);
		if (!word(line, &from, &to))
			return fail(why, "unbalanced quotes in request");
		if (!add(line->parser, from, to - from))
			return no_memory(why);
	}
}

static enum parsed next_line(struct parser *parser, const char **why)
{
	const uint8_t *from = buffer_data(&parser->input);
	const uint8_t *end = memchr(at_of(parser), '\n', left_of(parser));
	struct line line = {.parser = parser, .bytes = parser->input.at + parser->input.start};

	if (!end && buffer_bytes(&parser->input) > PARSE_LINE_MAX)
		return fail(why, "too big inline request");
	parser->at = end ? (size_t)(end - from) + 1 : buffer_bytes(&parser->input);
	if (!end)
		return PARSED_NONE;
	line.end = parser->at - 1;
	if (line.end && line.bytes[line.end - 1] == '\r')
		line.end--;
	return words(&line, why);
}

/* ---- arrays of bulk strings ---- */

/* The number behind the next byte, up to the line's end. PARSED_COMMAND: *number is it. */
static enum parsed header(struct parser *parser, int64_t most, const char *too_long,
			  const char *invalid, int64_t *number, const char **why)
{
	size_t left = left_of(parser);
	const uint8_t *end = memchr(at_of(parser), '\r', left);
	size_t bytes;

	if (!end && left > PARSE_LINE_MAX)
		return fail(why, too_long);
	if (!end || (size_t)(end - at_of(parser)) + 1 >= left)
		return PARSED_NONE;
	bytes = (size_t)(end - at_of(parser)) - 1;
	if (!number_parse((struct mf_bytes){at_of(parser) + 1, bytes}, number) || *number > most)
		return fail(why, invalid);
	parser->at += bytes + 3;
	return PARSED_COMMAND;
}

static enum parsed bulk_header(struct parser *parser, const char **why)
{
	static char unexpected[] = "expected '$', got ' '";
	enum parsed got;

	if (!left_of(parser))
		return PARSED_NONE;
	if (*at_of(parser) != '$') {
		unexpected[sizeof(unexpected) - 3] = (char)*at_of(parser);
		return fail(why, unexpected);
	}
	got = header(parser, (int64_t)PARSE_BULK_MAX, "too big bulk count string",
		     "invalid bulk length", &parser->bulk, why);
	if (got == PARSED_COMMAND && parser->bulk < 0)
		return fail(why, "invalid bulk length");
	return got;
}

static enum parsed bulk(struct parser *parser, const char **why)
{
	size_t bytes;

	if (parser->bulk < 0) {
		enum parsed got = bulk_header(parser, why);

		if (got != PARSED_COMMAND)
			return got;
	}
	bytes = (size_t)parser->bulk;
	if (parser->at + bytes > PARSE_COMMAND_MAX)
		return no_memory(why);
	if (left_of(parser) < bytes + 2) {
		/* Who has sent some of it means it: room for all of it, once. */
		if (left_of(parser) > bytes / PROMISED_PART &&
		    !buffer_reserve(&parser->input, bytes + 2 - left_of(parser)))
			return no_memory(why);
		return PARSED_NONE;
	}
	if (!add(parser, parser->at, bytes))
		return no_memory(why);
	parser->at += bytes + 2;
	parser->bulk = -1;
	parser->left--;
	return PARSED_COMMAND;
}

static enum parsed next_array(struct parser *parser, const char **why)
{
	enum parsed got = PARSED_COMMAND;

	if (!parser->at) {
		got = header(parser, PARSE_ARGS_MAX, "too big mbulk count string",
			     "invalid multibulk length", &parser->left, why);
		parser->bulk = -1;
	}
	while (got == PARSED_COMMAND && parser->left > 0)
		got = bulk(parser, why);
	return got == PARSED_COMMAND ? complete(parser) : got;
}

enum parsed parser_next(struct parser *parser, const char **why)
{
	if (!buffer_bytes(&parser->input))
		return PARSED_NONE;
	return *buffer_data(&parser->input) == '*' ? next_array(parser, why)
						   : next_line(parser, why);
}

void parser_done(struct parser *parser)
{
	buffer_drop(&parser->input, parser->at);
	parser->at = 0;
	parser->count = 0;
	if (parser->room <= ARGS_KEPT)
		return;
	free(parser->spans);
	free(parser->args);
	parser->spans = NULL;
	parser->args = NULL;
	parser->room = 0;
}

void parser_finish(struct parser *parser)
{
	buffer_finish(&parser->input);
	free(parser->spans);
	free(parser->args);
	*parser = (struct parser){0};
}
