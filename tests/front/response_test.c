// SPDX-License-Identifier: MIT
/* Responses: a guest cannot break the framing, whatever it claims. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "request-vm/front/response.h"

static char out[MF_HTTP_RESPONSE_HEAD_MAX + 1];
static size_t body_bytes;

static ssize_t write_head(int status, const char *headers, size_t headers_bytes, const char *body,
			  const struct mf_http_response_frame *frame)
{
	const struct mf_http_response_frame plain = {0};
	struct mf_http_response response = {.status = status,
					    .headers = headers,
					    .headers_bytes = headers_bytes,
					    .body = body,
					    .body_bytes = strlen(body)};
	ssize_t bytes = mf_http_response_head(out, sizeof(out) - 1, &response,
					      frame ? frame : &plain, &body_bytes);

	if (bytes >= 0)
		out[bytes] = '\0';
	return bytes;
}

#define HEAD(status, headers, body, frame) \
	write_head(status, "" headers, sizeof(headers) - 1, body, frame)

Test(response, a_plain_response_is_framed)
{
	cr_assert(HEAD(200, "A: b\r\nX-Y:z\r\n", "hello", NULL) > 0);
	cr_assert_str_eq(out, "HTTP/1.1 200 OK\r\nA: b\r\nX-Y:z\r\nContent-Length: 5\r\n\r\n");
	cr_assert_eq(body_bytes, 5);
	cr_assert(HEAD(299, "", "", NULL) > 0);
	cr_assert_str_eq(out, "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n");
}

Test(response, the_connection_is_told_what_becomes_of_it)
{
	const struct mf_http_response_frame close = {.close = true, .old = true, .date = "D"};
	const struct mf_http_response_frame old = {.old = true};

	cr_assert(HEAD(200, "", "", &close) > 0);
	cr_assert(strstr(out, "\r\nDate: D\r\nConnection: close\r\n\r\n"));
	cr_assert(HEAD(200, "", "", &old) > 0);
	cr_assert(strstr(out, "\r\nConnection: keep-alive\r\n\r\n"));
	cr_assert(HEAD(200, "Date: mine\r\n", "", &close) > 0);
	cr_assert(strstr(out, "Date: mine\r\n") && !strstr(out, "Date: D"));
}

Test(response, head_204_and_304_have_no_body)
{
	const struct mf_http_response_frame head = {.is_head = true};

	cr_assert(HEAD(200, "", "hello", &head) > 0);
	cr_assert(body_bytes == 0 && strstr(out, "Content-Length: 5\r\n"));
	cr_assert(HEAD(200, "Content-Length: 77\r\n", "", &head) > 0);
	cr_assert(body_bytes == 0 && strstr(out, "Content-Length: 77\r\n"));
	cr_assert(HEAD(204, "", "hello", NULL) > 0);
	cr_assert(body_bytes == 0 && !strstr(out, "Content-Length"));
	cr_assert(HEAD(304, "Content-Length: 9\r\nETag: \"x\"\r\n", "", NULL) > 0);
	cr_assert(body_bytes == 0 && !strstr(out, "Content-Length") && strstr(out, "ETag"));
}

Test(response, framing_headers_of_the_guest_are_dropped_or_refused)
{
	cr_assert(HEAD(200,
		       "connection: keep-alive\r\nA: b\r\nKEEP-ALIVE: 5\r\nUpgrade: x\r\n"
		       "TE: x\r\nTrailer: y\r\nProxy-Connection: z\r\nContent-Length: 02\r\n",
		       "hi", NULL) > 0);
	cr_assert_str_eq(out, "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\n");
	cr_assert_eq(HEAD(200, "Content-Length: 3\r\n", "hi", NULL), -EINVAL);
	cr_assert_eq(HEAD(200, "Content-Length: 2\r\ncontent-length: 2\r\n", "hi", NULL), -EINVAL);
	cr_assert_eq(HEAD(200, "Content-Length: 2x\r\n", "hi", NULL), -EINVAL);
	cr_assert_eq(HEAD(200, "Content-Length:\r\n", "hi", NULL), -EINVAL);
	cr_assert_eq(HEAD(200, "Content-Length: 18446744073709551618\r\n", "hi", NULL), -EINVAL);
	cr_assert_eq(HEAD(200, "Transfer-Encoding: chunked\r\n", "hi", NULL), -EINVAL);
	cr_assert_eq(HEAD(200, "transfer-ENCODING: identity\r\n", "hi", NULL), -EINVAL);
	cr_assert_eq(HEAD(200, "Date: a\r\ndate: b\r\n", "hi", NULL), -EINVAL);
	cr_assert_eq(HEAD(200, "Mayfly-Error: crash\r\n", "hi", NULL), -EINVAL);
}

Test(response, injected_lines_are_refused)
{
#define BAD(text) cr_expect_eq(HEAD(200, text, "hi", NULL), -EINVAL, "%s", text)
	BAD("A: b");
	BAD("A: b\r");
	BAD("A: b\n");
	BAD("A: b\nC: d\r\n");
	BAD("A: b\rC: d\r\n");
	BAD("A: b\r\r\n");
	BAD("A: b\r\n\r\n");
	BAD("\r\n");
	BAD("\n");
	BAD("A: b\r\n\r\nHTTP/1.1 200 OK\r\n");
	BAD("A: b\r\n folded\r\n");
	BAD("A : b\r\n");
	BAD(" A: b\r\n");
	BAD(": b\r\n");
	BAD("A\r\n");
	BAD("A b: c\r\n");
	BAD("A: b\0c\r\n");
	BAD("A\0: b\r\n");
	BAD("A: \x01\r\n");
	BAD("A: \x7f\r\n");
	BAD("\xc3\xa4: b\r\n");
}

Test(response, a_status_out_of_range_is_refused)
{
	static const int bad[] = {-1, 0, 99, 100, 101, 199, 600, 999, 1 << 30};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(HEAD(bad[i], "", "", NULL), -EINVAL, "%d", bad[i]);
}

Test(response, too_many_headers_are_refused)
{
	static char text[MF_HTTP_RESPONSE_HEADERS_MAX + 1];
	size_t at = 0;

	for (int i = 0; i < 100; i++)
		at += (size_t)sprintf(text + at, "A%d: b\r\n", i);
	cr_assert(write_head(200, text, at, "", NULL) > 0);
	at += (size_t)sprintf(text + at, "C: b\r\n");
	cr_assert_eq(write_head(200, text, at, "", NULL), -E2BIG);
	memset(text, 'a', sizeof(text));
	memcpy(text, "A: ", 3);
	memcpy(text + sizeof(text) - 3, "\r\n", 2);
	cr_assert(write_head(200, text, sizeof(text) - 1, "", NULL) > 0);
	cr_assert_eq(write_head(200, text, sizeof(text), "", NULL), -E2BIG);
}

Test(response, errors_say_what_happened)
{
	const struct mf_http_response_frame close = {.close = true};
	ssize_t bytes = mf_http_response_error(out, sizeof(out), 503, NULL, &close);

	out[bytes] = '\0';
	cr_assert(strstr(out, "HTTP/1.1 503 Service Unavailable\r\n") == out);
	cr_assert(strstr(out, "Retry-After: 1\r\n") && !strstr(out, "Mayfly-Error"));
	bytes = mf_http_response_error(out, sizeof(out), 502, "memory", &close);
	out[bytes] = '\0';
	cr_assert(strstr(out, "Mayfly-Error: memory\r\n"));
	cr_assert(strstr(out, "\r\n\r\nThe program ran out of memory"));
}

Test(response, dates_are_those_of_gmtime)
{
	static const long long times[] = {0,          951782399,  951782400,  951868800,
					  1709164800, 4107542399, 4107542400, 253402300799};
	char ours[MF_HTTP_DATE_BYTES], libc[64];

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]) + 2000; i++) {
		long long at =
			i < sizeof(times) / sizeof(times[0]) ? times[i] : (long long)i * 86399 * 7;
		time_t when = (time_t)at;
		struct tm tm;

		mf_http_date(ours, at);
		strftime(libc, sizeof(libc), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&when, &tm));
		cr_expect_str_eq(ours, libc);
	}
}
