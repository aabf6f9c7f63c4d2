/* SPDX-License-Identifier: MIT */
/* Threads that wait for a listener or a connection while others act on it. */
#include "connections.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_t thread;
static int shared;
static char result[200];

static void *accepts(void *unused)
{
	int fd = accept(listener, NULL, NULL);

	snprintf(result, sizeof(result), "accept: %s",
		 fd < 0 ? strerrorname_np(errno) : "a client");
	return unused;
}

static void *reads(void *unused)
{
	char text[16];
	ssize_t got = read(shared, text, sizeof(text));

	snprintf(result, sizeof(result), "read: %s %zd", got < 0 ? strerrorname_np(errno) : "",
		 got);
	return unused;
}

static void *polls(void *unused)
{
	struct pollfd list = {.fd = shared, .events = POLLIN};
	int count = poll(&list, 1, -1);

	snprintf(result, sizeof(result), "poll: %d %x", count, list.revents);
	return unused;
}

/* Started, and most likely waiting. */
static void start(void *(*function)(void *))
{
	pthread_create(&thread, NULL, function, NULL);
	usleep(20000);
}

static void finish(void)
{
	pthread_join(thread, NULL);
	say("%s", result);
}

CASE(a_thread_accepts_a_client)
{
	ACCEPTED;
	start(accepts);
	client("1 open");
	finish();
	say("%d", fd >= 0);
}

CASE(a_listener_is_shut_down_while_a_thread_accepts)
{
	ACCEPTED;
	start(accepts);
	SHOW(shutdown(listener, SHUT_RDWR));
	finish();
	say("%d", fd >= 0);
}

CASE(a_thread_reads_what_comes)
{
	ACCEPTED;
	shared = fd;
	start(reads);
	client("0 send words");
	finish();
	start(reads);
	client("0 shut");
	finish();
	start(reads);
	finish();
}

CASE(a_connection_is_shut_down_while_a_thread_reads)
{
	ACCEPTED;
	shared = fd;
	start(reads);
	SHOW(shutdown(fd, SHUT_RD));
	finish();
	client("1 open");
	shared = take();
	start(polls);
	SHOW(shutdown(shared, SHUT_RDWR));
	finish();
}

CASE(a_connection_is_reset_while_a_thread_reads)
{
	INTERNET_ONLY;
	ACCEPTED;
	shared = fd;
	start(reads);
	client("0 reset");
	finish();
}

CASE(a_thread_polls_a_listener)
{
	INTERNET_ONLY;
	ACCEPTED;
	shared = listener;
	start(polls);
	client("1 open");
	finish();
	take();
	start(polls);
	SHOW(shutdown(listener, SHUT_RD));
	finish();
	say("%d", fd >= 0);
}
