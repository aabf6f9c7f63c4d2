/* SPDX-License-Identifier: MIT */
/* Requests and their verdicts, for http_test.c. */
#ifndef TESTS_FRONT_HTTP_ROWS_H
#define TESTS_FRONT_HTTP_ROWS_H

#include <stddef.h>

struct row {
	const char *text;
	size_t size;
	int status; /* 0: incomplete, 200: a request */
};

#define ROW(status, text)                          \
	{                                          \
		(text), sizeof(text) - 1, (status) \
	}
#define GET  "GET / HTTP/1.1\r\n"
#define H    "Host: a\r\n"
#define POST "POST / HTTP/1.1\r\n" H

static const struct row bad[] = {
	/* the request line */
	ROW(400, "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"),
	ROW(400, "\nGET / HTTP/1.1\r\n" H "\r\n"),
	ROW(400, " GET / HTTP/1.1\r\n" H "\r\n"),
	ROW(400, "GET  / HTTP/1.1\r\n" H "\r\n"),
	ROW(400, "GET /  HTTP/1.1\r\n" H "\r\n"),
	ROW(400, "GET\t/ HTTP/1.1\r\n" H "\r\n"),
	ROW(400, "GET /\tHTTP/1.1\r\n" H "\r\n"),
	ROW(400, "GET / HTTP/1.1 \r\n" H "\r\n"),
	ROW(400, "GET / HTTP/1.1\n" H "\r\n"),
	ROW(400, "GET / HTTP/1.1\r" H "\r\n"),
	ROW(400, "GET / HTTP/1.1\r\r\n" H "\r\n"),
	ROW(400, "GET /\r\n" H "\r\n"),
	ROW(400, "GET\r\n" H "\r\n"),
	ROW(400, "GET / \r\n" H "\r\n"),
	ROW(400, "GET / http/1.1\r\n" H "\r\n"),
	ROW(400, "GET / HTTP/1\r\n" H "\r\n"),
	ROW(400, "GET / HTTP/11\r\n" H "\r\n"),
	ROW(400, "GET / HTTP/1.10\r\n" H "\r\n"),
	ROW(400, "GET / HTTP/x.1\r\n" H "\r\n"),
	ROW(400, "GET / XTTP/1.1\r\n" H "\r\n"),
	ROW(400, "GET / ICE/1.0\r\n" H "\r\n"),
	ROW(505, "GET / HTTP/0.9\r\n" H "\r\n"),
	ROW(505, "GET / HTTP/2.0\r\n" H "\r\n"),
	ROW(505, "GET / HTTP/1.2\r\n" H "\r\n"),
	ROW(505, "GET / HTTP/3.1\r\n" H "\r\n"),
	ROW(501, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	ROW(501, "get / HTTP/1.1\r\n" H "\r\n"),
	ROW(501, "FETCH / HTTP/1.1\r\n" H "\r\n"),
	ROW(501, "GETT / HTTP/1.1\r\n" H "\r\n"),
	ROW(501, "CONNECT a:80 HTTP/1.1\r\n" H "\r\n"),
	ROW(501, "DESCRIBE rtsp://a/b RTSP/1.0\r\n\r\n"),
	ROW(501, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ"),
	ROW(400, "G@T / HTTP/1.1\r\n" H "\r\n"),
	ROW(400, "G\0T / HTTP/1.1\r\n" H "\r\n"),
	ROW(400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
	ROW(400, "GET a HTTP/1.1\r\n" H "\r\n"),
	ROW(400, "GET http://a/ HTTP/1.1\r\n" H "\r\n"),
	ROW(400, "GET * HTTP/1.1\r\n" H "\r\n"),
	ROW(400, "OPTIONS *a HTTP/1.1\r\n" H "\r\n"),
	ROW(400, "GET /a#b HTTP/1.1\r\n" H "\r\n"),
	ROW(400, "GET /\0 HTTP/1.1\r\n" H "\r\n"),
	ROW(400, "GET /\x7f HTTP/1.1\r\n" H "\r\n"),
	ROW(400, "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n"),
	/* header lines */
	ROW(400, GET "Host : a\r\n\r\n"),
	ROW(400, GET "Host\t: a\r\n\r\n"),
	ROW(400, GET " Host: a\r\n\r\n"),
	ROW(400, GET H "A: b\r\n c\r\n\r\n"),
	ROW(400, GET H "A: b\r\n\tc\r\n\r\n"),
	ROW(400, GET H "A: b\r\n \r\n\r\n"),
	ROW(400, GET H "A: b\n\r\n"),
	ROW(400, GET H "A: b\rC: d\r\n\r\n"),
	ROW(400, GET H "A: b\r\r\n\r\n"),
	ROW(400, GET H "A: b\r\n\n"),
	ROW(400, GET H "A: b\r\n\rX"),
	ROW(400, GET H "A\r\n\r\n"),
	ROW(400, GET H ": b\r\n\r\n"),
	ROW(400, GET H "A b: c\r\n\r\n"),
	ROW(400, GET H "A(b): c\r\n\r\n"),
	ROW(400, GET H "\xc3\xa4: c\r\n\r\n"),
	ROW(400, GET H "A\0: c\r\n\r\n"),
	ROW(400, GET H "A: b\0c\r\n\r\n"),
	ROW(400, GET H "A: b\x01"
		       "c\r\n\r\n"),
	ROW(400, GET H "A: b\x1b[31m\r\n\r\n"),
	ROW(400, GET H "A: b\x7f\r\n\r\n"),
	ROW(400, GET H "A: b\vc\r\n\r\n"),
	/* Host */
	ROW(400, GET "\r\n"),
	ROW(400, GET "A: b\r\n\r\n"),
	ROW(400, GET H H "\r\n"),
	ROW(400, GET H "A: b\r\nHOST: c\r\n\r\n"),
	ROW(400, "GET / HTTP/1.0\r\n" H H "\r\n"),
	ROW(400, GET "Host: a, b\r\n\r\n"),
	ROW(400, GET "Host: a b\r\n\r\n"),
	ROW(400, GET "Host: u@a\r\n\r\n"),
	ROW(400, GET "Host: a/b\r\n\r\n"),
	/* where the body ends */
	ROW(400, POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
	ROW(400, POST "Content-Length: 1\r\ncontent-length: 2\r\n\r\nxy"),
	ROW(400, POST "Content-Length: 1, 1\r\n\r\nx"),
	ROW(400, POST "Content-Length: +1\r\n\r\nx"),
	ROW(400, POST "Content-Length: -1\r\n\r\nx"),
	ROW(400, POST "Content-Length: 0x1\r\n\r\nx"),
	ROW(400, POST "Content-Length: 1 2\r\n\r\nx"),
	ROW(400, POST "Content-Length: 1.0\r\n\r\nx"),
	ROW(400, POST "Content-Length:\r\n\r\n"),
	ROW(400, POST "Content-Length: \"1\"\r\n\r\nx"),
	ROW(413, POST "Content-Length: 1048577\r\n\r\n"),
	ROW(413, POST "Content-Length: 4294967297\r\n\r\nx"),
	ROW(400, POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	ROW(400, POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n"),
	ROW(501, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
	ROW(400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	ROW(411, POST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	ROW(411, POST "transfer-encoding:CHUNKED\r\n\r\n0\r\n\r\n"),
	ROW(501, POST "Transfer-Encoding: gzip\r\n\r\n"),
	ROW(501, POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
	ROW(501, POST "Transfer-Encoding: identity\r\n\r\n"),
	ROW(501, POST "Transfer-Encoding: xchunked\r\n\r\n"),
	ROW(501, POST "Transfer-Encoding:\r\n\r\n"),
	ROW(417, POST "Expect: 200-ok\r\nContent-Length: 1\r\n\r\nx"),
	ROW(417, POST "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"),
	ROW(417, GET H "Expect:\r\n\r\n"),
	/* an attack must not hide behind an empty line or a folded one */
	ROW(400, POST "Transfer-Encoding\r\n : chunked\r\n\r\n"),
	ROW(400, POST "Content-Length : 5\r\n\r\nhello"),
};

static const struct row good[] = {
	ROW(200, GET H "\r\n"),
	ROW(200, "\r\n" GET H "\r\n"),
	ROW(200, GET "Host:\r\n\r\n"),
	ROW(200, GET "hOsT: \t [::1]:80 \t\r\n\r\n"),
	ROW(200, "GET / HTTP/1.0\r\n\r\n"),
	ROW(200, "GET /a?b=c&d=%00|{}\"<> HTTP/1.1\r\n" H "\r\n"),
	ROW(200, "OPTIONS * HTTP/1.1\r\n" H "\r\n"),
	ROW(200, "OPTIONS /a HTTP/1.1\r\n" H "\r\n"),
	ROW(200, "M-SEARCH / HTTP/1.1\r\n" H "\r\n"),
	ROW(200, "PATCH / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n"),
	ROW(200, POST "Content-Length: 0005\r\n\r\nhello"),
	ROW(200, POST "Content-Length:5 \r\n\r\na\r\n\0b"),
	ROW(200, POST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\nab"),
	ROW(200, "POST / HTTP/1.0\r\nExpect: anything\r\nContent-Length: 1\r\n\r\nx"),
	ROW(200, GET H "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
	ROW(200, GET H "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"),
	ROW(200, GET H "A:\r\nB: \r\nC:d\r\nD: \xc3\xa4\te\r\n\r\n"),
	ROW(200, GET H "A: 1\r\nA: 2\r\nX_y.z!#$%&'*+-.^`|~: 3\r\n\r\n"),
	ROW(0, GET H "\r"),
	ROW(0, GET H),
	ROW(0, POST "Content-Length: 2\r\n\r\nx"),
	ROW(0, ""),
	ROW(0, "\r\n"),
};

#endif
