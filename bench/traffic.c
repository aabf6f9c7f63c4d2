/* SPDX-License-Identifier: MIT */
#include "bench/traffic.h"
#include "bench/socket.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define KEYS 1000u
#define ROOM (BENCH_TRAFFIC_VALUE_MAX + 1024u)

/* A client and what it waits for. */
struct flight {
	unsigned int left;
	uint64_t start_ns;
	size_t want; /* bytes of the value; 0: a put */
	size_t have;
	char answer[ROOM];
};

static struct flight flights[BENCH_TRAFFIC_CLIENTS_MAX];

/* Up to a minute for the first: a server comes up. */
bool bench_traffic_open(struct bench_traffic *traffic, unsigned int clients)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	unsigned int tries = 3000;

	bench_traffic_close(traffic);
	while (traffic->count < clients) {
		int fd = bench_connect(traffic->address);

		if (fd >= 0)
			traffic->clients[traffic->count++] = fd;
		else if (traffic->count || !--tries)
			return false;
		else
			nanosleep(&pause, NULL);
	}
	return true;
}

void bench_traffic_close(struct bench_traffic *traffic)
{
	while (traffic->count)
		close(traffic->clients[--traffic->count]);
	mf_samples_free(&traffic->samples);
	traffic->busy_ns = 0;
}

static uint32_t roll(struct bench_traffic *traffic)
{
	traffic->dice = traffic->dice * 1664525u + 1013904223u;
	return traffic->dice >> 8;
}

static int write_head(const struct bench_traffic *traffic, char *to, size_t room, unsigned int key,
		      size_t put_bytes)
{
	if (traffic->is_redis)
		return put_bytes
			       ? snprintf(to, room, "*3\r\n$3\r\nSET\r\n$7\r\nkey%04u\r\n$%zu\r\n",
					  key, put_bytes)
			       : snprintf(to, room, "*2\r\n$3\r\nGET\r\n$7\r\nkey%04u\r\n", key);
	if (!put_bytes)
		return snprintf(to, room, "GET /t/key%04u HTTP/1.1\r\nHost: bench\r\n\r\n", key);
	return snprintf(to, room,
			"PUT /t/key%04u HTTP/1.1\r\nHost: bench\r\nContent-Length: %zu\r\n\r\n",
			key, put_bytes);
}

/* It fits into a socket's buffer, at a time when nothing else is in it. */
static bool ask(const struct bench_traffic *traffic, int fd, unsigned int key, size_t put_bytes)
{
	char text[ROOM];
	int head = write_head(traffic, text, sizeof(text), key, put_bytes);
	size_t bytes = (size_t)head + put_bytes;

	memset(text + head, 'a' + (int)(key % 26), put_bytes);
	if (put_bytes && traffic->is_redis) {
		memcpy(text + bytes, "\r\n", 2);
		bytes += 2;
	}
	return write(fd, text, bytes) == (ssize_t)bytes;
}

/* 1: whole; 0: not yet; -1: wrong. */
static int judge_redis(const struct flight *flight)
{
	char head[32];
	size_t bytes;

	if (!flight->want)
		return flight->have < 5                                ? 0
		       : flight->have == 5 && flight->answer[0] == '+' ? 1
								       : -1;
	bytes = (size_t)snprintf(head, sizeof(head), "$%zu\r\n", flight->want);
	if (flight->have < bytes)
		return 0;
	if (memcmp(flight->answer, head, bytes) != 0)
		return -1;
	bytes += flight->want + 2;
	return flight->have < bytes ? 0 : flight->have == bytes ? 1 : -1;
}

static int judge_http(struct flight *flight)
{
	const char *end;
	const char *length;
	size_t body;

	flight->answer[flight->have] = '\0';
	end = strstr(flight->answer, "\r\n\r\n");
	if (!end)
		return 0;
	if (flight->have < 12 || flight->answer[9] != '2')
		return -1;
	length = strcasestr(flight->answer, "\r\nContent-Length:");
	body = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
	if (body != flight->want)
		return -1;
	body += (size_t)(end + 4 - flight->answer);
	return flight->have < body ? 0 : flight->have == body ? 1 : -1;
}

static bool send_next(struct bench_traffic *traffic, unsigned int client,
		      const struct bench_mix *mix)
{
	struct flight *flight = &flights[client];
	bool get = roll(traffic) % 100 < mix->gets;

	flight->have = 0;
	flight->want = get ? mix->value_bytes : 0;
	flight->start_ns = bench_now_ns();
	return ask(traffic, traffic->clients[client], roll(traffic) % KEYS,
		   get ? 0 : mix->value_bytes);
}

/* As judge_redis(). */
static int hear(const struct bench_traffic *traffic, unsigned int client)
{
	struct flight *flight = &flights[client];
	ssize_t got = read(traffic->clients[client], flight->answer + flight->have,
			   ROOM - 1 - flight->have);

	if (got <= 0)
		return -1;
	flight->have += (size_t)got;
	return traffic->is_redis ? judge_redis(flight) : judge_http(flight);
}

bool bench_traffic_fill(struct bench_traffic *traffic, const struct bench_mix *mix)
{
	unsigned int key;

	for (key = 0; key < KEYS; key++) {
		int whole = 0;

		flights[0].have = flights[0].want = 0;
		if (!ask(traffic, traffic->clients[0], key, mix->value_bytes))
			return false;
		while (!whole)
			whole = hear(traffic, 0);
		if (whole < 0)
			return false;
	}
	return true;
}

/* One of them can be read. True: it has made all its requests. */
static bool go_on(struct bench_traffic *traffic, unsigned int client, const struct bench_mix *mix,
		  bool measured, bool *good)
{
	struct flight *flight = &flights[client];
	int whole = hear(traffic, client);

	*good = whole >= 0;
	if (whole <= 0)
		return false;
	if (measured)
		mf_samples_add(&traffic->samples, (double)(bench_now_ns() - flight->start_ns));
	if (!--flight->left)
		return true;
	*good = send_next(traffic, client, mix);
	return false;
}

static bool run(struct bench_traffic *traffic, const struct bench_mix *mix, int epoll,
		bool measured)
{
	struct epoll_event events[64];
	unsigned int busy = traffic->count;
	bool good = true;

	while (busy && good) {
		int count = epoll_wait(epoll, events, 64, 60000);

		if (count <= 0)
			return false;
		while (count-- && good)
			busy -= go_on(traffic, events[count].data.u32, mix, measured, &good);
	}
	return good;
}

bool bench_traffic_burst(struct bench_traffic *traffic, const struct bench_mix *mix,
			 unsigned int requests, bool measured)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	uint64_t start = bench_now_ns();
	bool good = epoll >= 0;
	unsigned int i;

	for (i = 0; i < traffic->count && good; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};

		flights[i].left = requests;
		good = !epoll_ctl(epoll, EPOLL_CTL_ADD, traffic->clients[i], &event) &&
		       send_next(traffic, i, mix);
	}
	good = good && run(traffic, mix, epoll, measured);
	if (measured)
		traffic->busy_ns += (double)(bench_now_ns() - start);
	close(epoll);
	return good;
}
