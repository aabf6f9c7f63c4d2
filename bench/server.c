/* SPDX-License-Identifier: MIT */
/*
 * The native yardstick of the request cases: the least HTTP server that keeps connections alive.
 * One thread, one epoll loop. Mode "epoll" answers at once; mode "fork" has a child of its own
 * answer each request: what isolation by processes costs. Third argument: MiB that are to be
 * resident.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/socket.h"

/* Says how many requests this process has answered. */
static void answer(int fd)
{
	static unsigned int served;
	char body[32];
	char text[160];
	int bytes = snprintf(body, sizeof(body), "hello %u\n", ++served);

	bytes = snprintf(text, sizeof(text),
			 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: "
			 "%d\r\n\r\n%s",
			 bytes, body);
	if (write(fd, text, (size_t)bytes) < 0)
		close(fd);
}

static void respond(int fd, bool by_fork)
{
	if (by_fork && fork())
		return;
	answer(fd);
	if (by_fork)
		_exit(0);
}

/* Requests of this client come whole and one at a time: a blank line ends one. */
static void serve(int fd, bool by_fork)
{
	char buffer[4096];
	ssize_t got = read(fd, buffer, sizeof(buffer) - 1);

	if (got <= 0) {
		close(fd);
		return;
	}
	buffer[got] = '\0';
	if (strstr(buffer, "\r\n\r\n"))
		respond(fd, by_fork);
}

static void watch(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void loop(int listener, bool by_fork)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[64];

	watch(epoll, listener);
	for (;;) {
		int count = epoll_wait(epoll, events, 64, -1);
		int i;

		if (count < 0 && errno != EINTR)
			return;
		for (i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd != listener)
				serve(fd, by_fork);
			else if ((fd = bench_accept(listener)) >= 0)
				watch(epoll, fd);
		}
	}
}

static bool be_resident(size_t mib)
{
	char *memory = malloc(mib << 20);

	if (!memory)
		return false;
	memset(memory, 1, mib << 20);
	__asm__ volatile("" : : "r"(memory) : "memory");
	return true;
}

int main(int argc, char **argv)
{
	int listener;

	if (argc != 4 || !be_resident(strtoul(argv[3], NULL, 10)))
		return 2;
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	listener = bench_listen(argv[2]);
	if (listener < 0) {
		perror(argv[2]);
		return 1;
	}
	loop(listener, !strcmp(argv[1], "fork"));
	return 1;
}
