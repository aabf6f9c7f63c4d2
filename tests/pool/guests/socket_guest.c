/* SPDX-License-Identifier: MIT */
/*
 * A served program that holds sockets at its ready point and makes more in its requests. What it is
 * to hold is said by its argument: "pair" and "listen" can be frozen, the others cannot.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <mayfly/sdk.h>

static int stream[2], packets[2], listener, epoll;
static char text[512];
static struct sockaddr_in address;

static void say(const char *format, long a, long b, long c, const char *word)
{
	snprintf(text, sizeof(text), format, a, b, c, word);
}

/* Both pairs, which every request finds empty: what was found, then leave something in them. */
static void use_pairs(void)
{
	char found[64] = "";
	struct epoll_event event;
	long waited = epoll_wait(epoll, &event, 1, 0);
	long got = recv(stream[1], found, sizeof(found) - 1, MSG_DONTWAIT);
	long packet;

	packet = recv(packets[0], found, sizeof(found) - 1, MSG_DONTWAIT);
	send(stream[0], "left in the stream", 18, 0);
	send(packets[1], "left in the packets", 19, 0);
	waited = waited * 10 + epoll_wait(epoll, &event, 1, 1000);
	say("%ld %ld %ld %s", got, packet, waited, found);
}

/* The other end is closed: this one has its end of file, in this request alone. */
static void close_pair(void)
{
	char byte;
	long got;

	close(stream[0]);
	got = recv(stream[1], &byte, 1, MSG_DONTWAIT);
	say("%ld %ld %ld %s", got, errno, 0, "");
}

static void halve_pair(void)
{
	char byte;

	shutdown(stream[0], SHUT_WR);
	say("%ld %ld %ld %s", recv(stream[1], &byte, 1, MSG_DONTWAIT), 0, 0, "");
}

/* A connection through the listening socket that all forks share, and who is at its end. */
static void connect_here(void)
{
	int a = socket(AF_INET, SOCK_STREAM, 0), b;
	char found[64] = "";
	long got = -1, name = mf_generation() % 1000000;

	if (connect(a, (struct sockaddr *)&address, sizeof(address))) {
		say("connect: %ld %ld %ld %s", errno, 0, 0, "");
		return;
	}
	send(a, &name, sizeof(name), 0);
	b = accept(listener, NULL, NULL);
	if (b >= 0)
		got = recv(b, found, sizeof(found), 0);
	say("%ld %ld %ld %s", got, b >= 0, a < b, "");
}

/* What would change the socket of all: each is refused. */
static void spoil_listener(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int size = 4096;
	long results = 0;

	results += !shutdown(listener, SHUT_RDWR);
	results += !connect(listener, &none, sizeof(none));
	results += !setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	results += !bind(listener, (struct sockaddr *)&address, sizeof(address));
	say("%ld %ld %ld %s", results, listen(listener, 1), fcntl(listener, F_GETFL), "");
}

/* Many sockets are left open. */
static void leak(void)
{
	int fds[2], i;

	for (i = 0; i < 20; i++) {
		socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
		socket(AF_INET, SOCK_STREAM, 0);
	}
	say("%ld %ld %ld %s", fds[0], fds[1], 0, "");
}

/* Waits for what never comes: the deadline ends it. */
static void wait_for_ever(void)
{
	char byte;

	say("%ld %ld %ld %s", recv(stream[1], &byte, 1, 0), 0, 0, "");
}

/* To connect to the Unix socket that the body names. */
static void reach(struct mf_text path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	long ret;

	memcpy(name.sun_path, path.data, path.length);
	ret = connect(fd, (struct sockaddr *)&name, sizeof(name));
	say("%ld %ld %ld %s", ret, ret ? errno : 0, 0, "");
}

static void serve(void)
{
	static const struct {
		const char *name;
		void (*serve)(void);
	} targets[] = {
		{"/pairs", use_pairs},      {"/close", close_pair},     {"/halve", halve_pair},
		{"/connect", connect_here}, {"/spoil", spoil_listener}, {"/leak", leak},
		{"/wait", wait_for_ever},
	};
	const struct mf_request *request;
	size_t i;

	while ((request = mf_wait())) {
		struct mf_text target = mf_request_target(request);

		text[0] = 0;
		for (i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
			if (target.length == strlen(targets[i].name) &&
			    !memcmp(targets[i].name, target.data, target.length))
				targets[i].serve();
		if (target.length == 6 && !memcmp("/reach", target.data, 6))
			reach(mf_request_body(request));
		mf_respond(200, "text/plain", text, strlen(text));
	}
}

static void hold(const char *what)
{
	socklen_t bytes = sizeof(address);
	struct epoll_event event = {.events = EPOLLIN};

	if (!strcmp(what, "fresh"))
		socket(AF_INET, SOCK_DGRAM, 0);
	else if (!strcmp(what, "full"))
		send(stream[0], "x", 1, 0);
	else if (!strcmp(what, "half"))
		close(stream[0]);
	else if (!strcmp(what, "sent"))
		send(packets[0], "", 0, 0);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind(listener, (struct sockaddr *)&address, sizeof(address));
	getsockname(listener, (struct sockaddr *)&address, &bytes);
	listen(listener, 64);
	epoll = epoll_create1(0);
	epoll_ctl(epoll, EPOLL_CTL_ADD, stream[1], &event);
	if (!strcmp(what, "connected"))
		connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&address,
			sizeof(address));
}

int main(int argc, char **argv)
{
	int size = 20000;

	socketpair(AF_UNIX, SOCK_STREAM, 0, stream);
	socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, packets);
	setsockopt(stream[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	hold(argc > 1 ? argv[1] : "listen");
	serve();
	return 0;
}
