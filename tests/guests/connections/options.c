/* SPDX-License-Identifier: MIT */
/* getsockopt() and setsockopt(). */
#include "connections.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>

#define OPTION(level, name)        \
	{                          \
		level, name, #name \
	}

static const struct {
	int level;
	int name;
	const char *text;
} options[] = {
	OPTION(SOL_SOCKET, SO_REUSEADDR),
	OPTION(SOL_SOCKET, SO_REUSEPORT),
	OPTION(SOL_SOCKET, SO_KEEPALIVE),
	OPTION(SOL_SOCKET, SO_OOBINLINE),
	OPTION(SOL_SOCKET, SO_BROADCAST),
	OPTION(SOL_SOCKET, SO_PRIORITY),
	OPTION(SOL_SOCKET, SO_RCVLOWAT),
	OPTION(SOL_SOCKET, SO_SNDLOWAT),
	OPTION(SOL_SOCKET, SO_TYPE),
	OPTION(SOL_SOCKET, SO_DOMAIN),
	OPTION(SOL_SOCKET, SO_PROTOCOL),
	OPTION(SOL_SOCKET, SO_ERROR),
	OPTION(SOL_SOCKET, SO_ACCEPTCONN),
	OPTION(SOL_SOCKET, SO_TIMESTAMP),
	OPTION(SOL_SOCKET, SO_DONTROUTE),
	OPTION(SOL_SOCKET, SO_RXQ_OVFL),
	OPTION(SOL_SOCKET, 999),
	OPTION(IPPROTO_IP, IP_TOS),
	OPTION(IPPROTO_IP, IP_TTL),
	OPTION(IPPROTO_IP, IP_RECVTOS),
	OPTION(IPPROTO_IP, IP_RECVERR),
	OPTION(IPPROTO_IP, IP_PKTINFO),
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY),
	OPTION(IPPROTO_IPV6, IPV6_TCLASS),
	OPTION(IPPROTO_IPV6, IPV6_RECVERR),
	OPTION(IPPROTO_TCP, TCP_NODELAY),
	OPTION(IPPROTO_TCP, TCP_CORK),
	OPTION(IPPROTO_TCP, TCP_KEEPCNT),
	OPTION(IPPROTO_TCP, TCP_KEEPIDLE),
	OPTION(IPPROTO_TCP, TCP_KEEPINTVL),
	OPTION(IPPROTO_TCP, TCP_SYNCNT),
	OPTION(IPPROTO_TCP, TCP_LINGER2),
	OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT),
	OPTION(IPPROTO_TCP, TCP_DEFER_ACCEPT),
	OPTION(IPPROTO_TCP, TCP_FASTOPEN),
	OPTION(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
};

#define COUNT (sizeof(options) / sizeof(options[0]))

static void show_all(int fd)
{
	unsigned int i;

	for (i = 0; i < COUNT; i++) {
		int value = -7;
		socklen_t bytes = sizeof(value);

		say("%s:", options[i].text);
		if (!SHOW(getsockopt(fd, options[i].level, options[i].name, &value, &bytes)))
			say("  %d, %u bytes", value, bytes);
	}
}

CASE(options_of_a_connection)
{
	ACCEPTED;
	show_all(fd);
}

CASE(options_of_a_listener)
{
	show_all(listener);
}

CASE(options_of_a_new_socket)
{
	show_all(socket(domain, SOCK_STREAM, 0));
}

static void set_and_show(int fd, unsigned int i, int value)
{
	socklen_t bytes = sizeof(value);

	say("%s to %d:", options[i].text, value);
	SHOW(setsockopt(fd, options[i].level, options[i].name, &value, sizeof(value)));
	value = -7;
	if (!getsockopt(fd, options[i].level, options[i].name, &value, &bytes))
		say("  is %d", value);
}

/* Not what depends on the machine's memory, or on how new its kernel is. */
static bool is_plain(unsigned int i, int value)
{
	if (options[i].level == IPPROTO_TCP)
		return value < 100 ||
		       (options[i].name != TCP_DEFER_ACCEPT && options[i].name != TCP_FASTOPEN);
	return options[i].level != SOL_SOCKET ||
	       (options[i].name != SO_RCVLOWAT &&
		(options[i].name != SO_REUSEPORT || domain != AF_UNIX));
}

CASE(options_are_set)
{
	static const int values[] = {1, 0, 7, -1, 1000000};
	unsigned int i, k;

	for (i = 0; i < COUNT; i++) {
		int fd = socket(domain, SOCK_STREAM, 0);

		for (k = 0; k < 5; k++)
			if (is_plain(i, values[k]))
				set_and_show(fd, i, values[k]);
		close(fd);
	}
}

CASE(options_of_odd_lengths)
{
	static const socklen_t lengths[] = {0, 1, 2, 3, 5, 8};
	unsigned int i, k;

	for (i = 0; i < COUNT; i++) {
		int fd = socket(domain, SOCK_STREAM, 0);

		for (k = 0; k < 6; k++) {
			char value[16] = {1};
			socklen_t bytes = lengths[k];

			if ((options[i].level != SOL_SOCKET &&
			     (options[i].level != IPPROTO_TCP || domain == AF_UNIX)) ||
			    !is_plain(i, 0))
				continue;
			say("%s, %u bytes:", options[i].text, bytes);
			SHOW(setsockopt(fd, options[i].level, options[i].name, value, bytes));
			if (!SHOW(getsockopt(fd, options[i].level, options[i].name, value, &bytes)))
				say("  %u bytes: %d", bytes, value[0]);
		}
		close(fd);
	}
}

CASE(options_at_bad_addresses)
{
	int value = 1;
	socklen_t bytes = sizeof(value);

	ACCEPTED;
	SHOW(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, sizeof(value)));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NOWHERE, sizeof(value)));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, (socklen_t)-1));
	if (domain != AF_UNIX) {
		SHOW(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, NOWHERE, sizeof(value)));
		SHOW(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, (socklen_t)-1));
	}
	SHOW(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, &bytes));
	SHOW(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, NULL));
	SHOW(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NOWHERE, &bytes));
	bytes = (socklen_t)-1;
	SHOW(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &bytes));
	SHOW(setsockopt(-1, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)));
	SHOW(setsockopt(0, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)));
	SHOW(getsockopt(0, SOL_SOCKET, SO_KEEPALIVE, &value, &bytes));
}

static void show_time(int fd, int name)
{
	struct timeval span = {-1, -1};
	socklen_t bytes = sizeof(span);

	SHOW(getsockopt(fd, SOL_SOCKET, name, &span, &bytes));
	say("  %ld.%06ld, %u bytes", (long)span.tv_sec, (long)span.tv_usec, bytes);
}

static void set_times(int fd, int name)
{
	static const struct timeval spans[] = {{0, 0},  {1, 500000},  {0, 4000}, {-1, 0},
					       {0, -1}, {0, 1000000}, {5, 0}};
	unsigned int i;

	show_time(fd, name);
	for (i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		say("%ld.%06ld", (long)spans[i].tv_sec, (long)spans[i].tv_usec);
		SHOW(setsockopt(fd, SOL_SOCKET, name, &spans[i], sizeof(spans[i])));
		show_time(fd, name);
	}
	SHOW(setsockopt(fd, SOL_SOCKET, name, &spans[1], 8));
	SHOW(setsockopt(fd, SOL_SOCKET, name, &spans[1], 0));
}

CASE(times_to_wait)
{
	ACCEPTED;
	set_times(fd, SO_RCVTIMEO);
	set_times(fd, SO_SNDTIMEO);
}

static void show_linger(int fd)
{
	struct linger linger = {-1, -1};
	socklen_t bytes = sizeof(linger);

	SHOW(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &bytes));
	say("  %d %d, %u bytes", linger.l_onoff, linger.l_linger, bytes);
	bytes = 4;
	linger = (struct linger){-1, -1};
	SHOW(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &bytes));
	say("  %d %d, %u bytes", linger.l_onoff, linger.l_linger, bytes);
}

CASE(times_to_linger)
{
	static const struct linger all[] = {{0, 0}, {1, 5}, {0, 9}, {7, 3}, {1, 0}, {0, 0}};
	unsigned int i;

	ACCEPTED;
	show_linger(fd);
	for (i = 0; i < 6; i++) {
		say("%d %d", all[i].l_onoff, all[i].l_linger);
		SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &all[i], sizeof(all[i])));
		show_linger(fd);
	}
	SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &all[0], 4));
}

/* A connection has what its listener had when the client came. */
CASE(options_are_inherited)
{
	struct timeval span = {3, 0};
	struct linger linger = {1, 5};
	int fd;

	set_and_show(listener, 2, 1);
	set_and_show(listener, 3, 1);
	setsockopt(listener, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &span, sizeof(span));
	setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	setsockopt(listener, IPPROTO_TCP, TCP_KEEPIDLE, &(int){77}, sizeof(int));
	client("1 open");
	take();
	fd = take();
	show_all(fd);
	show_time(fd, SO_RCVTIMEO);
	show_linger(fd);
}

static void show_buffer(int fd, int name, int value)
{
	int is = -7;
	socklen_t bytes = sizeof(is);

	SHOW(setsockopt(fd, SOL_SOCKET, name, &value, sizeof(value)));
	SHOW(getsockopt(fd, SOL_SOCKET, name, &is, &bytes));
	say("%d of %d", is, value);
}

CASE(sizes_of_buffers)
{
	ACCEPTED;
	show_buffer(fd, SO_SNDBUF, 100000);
	show_buffer(fd, SO_RCVBUF, 100000);
	show_buffer(fd, SO_SNDBUF, 1);
	show_buffer(fd, SO_SNDBUF, 0);
	show_buffer(fd, SO_RCVBUF, 1);
}

CASE(what_tcp_says_of_itself)
{
	INTERNET_ONLY;
	struct tcp_info info = {.tcpi_state = 99};
	char text[32] = "";
	socklen_t bytes = sizeof(info);

	ACCEPTED;
	SHOW(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes));
	say("state %d, %u bytes", info.tcpi_state, bytes);
	SHOW(getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &bytes));
	say("state %d", info.tcpi_state);
	bytes = 1;
	SHOW(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes));
	say("state %d, %u bytes", info.tcpi_state, bytes);
	SHOW(setsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, sizeof(info)));
	client("0 shut");
	await(fd, POLLRDHUP);
	bytes = sizeof(info);
	SHOW(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes));
	say("state %d", info.tcpi_state);
	SHOW(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonesuch", 8));
	SHOW(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	bytes = sizeof(text);
	SHOW(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, text, &bytes));
	say("%s, %u bytes", text, bytes);
	bytes = 3;
	SHOW(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, text, &bytes));
	say("%u bytes", bytes);
}

CASE(the_error_is_told_once)
{
	INTERNET_ONLY;
	int error = -1;
	socklen_t bytes = sizeof(error);

	ACCEPTED;
	SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes));
	say("%d", error);
	client("0 reset");
	await(fd, POLLHUP);
	SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes));
	say("%d", error);
	SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes));
	say("%d", error);
	SHOW(setsockopt(fd, SOL_SOCKET, SO_ERROR, &error, bytes));
}

/* Bytes that a corked connection holds back come when the cork is out, or at the end. */
CASE(a_cork)
{
	INTERNET_ONLY;
	ACCEPTED;
	SHOW(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &(int){1}, sizeof(int)));
	SHOW(write(fd, "abc", 3));
	SHOW(write(fd, "def", 3));
	SHOW(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &(int){0}, sizeof(int)));
	client("0 take 6");
	SHOW(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &(int){1}, sizeof(int)));
	SHOW(write(fd, "ghi", 3));
	SHOW(close(fd));
	client("0 end");
}
