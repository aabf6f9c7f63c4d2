/* SPDX-License-Identifier: MIT */
#include "bench/socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

union any {
	struct sockaddr head;
	struct sockaddr_un un;
	struct sockaddr_in in;
};

static socklen_t parse(const char *address, union any *to)
{
	const char *colon = strrchr(address, ':');

	memset(to, 0, sizeof(*to));
	if (!strncmp(address, "unix:", 5)) {
		to->un.sun_family = AF_UNIX;
		snprintf(to->un.sun_path, sizeof(to->un.sun_path), "%s", address + 5);
		return sizeof(to->un);
	}
	to->in.sin_family = AF_INET;
	to->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to->in.sin_port = htons((uint16_t)atoi(colon ? colon + 1 : "0"));
	return sizeof(to->in);
}

static void no_delay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
		   sizeof(one)); /* refused on Unix sockets: fine */
}

int bench_listen(const char *address)
{
	union any to;
	socklen_t length = parse(address, &to);
	int fd = socket(to.head.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(fd, &to.head, length) && !listen(fd, 64))
		return fd;
	close(fd);
	return -1;
}

int bench_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		no_delay(fd);
	return fd;
}

int bench_connect(const char *address)
{
	union any to;
	socklen_t length = parse(address, &to);
	int fd = socket(to.head.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (connect(fd, &to.head, length)) {
		close(fd);
		return -1;
	}
	no_delay(fd);
	return fd;
}
