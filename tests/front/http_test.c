// SPDX-License-Identifier: MIT
/* Request framing: what is refused and how, and that the verdict never depends on the split. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request-vm/front/chars.h"
#include "request-vm/front/http.h"
#include "tests/front/http_rows.h"
#include "tests/front/mutate.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Everything that can be said of a stream: statuses and the requests' bytes, one behind the other.
 */
struct outcome {
	char text[1 << 16];
	size_t bytes;
	int last; /* as struct row says */
	unsigned requests;
};

static enum mf_http_form form; /* of requests, for run() */

static const char *slice(const struct mf_abi_request *request, struct mf_abi_slice at)
{
	return (const char *)request + at.offset;
}

static void check_slice(const struct mf_abi_request *request, struct mf_abi_slice at)
{
	cr_assert(at.offset >= sizeof(*request));
	cr_assert(at.offset < request->size_bytes);
	cr_assert(at.length < request->size_bytes - at.offset);
	cr_assert(slice(request, at)[at.length] == '\0');
}

/* What the ABI promises of every request. */
static void check_request(const struct mf_abi_request *request)
{
	const struct mf_abi_slice *pair;

	cr_assert(request->version == MF_ABI_VERSION);
	cr_assert(request->header_count <= MF_ABI_MAX_HEADERS);
	cr_assert(request->headers_offset % 8 == 0);
	cr_assert(request->headers_offset + request->header_count * 16 <= request->size_bytes);
	check_slice(request, request->method);
	check_slice(request, request->target);
	check_slice(request, request->body);
	cr_assert(request->target.length > 0 && strchr("/*", slice(request, request->target)[0]));
	pair = (const struct mf_abi_slice *)((const char *)request + request->headers_offset);
	for (uint32_t i = 0; i < request->header_count; i++, pair += 2) {
		check_slice(request, pair[0]);
		check_slice(request, pair[1]);
		cr_assert(pair[0].length > 0);
		for (uint32_t k = 0; k < pair[0].length; k++) {
			unsigned char c = (unsigned char)slice(request, pair[0])[k];

			cr_assert(mf_char_token(c) && !(c >= 'A' && c <= 'Z'));
		}
		for (uint32_t k = 0; k < pair[1].length; k++)
			cr_assert(mf_char_value((unsigned char)slice(request, pair[1])[k]));
	}
}

static void add_text(struct outcome *out, const char *text, size_t size)
{
	cr_assert(out->bytes + size < sizeof(out->text));
	memcpy(out->text + out->bytes, text, size);
	out->bytes += size;
}

/* The other form: the head at its first piece or at its end, the pieces as they come. */
static void note_wire(struct outcome *out, struct mf_http_parser *parser, bool whole)
{
	struct mf_http_message message;

	if (whole)
		mf_http_parser_take(parser, &message);
	else
		mf_http_parser_take_head(parser, &message);
	cr_assert(!message.request);
	if (message.wire)
		add_text(out, message.wire, message.wire_bytes);
	if (!whole)
		add_text(out, parser->piece.at, parser->piece.bytes);
	else
		out->requests++;
	out->last = whole ? 200 : 0;
	mf_http_message_finish(&message);
}

static void note_ready(struct outcome *out, struct mf_http_parser *parser)
{
	struct mf_http_message message;

	mf_http_parser_take(parser, &message);
	cr_assert(!message.wire);
	check_request(message.request);
	cr_assert(out->bytes + message.request->size_bytes < sizeof(out->text));
	memcpy(out->text + out->bytes, message.request, message.request->size_bytes);
	out->bytes += message.request->size_bytes;
	out->text[out->bytes++] = (char)('0' + message.keep_alive + 2 * message.is_head);
	out->requests++;
	out->last = 200;
	mf_http_message_finish(&message);
}

/* Feeds one piece; the piece is copied to its own block so that a sanitizer sees each overrun. */
static bool feed_piece(struct outcome *out, struct mf_http_parser *parser, const char *data,
		       size_t size)
{
	char *copy = malloc(size ? size : 1);
	enum mf_http_state state = MF_HTTP_MORE;
	size_t at = 0, used;

	memcpy(copy, data, size);
	while ((at < size || state == MF_HTTP_PIECE) && out->last < 400) {
		state = mf_http_parser_feed(parser, copy + at, size - at, &used);
		at += used;
		if (state == MF_HTTP_PIECE || (state == MF_HTTP_READY && form == MF_HTTP_FORM_WIRE))
			note_wire(out, parser, state == MF_HTTP_READY);
		else if (state == MF_HTTP_READY)
			note_ready(out, parser);
		else if (state == MF_HTTP_REFUSED)
			out->last = parser->status;
		else if (at == size)
			out->last = mf_http_parser_begun(parser) ? 0 : out->last;
	}
	free(copy);
	return out->last < 400;
}

/* `step` 0: pieces of random size */
static void run(struct outcome *out, const char *data, size_t size, size_t step, unsigned *seed)
{
	struct mf_http_limits limits;
	struct mf_http_parser parser;

	mf_http_limits_default(&limits);
	limits.form = form;
	out->bytes = out->requests = 0;
	out->last = 0;
	mf_http_parser_init(&parser, &limits);
	for (size_t at = 0; at < size;) {
		size_t piece = step ? step : 1 + (size_t)rand_r(seed) % 40;

		piece = piece < size - at ? piece : size - at;
		if (!feed_piece(out, &parser, data + at, piece))
			break;
		at += piece;
	}
	mf_http_parser_finish(&parser);
}

static bool same(const struct outcome *a, const struct outcome *b)
{
	return a->last == b->last && a->requests == b->requests && a->bytes == b->bytes &&
	       memcmp(a->text, b->text, a->bytes) == 0;
}

static struct outcome whole, split;

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		run(&whole, rows[i].text, rows[i].size, SIZE_MAX, NULL);
		cr_expect(whole.last == rows[i].status, "row %zu: %d, expected %d: %s", i,
			  whole.last, rows[i].status, rows[i].text);
		run(&split, rows[i].text, rows[i].size, 1, NULL);
		cr_expect(same(&whole, &split), "row %zu by bytes: %d", i, split.last);
		form = MF_HTTP_FORM_WIRE;
		run(&whole, rows[i].text, rows[i].size, SIZE_MAX, NULL);
		cr_expect(whole.last == rows[i].status, "row %zu: %d for a server, expected %d: %s",
			  i, whole.last, rows[i].status, rows[i].text);
		run(&split, rows[i].text, rows[i].size, 1, NULL);
		cr_expect(same(&whole, &split), "row %zu by bytes for a server: %d", i, split.last);
		form = MF_HTTP_FORM_ABI;
	}
}

Test(http, bad_requests_are_refused_with_the_right_status)
{
	cr_assert(COUNT(bad) >= 60);
	check_rows(bad, COUNT(bad));
}

Test(http, token_characters_are_those_of_the_rfc)
{
	for (int c = 0; c < 256; c++) {
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		bool token = letter || (c >= '0' && c <= '9') ||
			     (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);

		cr_expect_eq(mf_char_token((unsigned char)c), token, "%d", c);
	}
}

Test(http, good_requests_are_accepted)
{
	check_rows(good, COUNT(good));
}

static char big[200 << 10];

/* prefix, then `count` times `unit`, then suffix */
static size_t make(const char *prefix, const char *unit, size_t count, const char *suffix)
{
	char *at = stpcpy(big, prefix);

	while (count-- > 0)
		at = stpcpy(at, unit);
	return (size_t)(stpcpy(at, suffix) - big);
}

static void check_big(size_t size, int status)
{
	run(&whole, big, size, SIZE_MAX, NULL);
	cr_expect(whole.last == status, "%.40s...: %d, expected %d", big, whole.last, status);
	run(&split, big, size, 1, NULL);
	cr_expect(same(&whole, &split), "%.40s... by bytes: %d", big, split.last);
	run(&split, big, size, 1000, NULL);
	cr_expect(same(&whole, &split), "%.40s... by 1000: %d", big, split.last);
}

Test(http, limits_hold_exactly)
{
	check_big(make("GET /", "a", 8191, " HTTP/1.1\r\n" H "\r\n"), 200);
	check_big(make("GET /", "a", 8192, " HTTP/1.1\r\n" H "\r\n"), 414);
	check_big(make("GET /", "a", 100000, ""), 414);
	check_big(make(GET H, "A: b\r\n", 99, "\r\n"), 200);
	check_big(make(GET H, "A: b\r\n", 100, "\r\n"), 431);
	/* 16384 = 16 + 9 + 5 + n + 2 */
	check_big(make(GET H "A: ", "x", 16384 - 16 - 9 - 3 - 4, "\r\n\r\n"), 200);
	check_big(make(GET H "A: ", "x", 16384 - 16 - 9 - 3 - 3, "\r\n\r\n"), 431);
	check_big(make(GET H "A: ", "x", 100000, ""), 431);
	check_big(make(GET H, "x", 100000, ""), 431);
	check_big(make(POST "Content-Length: ", "9", 300, "\r\n\r\n"), 400);
	check_big(make(POST CHUNKED, "1\r\na\r\n", 10000, "0\r\n\r\n"), 200);
	check_big(make(POST CHUNKED "8000\r\n", "b", 32768, "\r\n2000\r\nbbbb"), 0);
	check_big(make(POST CHUNKED "1;", "x", MF_HTTP_CHUNK_EXTRAS - 2, "\r\na\r\n0\r\n\r\n"),
		  200);
	check_big(make(POST CHUNKED "1;", "x", MF_HTTP_CHUNK_EXTRAS, "\r\na\r\n0\r\n\r\n"), 400);
	check_big(make(POST CHUNKED "0\r\n", "A: b\r\n", 101, "\r\n"), 400);
	check_big(make(POST "Content-Length: 40000\r\n\r\n", "b", 40000, ""), 200);
}

Test(http, an_overflowing_content_length_is_refused)
{
	static const char text[] = POST "Content-Length: 18446744073709551617\r\n\r\nx";

	run(&whole, text, sizeof(text) - 1, SIZE_MAX, NULL);
	cr_assert(whole.last == 400 || whole.last == 413);
}

static const char stream[] =
	"POST /one?x=y HTTP/1.1\r\nHost: example.org\r\nX-Mixed-CASE:  a b \r\n"
	"Content-Length: 11\r\n\r\nhello\r\nwor\0"
	"\r\nGET /two HTTP/1.1\r\nHost: b\r\nConnection: close, x\r\n\r\n"
	"HEAD /three HTTP/1.0\r\nConnection: x , Keep-Alive\r\n\r\n";

Test(http, every_split_in_three_gives_the_same_requests)
{
	size_t size = sizeof(stream) - 1;

	run(&whole, stream, size, SIZE_MAX, NULL);
	cr_assert_eq(whole.requests, 3);
	for (size_t i = 0; i <= size; i++) {
		for (size_t k = i; k <= size; k += 1 + (k - i) / 8) {
			struct mf_http_parser parser;

			split.bytes = split.requests = 0;
			split.last = 0;
			mf_http_parser_init(&parser, NULL);
			feed_piece(&split, &parser, stream, i);
			feed_piece(&split, &parser, stream + i, k - i);
			feed_piece(&split, &parser, stream + k, size - k);
			mf_http_parser_finish(&parser);
			cr_assert(same(&whole, &split), "split at %zu and %zu", i, k);
		}
	}
}

Test(http, the_request_has_the_form_of_the_abi)
{
	struct mf_http_parser parser;
	struct mf_http_message message;
	const struct mf_abi_request *request;
	const struct mf_abi_slice *pairs;
	size_t used;

	mf_http_parser_init(&parser, NULL);
	cr_assert_eq(mf_http_parser_feed(&parser, stream, sizeof(stream) - 1, &used),
		     MF_HTTP_READY);
	mf_http_parser_take(&parser, &message);
	request = message.request;
	pairs = (const struct mf_abi_slice *)((const char *)request + request->headers_offset);
	cr_assert_str_eq(slice(request, request->method), "POST");
	cr_assert_str_eq(slice(request, request->target), "/one?x=y");
	cr_assert_eq(request->header_count, 3);
	cr_assert_str_eq(slice(request, pairs[0]), "host");
	cr_assert_str_eq(slice(request, pairs[2]), "x-mixed-case");
	cr_assert_str_eq(slice(request, pairs[3]), "a b");
	cr_assert_eq(request->body.length, 11);
	cr_assert(memcmp(slice(request, request->body), "hello\r\nwor\0", 12) == 0);
	cr_assert(message.keep_alive && !message.is_head);
	mf_http_message_finish(&message);
	mf_http_parser_finish(&parser);
}

static struct mf_http_message frame_one(const char *text)
{
	struct mf_http_parser parser;
	struct mf_http_message message;
	size_t used;

	mf_http_parser_init(&parser, NULL);
	cr_assert_eq(mf_http_parser_feed(&parser, text, strlen(text), &used), MF_HTTP_READY);
	mf_http_parser_take(&parser, &message);
	mf_http_message_finish(&(struct mf_http_message){.request = message.request});
	return message;
}

/* What a server is given of a request; its body is behind the head. */
static void check_wire(const char *text, const char *wanted, const struct mf_http_edge *edge)
{
	static char said[8192];
	struct mf_http_limits limits;
	struct mf_http_parser parser;
	struct mf_http_message message;
	size_t used;

	mf_http_limits_default(&limits);
	limits.form = MF_HTTP_FORM_WIRE;
	limits.edge = edge;
	mf_http_parser_init(&parser, &limits);
	cr_assert_eq(mf_http_parser_feed(&parser, text, strlen(text), &used), MF_HTTP_READY, "%s",
		     text);
	mf_http_parser_take(&parser, &message);
	snprintf(said, sizeof(said), "%.*s", (int)message.wire_bytes, message.wire);
	cr_expect_str_eq(said, wanted, "%s", said);
	mf_http_message_finish(&message);
	mf_http_parser_finish(&parser);
}

Test(http, a_server_sees_names_as_they_were_written_and_nothing_between_hops)
{
	check_wire(GET "hOsT: a\r\nX-Mixed-CASE:  a b \r\nEmpty:\r\nA: 1\r\nA: 2\r\n\r\n",
		   GET "hOsT: a\r\nX-Mixed-CASE: a b\r\nEmpty: \r\nA: 1\r\nA: 2\r\n", NULL);
	check_wire(GET H "Connection: keep-alive, X-Mine, host\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
			 "Trailer: x\r\nProxy-Connection: x\r\nX-mine: y\r\nUpgrade: h2c\r\n"
			 "HTTP2-Settings: x\r\nContent-Length: 0\r\nOther: z\r\n\r\n",
		   GET H "Other: z\r\n", NULL);
	check_wire("GET /a?b HTTP/1.0\r\nA: b\r\n\r\n", "GET /a?b HTTP/1.0\r\nA: b\r\n", NULL);
	check_wire(GET H "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
			 "Sec-WebSocket-Key: x\r\n\r\n",
		   GET H "Upgrade: websocket\r\nSec-WebSocket-Key: x\r\nConnection: Upgrade\r\n",
		   NULL);
	/* who names no upgrade in Connection, or several protocols, or has a body, gets none */
	check_wire(GET H "Upgrade: websocket\r\n\r\n", GET H, NULL);
	check_wire(GET H "Connection: upgrade\r\nUpgrade: a, h2c\r\n\r\n", GET H, NULL);
	check_wire(GET H "Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n\r\n", GET H, NULL);
	check_wire("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n",
		   "GET / HTTP/1.0\r\n", NULL);
}

Test(http, who_the_client_is_says_the_front_door)
{
	uint64_t made = 0;
	struct mf_http_edge edge = {.client = "192.0.2.7", .made = &made};
	static const char lies[] = GET H
		"X-Forwarded-For: 10.0.0.1\r\nx-forwarded-for: 10.0.0.2\r\nForwarded: for=x\r\n"
		"X-Request-Id: abc-1._~\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 10.0.0.3\r\n"
		"X-Forwarded-Port: 1\r\nX-Forwarded: kept\r\n\r\n";
	static const char *const bad_ids[] = {"",
					      "a b",
					      "a,b",
					      "a/b",
					      "\"a\"",
					      "a;b",
					      "\xc3\xa4",
					      "12345678901234567890123456789012345678901234567890"
					      "123456789012345"};

	check_wire(lies,
		   GET H "X-Forwarded: kept\r\nX-Request-Id: abc-1._~\r\n"
			 "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"
			 "X-Forwarded-Host: a\r\n",
		   &edge);
	edge.trust = true;
	check_wire(lies,
		   GET H
		   "Forwarded: for=x\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 10.0.0.3\r\n"
		   "X-Forwarded-Port: 1\r\nX-Forwarded: kept\r\nX-Request-Id: abc-1._~\r\n"
		   "X-Forwarded-For: 10.0.0.1, 10.0.0.2, 192.0.2.7\r\nX-Forwarded-Host: a\r\n",
		   &edge);
	edge.trust = false;
	edge.client[0] = '\0';
	for (size_t i = 0; i < COUNT(bad_ids); i++) {
		char text[256], wanted[256];

		snprintf(text, sizeof(text), GET H "X-Request-Id: %s\r\n\r\n", bad_ids[i]);
		made = 0;
		snprintf(wanted, sizeof(wanted),
			 GET H "X-Request-Id: e220a8397b1dcdaf\r\nX-Forwarded-Proto: http\r\n"
			       "X-Forwarded-Host: a\r\n");
		check_wire(text, wanted, &edge);
		cr_expect_eq(made, 1);
	}
	/* two are none */
	made = 0;
	check_wire(
		"GET / HTTP/1.0\r\nX-Request-Id: a\r\nX-Request-Id: a\r\n\r\n",
		"GET / HTTP/1.0\r\nX-Request-Id: e220a8397b1dcdaf\r\nX-Forwarded-Proto: http\r\n",
		&edge);
}

Test(http, a_program_of_the_abi_is_told_the_same)
{
	uint64_t made = 0;
	const struct mf_http_edge edge = {.client = "::1", .made = &made};
	const struct mf_http_limits limits = {
		.head_bytes = 2048, .target_bytes = 64, .body_bytes = 64, .edge = &edge};
	static const char text[] = POST "X-Request-ID: me\r\nX-Forwarded-For: you\r\n" CHUNKED
					"2\r\nab\r\n1;x=y\r\nc\r\n0\r\nD: e\r\n\r\n";
	static const char *const wanted[] = {"host",
					     "a",
					     "x-request-id",
					     "me",
					     "x-forwarded-for",
					     "::1",
					     "x-forwarded-proto",
					     "http",
					     "x-forwarded-host",
					     "a"};
	struct mf_http_parser parser;
	struct mf_http_message message;
	const struct mf_abi_slice *slices;
	size_t used;

	mf_http_parser_init(&parser, &limits);
	cr_assert_eq(mf_http_parser_feed(&parser, text, sizeof(text) - 1, &used), MF_HTTP_READY);
	mf_http_parser_take(&parser, &message);
	check_request(message.request);
	slices = (const struct mf_abi_slice *)((const char *)message.request +
					       message.request->headers_offset);
	cr_assert_eq(message.request->header_count * 2, COUNT(wanted));
	for (size_t i = 0; i < COUNT(wanted); i++)
		cr_expect_str_eq(slice(message.request, slices[i]), wanted[i]);
	cr_expect_str_eq(slice(message.request, message.request->body), "abc");
	cr_expect_str_eq(message.id, "me");
	mf_http_message_finish(&message);
	mf_http_parser_finish(&parser);
}

Test(http, keep_alive_follows_version_and_connection)
{
	cr_expect(frame_one(GET H "\r\n").keep_alive);
	cr_expect(!frame_one(GET H "Connection: close\r\n\r\n").keep_alive);
	cr_expect(!frame_one(GET H "Connection: x,CLOSE ,y\r\n\r\n").keep_alive);
	cr_expect(
		!frame_one(GET H "Connection: keep-alive\r\nConnection: close\r\n\r\n").keep_alive);
	cr_expect(frame_one(GET H "Connection: closed\r\n\r\n").keep_alive);
	cr_expect(!frame_one("GET / HTTP/1.0\r\n\r\n").keep_alive);
	cr_expect(frame_one("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
	cr_expect(!frame_one("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").keep_alive);
	cr_expect(frame_one("HEAD / HTTP/1.0\r\n\r\n").is_head);
}

Test(http, continue_is_asked_for_only_while_the_body_is_missing)
{
	static const char head[] = POST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n";
	static const char both[] = POST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx";
	struct mf_http_parser parser;
	size_t used;

	mf_http_parser_init(&parser, NULL);
	cr_assert_eq(mf_http_parser_feed(&parser, head, sizeof(head) - 1, &used), MF_HTTP_CONTINUE);
	cr_assert_eq(used, sizeof(head) - 1);
	cr_assert_eq(mf_http_parser_feed(&parser, "x", 1, &used), MF_HTTP_READY);
	mf_http_parser_finish(&parser);
	cr_assert_eq(mf_http_parser_feed(&parser, both, sizeof(both) - 1, &used), MF_HTTP_READY);
	mf_http_parser_finish(&parser);
}

Test(http, a_small_body_limit_holds)
{
	const struct mf_http_limits limits = {
		.head_bytes = 2048, .target_bytes = 4, .body_bytes = 0};
	static const char none[] = POST "Content-Length: 0\r\n\r\n",
			  one[] = POST "Content-Length: 1\r\n\r\n";
	struct mf_http_parser parser;
	size_t used;

	mf_http_parser_init(&parser, &limits);
	cr_assert_eq(mf_http_parser_feed(&parser, none, sizeof(none) - 1, &used), MF_HTTP_READY);
	mf_http_parser_finish(&parser);
	cr_assert_eq(mf_http_parser_feed(&parser, one, sizeof(one) - 1, &used), MF_HTTP_REFUSED);
	cr_assert_eq(parser.status, 413);
	cr_assert_eq(mf_http_parser_feed(&parser, one, sizeof(one) - 1, &used), MF_HTTP_REFUSED);
	cr_assert_eq(used, 0);
	mf_http_parser_finish(&parser);
}

Test(http, mutated_requests_are_judged_the_same_however_split, .timeout = 110)
{
	int rounds = mutate_rounds(5000);
	unsigned seed = mutate_seed(rounds);
	unsigned accepted = 0;
	static char data[4096];

	for (int round = 0; round < rounds; round++) {
		size_t pick = (size_t)rand_r(&seed) % (COUNT(bad) + COUNT(good) + 8);
		const struct row *row = pick < COUNT(bad) ? &bad[pick]
					: pick < COUNT(bad) + COUNT(good)
						? &good[pick - COUNT(bad)]
						: &(const struct row)ROW(200, stream);
		size_t size = row->size;

		memcpy(data, row->text, size);
		for (int i = rand_r(&seed) % 4; i >= 0; i--)
			size = mutate(data, size, sizeof(data), &seed);
		form = round & 1 ? MF_HTTP_FORM_WIRE : MF_HTTP_FORM_ABI;
		run(&whole, data, size, SIZE_MAX, NULL);
		run(&split, data, size, 0, &seed);
		cr_assert(same(&whole, &split), "round %d: %d and %d: %.*s", round, whole.last,
			  split.last, (int)size, data);
		run(&split, data, size, 1, NULL);
		cr_assert(same(&whole, &split), "round %d by bytes", round);
		accepted += whole.requests;
	}
	cr_assert(accepted > (unsigned)rounds / 20, "the mutants are too wild to test much");
}
