/* SPDX-License-Identifier: MIT */
/*
 * connections inet|inet6|unix: listens there, waits for its first client, reads the name of a case
 * from standard input and runs it. Standard output is what is compared; lines there that begin with
 * '>' are asked of who runs the program, who says on standard input that it is done.
 */
#include "connections.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>

int listener;
int domain;

extern const struct diff_case *const __start_diff_cases[];
extern const struct diff_case *const __stop_diff_cases[];

void client(const char *format, ...)
{
	char text[256];
	char done;
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	say(">%s", text);
	if (read(0, &done, 1) != 1)
		_exit(90);
}

int take(void)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		say("take: %s", strerrorname_np(errno));
	return fd;
}

void await(int fd, int events)
{
	struct pollfd list = {.fd = fd, .events = (short)events};

	if (poll(&list, 1, 5000) != 1)
		say("waited in vain for %x", events);
}

void await_bytes(int fd, int count)
{
	int there = 0;
	int tries;

	for (tries = 0; tries < 5000; tries++) {
		if (!ioctl(fd, FIONREAD, &there) && there >= count)
			return;
		usleep(1000);
	}
	say("waited in vain for %d bytes: %d", count, there);
}

void fill(int fd, const void *bytes, size_t count)
{
	struct pollfd list = {.fd = fd, .events = POLLOUT};

	do
		while (write(fd, bytes, count) > 0)
			;
	while (poll(&list, 1, 100));
}

void show_poll(const char *what, int fd)
{
	struct pollfd list = {.fd = fd,
			      .events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM |
					POLLWRNORM | POLLRDBAND | POLLWRBAND};
	int count = poll(&list, 1, 0);
	int is = list.revents;

	say("%s: %d%s%s%s%s%s%s%s%s", what, count, is & POLLIN ? " IN" : "",
	    is & POLLRDNORM ? " RDNORM" : "", is & POLLOUT ? " OUT" : "",
	    is & POLLWRNORM ? " WRNORM" : "", is & POLLRDHUP ? " RDHUP" : "",
	    is & POLLHUP ? " HUP" : "", is & POLLERR ? " ERR" : "", is & POLLNVAL ? " NVAL" : "");
}

static void show_internet(const char *what, const void *address, socklen_t bytes)
{
	struct sockaddr_in in = {0};
	struct sockaddr_in6 in6 = {0};
	char text[64] = "?";
	unsigned int port;

	if (domain == AF_INET) {
		memcpy(&in, address, sizeof(in));
		inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text));
	} else {
		memcpy(&in6, address, sizeof(in6));
		inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof(text));
	}
	port = domain == AF_INET ? in.sin_port : in6.sin6_port;
	say("%s: %u bytes, %s%s, %s a port", what, bytes,
	    ((const struct sockaddr *)address)->sa_family == domain ? "" : "other family, ", text,
	    port ? "with" : "without");
}

void show_name(const char *what, const void *address, socklen_t bytes, socklen_t room)
{
	struct sockaddr_storage padded = {0};

	memcpy(&padded, address, bytes < room ? bytes : room);
	if (domain != AF_UNIX)
		show_internet(what, &padded, bytes);
	else
		say("%s: %u bytes, family %d, \"%s\"", what, bytes, padded.ss_family,
		    ((struct sockaddr_un *)&padded)->sun_path);
}

socklen_t own_name(struct sockaddr_storage *name)
{
	socklen_t bytes = sizeof(*name);

	getsockname(listener, (struct sockaddr *)name, &bytes);
	return bytes;
}

static int port_of(const struct sockaddr_storage *name)
{
	if (domain == AF_UNIX)
		return 0;
	return ntohs(domain == AF_INET ? ((const struct sockaddr_in *)name)->sin_port
				       : ((const struct sockaddr_in6 *)name)->sin6_port);
}

static void listen_there(const char *where)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "socket"};
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_storage name;
	int failed;

	domain = !strcmp(where, "unix") ? AF_UNIX : !strcmp(where, "inet") ? AF_INET : AF_INET6;
	listener = socket(domain, SOCK_STREAM, 0);
	if (domain == AF_UNIX)
		failed = bind(listener, (struct sockaddr *)&un, sizeof(un));
	else if (domain == AF_INET)
		failed = bind(listener, (struct sockaddr *)&in, sizeof(in));
	else
		failed = bind(listener, (struct sockaddr *)&in6, sizeof(in6));
	if (failed || listen(listener, 16))
		_exit(91);
	own_name(&name);
	say(">listens %d", port_of(&name));
}

static void run(const char *name)
{
	const struct diff_case *const *at;

	for (at = __start_diff_cases; at < __stop_diff_cases; at++)
		if (!strcmp((*at)->name, name)) {
			(*at)->run();
			_exit(0);
		}
	_exit(92);
}

int main(int argc, char **argv)
{
	struct pollfd door = {.events = POLLIN};
	const struct diff_case *const *at;
	char name[128];
	ssize_t got;

	if (argc != 2)
		return 93;
	for (at = __start_diff_cases; !strcmp(argv[1], "--list") && at < __stop_diff_cases; at++)
		printf("%s\n", (*at)->name);
	if (!strcmp(argv[1], "--list"))
		return 0;
	listen_there(argv[1]);
	door.fd = listener;
	while (poll(&door, 1, -1) != 1)
		;
	got = read(0, name, sizeof(name) - 1);
	if (got <= 0)
		return 94;
	name[got] = 0;
	run(name);
}
