/* SPDX-License-Identifier: MIT */
/* accept() and accept4(): flags, addresses, order, what cannot be accepted. */
#include "connections.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

CASE(accept_flags)
{
	int fd = (int)SHOW(accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));

	SHOW(fcntl(fd, F_GETFL));
	SHOW(fcntl(fd, F_GETFD));
	client("1 open");
	SHOW(accept4(listener, NULL, NULL, 1));
	SHOW(accept4(listener, NULL, NULL, O_APPEND));
	SHOW(fd = accept4(listener, NULL, NULL, 0));
	SHOW(fcntl(fd, F_GETFL));
	SHOW(fcntl(fd, F_GETFD));
}

CASE(nonblocking_listener)
{
	int fd;

	SHOW(fcntl(listener, F_SETFL, O_NONBLOCK));
	SHOW(fcntl(listener, F_GETFL));
	SHOW(fd = accept(listener, NULL, NULL));
	SHOW(fcntl(fd, F_GETFL));
	SHOW(accept(listener, NULL, NULL));
	SHOW(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	client("1 open");
	await(listener, POLLIN);
	SHOW(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
	SHOW(fcntl(listener, F_SETFL, 0));
}

CASE(accept_tells_addresses)
{
	struct sockaddr_storage name;
	socklen_t bytes = sizeof(name);
	socklen_t rooms[] = {0, 1, 2, 7, 16, 28, 64};
	unsigned int i;

	SHOW(accept(listener, (struct sockaddr *)&name, &bytes));
	show_name("accepted from", &name, bytes, sizeof(name));
	for (i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		client("%u open", i + 1);
		memset(&name, 0x55, sizeof(name));
		bytes = rooms[i];
		SHOW(accept(listener, (struct sockaddr *)&name, &bytes));
		say("room %u: %u bytes", rooms[i], bytes);
		say("behind it: %x", ((unsigned char *)&name)[rooms[i]]);
	}
}

CASE(accept_with_bad_addresses)
{
	struct sockaddr_storage name;
	socklen_t bytes = (socklen_t)-1;

	SHOW(accept(listener, (struct sockaddr *)&name, &bytes));
	client("1 open");
	SHOW(accept(listener, (struct sockaddr *)&name, NULL));
	client("2 open");
	bytes = sizeof(name);
	SHOW(accept(listener, NOWHERE, &bytes));
	client("3 open");
	SHOW(accept(listener, (struct sockaddr *)&name, NOWHERE));
	client("4 open");
	SHOW(accept(listener, NULL, NOWHERE));
	SHOW(fcntl(listener, F_SETFL, O_NONBLOCK));
	SHOW(accept(listener, NULL, NULL));
	SHOW(accept(listener, NULL, NULL));
}

CASE(what_cannot_accept)
{
	int p[2];

	ACCEPTED;
	SHOW(accept(fd, NULL, NULL));
	SHOW(accept4(fd, NULL, NULL, SOCK_NONBLOCK));
	SHOW(accept(-1, NULL, NULL));
	SHOW(accept(1000, NULL, NULL));
	SHOW(pipe(p));
	SHOW(accept(p[0], NULL, NULL));
	SHOW(fd = socket(domain, SOCK_STREAM, 0));
	SHOW(accept(fd, NULL, NULL));
	SHOW(listen(p[0], 1));
	SHOW(listen(-1, 1));
}

CASE(too_many_descriptors)
{
	struct rlimit limit = {8, 8};
	int fd = -1;

	client("1 open");
	client("1 send first");
	while (dup(0) != 7)
		;
	SHOW(setrlimit(RLIMIT_NOFILE, &limit));
	SHOW(accept(listener, NULL, NULL));
	SHOW(accept(listener, NULL, NULL));
	SHOW(close(7));
	SHOW(fd = accept(listener, NULL, NULL));
	show_poll("the listener", listener);
	SHOW(accept(listener, NULL, NULL));
	SHOW(close(fd));
	SHOW(fd = accept(listener, NULL, NULL));
	show_poll("the listener", listener);
}

CASE(clients_come_in_their_order)
{
	char text[16];
	int i, fds[5];

	for (i = 1; i < 5; i++)
		client("%d open", i);
	for (i = 4; i >= 0; i--)
		client("%d send %d", i, i);
	for (i = 0; i < 5; i++) {
		fds[i] = take();
		await(fds[i], POLLIN);
		SHOW(read(fds[i], text, sizeof(text)));
		show_bytes("it said", text, 1);
	}
	for (i = 0; i < 5; i++)
		write(fds[i], "abcde" + i, 1);
	for (i = 0; i < 5; i++)
		client("%d take 1", i);
}

CASE(lowest_numbers)
{
	int a = take(), b, c;

	client("1 open");
	b = take();
	client("2 open");
	c = take();
	say("%d %d", b - a, c - a);
	SHOW(close(b));
	client("3 open");
	say("%d", take() - a);
	SHOW(close(a));
	SHOW(close(c));
	client("4 open");
	client("5 open");
	say("%d", take() - a);
	say("%d", take() - a);
}

CASE(who_went_before_he_was_accepted)
{
	char text[16];

	client("1 open");
	client("1 send words");
	client("1 close");
	ACCEPTED;
	SHOW(fd = accept(listener, NULL, NULL));
	await(fd, POLLRDHUP);
	await_bytes(fd, 5);
	show_poll("it", fd);
	SHOW(read(fd, text, 3));
	SHOW(read(fd, text, 16));
	SHOW(read(fd, text, 16));
	show_poll("it", fd);
}

CASE(who_reset_before_he_was_accepted)
{
	INTERNET_ONLY;
	char text[16];

	ACCEPTED;
	client("1 open");
	client("1 reset");
	SHOW(fd = accept(listener, NULL, NULL));
	await(fd, POLLHUP);
	show_poll("it", fd);
	SHOW(read(fd, text, 16));
	SHOW(read(fd, text, 16));
}

CASE(accept_waits_a_time)
{
	struct timeval span = {0, 20000};
	struct timeval wrong = {0, 1000000};

	ACCEPTED;
	SHOW(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &wrong, sizeof(wrong)));
	SHOW(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &span, sizeof(span)));
	SHOW(accept(listener, NULL, NULL));
	client("1 open");
	SHOW(accept(listener, NULL, NULL));
	SHOW(accept(listener, NULL, NULL));
	say("%d", fd >= 0);
}

static void on_alarm(int signo)
{
	(void)signo;
}

CASE(accept_is_interrupted)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval timer = {{0, 20000}, {0, 20000}}; /* again, should the first be early */

	ACCEPTED;
	sigaction(SIGALRM, &action, NULL);
	SHOW(setitimer(ITIMER_REAL, &timer, NULL));
	SHOW(accept(listener, NULL, NULL));
	SHOW(read(fd, &action, 1));
}

CASE(a_closed_listener_turns_clients_away)
{
	ACCEPTED;
	client("1 open");
	client("2 open");
	client("2 send unread");
	SHOW(close(listener));
	if (domain != AF_UNIX) {
		client("1 end");
		client("2 end");
	}
	client("0 send still");
	await(fd, POLLIN);
	show_poll("who was accepted", fd);
	SHOW(write(fd, "answer", 6));
	client("0 take 6");
}

CASE(a_listener_that_is_shut_down)
{
	INTERNET_ONLY;
	ACCEPTED;
	SHOW(shutdown(listener, SHUT_WR));
	show_poll("after SHUT_WR", listener);
	SHOW(shutdown(listener, 3));
	SHOW(shutdown(listener, SHUT_RD));
	show_poll("after SHUT_RD", listener);
	SHOW(accept(listener, NULL, NULL));
	SHOW(shutdown(listener, SHUT_RD));
	SHOW(listen(listener, 5));
	show_poll("listens again", listener);
	SHOW(fcntl(listener, F_SETFL, O_NONBLOCK));
	SHOW(accept(listener, NULL, NULL));
	say("%d", fd >= 0);
}

CASE(calls_that_a_listener_does_not_take)
{
	char text[16];
	struct iovec piece = {text, 16};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

	ACCEPTED;
	signal(SIGPIPE, SIG_IGN);
	SHOW(read(listener, text, 16));
	SHOW(read(listener, text, 0));
	SHOW(write(listener, text, 16));
	SHOW(write(listener, text, 0));
	SHOW(recv(listener, text, 16, 0));
	SHOW(recv(listener, text, 16, MSG_DONTWAIT));
	SHOW(recv(listener, text, 16, MSG_OOB));
	SHOW(send(listener, text, 16, 0));
	SHOW(send(listener, text, 16, MSG_NOSIGNAL));
	SHOW(recvmsg(listener, &message, 0));
	SHOW(sendmsg(listener, &message, 0));
	SHOW(lseek(listener, 0, SEEK_SET));
	SHOW(pread(listener, text, 1, 0));
	SHOW(getpeername(listener, NULL, NULL));
	say("%d", fd >= 0);
}
