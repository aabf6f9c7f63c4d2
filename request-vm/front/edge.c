// SPDX-License-Identifier: MIT
#include <string.h>

#include "request-vm/front/chars.h"
#include "request-vm/front/edge.h"

#define ID   "X-Request-Id"
#define FROM "X-Forwarded-For"

static bool is(struct mf_http_span span, const char *word)
{
	return mf_text_is(span.at, span.length, word);
}

bool mf_http_edge_drops(const struct mf_http_edge *edge, struct mf_http_span name)
{
	unsigned char first = mf_char_lower((unsigned char)name.at[0]);

	if (!edge || (first != 'x' && first != 'f'))
		return false;
	if (is(name, ID) || is(name, FROM))
		return true;
	if (edge->trust)
		return false;
	return is(name, "Forwarded") || is(name, "X-Real-IP") ||
	       (name.length > 12 && strncasecmp(name.at, "X-Forwarded-", 12) == 0);
}

static struct mf_http_span span_of(const char *text)
{
	return (struct mf_http_span){text, strlen(text)};
}

static void add(struct mf_http_added *added, const char *name, struct mf_http_span value)
{
	added->list[added->count].name = span_of(name);
	added->list[added->count++].value = value;
}

static bool id_valid(struct mf_http_span id)
{
	if (id.length == 0 || id.length >= MF_HTTP_ID_BYTES)
		return false;
	for (size_t i = 0; i < id.length; i++) {
		unsigned char c = (unsigned char)id.at[i];
		unsigned char letter = mf_char_lower(c);

		if ((letter < 'a' || letter > 'z') && (c < '0' || c > '9') && !strchr("-._~", c))
			return false;
	}
	return true;
}

/* Sixteen digits, never the same twice: a bijection of the count (splitmix64, Steele et al. 2014).
 */
static void make_id(char *out, const struct mf_http_edge *edge)
{
	uint64_t word = edge->seed + ++*edge->made * 0x9e3779b97f4a7c15ull;

	word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9ull;
	word = (word ^ word >> 27) * 0x94d049bb133111ebull;
	word ^= word >> 31;
	for (int i = 0; i < 16; i++)
		out[i] = "0123456789abcdef"[word >> (60 - 4 * i) & 15];
	out[16] = '\0';
}

static void add_id(struct mf_http_added *added, const struct mf_http_edge *edge,
		   const struct mf_http_reading *reading)
{
	struct mf_http_span id = {0};
	uint32_t count = 0;

	for (uint32_t i = 0; i < reading->name_count; i++)
		if (is(reading->names[i], ID)) {
			id = reading->values[i];
			count++;
		}
	if (count == 1 && id_valid(id)) {
		memcpy(added->id, id.at, id.length);
		added->id[id.length] = '\0';
	} else {
		make_id(added->id, edge);
	}
	add(added, ID, span_of(added->id));
}

static bool append(char *out, size_t *at, struct mf_http_span text)
{
	size_t comma = *at > 0 ? 2 : 0;

	if (text.length == 0)
		return true;
	if (*at + comma + text.length > MF_HTTP_FROM_BYTES)
		return false;
	memcpy(out + *at, ", ", comma);
	memcpy(out + *at + comma, text.at, text.length);
	*at += comma + text.length;
	return true;
}

static bool add_from(struct mf_http_added *added, const struct mf_http_edge *edge,
		     const struct mf_http_reading *reading)
{
	size_t at = 0;

	for (uint32_t i = 0; edge->trust && i < reading->name_count; i++)
		if (is(reading->names[i], FROM) && !append(added->from, &at, reading->values[i]))
			return false;
	if (!append(added->from, &at, span_of(edge->client)))
		return false;
	if (at > 0)
		add(added, FROM, (struct mf_http_span){added->from, at});
	return true;
}

static bool has(const struct mf_http_edge *edge, const struct mf_http_reading *reading,
		const char *name)
{
	for (uint32_t i = 0; edge->trust && i < reading->name_count; i++)
		if (is(reading->names[i], name))
			return true;
	return false;
}

int mf_http_edge_add(struct mf_http_added *added, const struct mf_http_edge *edge,
		     const struct mf_http_reading *reading, struct mf_http_span host)
{
	added->count = 0;
	added->id[0] = '\0';
	if (!edge)
		return 0;
	add_id(added, edge, reading);
	if (!add_from(added, edge, reading))
		return 431;
	if (!has(edge, reading, "X-Forwarded-Proto"))
		add(added, "X-Forwarded-Proto", span_of("http"));
	if (host.length > 0 && !has(edge, reading, "X-Forwarded-Host"))
		add(added, "X-Forwarded-Host", host);
	return 0;
}
