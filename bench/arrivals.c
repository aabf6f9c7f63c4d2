/* SPDX-License-Identifier: MIT */
#include "bench/arrivals.h"
#include "bench/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS 10000000000ull

struct link {
	int fd; /* -1: not connected */
	bool busy;
	uint64_t start_ns;
	struct link *next; /* free */
	size_t have;
	char answer[1024];
};

struct loop {
	struct bench_arrivals *arrivals;
	struct link *links;
	struct link *free;
	int epoll;
	unsigned int busy;
	uint64_t due_ns;
	uint64_t random;
	char request[256];
	size_t request_bytes;
};

bool bench_go_first(void)
{
	struct sched_param param = {.sched_priority = 1};

	return !sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param);
}

/* xorshift64* (Vigna 2014); (0, 1]. */
static double uniform(struct loop *loop)
{
	uint64_t x = loop->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	loop->random = x;
	return ((double)((x * 2685821657736338717ull) >> 11) + 1) / 9007199254740992.0;
}

static void set_next_due(struct loop *loop)
{
	loop->due_ns += (uint64_t)(-log(uniform(loop)) * 1e9 / loop->arrivals->rate);
}

static bool dial(struct loop *loop, struct link *link)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};

	link->fd = bench_connect(loop->arrivals->address);
	if (link->fd < 0)
		return false;
	fcntl(link->fd, F_SETFL, O_NONBLOCK);
	return !epoll_ctl(loop->epoll, EPOLL_CTL_ADD, link->fd, &event);
}

static void hang_up(struct link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
}

static void set_free(struct loop *loop, struct link *link)
{
	if (link->busy)
		loop->busy--;
	link->busy = false;
	link->have = 0;
	link->next = loop->free;
	loop->free = link;
}

static void lose(struct loop *loop, struct link *link)
{
	loop->arrivals->lost++;
	hang_up(link);
	set_free(loop, link);
}

static void send_one(struct loop *loop, uint64_t now, bool held_up)
{
	struct bench_arrivals *arrivals = loop->arrivals;
	struct link *link = loop->free;

	loop->free = link->next;
	link->busy = true;
	link->start_ns = arrivals->from_send && !held_up ? now : loop->due_ns;
	if ((double)(now - loop->due_ns) > arrivals->behind_ns)
		arrivals->behind_ns = (double)(now - loop->due_ns);
	loop->busy++;
	arrivals->sent++;
	if ((link->fd < 0 && !dial(loop, link)) ||
	    write(link->fd, loop->request, loop->request_bytes) != (ssize_t)loop->request_bytes)
		lose(loop, link);
}

/* The whole answer's status, 0: not yet, -1: it is none. */
static int status_of(const struct link *link, bool *closes)
{
	const char *end = strstr(link->answer, "\r\n\r\n");
	const char *length = strcasestr(link->answer, "\r\nContent-Length:");
	const char *close_token = strcasestr(link->answer, "\r\nConnection: close");

	if (!end)
		return link->have == sizeof(link->answer) - 1 ? -1 : 0;
	if (!length || length > end || strncmp(link->answer, "HTTP/1.", 7))
		return -1;
	if (link->have < (size_t)(end + 4 - link->answer) + strtoul(length + 17, NULL, 10))
		return 0;
	*closes = close_token && close_token < end;
	return atoi(link->answer + 8);
}

static void answered(struct loop *loop, struct link *link, int status, bool closes)
{
	struct bench_arrivals *arrivals = loop->arrivals;
	double took = (double)(bench_now_ns() - link->start_ns);

	if (status == 200)
		mf_samples_add(&arrivals->served, took);
	else if (status == 503)
		mf_samples_add(&arrivals->refused, took);
	else
		arrivals->others++;
	if (closes || arrivals->reconnect)
		hang_up(link);
	set_free(loop, link);
}

static void hear(struct loop *loop, struct link *link)
{
	ssize_t got =
		read(link->fd, link->answer + link->have, sizeof(link->answer) - 1 - link->have);
	bool closes = false;
	int status;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0 || !link->busy) {
		/* A kept connection that idled may be closed. */
		if (link->busy)
			lose(loop, link);
		else
			hang_up(link);
		return;
	}
	link->have += (size_t)got;
	link->answer[link->have] = '\0';
	status = status_of(link, &closes);
	if (status < 0)
		lose(loop, link);
	else if (status)
		answered(loop, link, status, closes);
}

static void wait_for_events(struct loop *loop, uint64_t until_ns)
{
	uint64_t now = bench_now_ns();
	uint64_t left = until_ns > now ? until_ns - now : 0;
	struct timespec timeout = {(time_t)(left / 1000000000ull), (long)(left % 1000000000ull)};
	struct epoll_event events[256];
	int count = epoll_pwait2(loop->epoll, events, 256, &timeout, NULL);
	int i;

	for (i = 0; i < count; i++)
		hear(loop, events[i].data.ptr);
}

static void go_on(struct loop *loop, uint64_t end_ns)
{
	bool held_up = false;
	uint64_t now;

	while (loop->due_ns < end_ns) {
		now = bench_now_ns();
		while (loop->free && loop->due_ns <= now && loop->due_ns < end_ns) {
			send_one(loop, now, held_up);
			set_next_due(loop);
		}
		held_up = !loop->free;
		wait_for_events(loop, loop->free ? loop->due_ns : now + 100000000);
	}
	end_ns = bench_now_ns() + PATIENCE_NS;
	while (loop->busy && bench_now_ns() < end_ns)
		wait_for_events(loop, end_ns);
}

static bool open_loop(struct loop *loop)
{
	struct bench_arrivals *arrivals = loop->arrivals;
	unsigned int i;

	loop->request_bytes =
		(size_t)snprintf(loop->request, sizeof(loop->request),
				 "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", arrivals->target);
	loop->random = arrivals->seed * 2 + 1;
	loop->links = calloc(arrivals->connections, sizeof(*loop->links));
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!loop->links || loop->epoll < 0)
		return false;
	for (i = 0; i < arrivals->connections; i++) {
		loop->links[i].fd = -1;
		if (!arrivals->reconnect && !dial(loop, &loop->links[i]))
			return false;
		set_free(loop, &loop->links[i]);
	}
	return true;
}

bool bench_arrivals_run(struct bench_arrivals *arrivals)
{
	struct loop loop = {.arrivals = arrivals, .epoll = -1};
	bool good = open_loop(&loop);
	unsigned int i;

	if (good) {
		loop.due_ns = bench_now_ns();
		go_on(&loop, loop.due_ns + (uint64_t)(arrivals->seconds * 1e9));
		arrivals->lost += loop.busy;
	}
	for (i = 0; loop.links && i < arrivals->connections; i++)
		hang_up(&loop.links[i]);
	free(loop.links);
	close(loop.epoll);
	return good;
}
