// SPDX-License-Identifier: MIT
/* The front door and clients that are slow, many, rude or gone; draining and closing. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/front/harness.h"

TestSuite(limits, .init = defaults, .timeout = 100);

Test(limits, slow_clients_are_let_go)
{
	int silent, head, body, idle, deaf;

	settings.head_timeout_ms = settings.body_timeout_ms = 800;
	settings.idle_timeout_ms = settings.write_timeout_ms = 1000;
	settings.linger_ms = 50;
	start();
	silent = dial();
	head = dial();
	body = dial();
	idle = dial();
	deaf = dial();
	say(head, "GET / HTTP/1.1\r\nHo");
	say(body, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
	say(idle, "GET /idle" TAIL);
	say(deaf, "GET /big" TAIL);
	for (int i = 0; i < 4; i++) { /* dripping does not help */
		usleep(250 * 1000);
		(void)!send(head, "s", 1, MSG_NOSIGNAL);
	}
	hear_until(head, NULL);
	HEARD("HTTP/1.1 408 Request Timeout\r\n");
	hear_until(body, NULL);
	HEARD("HTTP/1.1 408 Request Timeout\r\n");
	cr_expect(closed_within(silent, SOON_MS));
	hear_until(idle, NULL);
	HEARD("/idle");
	NOT_HEARD("408");
	send_command(DRAIN);
	join();
	cr_assert_eq(final_stats.timeouts, 4);
	close(silent), close(head), close(body), close(idle), close(deaf);
}

Test(limits, slow_readers_cannot_hold_more_memory_than_allowed)
{
	size_t got = 0;
	ssize_t bytes;
	int deaf, cut, after;

	settings.unsent_bytes = BIG_BYTES + 1024;
	start();
	deaf = dial();
	cut = dial();
	say(deaf, "GET /big" TAIL);
	usleep(100 * 1000);
	say(cut, "GET /big" TAIL);
	usleep(100 * 1000);
	while ((bytes = read(cut, heard, sizeof(heard))) > 0)
		got += (size_t)bytes;
	cr_expect_lt(got, BIG_BYTES, "its response was dropped and the connection closed");
	after = dial();
	say(after, "GET /small" TAIL);
	hear_until(after, "/small");
	got = 0;
	while (got < BIG_BYTES && (bytes = read(deaf, heard, sizeof(heard))) > 0)
		got += (size_t)bytes;
	cr_expect_geq(got, BIG_BYTES, "who came first gets all of it");
	got = 0;
	say(after, "GET /big" TAIL);
	while (got < BIG_BYTES && (bytes = read(after, heard, sizeof(heard))) > 0)
		got += (size_t)bytes;
	cr_expect_geq(got, BIG_BYTES, "the memory is free again");
	close(deaf), close(cut), close(after);
	stop();
	cr_assert_eq(final_stats.dropped, 1);
	cr_assert_eq(final_stats.unsent_bytes, 0);
}

Test(limits, a_client_that_goes_away_cancels_its_request)
{
	int fd;

	start();
	fd = dial();
	say(fd, "GET /never" TAIL "GET /also" TAIL);
	wait_for(&running, 1);
	close(fd);
	wait_for(&cancelled, 1);
	fd = dial();
	say(fd, "GET / HTTP/1.1\r\nHo");
	close(fd);
	fd = dial();
	say(fd, "GET /big" TAIL);
	close(fd);
	fd = dial();
	say(fd, "GET /alive" TAIL);
	hear_until(fd, "/alive");
	HEARD("200 OK");
	close(fd);
	stop();
	cr_assert_eq(final_stats.cancelled, 1);
}

Test(limits, a_half_closed_client_gets_its_answers_when_allowed)
{
	int fd;

	settings.half_close = true;
	start();
	fd = dial();
	say(fd, "GET /later1" TAIL "GET /later2" TAIL "GET /three" TAIL);
	shutdown(fd, SHUT_WR);
	hear_until(fd, NULL);
	HEARD("/later1");
	HEARD("/later2");
	HEARD("/three");
	close(fd);
	stop();
}

Test(limits, a_drain_finishes_what_runs)
{
	int busy, idle, begun;

	start();
	later_ms = 1500; /* the drain comes before */
	busy = dial();
	idle = dial();
	begun = dial();
	say(idle, "GET /idle" TAIL);
	hear_until(idle, "/idle");
	say(begun, "GET /begun HTTP/1.1\r\nHost");
	usleep(50 * 1000);
	say(busy, "GET /later1" TAIL);
	wait_for(&running, 1);
	send_command(DRAIN);
	cr_expect(closed_within(idle, SOON_MS));
	cr_expect_eq(drained, 0);
	hear_until(busy, NULL);
	HEARD("/later1");
	HEARD("Connection: close\r\n");
	say(begun, ": a\r\n\r\n");
	hear_until(begun, NULL);
	HEARD("/begun");
	HEARD("Connection: close\r\n");
	join();
	cr_assert_eq(drained, 1);
	close(busy), close(idle), close(begun);
}

Test(limits, a_close_cancels_what_runs)
{
	int fd;

	start();
	fd = dial();
	say(fd, "GET /never" TAIL);
	wait_for(&running, 1);
	stop();
	cr_assert_eq(cancelled, 1);
	cr_assert(closed_within(fd, SOON_MS));
	close(fd);
}

Test(limits, connections_are_bounded_and_the_idle_make_room)
{
	int fds[12];

	settings.max_connections = 4;
	start();
	for (int i = 0; i < 4; i++) {
		fds[i] = dial();
		say(fds[i], "GET /never" TAIL);
	}
	wait_for(&running, 4);
	fds[4] = dial(); /* waits: nobody idles */
	say(fds[4], "GET /five" TAIL);
	cr_expect(!closed_within(fds[4], 100));
	close(fds[0]);
	hear_until(fds[4], "/five");
	HEARD("200 OK");
	for (int i = 5; i < 12; i++) { /* each takes the place of the one before, which idles */
		fds[i] = dial();
		say(fds[i], "GET /next" TAIL);
		hear_until(fds[i], "/next");
		HEARD("200 OK");
		cr_expect(closed_within(fds[i - 1], SOON_MS));
	}
	stop();
	for (int i = 1; i < 12; i++)
		close(fds[i]);
	cr_assert_eq(final_stats.evicted, 7);
}

Test(limits, many_connections_at_once_are_all_served)
{
	int fds[200];

	settings.max_connections = 64; /* the rest wait their turn */
	start();
	for (int i = 0; i < 200; i++) {
		fds[i] = dial();
		say(fds[i], i % 2 ? "GET /x HTTP/1.0\r\n\r\n" : "GET /later HTTP/1.0\r\n\r\n");
	}
	for (int i = 0; i < 200; i++) {
		hear_until(fds[i], NULL);
		cr_expect(strstr(heard, "200 OK") || strstr(heard, "503 "), "%d: %s", i, heard);
		close(fds[i]);
	}
	stop();
	cr_assert_eq(final_stats.accepted, 200);
}

/* Never blocks: a full backlog means that all who are served must go. */
static int dial_or_leave(int fds[16])
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const struct sockaddr *to = (const struct sockaddr *)&listener.file.address;

	while (connect(fd, to, sizeof(listener.file.address)) < 0) {
		cr_assert_eq(errno, EAGAIN);
		for (size_t i = 0; i < 16; i++) {
			if (fds[i] >= 0)
				close(fds[i]);
			fds[i] = -1;
		}
		usleep(1000);
	}
	return fd;
}

/* Clients that say parts of things, in pieces, and leave when they like. */
Test(limits, chaos_leaves_nothing_behind)
{
	static const char *const says[] = {
		"GET /now" TAIL,
		"GET /later" TAIL,
		"GET /never" TAIL,
		"GET /full" TAIL,
		"GET /big" TAIL,
		"GET /down" TAIL,
		"GET /inject" TAIL,
		"HEAD /big" TAIL,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
		"GET / HTTP/1.1\r\nbad\r\n",
		"\r\n",
	};
	const char *seed_text = getenv("MAYFLY_TEST_SEED"), *is_long = getenv("MAYFLY_TEST_LONG");
	unsigned seed = seed_text ? (unsigned)strtoul(seed_text, NULL, 0) : (unsigned)time(NULL);
	int rounds = is_long && *is_long == '1' ? 50000 : 2000, fds[16];

	printf("MAYFLY_TEST_SEED=%u, %d rounds\n", seed, rounds);
	fflush(stdout);
	memset(fds, -1, sizeof(fds));
	settings.max_connections = 12;
	settings.half_close = seed % 2;
	settings.linger_ms = settings.idle_timeout_ms = 20;
	start();
	for (int round = 0; round < rounds; round++) {
		int *fd = &fds[rand_r(&seed) % 16];
		const char *text = says[(size_t)rand_r(&seed) % (sizeof(says) / sizeof(says[0]))];
		size_t size;

		/* one who may only have half closed is waited for: he must get an answer */
		if (settings.half_close && strncmp(text, "GET /never", 10) == 0)
			text = "GET /later" TAIL;
		size = strlen(text);
		if (*fd < 0)
			*fd = dial_or_leave(fds);
		if (rand_r(&seed) % 4 == 0)
			size = (size_t)rand_r(&seed) % (size + 1);
		(void)!send(*fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (rand_r(&seed) % 8 == 0) /* or else all are gone before they are served */
			poll(&(struct pollfd){.fd = *fd, .events = POLLIN}, 1, 5);
		if (rand_r(&seed) % 4 == 0)
			(void)!recv(*fd, heard, sizeof(heard), MSG_DONTWAIT);
		if (rand_r(&seed) % 16 == 0)
			shutdown(*fd, SHUT_WR);
		if (rand_r(&seed) % 6 == 0) {
			close(*fd);
			*fd = -1;
		}
	}
	stop();
	for (size_t i = 0; i < 16; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	cr_assert(final_stats.requests > 0 && final_stats.partial_writes > 0);
}

Test(limits, bodies_that_arrive_are_bounded_in_all)
{
	static const char *const heads[] = {
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7530\r\n",
	};
	static char part[20000];
	struct pollfd polls[10];
	int other, answered = 0;

	memset(part, 'x', sizeof(part));
	settings.waiting_bytes = 105000; /* room for five */
	start();
	for (int i = 0; i < 10; i++) {
		polls[i] = (struct pollfd){.fd = dial(), .events = POLLIN};
		say(polls[i].fd, heads[i % 2]);
		say_bytes(polls[i].fd, part, sizeof(part));
	}
	/* who has no body is served all the same */
	other = dial();
	say(other, "GET /other" TAIL);
	hear_until(other, "/other");
	HEARD("HTTP/1.1 200 ");
	close(other);
	for (int turn = 0; turn < 500 && answered < 5; turn++) {
		usleep(10000);
		answered = poll(polls, 10, 0);
	}
	cr_expect_eq(answered, 5);
	for (int i = 0; i < 10; i++) {
		if (polls[i].revents) {
			hear_until(polls[i].fd, "later.\n");
			HEARD("HTTP/1.1 503 ");
			HEARD("\r\nConnection: close\r\n");
		}
		close(polls[i].fd);
	}
	stop();
	cr_expect_eq(final_stats.unavailable, 5, "%lu", (unsigned long)final_stats.unavailable);
	cr_expect_eq(final_stats.waiting_bytes, 0);
}
