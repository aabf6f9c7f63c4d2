/* SPDX-License-Identifier: MIT */
/* Patterns: `*`, `?`, sets in brackets, and a backslash before what stands for itself. The time is
 * at most the product of both lengths. */
#include "guest/store/redis/redis.h"

#include <ctype.h>

struct match {
	const uint8_t *pattern;
	size_t count;
	bool any_case;
};

static int fold(const struct match *match, uint8_t c)
{
	return match->any_case ? tolower(c) : c;
}

/* One character of a set, with a backslash before it perhaps. */
static uint8_t set_character(const struct match *match, size_t *at)
{
	if (match->pattern[*at] == '\\' && *at + 1 < match->count)
		++*at;
	return match->pattern[(*at)++];
}

/* A set, behind its bracket; *at is behind it afterwards. One that does not end, ends there. */
static bool in_set(const struct match *match, size_t *at, uint8_t c)
{
	bool negated = *at < match->count && match->pattern[*at] == '^';
	bool found = false;

	*at += negated;
	while (*at < match->count && match->pattern[*at] != ']') {
		bool escaped = match->pattern[*at] == '\\';
		int from = fold(match, set_character(match, at));
		int to = from;

		if (!escaped && *at + 1 < match->count && match->pattern[*at] == '-') {
			++*at;
			to = fold(match, match->pattern[(*at)++]);
		}
		found |= from <= to ? fold(match, c) >= from && fold(match, c) <= to
				    : fold(match, c) >= to && fold(match, c) <= from;
	}
	*at += *at < match->count;
	return found != negated;
}

/* Does what stands at *at (no `*`) take this character? *at is behind it then. */
static bool takes(const struct match *match, size_t *at, uint8_t c)
{
	uint8_t p = match->pattern[(*at)++];

	if (p == '?')
		return true;
	if (p == '[')
		return in_set(match, at, c);
	if (p == '\\' && *at < match->count)
		p = match->pattern[(*at)++];
	return fold(match, p) == fold(match, c);
}

/* The last `*` that was met takes one character more whenever the rest does not fit. */
bool pattern_matches(struct mf_bytes pattern, struct mf_bytes text, bool any_case)
{
	const struct match match = {pattern.data, pattern.length, any_case};
	const uint8_t *bytes = text.data;
	size_t at = 0, star = SIZE_MAX, star_text = 0;
	size_t i = 0;

	while (i < text.length) {
		size_t next = at;

		if (at < match.count && match.pattern[at] == '*') {
			star = ++at;
			star_text = i;
		} else if (at < match.count && takes(&match, &next, bytes[i])) {
			at = next;
			i++;
		} else if (star != SIZE_MAX) {
			at = star;
			i = ++star_text;
		} else {
			return false;
		}
	}
	while (at < match.count && match.pattern[at] == '*')
		at++;
	return at == match.count;
}
