// SPDX-License-Identifier: MIT
/* Requests and answers as bytes: what a server reads and writes, in pieces, with room on both
 * sides. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/front/harness.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OK           "HTTP/1.1 200 OK\r\n"
#define WINDOW       (16u << 10)

/* What the server of a test does: reads all it can (or stops at `read_limit`), then writes `reply`
 * in steps, then perhaps closes. */
static const char *reply;
static size_t reply_bytes, reply_step;
static bool reply_closes;
static _Atomic size_t read_limit, reply_after;
static _Atomic int took, was_full, input_ended;
static _Atomic size_t seen_bytes;
static char seen[1 << 20]; /* of the last request, as far as it fits */

struct run {
	size_t read, written;
	bool head, ended;
};
static struct run runs[64];
static size_t run_count;

static void settings_of(enum mf_front_form form)
{
	defaults();
	settings.form = form;
	settings.window_bytes = WINDOW;
	reply_step = SIZE_MAX;
	read_limit = SIZE_MAX;
}

static void wire_defaults(void)
{
	settings_of(MF_FRONT_WIRE);
}

static struct run *run_of(struct mf_front_request *request)
{
	if (!request->data) {
		cr_assert(run_count < COUNT(runs));
		request->data = &runs[run_count++];
		seen_bytes = 0;
		memset(seen, 0, sizeof(seen));
	}
	return request->data;
}

static void read_input(struct mf_front_request *request, struct run *run)
{
	size_t bytes;
	bool ended;

	while (run->read < read_limit) {
		const char *data = mf_front_input(request, &bytes, &ended);

		input_ended = ended;
		if (bytes == 0)
			return;
		if (bytes > read_limit - run->read)
			bytes = read_limit - run->read;
		if (run->read + bytes < sizeof(seen))
			memcpy(seen + run->read, data, bytes);
		run->read += bytes;
		seen_bytes = run->read;
		mf_front_taken(request, bytes);
	}
}

static void write_reply(struct mf_front_request *request, struct run *run)
{
	enum mf_front_took now = MF_FRONT_MORE;
	size_t used;

	while (run->written < reply_bytes && now == MF_FRONT_MORE) {
		size_t left = reply_bytes - run->written;

		left = left < reply_step ? left : reply_step;
		now = mf_front_output(request, reply + run->written, left, &used);
		run->written += used;
	}
	if (now == MF_FRONT_MORE && run->written == reply_bytes && reply_closes)
		now = mf_front_output_end(request);
	was_full |= now == MF_FRONT_FULL;
	took = now;
}

static void replies(struct mf_front_request *request)
{
	struct run *run = run_of(request);

	read_input(request, run);
	if (strstr(seen, "\r\n\r\n") && run->read >= reply_after)
		write_reply(request, run);
}

static void say_reply(const char *text)
{
	reply = text;
	reply_bytes = strlen(text);
	program = replies;
}

TestSuite(wire, .init = wire_defaults, .timeout = 30);

/* What a client hears when a server answers so. `asked` is the head of a request. */
static const struct row {
	const char *asked, *reply, *heard;
	bool closes;  /* the server does */
	bool goes_on; /* the client may ask again */
} rows[] = {
#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define OLD "GET / HTTP/1.0\r\n\r\n"
	{GET, OK "Content-Length: 5\r\nA: b\r\n\r\nhello",
	 "200 OK\r\nA: b\r\nContent-Length: 5\r\n*\r\n\r\nhello", false, true},
	{GET,
	 "HTTP/1.0 404 Gone fishing\r\nServer: x\r\nConnection: "
	 "close\r\ncontent-length:2\r\n\r\nhi",
	 "404 Gone fishing\r\nServer: x\r\nContent-Length: 2\r\n*\r\n\r\nhi", true, true},
	{GET, OK "Date: mine\r\nContent-Length: 0\r\n\r\n",
	 "200 OK\r\nDate: mine\r\nContent-Length: 0\r\n\r\n", false, true},
	{GET,
	 OK "Connection: X-Own, keep-alive\r\nX-Own: 1\r\nKeep-Alive: 5\r\nX-Other: "
	    "2\r\nContent-Length: 1\r\n\r\nx",
	 "200 OK\r\nX-Other: 2\r\nContent-Length: 1\r\n*\r\n\r\nx", false, true},
	{GET,
	 OK "Transfer-Encoding: chunked\r\nTrailer: T\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: 1\r\n\r\n",
	 "200 OK\r\nTransfer-Encoding: chunked\r\n*\r\n\r\n@hello", false, true},
	{GET, OK "\r\nhello", "200 OK\r\nTransfer-Encoding: chunked\r\n*\r\n\r\n@hello", true,
	 true},
	{OLD, OK "\r\nhello", "200 OK\r\n*Connection: close\r\n\r\nhello", true, false},
	{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", OK "Content-Length: 2\r\n\r\nhi",
	 "200 OK\r\nContent-Length: 2\r\n*Connection: keep-alive\r\n\r\nhi", false, true},
	{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", OK "Content-Length: 77\r\n\r\n",
	 "200 OK\r\nContent-Length: 77\r\n*\r\n\r\n", false, true},
	{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", OK "Transfer-Encoding: chunked\r\n\r\n",
	 "200 OK\r\n*\r\n\r\n", false, true},
	{GET, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "204 No Content\r\n*\r\n\r\n",
	 false, true},
	{GET,
	 "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 "
	 "Created\r\nContent-Length: 0\r\n\r\n",
	 "201 Created\r\nContent-Length: 0\r\n*\r\n\r\n", false, true},
	{GET, OK "Content-Length: 2\r\n\r\nhi and more",
	 "200 OK\r\nContent-Length: 2\r\n*\r\n\r\nhi", false, true},
	{GET, OK "Mayfly-Error: crash\r\nContent-Length: 0\r\n\r\n",
	 "200 OK\r\nContent-Length: 0\r\n*\r\n\r\n", false, true},
	/* no answers */
	{GET, "hello\n", "502 Bad Gateway\r\n*Mayfly-Error: response\r\n*", false, true},
	{GET, OK "A: b\nC: d\r\n\r\n", "502 Bad Gateway\r\n*Mayfly-Error: response\r\n*", false,
	 true},
	{GET, OK "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
	 "502 Bad Gateway\r\n*Mayfly-Error: response\r\n*", false, true},
	{GET, OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
	 "502 Bad Gateway\r\n*Mayfly-Error: response\r\n*", false, true},
	{GET, "HTTP/1.1 101 Sure\r\nUpgrade: x\r\n\r\n",
	 "502 Bad Gateway\r\n*Mayfly-Error: response\r\n*", false, true},
	{GET, OK, "502 Bad Gateway\r\n*Mayfly-Error: response\r\n*", true, true},
	{GET, "", "502 Bad Gateway\r\n*Mayfly-Error: response\r\n*", true, true},
};

/* Like strcmp, but `*` stands for any lines or none, and `@` for chunks that say what follows. */
static bool matches(const char *text, const char *pattern)
{
	static char plain[sizeof(heard)];
	size_t at = 0;

	if (*pattern == '*') {
		for (;; text++) {
			if (matches(text, pattern + 1))
				return true;
			if (!*text)
				return false;
		}
	}
	if (*pattern == '@') {
		for (size_t size; (size = strtoul(text, (char **)&text, 16)) > 0;) {
			memcpy(plain + at, text + 2, size);
			at += size;
			text += 2 + size + 2;
		}
		plain[at] = '\0';
		return strcmp(plain, pattern + 1) == 0 && strcmp(text, "\r\n\r\n") == 0;
	}
	if (!*text || !*pattern)
		return *text == *pattern;
	return *text == *pattern && matches(text + 1, pattern + 1);
}

/* Reads until nothing comes for a while, or to the end. */
static void hear_all(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	size_t at = 0;

	heard[0] = '\0';
	while (at < sizeof(heard) - 1 && poll(&wait, 1, at ? 60 : 5000) == 1) {
		ssize_t got = read(fd, heard + at, sizeof(heard) - 1 - at);

		if (got <= 0)
			break;
		at += (size_t)got;
		heard[at] = '\0';
	}
}

static void check_row(const struct row *row)
{
	int fd = dial();

	say_reply(row->reply);
	reply_closes = row->closes;
	say(fd, row->asked);
	hear_all(fd);
	cr_expect(strncmp(heard, "HTTP/1.1 ", 9) == 0 && matches(heard + 9, row->heard),
		  "by %zu: %s\nwas heard as: %s", reply_step, row->reply, heard);
	if (row->goes_on) {
		say_reply(OK "Content-Length: 4\r\n\r\nnext");
		reply_closes = false;
		say(fd, GET);
		hear_until(fd, "next");
		HEARD("\r\n\r\nnext");
	} else {
		cr_expect(closed_within(fd, 2000));
	}
	close(fd);
}

Test(wire, what_servers_write_reaches_clients_framed_anew)
{
	start();
	for (size_t i = 0; i < COUNT(rows); i++)
		check_row(&rows[i]);
	stop();
}

Test(wire, what_servers_write_byte_by_byte_is_the_same)
{
	reply_step = 1;
	start();
	for (size_t i = 0; i < COUNT(rows); i++)
		check_row(&rows[i]);
	stop();
}

Test(wire, an_answer_that_breaks_off_is_cut)
{
	static const char *const broken[] = {
		OK "Content-Length: 10\r\n\r\nhello",
		OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	};
	int fd;

	over_tcp = true;
	reply_closes = true;
	start();
	for (size_t i = 0; i < COUNT(broken); i++) {
		char c;

		say_reply(broken[i]);
		fd = dial();
		say(fd, GET);
		hear_until(fd, "hello");
		while (recv(fd, &c, 1, 0) > 0)
			cr_expect(c != '0', "no last chunk");
		wait_for(&took, MF_FRONT_BROKEN);
		close(fd);
		took = 0;
	}
	stop();
	cr_expect_eq(final_stats.invalid, 2);
}

Test(wire, a_server_reads_what_was_sent)
{
	int fd;

	say_reply(OK "Content-Length: 2\r\n\r\nok");
	settings.forwarded = MF_FRONT_FORWARDED_REPLACE;
	start();
	fd = dial();
	say(fd, "POST /a?b HTTP/1.1\r\nhOST: a\r\nX-Request-Id: me\r\nContent-Length: 5\r\nExpect: "
		"100-continue\r\n\r\n");
	hear_until(fd, "Continue\r\n\r\n");
	say(fd, "hello");
	hear_until(fd, "ok");
	cr_expect_str_eq(seen,
			 "POST /a?b HTTP/1.1\r\nhOST: a\r\nX-Request-Id: me\r\nX-Forwarded-Proto: "
			 "http\r\nX-Forwarded-Host: a\r\nContent-Length: 5\r\n\r\nhello");
	/* chunks that are here before the server is asked become a length */
	settings.forwarded = MF_FRONT_FORWARDED_NONE;
	say(fd, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		"chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n"
		"T: 1\r\n\r\n");
	hear_until(fd, "ok");
	cr_expect(strstr(seen, "Content-Length: 3\r\n\r\nabc") && !strstr(seen, "chunked"), "%s",
		  seen);
	close(fd);
	stop();
}

/* Sends until it would block; how much that was. */
static size_t fill(int fd, size_t most)
{
	static char bytes[64 << 10];
	size_t sent = 0;
	ssize_t now;

	memset(bytes, 'x', sizeof(bytes));
	for (int quiet = 0; sent < most && quiet < 20;) {
		size_t step = most - sent < sizeof(bytes) ? most - sent : sizeof(bytes);

		now = send(fd, bytes, step, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (now > 0)
			sent += (size_t)now;
		quiet = now > 0 ? 0 : quiet + 1;
		if (now <= 0)
			usleep(5000);
	}
	return sent;
}

Test(wire, a_large_body_waits_for_its_server)
{
	static char bytes[64 << 10];
	const size_t size = 32u << 20;
	size_t sent;
	char head[128];
	int fd;

	say_reply(OK "Content-Length: 2\r\n\r\nok");
	settings.http.body_bytes = 64u << 20;
	start();
	fd = dial();
	read_limit = 10;
	snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
		 size);
	say(fd, head);
	sent = fill(fd, size);
	cr_expect(sent < size / 4, "%zu bytes went nowhere", sent);
	while (seen_bytes < 10)
		usleep(5000);
	cr_expect_eq(seen_bytes, 10);
	/* while it waits for room nobody reads what becomes of the client: the backend's deadline
	 * ends that. Another server reads all. */
	close(fd);
	read_limit = SIZE_MAX;
	reply_after = size;
	fd = dial();
	say(fd, head);
	for (sent = 0; sent < size; sent += sizeof(bytes))
		say_bytes(fd, bytes, sizeof(bytes));
	while (seen_bytes <= size) /* its head is seen, too */
		usleep(5000);
	cr_expect(seen_bytes > size && seen_bytes < size + 200, "%zu of %zu", seen_bytes, size);
	hear_until(fd, "ok");
	HEARD("\r\n\r\nok");
	close(fd);
	stop();
	cr_expect_eq(final_stats.waiting_bytes, 0);
}

Test(wire, a_server_that_answers_before_it_has_read_all_ends_the_connection)
{
	static char bytes[4 * WINDOW];
	int fd;

	say_reply(OK "Content-Length: 2\r\n\r\nno");
	read_limit = 1000;
	memset(bytes, 'x', sizeof(bytes));
	start();
	fd = dial();
	say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
	say_bytes(fd, bytes, sizeof(bytes));
	hear_until(fd, NULL);
	HEARD("Connection: close\r\n\r\nno");
	close(fd);
	stop();
	cr_expect_eq(final_stats.requests, 1, "no byte of a body is a request");
}

static size_t count_seen(char c)
{
	size_t count = 0;

	for (size_t i = 0; i < seen_bytes; i++)
		count += seen[i] == c;
	return count;
}

Test(wire, a_large_body_in_chunks_is_read_in_chunks)
{
	static char piece[20000], chunk[20100];
	size_t at = 0;
	int fd, size;

	say_reply(OK "Content-Length: 2\r\n\r\nok");
	reply_bytes = 0; /* not before all is read */
	memset(piece, 'y', sizeof(piece) - 1);
	start();
	fd = dial();
	say(fd, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 10; i++) {
		size = snprintf(chunk, sizeof(chunk), "%zx;e=1\r\n%s\r\n", strlen(piece), piece);
		for (int sent = 0; sent < size;)
			sent += (int)send(fd, chunk + sent, (size_t)(size - sent), MSG_NOSIGNAL);
	}
	while (count_seen('y') < 10 * strlen(piece)) /* with lines of chunks between them */
		usleep(5000);
	reply_bytes = strlen(reply);
	say(fd, "0\r\nT: 1\r\n\r\n");
	hear_until(fd, "ok");
	cr_expect(strncmp(seen, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
			  54) == 0);
	for (const char *next = strstr(seen, "\r\n\r\n") + 4;;) {
		size_t bytes = strtoul(next, (char **)&next, 16);

		cr_assert(strncmp(next, "\r\n", 2) == 0);
		at += bytes;
		next += 2 + bytes + 2;
		if (bytes == 0)
			break;
		cr_assert(next < seen + seen_bytes);
	}
	cr_expect_eq(at, 10 * strlen(piece));
	close(fd);
	stop();
}

Test(wire, a_bad_chunk_ends_the_request_and_the_connection)
{
	static char big[WINDOW + 100];
	int fd;

	say_reply("");
	memset(big, 'z', sizeof(big) - 1);
	start();
	fd = dial();
	say(fd, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4063\r\n");
	say(fd, big);
	say(fd, "\r\nx\r\n");
	hear_until(fd, NULL);
	HEARD("HTTP/1.1 400 ");
	wait_for(&cancelled, 1);
	close(fd);
	stop();
}

Test(wire, a_slow_reader_holds_its_server_up)
{
	static char *endless;
	int fd;

	endless = malloc(64u << 20);
	memset(endless, 'e', 64u << 20);
	memcpy(endless, OK "\r\n", 19);
	reply = endless;
	reply_bytes = 64u << 20;
	program = replies;
	start();
	fd = dial();
	say(fd, GET);
	wait_for(&was_full, 1);
	usleep(20000);
	cr_expect(runs[0].written < 16u << 20, "%zu bytes went nowhere", runs[0].written);
	/* who reads gets on */
	for (size_t got = 0, most = 8u << 20; got < most;) {
		ssize_t now = read(fd, heard, sizeof(heard));

		cr_assert(now > 0);
		got += (size_t)now;
	}
	/* who goes away ends it */
	close(fd);
	for (int i = 0; i < 1000 && !cancelled && took != MF_FRONT_GONE; i++)
		usleep(5000);
	cr_expect(cancelled || took == MF_FRONT_GONE);
	stop();
	cr_expect_eq(final_stats.unsent_bytes, 0);
	cr_expect_eq(final_stats.cancelled, 1);
	free(endless);
}

/* Says 101, then echoes. */
static void upgrades(struct mf_front_request *request)
{
	static const char yes[] =
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: "
		"upgrade\r\nX-Other: 1\r\n\r\nwelcome\n";
	struct run *run = run_of(request);
	const char *data;
	size_t bytes, used;
	bool ended;

	for (;;) {
		data = mf_front_input(request, &bytes, &ended);
		if (bytes == 0)
			break;
		if (run->head) {
			took = mf_front_output(request, data, bytes, &used);
			mf_front_taken(request, used);
			if (took != MF_FRONT_MORE)
				return;
		} else {
			memcpy(seen, data, bytes);
			mf_front_taken(request, bytes);
			run->head = true;
			took = mf_front_output(request, yes, sizeof(yes) - 1, &used);
			cr_assert(request->lasting);
		}
	}
	input_ended = ended;
	if (ended)
		took = mf_front_output_end(request);
}

/* The same without a head. */
static void echoes(struct mf_front_request *request)
{
	cr_assert(request->lasting);
	run_of(request)->head = true;
	upgrades(request);
}

static const char ask_upgrade[] =
	"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
	"Upgrade: echo\r\nSec-WebSocket-Key: k\r\n\r\n";

Test(wire, an_upgrade_is_a_tunnel)
{
	int fd;

	program = upgrades;
	start();
	fd = dial();
	say(fd, ask_upgrade);
	hear_until(fd, "welcome\n");
	cr_expect_str_eq(heard,
			 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nX-Other: 1\r\n"
			 "Connection: Upgrade\r\n\r\nwelcome\n");
	cr_expect(strstr(seen, "\r\nUpgrade: echo\r\n") &&
		  strstr(seen, "\r\nConnection: Upgrade\r\n"));
	for (int i = 0; i < 20; i++) {
		say(fd, "GET / HTTP/1.1\n\x81\xff");
		hear_until(fd, "\xff");
		cr_expect_str_eq(heard, "GET / HTTP/1.1\n\x81\xff");
	}
	say(fd, "last");
	shutdown(fd, SHUT_WR);
	hear_until(fd, NULL);
	cr_expect_str_eq(heard, "last");
	wait_for(&took, MF_FRONT_OVER);
	close(fd);
	/* bytes behind the request are the tunnel's */
	fd = dial();
	memcpy(heard, ask_upgrade, sizeof(ask_upgrade));
	strcat(heard, "early");
	say(fd, heard);
	hear_until(fd, "early");
	HEARD("welcome\nearly");
	close(fd);
	stop();
	cr_expect_eq(final_stats.tunnels, 2);
}

Test(wire, a_tunnel_has_limits)
{
	int fd;

	program = upgrades;
	settings.tunnel_idle_ms = 150;
	settings.tunnel_bytes = 100;
	start();
	fd = dial();
	say(fd, ask_upgrade);
	hear_until(fd, "welcome\n");
	cr_expect(closed_within(fd, 5000), "idle");
	wait_for(&cancelled, 1);
	close(fd);
	fd = dial();
	say(fd, ask_upgrade);
	hear_until(fd, "welcome\n");
	say(fd, "0123456789012345678901234567890123456789012345678901234567890123456789");
	hear_until(fd, NULL);
	for (int i = 0; i < 1000 && took != MF_FRONT_GONE && cancelled < 2; i++)
		usleep(5000);
	cr_expect(took == MF_FRONT_GONE || cancelled == 2, "more than 100 bytes");
	close(fd);
	stop();
}

Test(wire, a_tunnel_does_not_live_for_ever)
{
	int fd, i;

	program = upgrades;
	settings.tunnel_life_ms = 200;
	start();
	fd = dial();
	say(fd, ask_upgrade);
	hear_until(fd, "welcome\n");
	for (i = 0; i < 500 && !cancelled; i++) {
		(void)!send(fd, "x", 1, MSG_NOSIGNAL);
		usleep(10000);
	}
	cr_expect_eq(cancelled, 1);
	close(fd);
	stop();
}

Test(wire, raw_connections_are_passed_as_they_are)
{
	static char block[64 << 10], back[sizeof(block)];
	int fd;

	settings_of(MF_FRONT_RAW);
	program = echoes;
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)(i * 7 + i / 256);
	start();
	fd = dial();
	for (size_t sent = 0, got = 0; got < 16 * sizeof(block);) {
		ssize_t now;

		if (sent < 16 * sizeof(block)) {
			now = send(fd, block + sent % sizeof(block),
				   sizeof(block) - sent % sizeof(block), MSG_DONTWAIT);
			sent += now > 0 ? (size_t)now : 0;
		}
		now = recv(fd, back + got % sizeof(back), sizeof(back) - got % sizeof(back),
			   sent < 16 * sizeof(block) ? MSG_DONTWAIT : 0);
		if (now > 0)
			cr_assert(memcmp(back + got % sizeof(back), block + got % sizeof(back),
					 (size_t)now) == 0);
		got += now > 0 ? (size_t)now : 0;
	}
	shutdown(fd, SHUT_WR);
	cr_expect(closed_within(fd, 2000));
	close(fd);
	stop();
	cr_expect_eq(final_stats.requests, 1);
}

Test(wire, an_endless_answer_outlives_what_others_may_take)
{
	int fd;

	say_reply(OK "Content-Type: Text/Event-Stream; charset=utf-8\r\n\r\ndata: 1\n\n");
	settings.tunnel_idle_ms = 200;
	start();
	fd = dial();
	say(fd, GET);
	hear_until(fd, "data: 1\n\n\r\n");
	cr_expect(closed_within(fd, 5000));
	wait_for(&cancelled, 1);
	close(fd);
	stop();
}

Test(wire, pipelined_requests_are_answered_in_order_by_one_server_each)
{
	static char text[8192];
	int fd;

	say_reply(OK "Content-Length: 2\r\n\r\nok");
	for (int i = 0; i < 30; i++)
		strcat(text,
		       i % 2 ? "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx" : GET);
	strcat(text, OLD);
	start();
	fd = dial();
	say(fd, text);
	hear_until(fd, NULL);
	for (char *at = heard, *next; (next = strstr(at, "\r\n\r\nok")); at = next + 1)
		*next = '#';
	for (int i = 0, n = 0; i < (int)strlen(heard); i++) {
		n += heard[i] == '#';
		if (i + 1 == (int)strlen(heard))
			cr_expect_eq(n, 31);
	}
	close(fd);
	stop();
	cr_expect_eq(final_stats.requests, 31);
}
