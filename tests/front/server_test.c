// SPDX-License-Identifier: MIT
/* The front door over a socket: framing, keep-alive, pipelining, errors, health. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/front/harness.h"

TestSuite(server, .init = defaults, .timeout = 30);

Test(server, a_connection_serves_request_after_request)
{
	int fd;

	start();
	fd = dial();
	for (int i = 0; i < 50; i++) {
		say(fd, i % 2 ? "GET /one" TAIL : "GET /later1" TAIL);
		hear_until(fd, i % 2 ? "/one" : "/later1");
		HEARD("HTTP/1.1 200 OK\r\n");
		HEARD("Date: ");
		NOT_HEARD("Connection: close");
	}
	close(fd);
	stop();
	cr_assert_eq(final_stats.requests, 50);
	cr_assert_eq(final_stats.accepted, 1);
	cr_assert_eq(final_stats.partial_writes, 0, "one write each");
}

Test(server, pipelined_requests_are_answered_in_order)
{
	static char many[64 << 10];
	size_t at = 0;
	char *from;
	int fd;

	start();
	fd = dial();
	/* more than one read and more than pending holds; every hundredth is answered late */
	for (int i = 0; i < 600; i++)
		at += (size_t)sprintf(many + at,
				      "GET /%s%d HTTP/1.1\r\nHost: a\r\nX: %060d\r\n\r\n",
				      i % 100 ? "now" : "later", i, i);
	say_bytes(fd, many, at);
	say(fd, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nend");
	hear_until(fd, NULL);
	from = heard;
	for (int i = 0; i < 600; i++) {
		char want[32];

		snprintf(want, sizeof(want), "\r\n\r\n/%s%d", i % 100 ? "now" : "later", i);
		from = strstr(from, want);
		cr_assert(from != NULL, "answer %d is missing or out of order", i);
	}
	cr_assert_str_eq(heard + strlen(heard) - 3, "end");
	close(fd);
	stop();
}

Test(server, tcp_serves_like_a_unix_socket)
{
	int fd;

	over_tcp = true;
	start();
	fd = dial();
	say(fd, "GET /one" TAIL "GET /later1" TAIL);
	hear_until(fd, "/later1");
	HEARD("/one");
	/* refused while the client still sends: it must see the answer and no reset */
	say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n");
	for (int i = 0; i < 20; i++) {
		(void)!send(fd, heard, 10000, MSG_NOSIGNAL);
		usleep(2000);
	}
	hear_until(fd, NULL);
	HEARD("HTTP/1.1 413 ");
	close(fd);
	stop();
}

Test(server, a_request_that_comes_byte_by_byte_is_served)
{
	static const char text[] = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
	int fd;

	start();
	fd = dial();
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		say_bytes(fd, text + i, 1);
		usleep(1000);
	}
	hear_until(fd, "body");
	HEARD("Content-Length: 4\r\n");
	close(fd);
	stop();
}

Test(server, a_bad_request_is_answered_and_the_connection_closed)
{
	int fd;

	start();
	fd = dial();
	say(fd, "GET / HTTP/1.1\r\nHost : a\r\n\r\nGET /hidden" TAIL);
	hear_until(fd, NULL);
	HEARD("HTTP/1.1 400 Bad Request\r\n");
	HEARD("Connection: close\r\n");
	NOT_HEARD("hidden");
	close(fd);
	fd = dial();
	say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n");
	for (int i = 0; i < 100; i++) /* the client is not reset while it still talks */
		if (send(fd, heard, 100, MSG_NOSIGNAL) < 0)
			break;
	hear_until(fd, NULL);
	HEARD("HTTP/1.1 413 ");
	close(fd);
	stop();
	cr_assert_eq(final_stats.refused, 2);
	cr_assert_eq(final_stats.requests, 0);
}

Test(server, http_1_0_closes_unless_asked)
{
	int fd;

	start();
	fd = dial();
	say(fd, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	hear_until(fd, "/a");
	HEARD("Connection: keep-alive\r\n");
	say(fd, "GET /b HTTP/1.0\r\n\r\n");
	hear_until(fd, NULL);
	HEARD("Connection: close\r\n");
	close(fd);
	stop();
}

Test(server, expect_100_continue_is_answered_before_the_body)
{
	int fd;

	start();
	fd = dial();
	say(fd, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	hear_until(fd, "\r\n\r\n");
	cr_assert_str_eq(heard, "HTTP/1.1 100 Continue\r\n\r\n");
	say(fd, "hi");
	hear_until(fd, "hi");
	HEARD("HTTP/1.1 200 OK\r\n");
	close(fd);
	stop();
}

Test(server, an_unwilling_backend_means_503)
{
	int fd;

	start();
	fd = dial();
	say(fd, "GET /full" TAIL);
	hear_until(fd, "later.\n");
	HEARD("HTTP/1.1 503 Service Unavailable\r\n");
	HEARD("Retry-After: 1\r\n");
	NOT_HEARD("Connection: close");
	say(fd, "GET /down" TAIL);
	hear_until(fd, NULL);
	HEARD("HTTP/1.1 503 ");
	HEARD("Connection: close\r\n");
	close(fd);
	stop();
	cr_assert_eq(final_stats.unavailable, 2);
}

Test(server, a_crash_and_an_injected_header_are_told_apart)
{
	int fd;

	start();
	fd = dial();
	say(fd, "GET /crash" TAIL);
	hear_until(fd, "request.\n");
	HEARD("HTTP/1.1 502 Bad Gateway\r\n");
	HEARD("Mayfly-Error: crash\r\n");
	say(fd, "GET /inject" TAIL);
	hear_until(fd, "response.\n");
	HEARD("HTTP/1.1 502 Bad Gateway\r\n");
	HEARD("Mayfly-Error: response\r\n");
	NOT_HEARD("200 OK");
	say(fd, "HEAD /crash" TAIL "GET /fine" TAIL);
	hear_until(fd, "/fine");
	HEARD("HTTP/1.1 200 OK\r\n");
	NOT_HEARD("The program crashed");
	close(fd);
	stop();
	cr_assert_eq(final_stats.invalid, 1);
}

Test(server, a_large_response_waits_for_its_reader)
{
	size_t got = 0;
	ssize_t bytes;
	int fd;

	start();
	fd = dial();
	say(fd, "GET /big" TAIL "GET /after" TAIL);
	usleep(100 * 1000);
	while (got < BIG_BYTES && (bytes = read(fd, heard, sizeof(heard) - 1)) > 0)
		got += (size_t)bytes;
	if (!memmem(heard, (size_t)bytes, "/after", 6))
		hear_until(fd, "/after");
	close(fd);
	stop();
	cr_assert_eq(final_stats.partial_writes, 1);
	cr_assert_eq(final_stats.requests, 2);
}

Test(server, health_and_readiness_are_told)
{
	int fd;

	start();
	fd = dial_to(&health_listener);
	say(fd, "GET /healthz" TAIL);
	hear_until(fd, "ok\n");
	HEARD("HTTP/1.1 200 OK\r\n");
	say(fd, "GET /readyz?verbose" TAIL);
	hear_until(fd, "ready\n");
	HEARD("HTTP/1.1 200 OK\r\n");
	not_ready = 1;
	say(fd, "GET /readyz" TAIL);
	hear_until(fd, "no image yet\n");
	HEARD("HTTP/1.1 503 ");
	say(fd, "GET /readyzz" TAIL);
	hear_until(fd, "address.\n");
	HEARD("HTTP/1.1 404 ");
	say(fd, "DELETE /healthz" TAIL);
	hear_until(fd, "HEAD.\n");
	HEARD("HTTP/1.1 405 ");
	HEARD("Allow: GET, HEAD\r\n");
	close(fd);
	stop();
}

Test(server, a_program_is_told_who_its_client_is)
{
	int fd;

	over_tcp = true;
	settings.forwarded = MF_FRONT_FORWARDED_REPLACE;
	start();
	fd = dial();
	say(fd, "GET /headers HTTP/1.1\r\nHost: a:1\r\nX-Request-Id: r-1\r\nX-Forwarded-For: "
		"lies\r\n\r\n");
	hear_until(fd, "x-forwarded-host: a:1\n");
	HEARD("\nx-request-id: r-1\nx-forwarded-for: 127.0.0.1\nx-forwarded-proto: http\n");
	NOT_HEARD("lies");
	say(fd, "GET /headers HTTP/1.0\r\n\r\n");
	hear_until(fd, NULL);
	HEARD("\r\n\r\nx-request-id: ");
	NOT_HEARD("host");
	close(fd);
	stop();
}

Test(server, chunked_requests_are_like_others)
{
	static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";
	int fd;

	start();
	fd = dial();
	say(fd, head);
	say(fd, "Expect: 100-continue\r\n\r\n");
	hear_until(fd, "Continue\r\n\r\n");
	say(fd, "6\r\nhello ");
	usleep(10000);
	say(fd, "\r\n5;x\r\nworld\r\n0\r\nTrailer: x\r\n\r\nGET /next" TAIL);
	hear_until(fd, "/next");
	HEARD("\r\n\r\nhello world");
	say(fd, head);
	say(fd, "\r\n5 \r\nhello\r\n0\r\n\r\n");
	hear_until(fd, NULL);
	HEARD("HTTP/1.1 400 ");
	close(fd);
	stop();
}
