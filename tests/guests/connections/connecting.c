/* SPDX-License-Identifier: MIT */
/* A program that connects to its own listener. */
#include "connections.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static struct sockaddr_storage name;
static socklen_t name_bytes;

/* Connected to itself: the end that connected; the other one in *accepted. */
static int pair(int *accepted)
{
	int fd = socket(domain, SOCK_STREAM, 0);

	name_bytes = own_name(&name);
	SHOW(connect(fd, (struct sockaddr *)&name, name_bytes));
	SHOW(*accepted = accept(listener, NULL, NULL));
	return fd;
}

CASE(connect_to_itself)
{
	char text[32];
	int a, b;

	ACCEPTED;
	a = pair(&b);
	SHOW(write(a, "question", 8));
	SHOW(read(b, text, 32));
	SHOW(write(b, "answer", 6));
	SHOW(read(a, text, 32));
	SHOW(connect(a, (struct sockaddr *)&name, name_bytes));
	SHOW(listen(a, 1));
	show_poll("a", a);
	SHOW(shutdown(a, SHUT_WR));
	await(b, POLLRDHUP);
	show_poll("b, whose other end is shut", b);
	SHOW(read(b, text, 32));
	SHOW(write(b, "late", 4));
	await_bytes(a, 4);
	SHOW(read(a, text, 32));
	SHOW(close(b));
	await(a, POLLHUP);
	show_poll("a, whose other end is closed", a);
	SHOW(read(a, text, 32));
	say("%d", fd >= 0);
}

CASE(names_of_a_connection_to_itself)
{
	struct sockaddr_storage own, other;
	socklen_t bytes;
	int ends[2], i;

	ACCEPTED;
	ends[0] = pair(&ends[1]);
	for (i = 0; i < 2; i++) {
		bytes = sizeof(own);
		SHOW(getsockname(ends[i], (struct sockaddr *)&own, &bytes));
		show_name("own", &own, bytes, sizeof(own));
		bytes = sizeof(other);
		SHOW(getpeername(ends[i], (struct sockaddr *)&other, &bytes));
		show_name("other", &other, bytes, sizeof(other));
	}
	say("%d", fd >= 0);
}

CASE(nobody_listens_there)
{
	struct sockaddr_storage nowhere;
	int fd = socket(domain, SOCK_STREAM, 0);

	name_bytes = own_name(&name);
	nowhere = name;
	SHOW(connect(fd, NULL, name_bytes));
	SHOW(connect(fd, (struct sockaddr *)&name, 1));
	SHOW(connect(fd, NOWHERE, name_bytes));
	SHOW(connect(-1, (struct sockaddr *)&name, name_bytes));
	SHOW(connect(0, (struct sockaddr *)&name, name_bytes));
	SHOW(connect(listener, (struct sockaddr *)&name, name_bytes));
	show_poll("not connected", fd);
	SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
	SHOW(recv(fd, &nowhere, 1, 0));
	if (domain != AF_UNIX)
		SHOW(shutdown(fd, SHUT_RD));
	SHOW(getpeername(fd, (struct sockaddr *)&nowhere, &name_bytes));
}

CASE(connect_without_waiting)
{
	int fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int error = -1;
	socklen_t bytes = sizeof(error);

	name_bytes = own_name(&name);
	SHOW(connect(fd, (struct sockaddr *)&name, name_bytes));
	await(fd, POLLOUT);
	show_poll("it", fd);
	SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes));
	say("error %d", error);
	SHOW(connect(fd, (struct sockaddr *)&name, name_bytes));
	SHOW(connect(fd, (struct sockaddr *)&name, name_bytes));
	SHOW(send(fd, "x", 1, 0));
}

CASE(leaving_a_connection_to_itself)
{
	char text[32];
	int a, b;

	ACCEPTED;
	a = pair(&b);
	SHOW(write(a, "unread", 6));
	SHOW(close(b));
	await(a, POLLHUP);
	show_poll("a", a);
	SHOW(read(a, text, 32));
	SHOW(read(a, text, 32));
	SHOW(send(a, "x", 1, MSG_NOSIGNAL));
	a = pair(&b);
	SHOW(write(b, "sent and left", 13));
	SHOW(close(b));
	await_bytes(a, 13);
	SHOW(read(a, text, 4));
	SHOW(read(a, text, 32));
	SHOW(read(a, text, 32));
	say("%d", fd >= 0);
}

CASE(closed_before_it_was_accepted)
{
	char text[32];
	int a = socket(domain, SOCK_STREAM, 0), b;

	ACCEPTED;
	name_bytes = own_name(&name);
	SHOW(connect(a, (struct sockaddr *)&name, name_bytes));
	SHOW(write(a, "words", 5));
	SHOW(close(a));
	SHOW(b = accept(listener, NULL, NULL));
	await_bytes(b, 5);
	SHOW(read(b, text, 32));
	SHOW(read(b, text, 32));
	a = socket(domain, SOCK_STREAM, 0);
	SHOW(connect(a, (struct sockaddr *)&name, name_bytes));
	SHOW(close(listener));
	await(a, POLLHUP);
	show_poll("its listener is closed", a);
	SHOW(read(a, text, 32));
	SHOW(read(a, text, 32));
	say("%d", fd >= 0);
}

/* More than there is room for, from one end to the other. */
CASE(much_to_itself)
{
	static char bytes[100000];
	const size_t whole = 20000000;
	size_t sent = 0, got = 0;
	int a, b;
	bool full = false;

	ACCEPTED;
	a = pair(&b);
	fcntl(a, F_SETFL, O_NONBLOCK);
	fcntl(b, F_SETFL, O_NONBLOCK);
	while (got < whole) {
		size_t left = whole - sent < sizeof(bytes) ? whole - sent : sizeof(bytes);
		ssize_t one = left ? write(a, bytes, left) : 0;
		ssize_t two = one > 0 ? 0 : read(b, bytes, sizeof(bytes));

		full |= one < 0 && errno == EAGAIN;
		sent += one > 0 ? (size_t)one : 0;
		got += two > 0 ? (size_t)two : 0;
	}
	say("as much came as was sent: %d, it was full: %d, %d", sent == got, full, fd >= 0);
}

static void connect_between(int from, int to)
{
	char four[] = "\x7f\0\0\1";
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	int fd = socket(from, SOCK_STREAM, 0);

	name_bytes = own_name(&name);
	in.sin_port = in6.sin6_port = ((struct sockaddr_in *)&name)->sin_port;
	memcpy(&in.sin_addr, four, 4);
	if (to == AF_INET)
		SHOW(connect(fd, (struct sockaddr *)&in, sizeof(in)));
	else
		SHOW(connect(fd, (struct sockaddr *)&in6, sizeof(in6)));
}

CASE(connect_by_other_addresses)
{
	if (domain == AF_UNIX)
		return;
	connect_between(AF_INET, AF_INET);
	connect_between(AF_INET, AF_INET6);
	if (domain == AF_INET6) {
		connect_between(AF_INET6, AF_INET6);
		connect_between(AF_INET6, AF_INET);
	}
}
