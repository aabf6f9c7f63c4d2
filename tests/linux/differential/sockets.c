/* SPDX-License-Identifier: MIT */
/* Internet sockets over the loopback: connecting, what arrives, how it ends, what is refused. */
#include "case.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

OPTIONS("--allow-net");

static char big[1 << 20];

static void ready(const char *what, int fd, int timeout_ms)
{
	struct pollfd pollfd = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
	long count = SYS(poll, &pollfd, 1, timeout_ms);

	say("%s: %ld, %x", what, count, (unsigned int)pollfd.revents);
}

static void await(int fd, short events)
{
	struct pollfd pollfd = {fd, events, 0};

	SYS(poll, &pollfd, 1, 5000);
}

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons((uint16_t)port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A socket of that type, bound to the loopback: its address is filled in. */
static int bound(int type, struct sockaddr_in *address)
{
	socklen_t bytes = sizeof(*address);
	int fd = (int)SYS(socket, AF_INET, type, 0);

	*address = loopback(0);
	SHOW(SYS(bind, fd, address, bytes));
	SHOW(SYS(getsockname, fd, address, &bytes));
	return fd;
}

/* A connection: fds[0] asked for it, fds[1] was accepted. */
static void tcp_pair(int fds[2])
{
	struct sockaddr_in address;
	int listener = bound(SOCK_STREAM, &address);

	SHOW(SYS(listen, listener, 4));
	fds[0] = (int)SYS(socket, AF_INET, SOCK_STREAM, 0);
	SHOW(SYS(connect, fds[0], &address, sizeof(address)));
	fds[1] = (int)SYS(accept, listener, NULL, NULL);
	close(listener);
}

CASE(a_tcp_connection, socket, bind, listen, connect, accept, getsockname, getpeername, sendto,
     recvfrom, shutdown, poll)
{
	struct sockaddr_in address, from, name;
	socklen_t bytes = sizeof(from);
	char text[64];
	int listener = bound(SOCK_STREAM, &address);
	int a, b;

	say("family %d, port given %d, %s", address.sin_family, address.sin_port != 0,
	    inet_ntoa(address.sin_addr));
	ready("bound", listener, 0);
	SHOW(SYS(listen, listener, 4));
	ready("listening", listener, 0);
	a = (int)SHOW(SYS(socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	ready("not connected", a, 0);
	SHOW(SYS(sendto, a, "x", 1, MSG_NOSIGNAL, NULL, 0));
	SHOW(SYS(recvfrom, a, text, 1, 0, NULL, NULL));
	SHOW(SYS(getpeername, a, &name, &bytes));
	SHOW(SYS(connect, a, &address, sizeof(address)));
	ready("asked for", listener, 1000);
	b = (int)SHOW(SYS(accept, listener, &from, &bytes));
	say("from family %d, %u bytes", from.sin_family, (unsigned int)bytes);
	bytes = sizeof(name);
	SHOW(SYS(getsockname, a, &name, &bytes));
	say("the same: %d", !memcmp(&from, &name, sizeof(name)));
	bytes = 4;
	SHOW(SYS(getpeername, b, &name, &bytes));
	say("%u bytes", (unsigned int)bytes);
	SHOW(SYS(connect, a, &address, sizeof(address)));
	SHOW(SYS(sendto, a, "hello", 5, 0, NULL, 0));
	await(b, POLLIN);
	SHOW(SYS(recvfrom, b, text, 64, MSG_PEEK, NULL, NULL));
	bytes = sizeof(name);
	SHOW(SYS(recvfrom, b, text, 64, 0, &name, &bytes));
	show_bytes("got", text, 5);
	say("name of %u bytes", (unsigned int)bytes);
	SHOW(SYS(shutdown, a, SHUT_WR));
	ready("the end, there", b, 1000);
	SHOW(SYS(recvfrom, b, text, 64, 0, NULL, NULL));
	SHOW(SYS(sendto, b, "answer", 6, 0, &address, sizeof(address)));
	await(a, POLLIN);
	SHOW(SYS(recvfrom, a, text, 64, 0, NULL, NULL));
	SHOW(SYS(sendto, a, "x", 1, MSG_NOSIGNAL, NULL, 0));
	SHOW(SYS(shutdown, b, SHUT_RDWR));
	await(a, POLLHUP);
	ready("both ends", a, 0);
	SHOW(SYS(shutdown, a, SHUT_RDWR));
	SHOW(SYS(shutdown, listener, SHUT_RDWR));
	SHOW(SYS(accept, listener, NULL, NULL));
}

CASE(connecting_without_waiting, socket, connect, getsockopt, accept4, listen)
{
	struct sockaddr_in address;
	socklen_t bytes = sizeof(int);
	int listener = bound(SOCK_STREAM, &address);
	int a, b, error = -1;

	SHOW(SYS(listen, listener, 4));
	fcntl(listener, F_SETFL, O_NONBLOCK);
	SHOW(SYS(accept4, listener, NULL, NULL, 0));
	a = (int)SYS(socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	SHOW(SYS(connect, a, &address, sizeof(address)));
	await(a, POLLOUT);
	SHOW(SYS(getsockopt, a, SOL_SOCKET, SO_ERROR, &error, &bytes));
	say("error %d", error);
	SHOW(SYS(connect, a, &address, sizeof(address)));
	SHOW(SYS(connect, a, &address, sizeof(address)));
	await(listener, POLLIN);
	b = (int)SHOW(SYS(accept4, listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
	SHOW(SYS(fcntl, b, F_GETFL));
	SHOW(SYS(fcntl, b, F_GETFD));
	SHOW(SYS(accept4, listener, NULL, NULL, 0));
	SHOW(SYS(listen, listener, 1));
	/* nobody is there */
	close(listener);
	a = (int)SYS(socket, AF_INET, SOCK_STREAM, 0);
	SHOW(SYS(connect, a, &address, sizeof(address)));
	a = (int)SYS(socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	SHOW(SYS(connect, a, &address, sizeof(address)));
	await(a, POLLOUT);
	ready("refused", a, 0);
	SHOW(SYS(getsockopt, a, SOL_SOCKET, SO_ERROR, &error, &bytes));
	say("error %d", error);
	SHOW(SYS(getsockopt, a, SOL_SOCKET, SO_ERROR, &error, &bytes));
	say("error %d", error);
}

CASE(a_connection_that_is_broken_off, socket, sendto, recvfrom, setsockopt)
{
	struct linger hard = {1, 0}, soft = {1, 30};
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	char text[8];
	int fds[2];

	tcp_pair(fds);
	SHOW(SYS(setsockopt, fds[0], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)));
	SHOW(SYS(sendto, fds[1], "unread", 6, 0, NULL, 0));
	close(fds[0]);
	await(fds[1], POLLHUP);
	ready("reset", fds[1], 0);
	SHOW(SYS(recvfrom, fds[1], text, 8, 0, NULL, NULL));
	SHOW(SYS(recvfrom, fds[1], text, 8, 0, NULL, NULL));
	SHOW(SYS(sendto, fds[1], "x", 1, MSG_NOSIGNAL, NULL, 0));
	tcp_pair(fds);
	SHOW(SYS(setsockopt, fds[0], SOL_SOCKET, SO_LINGER, &soft, sizeof(soft)));
	SHOW(SYS(sendto, fds[0], "last", 4, 0, NULL, 0));
	close(fds[0]);
	await(fds[1], POLLIN);
	SHOW(SYS(recvfrom, fds[1], text, 8, 0, NULL, NULL));
	SHOW(SYS(recvfrom, fds[1], text, 8, 0, NULL, NULL));
	tcp_pair(fds);
	SHOW(SYS(connect, fds[0], &none, sizeof(none)));
	await(fds[1], POLLHUP);
	SHOW(SYS(recvfrom, fds[1], text, 8, 0, NULL, NULL));
}

CASE(urgent_bytes, socket, sendto, recvfrom, ioctl, setsockopt)
{
	char text[64];
	int fds[2], at = -1, on = 1;

	tcp_pair(fds);
	SHOW(SYS(sendto, fds[0], "ab", 2, 0, NULL, 0));
	SHOW(SYS(sendto, fds[0], "cU", 2, MSG_OOB, NULL, 0));
	SHOW(SYS(sendto, fds[0], "de", 2, 0, NULL, 0));
	await(fds[1], POLLPRI);
	ready("urgent", fds[1], 1000);
	SHOW(SYS(recvfrom, fds[1], text, 1, MSG_OOB, NULL, NULL));
	show_bytes("urgent", text, 1);
	SHOW(SYS(recvfrom, fds[1], text, 1, MSG_OOB, NULL, NULL));
	SHOW(SYS(ioctl, fds[1], SIOCATMARK, &at));
	say("at the mark: %d", at);
	SHOW(SYS(recvfrom, fds[1], text, 64, 0, NULL, NULL));
	SHOW(SYS(ioctl, fds[1], SIOCATMARK, &at));
	say("at the mark: %d", at);
	await(fds[1], POLLIN);
	SHOW(SYS(recvfrom, fds[1], text, 64, 0, NULL, NULL));
	SHOW(SYS(setsockopt, fds[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)));
	SHOW(SYS(sendto, fds[0], "V", 1, MSG_OOB, NULL, 0));
	await(fds[1], POLLIN);
	SHOW(SYS(recvfrom, fds[1], text, 64, 0, NULL, NULL));
	show_bytes("in line", text, 1);
}

static void *send_slowly(void *fd)
{
	usleep(30000);
	SYS(sendto, *(int *)fd, "first", 5, 0, NULL, 0);
	usleep(30000);
	SYS(sendto, *(int *)fd, "second", 6, 0, NULL, 0);
	usleep(30000);
	SYS(shutdown, *(int *)fd, SHUT_WR);
	return NULL;
}

CASE(waiting_for_all, socket, recvfrom, setsockopt)
{
	struct timeval span = {0, 50000};
	char text[64] = "";
	pthread_t thread;
	int fds[2];

	tcp_pair(fds);
	pthread_create(&thread, NULL, send_slowly, &fds[0]);
	SHOW(SYS(recvfrom, fds[1], text, 8, MSG_WAITALL | MSG_PEEK, NULL, NULL));
	SHOW(SYS(recvfrom, fds[1], text, 8, MSG_WAITALL, NULL, NULL));
	show_bytes("all", text, 8);
	SHOW(SYS(recvfrom, fds[1], text, 8, MSG_WAITALL, NULL, NULL));
	SHOW(SYS(recvfrom, fds[1], text, 8, MSG_WAITALL, NULL, NULL));
	pthread_join(thread, NULL);
	SHOW(SYS(setsockopt, fds[0], SOL_SOCKET, SO_RCVTIMEO, &span, sizeof(span)));
	SHOW(SYS(sendto, fds[1], "few", 3, 0, NULL, 0));
	SHOW(SYS(recvfrom, fds[0], text, 8, MSG_WAITALL, NULL, NULL));
	SHOW(SYS(recvfrom, fds[0], text, 8, MSG_WAITALL, NULL, NULL));
}

#define LARGE (12u << 20)

static void *send_large(void *fd)
{
	uint32_t value = 1;
	size_t sent = 0, i;
	static char from[LARGE];

	for (i = 0; i < LARGE; i++)
		from[i] = (char)((value = value * 1103515245u + 12345u) >> 16);
	while (sent < LARGE) {
		long got = SYS(sendto, *(int *)fd, from + sent, LARGE - sent, 0, NULL, 0);

		if (got <= 0)
			break;
		sent += (size_t)got;
	}
	say("sent %zu", sent);
	SYS(shutdown, *(int *)fd, SHUT_WR);
	return NULL;
}

/* Receive to the end: is it what send_large sent? */
static void take_large(int fd)
{
	uint32_t value = 1;
	size_t bytes = 0, wrong = 0;
	long got, i;

	while ((got = SYS(recvfrom, fd, big, sizeof(big), 0, NULL, NULL)) > 0) {
		for (i = 0; i < got; i++)
			wrong += big[i] != (char)((value = value * 1103515245u + 12345u) >> 16);
		bytes += (size_t)got;
	}
	say("received %zu, wrong %zu", bytes, wrong);
}

CASE(much_in_both_directions, socket, sendto, recvfrom)
{
	pthread_t thread;
	int fds[2], i;

	tcp_pair(fds);
	for (i = 0; i < 2; i++) {
		pthread_create(&thread, NULL, send_large, &fds[i]);
		/* one line after the other */
		take_large(fds[!i]);
		pthread_join(thread, NULL);
	}
}

CASE(datagrams, socket, bind, connect, sendto, recvfrom, getpeername)
{
	struct sockaddr_in a_name, b_name, from;
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int a = bound(SOCK_DGRAM, &a_name), b = bound(SOCK_DGRAM, &b_name);
	socklen_t bytes = sizeof(from);
	char text[64];

	ready("fresh", a, 0);
	SHOW(SYS(sendto, a, "x", 1, 0, NULL, 0));
	SHOW(SYS(sendto, a, "to b", 4, 0, &b_name, sizeof(b_name)));
	SHOW(SYS(sendto, a, "", 0, 0, &b_name, sizeof(b_name)));
	await(b, POLLIN);
	SHOW(SYS(recvfrom, b, text, 2, MSG_PEEK | MSG_TRUNC, &from, &bytes));
	SHOW(SYS(recvfrom, b, text, 64, 0, &from, &bytes));
	say("from a: %d, %u bytes", !memcmp(&from, &a_name, sizeof(from)), (unsigned int)bytes);
	SHOW(SYS(recvfrom, b, text, 64, MSG_DONTWAIT, &from, &bytes));
	SHOW(SYS(recvfrom, b, text, 64, MSG_DONTWAIT, &from, &bytes));
	SHOW(SYS(connect, a, &b_name, sizeof(b_name)));
	SHOW(SYS(getpeername, a, &from, &bytes));
	SHOW(SYS(sendto, a, "connected", 9, 0, NULL, 0));
	SHOW(SYS(recvfrom, b, text, 64, 0, NULL, NULL));
	close(b);
	SHOW(SYS(sendto, a, "nobody", 6, 0, NULL, 0));
	await(a, POLLERR);
	ready("refused", a, 0);
	SHOW(SYS(recvfrom, a, text, 64, MSG_DONTWAIT, NULL, NULL));
	SHOW(SYS(connect, a, &none, sizeof(none)));
	SHOW(SYS(getpeername, a, &from, &bytes));
	SHOW(SYS(sendto, a, big, 65507, 0, &a_name, sizeof(a_name)));
	SHOW(SYS(sendto, a, big, 65508, 0, &a_name, sizeof(a_name)));
	a_name.sin_family = AF_UNSPEC;
	SHOW(SYS(sendto, a, "x", 1, 0, &a_name, sizeof(a_name)));
	a_name.sin_family = AF_UNIX;
	SHOW(SYS(sendto, a, "x", 1, 0, &a_name, sizeof(a_name)));
	a_name.sin_family = AF_INET;
	SHOW(SYS(sendto, a, "x", 1, 0, &a_name, 15));
	a_name.sin_port = 0;
	SHOW(SYS(sendto, a, "x", 1, 0, &a_name, sizeof(a_name)));
	SHOW(SYS(listen, a, 1));
	SHOW(SYS(accept, a, NULL, NULL));
}

CASE(what_comes_with_a_datagram, socket, sendmsg, recvmsg, setsockopt)
{
	static const int names[] = {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS};
	struct sockaddr_in name;
	char control[256], byte = 'x';
	struct iovec piece = {&byte, 1};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	struct cmsghdr *head;
	int fd = bound(SOCK_DGRAM, &name), on = 1, ttl = 33;
	size_t i;

	for (i = 0; i < 3; i++)
		SHOW(SYS(setsockopt, fd, IPPROTO_IP, names[i], &on, sizeof(on)));
	message.msg_name = &name;
	message.msg_namelen = sizeof(name);
	message.msg_control = control;
	message.msg_controllen = CMSG_SPACE(sizeof(int));
	head = CMSG_FIRSTHDR(&message);
	*head = (struct cmsghdr){CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TTL};
	memcpy(CMSG_DATA(head), &ttl, sizeof(ttl));
	SHOW(SYS(sendmsg, fd, &message, 0));
	head->cmsg_type = IP_RETOPTS;
	SHOW(SYS(sendmsg, fd, &message, 0));
	head->cmsg_len = 5;
	SHOW(SYS(sendmsg, fd, &message, 0));
	message.msg_controllen = sizeof(control);
	await(fd, POLLIN);
	SHOW(SYS(recvmsg, fd, &message, 0));
	say("flags %x, name %u, control %zu", (unsigned int)message.msg_flags, message.msg_namelen,
	    (size_t)message.msg_controllen);
	for (head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
		say("level %d, type %d, %zu bytes", head->cmsg_level, head->cmsg_type,
		    (size_t)head->cmsg_len);
		if (head->cmsg_type == IP_TTL) {
			memcpy(&ttl, CMSG_DATA(head), sizeof(ttl));
			say("ttl %d", ttl);
		}
	}
}

CASE(several_datagrams_at_once, socket, sendmmsg, recvmmsg)
{
	char texts[3][8] = {"one", "two", "three"};
	struct sockaddr_in name, from[3];
	struct mmsghdr messages[3] = {0};
	struct iovec pieces[3];
	struct timespec span = {0, 40000000};
	int fd = bound(SOCK_DGRAM, &name);
	size_t i;

	for (i = 0; i < 3; i++) {
		pieces[i] = (struct iovec){texts[i], strlen(texts[i])};
		messages[i].msg_hdr = (struct msghdr){&name, sizeof(name), &pieces[i], 1, 0, 0, 0};
	}
	SHOW(SYS(sendmmsg, fd, messages, 3, 0));
	for (i = 0; i < 3; i++) {
		pieces[i].iov_len = 8;
		messages[i].msg_hdr.msg_name = &from[i];
	}
	await(fd, POLLIN);
	SHOW(SYS(recvmmsg, fd, messages, 3, 0, &span));
	for (i = 0; i < 3; i++)
		say("%u bytes from itself: %d, name %u", messages[i].msg_len,
		    !memcmp(&from[i], &name, sizeof(name)), messages[i].msg_hdr.msg_namelen);
}

struct option {
	int level, name;
	const char *text;
};

static void show_options(int fd, const struct option *options, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		char value[256] = {0};
		socklen_t bytes = sizeof(value);
		int number = 3;

		say("%s", options[i].text);
		SHOW(SYS(getsockopt, fd, options[i].level, options[i].name, value, &bytes));
		memcpy(&number, value, sizeof(number));
		say("%d, %u bytes", number, (unsigned int)bytes);
		number = 3;
		SHOW(SYS(setsockopt, fd, options[i].level, options[i].name, &number, 4));
		bytes = sizeof(value);
		SHOW(SYS(getsockopt, fd, options[i].level, options[i].name, value, &bytes));
		memcpy(&number, value, sizeof(number));
		say("%d", number);
		SHOW(SYS(setsockopt, fd, options[i].level, options[i].name, &number, 0));
		SHOW(SYS(setsockopt, fd, options[i].level, options[i].name, NOWHERE, 4));
	}
}

#define OPTION(level, name)        \
	{                          \
		level, name, #name \
	}

CASE(options_of_tcp, socket, getsockopt, setsockopt)
{
	static const struct option options[] = {
		OPTION(SOL_SOCKET, SO_TYPE),
		OPTION(SOL_SOCKET, SO_PROTOCOL),
		OPTION(SOL_SOCKET, SO_REUSEADDR),
		OPTION(SOL_SOCKET, SO_REUSEPORT),
		OPTION(SOL_SOCKET, SO_KEEPALIVE),
		OPTION(SOL_SOCKET, SO_BROADCAST),
		OPTION(SOL_SOCKET, SO_PRIORITY),
		OPTION(SOL_SOCKET, SO_RCVLOWAT),
		OPTION(IPPROTO_TCP, TCP_NODELAY),
		OPTION(IPPROTO_TCP, TCP_CORK),
		OPTION(IPPROTO_TCP, TCP_KEEPIDLE),
		OPTION(IPPROTO_TCP, TCP_KEEPINTVL),
		OPTION(IPPROTO_TCP, TCP_KEEPCNT),
		OPTION(IPPROTO_TCP, TCP_SYNCNT),
		OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT),
		OPTION(IPPROTO_TCP, TCP_QUICKACK),
		OPTION(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
		OPTION(IPPROTO_IP, IP_TOS),
		OPTION(IPPROTO_IP, IP_TTL),
		OPTION(IPPROTO_IP, IP_RECVTTL),
		OPTION(IPPROTO_IP, IP_MTU_DISCOVER),
		OPTION(IPPROTO_TCP, 999),
		OPTION(IPPROTO_IP, 999),
	};
	int fds[2];

	tcp_pair(fds);
	show_options(fds[0], options, sizeof(options) / sizeof(options[0]));
}

CASE(options_of_udp, socket, getsockopt, setsockopt)
{
	static const struct option options[] = {
		OPTION(SOL_SOCKET, SO_BROADCAST),      OPTION(IPPROTO_IP, IP_MULTICAST_TTL),
		OPTION(IPPROTO_IP, IP_MULTICAST_LOOP), OPTION(IPPROTO_IP, IP_PKTINFO),
		OPTION(IPPROTO_IP, IP_RECVERR),        OPTION(IPPROTO_IP, IP_RECVTOS),
	};
	int fd = (int)SYS(socket, AF_INET, SOCK_DGRAM, 0);

	show_options(fd, options, sizeof(options) / sizeof(options[0]));
	SHOW(SYS(getsockopt, fd, IPPROTO_TCP, TCP_NODELAY, big, &(socklen_t){4}));
}

CASE(sockets_that_are_not_to_be_had, socket)
{
	SHOW(SYS(socket, AF_INET, SOCK_STREAM, IPPROTO_UDP));
	SHOW(SYS(socket, AF_INET, SOCK_DGRAM, IPPROTO_TCP));
	SHOW(SYS(socket, AF_INET, SOCK_RAW, IPPROTO_ICMP));
	SHOW(SYS(socket, AF_INET, SOCK_STREAM | 0x400, 0));
	SHOW(SYS(socket, 99, SOCK_STREAM, 0));
	SHOW(SYS(socket, AF_INET, 15, 0));
	SHOW(SYS(socket, -1, SOCK_STREAM, 0));
}

CASE(hostile_addresses, socket, bind, connect, listen, accept4)
{
	struct sockaddr_in name = loopback(0);
	int fd = (int)SYS(socket, AF_INET, SOCK_STREAM, 0);
	static const int lengths[] = {0, 1, 2, 8, 15, 17, 127, 128, 129, 1 << 20, -1};
	char padded[128] = {0};
	size_t i;

	memcpy(padded, &name, sizeof(name));
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		say("length %d", lengths[i]);
		fd = (int)SYS(socket, AF_INET, SOCK_STREAM, 0);
		SHOW(SYS(bind, fd, padded, lengths[i]));
		SHOW(SYS(bind, fd, NOWHERE, lengths[i]));
		SHOW(SYS(connect, fd, padded, lengths[i]));
		SHOW(SYS(connect, fd, NOWHERE, lengths[i]));
		close(fd);
	}
	fd = (int)SYS(socket, AF_INET, SOCK_STREAM, 0);
	name.sin_family = AF_UNIX;
	SHOW(SYS(bind, fd, &name, sizeof(name)));
	SHOW(SYS(connect, fd, &name, sizeof(name)));
	name.sin_family = 99;
	SHOW(SYS(bind, fd, &name, sizeof(name)));
	name = loopback(0);
	name.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1: nobody's */
	SHOW(SYS(bind, fd, &name, sizeof(name)));
	SHOW(SYS(listen, fd, -5));
	SHOW(SYS(accept4, fd, NULL, NULL, 0x10));
}
