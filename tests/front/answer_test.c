// SPDX-License-Identifier: MIT
/* Answers of unmodified servers: what is taken, what is refused, and never by how it was split. */
#include <criterion/criterion.h>
#include <llhttp/llhttp.h>

#include "request-vm/front/answer.h"
#include "tests/front/mutate.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OK           "HTTP/1.1 200 OK\r\n"

enum { GET, HEAD, UPGRADE, OLD }; /* what the request was */
static const struct mf_http_asked asked[] = {
	[GET] = {.minor = 1},
	[HEAD] = {.minor = 1, .is_head = true},
	[UPGRADE] = {.minor = 1, .upgrade = true},
	[OLD] = {.minor = 0},
};

struct row {
	int ask;
	const char *text;
	size_t size;
	/* status, body and bytes behind it; NULL: not an answer. A `+` in front: only when the
	 * server closes */
	const char *wanted;
};
#define ROW(ask, wanted, text)                      \
	{                                           \
		ask, text, sizeof(text) - 1, wanted \
	}

static const struct row good[] = {
	ROW(GET, "200 hello 0", OK "Content-Length: 5\r\n\r\nhello"),
	ROW(GET, "200  0", OK "Content-Length: 0\r\n\r\n"),
	ROW(GET, "200 hello 6", OK "Content-Length: 5\r\n\r\nhello extra"),
	ROW(GET, "+200 hello 0", OK "\r\nhello"),
	ROW(GET, "+200  0", OK "A: b\r\n\r\n"),
	ROW(GET, "+200 hello 0", "HTTP/1.0 200 OK\r\nServer: x\r\n\r\nhello"),
	ROW(GET, "200 hi 0", "HTTP/1.0 200 OK\r\nContent-Length:2\r\n\r\nhi"),
	ROW(GET, "200 hello world 0",
	    OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
	ROW(GET, "200  0", OK "transfer-encoding:CHUNKED \r\n\r\n0\r\n\r\n"),
	ROW(GET, "200 0123456789abcdef 0",
	    OK "Transfer-Encoding: chunked\r\n\r\n00A\r\n0123456789\r\n6\r\nabcdef\r\n000\r\n\r\n"),
	ROW(GET, "200 a 0",
	    OK "Transfer-Encoding: chunked\r\n\r\n1;x=\"y z\";q\r\na\r\n0;w\r\nX-Sum: "
	       "1\r\nY:\r\n\r\n"),
	ROW(GET, "200 a 3", OK "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nxyz"),
	ROW(GET, "204  0", "HTTP/1.1 204 No Content\r\n\r\n"),
	ROW(GET, "204  3", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc"),
	ROW(GET, "304  0", "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: x\r\n\r\n"),
	ROW(HEAD, "200  0", OK "Content-Length: 77\r\n\r\n"),
	ROW(HEAD, "200  0", OK "Transfer-Encoding: chunked\r\n\r\n"),
	ROW(HEAD, "404  4", "HTTP/1.1 404 Not Found\r\n\r\nlies"),
	ROW(GET, "200 x 0", "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 1\r\n\r\nx"),
	ROW(GET, "+500 x 0",
	    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 P\r\n\r\n"
	    "HTTP/1.1 500 Oh\r\n\r\nx"),
	ROW(UPGRADE, "+101 \x81\x05hello 0",
	    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
	    "\x81\x05hello"),
	ROW(UPGRADE, "200 no 0", OK "Content-Length: 2\r\n\r\nno"),
	ROW(GET, "200  0", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
	ROW(GET, "200  0", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
	ROW(GET, "299  0",
	    "HTTP/1.1 299 Sm\xc3\xb8rrebr\xc3\xb8"
	    "d\tis it\r\nContent-Length: 0\r\n\r\n"),
	ROW(GET, "599  0", "HTTP/1.1 599 X\r\nA:\r\nB: \t \r\nContent-Length: \t0 \r\n\r\n"),
	ROW(OLD, "+200 x 0", "HTTP/1.0 200 OK\r\n\r\nx"),
	ROW(OLD, "200 x 0", OK "Content-Length: 1\r\n\r\nx"),
};

static const struct row bad[] = {
	/* the status line */
	ROW(GET, NULL, "hello\n"),
	ROW(GET, NULL, "\r\n" OK "\r\n"),
	ROW(GET, NULL, " HTTP/1.1 200 OK\r\n\r\n"),
	ROW(GET, NULL, "http/1.1 200 OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1  200 OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1\t200 OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1 200OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1 20 OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1 2000 OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1 -20 OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1 2x0 OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1 099 OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1 000 OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1 600 OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1 999 OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1 200 OK\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1 200 OK\n\n"),
	ROW(GET, NULL, "HTTP/1.1 200 OK\rA: b\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1 200 OK\r\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1 200 O\0K\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1 200\r\r\n"),
	ROW(GET, NULL, "HTTP/0.9 200 OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/2.0 200 OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.2 200 OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1 200 OK\r\n\r\n"),
	ROW(GET, NULL, "HTTP/11 200 OK\r\n\r\n"),
	ROW(GET, NULL, "ICY 200 OK\r\n\r\n"),
	ROW(GET, NULL, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
	/* header lines */
	ROW(GET, NULL, OK "A: b\nC: d\r\n\r\n"),
	ROW(GET, NULL, OK "A: b\r\n\n"),
	ROW(GET, NULL, OK "A: b\rC: d\r\n\r\n"),
	ROW(GET, NULL, OK "A: b\r\r\n\r\n"),
	ROW(GET, NULL, OK "A: b\r\n folded\r\n\r\n"),
	ROW(GET, NULL, OK "A: b\r\n\tfolded\r\n\r\n"),
	ROW(GET, NULL, OK " A: b\r\n\r\n"),
	ROW(GET, NULL, OK "A : b\r\n\r\n"),
	ROW(GET, NULL, OK "Content-Length : 0\r\n\r\n"),
	ROW(GET, NULL, OK ": b\r\n\r\n"),
	ROW(GET, NULL, OK "A\r\n\r\n"),
	ROW(GET, NULL, OK "A b: c\r\n\r\n"),
	ROW(GET, NULL, OK "A: b\0c\r\n\r\n"),
	ROW(GET, NULL, OK "A: \x7f\r\n\r\n"),
	ROW(GET, NULL, OK "A: \x1b[2J\r\n\r\n"),
	ROW(GET, NULL, OK "\xc3\xa4: b\r\n\r\n"),
	/* framing */
	ROW(GET, NULL, OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
	ROW(GET, NULL, OK "Content-Length: 5\r\ncontent-length: 6\r\n\r\nhello"),
	ROW(GET, NULL, OK "Content-Length: 5, 5\r\n\r\nhello"),
	ROW(GET, NULL, OK "Content-Length: +5\r\n\r\nhello"),
	ROW(GET, NULL, OK "Content-Length: -1\r\n\r\n"),
	ROW(GET, NULL, OK "Content-Length: 0x5\r\n\r\nhello"),
	ROW(GET, NULL, OK "Content-Length: 5 5\r\n\r\nhello"),
	ROW(GET, NULL, OK "Content-Length:\r\n\r\n"),
	ROW(GET, NULL, OK "Content-Length: 18446744073709551621\r\n\r\nhello"),
	ROW(GET, NULL, OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	ROW(HEAD, NULL, OK "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
	ROW(GET, NULL, OK "Transfer-Encoding: identity\r\n\r\n"),
	ROW(GET, NULL, OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
	ROW(GET, NULL, OK "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
	ROW(GET, NULL,
	    OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	ROW(GET, NULL, OK "Transfer-Encoding:\r\n\r\n"),
	ROW(GET, NULL, OK "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	ROW(OLD, NULL, OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	/* interim answers */
	ROW(GET, NULL, "HTTP/1.1 101 Sure\r\nUpgrade: x\r\n\r\n"),
	ROW(UPGRADE, NULL, "HTTP/1.1 101 Sure\r\n\r\n"),
	ROW(UPGRADE, NULL, "HTTP/1.0 101 Sure\r\nUpgrade: x\r\n\r\n"),
	ROW(UPGRADE, NULL, "HTTP/1.1 101 Sure\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n"),
	ROW(GET, NULL, "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n" OK "\r\n"),
	ROW(GET, NULL, "HTTP/1.0 100 Continue\r\n\r\n" OK "\r\n"),
	ROW(OLD, NULL, "HTTP/1.1 100 Continue\r\n\r\n" OK "\r\n"),
	ROW(GET, NULL, "HTTP/1.1 100 Continue\r\n\r\nhello"),
/* chunks */
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"
	ROW(GET, NULL, CHUNKED "\r\n"),
	ROW(GET, NULL, CHUNKED " 1\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "1 \r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "0x1\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "+1\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "-1\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "g\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED ";x\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "1\na\n0\n\n"),
	ROW(GET, NULL, CHUNKED "1\r\nab\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "2\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "1\r\na\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "1\r\na\r0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "1\ra\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "1;a\nb\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "1;a\rb\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "1;a\0b\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "1;\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "1; a\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "1;a=\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "1;a=\"b\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "1;a=\"b\"c\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "ffffffffffffffff\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "0000000000000001\r\na\r\n0\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "0\r\nX\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "0\r\n folded: x\r\n\r\n"),
	ROW(GET, NULL, CHUNKED "0\r\nX: y\n\r\n"),
	ROW(GET, NULL, CHUNKED "0\r\n\n"),
	/* too little */
	ROW(GET, NULL, ""),
	ROW(GET, NULL, "HTTP/1.1 200"),
	ROW(GET, NULL, OK),
	ROW(GET, NULL, OK "A: b\r\n"),
	ROW(GET, NULL, "HTTP/1.1 100 Continue\r\n\r\n"),
	ROW(GET, NULL, OK "Content-Length: 5\r\n\r\nhell"),
	ROW(GET, NULL, CHUNKED "5\r\nhello\r\n"),
	ROW(GET, NULL, CHUNKED "5\r\nhell"),
	ROW(GET, NULL, CHUNKED "0\r\n"),
};

/* Everything that can be said of an answer. */
struct outcome {
	char body[1 << 15], headers[1 << 15];
	size_t body_bytes, headers_bytes;
	struct mf_http_answer answer;
	enum mf_http_answer_event last;
	bool had_head, at_close;
};

static void on_head(struct outcome *out)
{
	const struct mf_http_piece *headers = &out->answer.headers;

	cr_assert(!out->had_head, "one head an answer");
	cr_assert(out->answer.status == 101 ||
		  (out->answer.status >= 200 && out->answer.status <= 599));
	cr_assert(headers->bytes <= MF_HTTP_ANSWER_HEAD_MAX);
	out->had_head = true;
	memcpy(out->headers, headers->at, headers->bytes);
	out->headers_bytes = headers->bytes;
}

static void on_piece(struct outcome *out, const struct mf_http_piece *piece)
{
	cr_assert(out->had_head && piece->bytes > 0);
	cr_assert(out->body_bytes + piece->bytes <= sizeof(out->body));
	memcpy(out->body + out->body_bytes, piece->at, piece->bytes);
	out->body_bytes += piece->bytes;
}

/* The bytes are copied to their own block so that a sanitizer sees each overrun. */
static void feed(struct outcome *out, const char *data, size_t size)
{
	char *copy = malloc(size ? size : 1);
	size_t at = 0, used;

	memcpy(copy, data, size);
	do {
		struct mf_http_piece piece = {0};

		out->last = mf_http_answer_feed(&out->answer, copy + at, size - at, &used, &piece);
		cr_assert(used <= size - at);
		at += used;
		if (out->last == MF_HTTP_ANSWER_HEAD)
			on_head(out);
		if (out->last == MF_HTTP_ANSWER_PIECE)
			on_piece(out, &piece);
	} while (out->last == MF_HTTP_ANSWER_HEAD || out->last == MF_HTTP_ANSWER_PIECE);
	cr_assert(at == size || out->last == MF_HTTP_ANSWER_BAD);
	free(copy);
}

/* `step` 0: pieces of random size */
static void run(struct outcome *out, int ask, const char *data, size_t size, size_t step,
		unsigned *seed)
{
	*out = (struct outcome){.last = MF_HTTP_ANSWER_MORE};
	mf_http_answer_init(&out->answer, &asked[ask]);
	for (size_t at = 0; at < size;) {
		size_t piece = step ? step : 1 + (size_t)rand_r(seed) % 40;

		piece = piece < size - at ? piece : size - at;
		feed(out, data + at, piece);
		at += piece;
	}
	if (out->last == MF_HTTP_ANSWER_MORE) {
		out->at_close = true;
		out->last = mf_http_answer_close(&out->answer);
	}
	cr_assert(out->last == MF_HTTP_ANSWER_DONE || out->last == MF_HTTP_ANSWER_BAD);
	cr_assert((out->last == MF_HTTP_ANSWER_BAD) == (out->answer.why != NULL));
	cr_assert_eq(out->answer.body_bytes, out->body_bytes);
}

static bool same(const struct outcome *a, const struct outcome *b)
{
	if (a->last != b->last || a->had_head != b->had_head || a->at_close != b->at_close)
		return false;
	if (a->last == MF_HTTP_ANSWER_BAD && a->answer.why != b->answer.why)
		return false;
	return a->answer.extra_bytes == b->answer.extra_bytes && a->body_bytes == b->body_bytes &&
	       a->headers_bytes == b->headers_bytes &&
	       memcmp(a->body, b->body, a->body_bytes) == 0 &&
	       memcmp(a->headers, b->headers, a->headers_bytes) == 0;
}

static void finish(struct outcome *out)
{
	size_t used;
	struct mf_http_piece piece;

	/* what it said at the end it says ever after */
	cr_assert_eq(mf_http_answer_feed(&out->answer, "x", 1, &used, &piece), out->last);
	cr_assert_eq(mf_http_answer_close(&out->answer), out->last);
	mf_http_answer_finish(&out->answer);
}

static struct outcome whole, split;

static void check_row(const struct row *row)
{
	static char said[1 << 16];

	run(&whole, row->ask, row->text, row->size, SIZE_MAX, NULL);
	if (row->wanted) {
		snprintf(said, sizeof(said), "%s%d %.*s %d", whole.at_close ? "+" : "",
			 whole.answer.status, (int)whole.body_bytes, whole.body,
			 (int)whole.answer.extra_bytes);
		cr_expect(whole.last == MF_HTTP_ANSWER_DONE, "%s: %s", row->text, whole.answer.why);
		cr_expect_str_eq(said, row->wanted, "%s: %s", row->text, said);
	} else {
		cr_expect(whole.last == MF_HTTP_ANSWER_BAD, "taken: %s", row->text);
	}
	run(&split, row->ask, row->text, row->size, 1, NULL);
	cr_expect(same(&whole, &split), "by bytes: %s", row->text);
	finish(&split);
	for (size_t step = 2; step < row->size; step += 1 + step / 4) {
		run(&split, row->ask, row->text, row->size, step, NULL);
		cr_expect(same(&whole, &split), "by %zu: %s", step, row->text);
		finish(&split);
	}
	finish(&whole);
}

Test(answer, answers_are_read)
{
	for (size_t i = 0; i < COUNT(good); i++)
		check_row(&good[i]);
}

Test(answer, what_is_none_is_refused)
{
	cr_assert(COUNT(bad) >= 90);
	for (size_t i = 0; i < COUNT(bad); i++)
		check_row(&bad[i]);
}

Test(answer, head_and_reason_are_told_as_written)
{
	static const char text[] =
		"HTTP/1.1 404 Nowhere here\r\nX-Mixed-CASE:  a b \r\nSet-Cookie: "
		"a\r\nSet-Cookie: b\r\nContent-Length: 3\r\n\r\nabc";
	struct mf_http_answer answer;
	struct mf_http_piece piece;
	size_t used;

	mf_http_answer_init(&answer, &asked[GET]);
	cr_assert_eq(mf_http_answer_feed(&answer, text, sizeof(text) - 1, &used, &piece),
		     MF_HTTP_ANSWER_HEAD);
	cr_assert_eq(used, sizeof(text) - 1 - 3);
	cr_assert_eq(answer.status, 404);
	cr_assert(answer.has_length && answer.length == 3 && answer.body == MF_HTTP_BODY_LENGTH);
	cr_assert_eq(answer.reason.bytes, 12);
	cr_assert(memcmp(answer.reason.at, "Nowhere here", 12) == 0);
	cr_assert_eq(answer.headers.bytes, used - 27 - 2);
	cr_assert(memcmp(answer.headers.at, "X-Mixed-CASE:  a b \r\nSet-", 25) == 0);
	cr_assert(memcmp(answer.headers.at + answer.headers.bytes - 4, ": 3\r\n" + 1, 4) == 0);
	mf_http_answer_finish(&answer);
}

static char big[64 << 10];

/* prefix, then `count` times `unit`, then suffix */
static size_t make(const char *prefix, const char *unit, size_t count, const char *suffix)
{
	char *at = stpcpy(big, prefix);

	while (count-- > 0)
		at = stpcpy(at, unit);
	return (size_t)(stpcpy(at, suffix) - big);
}

static void check_big(size_t size, bool is_good)
{
	run(&whole, GET, big, size, SIZE_MAX, NULL);
	cr_expect((whole.last == MF_HTTP_ANSWER_DONE) == is_good, "%.40s... %zu: %s", big, size,
		  whole.answer.why);
	for (size_t step = 1; step < 2000; step += 999) {
		run(&split, GET, big, size, step, NULL);
		cr_expect(same(&whole, &split), "%.40s... by %zu", big, step);
		finish(&split);
	}
	finish(&whole);
}

Test(answer, limits_hold_exactly)
{
	check_big(make(OK, "A: b\r\n", MF_ABI_MAX_HEADERS, "\r\n"), true);
	check_big(make(OK, "A: b\r\n", MF_ABI_MAX_HEADERS + 1, "\r\n"), false);
	/* 17 + 3 + n + 4 */
	check_big(make(OK "A: ", "x", MF_HTTP_ANSWER_HEAD_MAX - 24, "\r\n\r\n"), true);
	check_big(make(OK "A: ", "x", MF_HTTP_ANSWER_HEAD_MAX - 23, "\r\n\r\n"), false);
	check_big(make("HTTP/1.1 200 ", "x", 60000, ""), false);
	check_big(make("", "HTTP/1.1 100 C\r\n\r\n", MF_HTTP_ANSWER_INTERIMS, OK "\r\n"), true);
	check_big(make("", "HTTP/1.1 100 C\r\n\r\n", MF_HTTP_ANSWER_INTERIMS + 1, OK "\r\n"),
		  false);
	/* interim heads count */
	check_big(
		make("HTTP/1.1 100 ", "x", MF_HTTP_ANSWER_HEAD_MAX - 17 - 19, "\r\n\r\n" OK "\r\n"),
		true);
	check_big(
		make("HTTP/1.1 100 ", "x", MF_HTTP_ANSWER_HEAD_MAX - 17 - 18, "\r\n\r\n" OK "\r\n"),
		false);
	check_big(make(CHUNKED, "1\r\na\r\n", 5000, "0\r\n\r\n"), true);
	/* n + CR */
	check_big(make(CHUNKED "0;", "x", MF_HTTP_CHUNK_EXTRAS - 2, "\r\n\r\n"), true);
	check_big(make(CHUNKED "0;", "x", MF_HTTP_CHUNK_EXTRAS, "\r\n\r\n"), false);
	check_big(make(CHUNKED, "1;12345678\r\na\r\n", 2000, "0\r\n\r\n"), false);
	check_big(make(CHUNKED "0\r\n", "A: b\r\n", MF_ABI_MAX_HEADERS, "\r\n"), true);
	check_big(make(CHUNKED "0\r\n", "A: b\r\n", MF_ABI_MAX_HEADERS + 1, "\r\n"), false);
	check_big(make(CHUNKED "0\r\nA: ", "x", MF_HTTP_CHUNK_EXTRAS, "\r\n\r\n"), false);
}

Test(answer, an_endless_body_is_told_as_it_comes)
{
	static const char head[] = OK "Content-Type: text/event-stream\r\n\r\n";
	struct outcome *out = &whole;

	*out = (struct outcome){0};
	mf_http_answer_init(&out->answer, &asked[GET]);
	feed(out, head, sizeof(head) - 1);
	cr_assert(out->had_head && out->answer.body == MF_HTTP_BODY_UNTIL_CLOSE);
	for (int i = 1; i <= 100; i++) {
		feed(out, "data: x\n\n", 9);
		cr_assert_eq(out->body_bytes, (size_t)i * 9);
	}
	cr_assert_eq(mf_http_answer_close(&out->answer), MF_HTTP_ANSWER_DONE);
	mf_http_answer_finish(&out->answer);
}

/* What llhttp alone makes of the same bytes. */
struct other {
	char body[1 << 15];
	size_t body_bytes;
	int status;
	bool done;
};

static int on_other_body(llhttp_t *parser, const char *at, size_t length)
{
	struct other *other = parser->data;

	cr_assert(other->body_bytes + length <= sizeof(other->body));
	memcpy(other->body + other->body_bytes, at, length);
	other->body_bytes += length;
	return 0;
}

static int on_other_head(llhttp_t *parser)
{
	struct other *other = parser->data;

	other->status = parser->status_code;
	return 0;
}

static int on_other_end(llhttp_t *parser)
{
	struct other *other = parser->data;

	if (other->status < 200 && other->status != 101)
		return 0;
	other->done = true;
	return HPE_PAUSED;
}

/* Of extensions of a chunk, llhttp 8.1 takes none behind one with a value, and no quoted-pair in a
 * quoted value (RFC 9110 section 5.6.4). */
static bool is_beyond_llhttp(const llhttp_t *parser, llhttp_errno_t code)
{
	const char *at = llhttp_get_error_pos(parser);

	return (code == HPE_INVALID_CHUNK_SIZE && at[-1] == ';') ||
	       (code == HPE_STRICT && at[-1] == '\\');
}

/* Where ours takes an answer, llhttp must see the same one, and the same body where there is one.
 */
static void check_other(const struct outcome *ours, const char *data, size_t size)
{
	static const llhttp_settings_t settings = {.on_body = on_other_body,
						   .on_headers_complete = on_other_head,
						   .on_message_complete = on_other_end};
	static struct other other;
	llhttp_t parser;

	other = (struct other){0};
	llhttp_init(&parser, HTTP_RESPONSE, &settings);
	parser.data = &other;
	if (is_beyond_llhttp(&parser, llhttp_execute(&parser, data, size)))
		return;
	if (!other.done && ours->at_close)
		(void)llhttp_finish(&parser);
	cr_assert(other.status == ours->answer.status, "%d and %d: %.*s", ours->answer.status,
		  other.status, (int)size, data);
	if (ours->answer.body == MF_HTTP_BODY_NONE || ours->answer.body == MF_HTTP_BODY_TUNNEL)
		return;
	cr_assert(other.body_bytes == ours->body_bytes &&
			  memcmp(other.body, ours->body, ours->body_bytes) == 0,
		  "%zu and %zu bytes: %.*s", ours->body_bytes, other.body_bytes, (int)size, data);
}

Test(answer, mutated_answers_are_judged_the_same_however_split, .timeout = 110)
{
	int rounds = mutate_rounds(5000);
	unsigned seed = mutate_seed(rounds), taken = 0;
	static char data[4096];

	for (int round = 0; round < rounds; round++) {
		size_t pick = (size_t)rand_r(&seed) % (COUNT(bad) + 4 * COUNT(good));
		const struct row *row =
			pick < COUNT(bad) ? &bad[pick] : &good[(pick - COUNT(bad)) / 4];
		size_t size = row->size;

		memcpy(data, row->text, size);
		for (int i = rand_r(&seed) % 4; i >= 0; i--)
			size = mutate(data, size, sizeof(data), &seed);
		run(&whole, row->ask, data, size, SIZE_MAX, NULL);
		run(&split, row->ask, data, size, 0, &seed);
		cr_assert(same(&whole, &split), "round %d: %.*s", round, (int)size, data);
		finish(&split);
		run(&split, row->ask, data, size, 1, NULL);
		cr_assert(same(&whole, &split), "round %d by bytes: %.*s", round, (int)size, data);
		finish(&split);
		if (whole.last == MF_HTTP_ANSWER_DONE)
			check_other(&whole, data, size);
		taken += whole.last == MF_HTTP_ANSWER_DONE;
		finish(&whole);
	}
	cr_assert(taken > (unsigned)rounds / 20, "the mutants are too wild to test much");
}
