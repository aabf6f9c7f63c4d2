/* SPDX-License-Identifier: MIT */
/* A server like any other, one connection at a time, that answers in pieces. */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BIG (48u << 20)

static char buffer[1 << 16];

static void say(int fd, const char *text)
{
	(void)!write(fd, text, strlen(text));
}

static void nap(long ms)
{
	const struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&span, NULL);
}

static void events(int fd, int count, long ms)
{
	char text[64];

	say(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
	for (int i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "data: %d\n\n", i);
		say(fd, text);
		nap(ms);
	}
}

static void big(int fd)
{
	memset(buffer, 'b', sizeof(buffer));
	say(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	for (size_t sent = 0; sent < BIG;) {
		ssize_t now = write(fd, buffer, sizeof(buffer));

		if (now <= 0)
			return;
		sent += (size_t)now;
	}
}

/* `have` bytes of the body are here. */
static void sum(int fd, size_t have, size_t length)
{
	char text[128];
	ssize_t now;

	while (have < length && (now = read(fd, buffer, sizeof(buffer))) > 0)
		have += (size_t)now;
	snprintf(text, sizeof(text), "%zu", have);
	dprintf(fd, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(text), text);
}

static void echo(int fd)
{
	ssize_t now;

	while ((now = read(fd, buffer, sizeof(buffer))) > 0)
		(void)!write(fd, buffer, (size_t)now);
}

static void serve(int fd)
{
	size_t bytes = 0;
	ssize_t now;
	char *end, *length;

	while (!(end = memmem(buffer, bytes, "\r\n\r\n", 4)) && bytes < sizeof(buffer) - 1) {
		now = read(fd, buffer + bytes, sizeof(buffer) - 1 - bytes);
		if (now <= 0)
			return;
		bytes += (size_t)now;
		buffer[bytes] = 0;
		if (strncmp(buffer, "GET ", 4 < bytes ? 4 : bytes) &&
		    strncmp(buffer, "POST ", 5 < bytes ? 5 : bytes)) {
			say(fd, buffer);
			echo(fd);
			return;
		}
	}
	length = strcasestr(buffer, "\r\nContent-Length:");
	if (strstr(buffer, " /events-slow "))
		events(fd, 1000, 100);
	else if (strstr(buffer, " /events "))
		events(fd, 40, 50);
	else if (strstr(buffer, " /big "))
		big(fd);
	else if (strstr(buffer, " /sum "))
		sum(fd, bytes - (size_t)(end + 4 - buffer),
		    length ? strtoul(length + 17, NULL, 10) : 0);
	else if (strstr(buffer, " /chat ")) {
		say(fd, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: "
			"Upgrade\r\n\r\n");
		echo(fd);
	} else
		say(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

int main(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	signal(SIGPIPE, SIG_IGN);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 8))
		return 1;
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			return 1;
		memset(buffer, 0, sizeof(buffer));
		serve(fd);
		close(fd);
	}
}
