/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "control.h"

/* Reads a text field by field. */
struct reader {
	const char *at; /* the next line */
	const char *end;
	size_t line;       /* lines before `at` */
	size_t field_line; /* of the field that was read last; counts from 1 */
	struct control_error error;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* What makes a line a continuation. */
static bool is_indent(char c)
{
	return c == ' ' || c == '\t';
}

static struct control_span trim_end(struct control_span s)
{
	while (s.length > 0 && is_blank(s.data[s.length - 1]))
		s.length--;
	return s;
}

static struct control_span trim(struct control_span s)
{
	while (s.length > 0 && is_blank(s.data[0])) {
		s.data++;
		s.length--;
	}
	return trim_end(s);
}

/* The line at `at`, without its line end, which the caller steps over. */
static struct control_span line_at(const char *at, const char *end)
{
	const char *stop = memchr(at, '\n', (size_t)(end - at));

	return (struct control_span){at, (size_t)((stop ? stop : end) - at)};
}

static const char *after(struct control_span line, const char *end)
{
	const char *stop = line.data + line.length;

	return stop < end ? stop + 1 : end;
}

static bool is_comment(struct control_span line)
{
	return line.length > 0 && line.data[0] == '#';
}

static bool is_empty(struct control_span line)
{
	return trim_end(line).length == 0;
}

static int fail(struct reader *r, const char *reason)
{
	r->error = (struct control_error){r->line, reason};
	return -EINVAL;
}

static bool is_name(struct control_span name)
{
	if (name.length == 0 || name.data[0] == '-')
		return false;
	for (size_t i = 0; i < name.length; i++)
		if (name.data[i] < 33 || name.data[i] > 126)
			return false;
	return true;
}

/* Take lines that belong to the value; it ends where the last of them ends. */
static void take_continuation(struct reader *r, struct control_span *value)
{
	while (r->at < r->end) {
		struct control_span line = line_at(r->at, r->end);

		if (!is_comment(line)) {
			if (!is_indent(*line.data) || is_empty(line))
				return;
			value->length = (size_t)(line.data + line.length - value->data);
		}
		r->at = after(line, r->end);
		r->line++;
	}
}

static int take_field(struct reader *r, struct control_span line, struct control_field *field)
{
	const char *colon = memchr(line.data, ':', line.length);

	if (is_indent(line.data[0]))
		return fail(r, "a continuation line without a field");
	if (!colon)
		return fail(r, "a line without a colon");
	field->name = (struct control_span){line.data, (size_t)(colon - line.data)};
	if (!is_name(field->name))
		return fail(r, "not a field name");
	field->value.data = colon + 1;
	field->value.length = line.length - field->name.length - 1;
	take_continuation(r, &field->value);
	return 1;
}

/* Skip comments and, when `blanks`, empty lines. */
static void skip(struct reader *r, bool blanks)
{
	while (r->at < r->end) {
		struct control_span line = line_at(r->at, r->end);

		if (!is_comment(line) && !(blanks && is_empty(line)))
			return;
		r->at = after(line, r->end);
		r->line++;
	}
}

static struct reader reader_init(struct control_span text)
{
	struct reader r = {.at = text.data, .end = text.data + text.length};

	skip(&r, true);
	return r;
}

/* 1 and the next field, 0 at the end, -EINVAL and r->error. */
static int reader_next(struct reader *r, struct control_field *field)
{
	skip(r, false);
	if (r->at == r->end)
		return 0;
	struct control_span line = line_at(r->at, r->end);

	if (is_empty(line)) {
		skip(r, true);
		r->line++;
		return r->at == r->end ? 0 : fail(r, "a second stanza");
	}
	r->at = after(line, r->end);
	r->field_line = ++r->line;
	return take_field(r, line, field);
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_name(struct control_span a, struct control_span b)
{
	if (a.length != b.length)
		return false;
	for (size_t i = 0; i < a.length; i++)
		if (lower(a.data[i]) != lower(b.data[i]))
			return false;
	return true;
}

int control_find(struct control_span text, const char *name, struct control_field *field)
{
	struct control_span wanted = {name, strlen(name)};
	struct reader r = reader_init(text);
	int rc;

	while ((rc = reader_next(&r, field)) > 0)
		if (same_name(field->name, wanted))
			return 1;
	return rc;
}

/* The lines of a value, one by one, comments left out. */
struct lines {
	const char *at;
	const char *end;
	bool first;
};

static struct lines lines_init(struct control_span value)
{
	return (struct lines){value.data, value.data + value.length, true};
}

static bool lines_next(struct lines *l, struct control_span *line)
{
	while (l->first || l->at < l->end) {
		*line = line_at(l->at, l->end);
		l->at = after(*line, l->end);
		if (l->first) {
			l->first = false;
			*line = trim(*line);
			return true;
		}
		if (is_comment(*line))
			continue;
		line->data++;
		line->length--;
		*line = trim_end(*line);
		return true;
	}
	return false;
}

/* Where JSON goes; once something does not fit, nothing more is written. */
struct sink {
	char *data;
	size_t length;
	size_t capacity;
	bool full;
};

static void put(struct sink *s, const char *data, size_t length)
{
	if (s->full || length > s->capacity - s->length) {
		s->full = true;
		return;
	}
	memcpy(s->data + s->length, data, length);
	s->length += length;
}

static void put_char(struct sink *s, char c)
{
	put(s, &c, 1);
}

static void put_escape(struct sink *s, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	char code[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

	switch (c) {
	case '"':
		put(s, "\\\"", 2);
		break;
	case '\\':
		put(s, "\\\\", 2);
		break;
	case '\n':
		put(s, "\\n", 2);
		break;
	case '\t':
		put(s, "\\t", 2);
		break;
	default:
		put(s, code, sizeof(code));
	}
}

/* Bytes of the UTF-8 sequence at `p`, 0 when it is none (Unicode standard, table 3-7). */
static size_t utf8_length(const unsigned char *p, size_t left)
{
	unsigned char low = 0x80;
	unsigned char high = 0xbf;
	size_t length;

	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		length = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		length = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		length = 4;
	else
		return 0;
	if (length > left)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* The inside of a JSON string. */
static void put_text(struct sink *s, struct control_span text)
{
	const unsigned char *p = (const unsigned char *)text.data;
	size_t i = 0;

	while (i < text.length) {
		size_t start = i;

		while (i < text.length && is_plain(p[i]))
			i++;
		put(s, text.data + start, i - start);
		if (i == text.length)
			return;
		size_t sequence = utf8_length(p + i, text.length - i);

		if (sequence)
			put(s, text.data + i, sequence);
		else
			put_escape(s, p[i]);
		i += sequence ? sequence : 1;
	}
}

static void put_string(struct sink *s, struct control_span value)
{
	struct lines lines = lines_init(value);
	struct control_span line;
	bool more = false;

	put_char(s, '"');
	while (lines_next(&lines, &line)) {
		if (more)
			put_escape(s, '\n');
		put_text(s, line);
		more = true;
	}
	put_char(s, '"');
}

/* An array of arrays of strings while it is being written. */
struct relation {
	struct sink *sink;
	bool any;   /* an element was written */
	bool group; /* its array is open */
	bool text;  /* and a string in that */
};

static void relation_word(struct relation *r, struct control_span word)
{
	if (r->text)
		put_char(r->sink, ' ');
	else if (r->group)
		put(r->sink, ",\"", 2);
	else if (r->any)
		put(r->sink, ",[\"", 3);
	else
		put(r->sink, "[\"", 2);
	r->any = r->group = r->text = true;
	put_text(r->sink, word);
}

static void relation_break(struct relation *r, bool whole_group)
{
	if (r->text)
		put_char(r->sink, '"');
	r->text = false;
	if (!whole_group)
		return;
	if (r->group)
		put_char(r->sink, ']');
	r->group = false;
}

static void relation_line(struct relation *r, struct control_span line)
{
	size_t i = 0;

	while (i < line.length) {
		char c = line.data[i];
		size_t start = i++;

		if (c == ',' || c == '|') {
			relation_break(r, c == ',');
			continue;
		}
		if (is_blank(c))
			continue;
		while (i < line.length && line.data[i] != ',' && line.data[i] != '|' &&
		       !is_blank(line.data[i]))
			i++;
		relation_word(r, (struct control_span){line.data + start, i - start});
	}
}

static void put_relation(struct sink *s, struct control_span value)
{
	struct relation relation = {.sink = s};
	struct lines lines = lines_init(value);
	struct control_span line;

	put_char(s, '[');
	while (lines_next(&lines, &line))
		relation_line(&relation, line);
	relation_break(&relation, true);
	put_char(s, ']');
}

static bool is_relation(struct control_span name)
{
	static const char *const names[] = {
		"Depends",
		"Pre-Depends",
		"Recommends",
		"Suggests",
		"Enhances",
		"Breaks",
		"Conflicts",
		"Replaces",
		"Provides",
		"Build-Depends",
		"Build-Depends-Arch",
		"Build-Depends-Indep",
		"Build-Conflicts",
		"Build-Conflicts-Arch",
		"Build-Conflicts-Indep",
		"Built-Using",
		"Static-Built-Using",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (same_name(name, (struct control_span){names[i], strlen(names[i])}))
			return true;
	return false;
}

static bool seen(const struct control_span *names, size_t count, struct control_span name)
{
	for (size_t i = 0; i < count; i++)
		if (same_name(names[i], name))
			return true;
	return false;
}

static void put_field(struct sink *s, const struct control_field *field, bool first)
{
	put(s, first ? "{\"" : ",\"", 2);
	put_text(s, field->name);
	put(s, "\":", 2);
	if (is_relation(field->name))
		put_relation(s, field->value);
	else
		put_string(s, field->value);
}

static int put_stanza(struct sink *s, struct reader *r)
{
	struct control_span names[CONTROL_MAX_FIELDS];
	struct control_field field;
	size_t count = 0;

	int rc;

	while ((rc = reader_next(r, &field)) > 0) {
		const char *reason = count == CONTROL_MAX_FIELDS ? "too many fields"
				     : seen(names, count, field.name)
					     ? "a field that was there before"
					     : NULL;

		if (reason) {
			r->line = r->field_line;
			return fail(r, reason);
		}
		put_field(s, &field, count == 0);
		names[count++] = field.name;
	}
	if (rc < 0)
		return rc;
	if (count == 0)
		return fail(r, "no field at all");
	put(s, "}\n", 2);
	return 0;
}

/* The dearest byte is one that becomes "\u00e9"; punctuation is less than that a byte. */
size_t control_json_bound(size_t text_length)
{
	return 6 * text_length + 64;
}

long control_to_json(struct control_span text, char *out, size_t capacity,
		     struct control_error *error)
{
	struct sink sink = {.data = out, .capacity = capacity};
	struct reader r = reader_init(text);
	int rc = put_stanza(&sink, &r);

	if (rc < 0) {
		*error = r.error;
		return rc;
	}
	return sink.full ? -ENOSPC : (long)sink.length;
}
