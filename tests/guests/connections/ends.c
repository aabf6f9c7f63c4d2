/* SPDX-License-Identifier: MIT */
/* shutdown(), close(), duplicates, status flags. */
#include "connections.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static char text[256];

CASE(shut_each_side)
{
	ACCEPTED;
	SHOW(shutdown(fd, -1));
	SHOW(shutdown(fd, 3));
	SHOW(shutdown(0, SHUT_WR));
	SHOW(shutdown(-1, SHUT_WR));
	show_poll("open", fd);
	SHOW(shutdown(fd, SHUT_WR));
	show_poll("after SHUT_WR", fd);
	SHOW(shutdown(fd, SHUT_WR));
	client("0 end");
	client("0 send still heard");
	await_bytes(fd, 11);
	SHOW(read(fd, text, 100));
	SHOW(shutdown(fd, SHUT_RD));
	show_poll("after both", fd);
	SHOW(read(fd, text, 100));
	SHOW(shutdown(fd, SHUT_RDWR));
}

CASE(shut_for_reading)
{
	ACCEPTED;
	client("0 send before");
	await_bytes(fd, 6);
	SHOW(shutdown(fd, SHUT_RD));
	show_poll("after SHUT_RD", fd);
	SHOW(recv(fd, text, 3, 0));
	SHOW(read(fd, text, 100));
	SHOW(read(fd, text, 100));
	SHOW(write(fd, "answer", 6));
	client("0 take 6");
	SHOW(close(fd));
	client("0 end");
}

CASE(both_ends_are_shut)
{
	ACCEPTED;
	client("0 shut");
	await(fd, POLLRDHUP);
	show_poll("the client's", fd);
	SHOW(write(fd, "answer", 6));
	SHOW(shutdown(fd, SHUT_WR));
	client("0 end");
	await(fd, POLLHUP);
	show_poll("both", fd);
	SHOW(read(fd, text, 100));
	SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
}

CASE(both_ends_are_shut_the_other_way_round)
{
	ACCEPTED;
	SHOW(shutdown(fd, SHUT_WR));
	client("0 send behind it");
	client("0 shut");
	await(fd, POLLRDHUP);
	await_bytes(fd, 9);
	SHOW(read(fd, text, 100));
	SHOW(read(fd, text, 100));
	await(fd, POLLHUP);
	show_poll("both", fd);
	client("0 end");
}

CASE(close_with_nothing_unread)
{
	ACCEPTED;
	SHOW(write(fd, "answer", 6));
	SHOW(close(fd));
	SHOW(close(fd));
	SHOW(read(fd, text, 1));
	client("0 end");
}

CASE(close_without_lingering)
{
	INTERNET_ONLY;
	struct linger none = {.l_onoff = 1};

	ACCEPTED;
	SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)));
	SHOW(close(fd));
	client("0 end");
}

CASE(close_with_a_time_to_linger)
{
	struct linger some = {.l_onoff = 1, .l_linger = 1};

	ACCEPTED;
	client("0 swallow");
	SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &some, sizeof(some)));
	SHOW(write(fd, "answer", 6));
	SHOW(close(fd));
}

CASE(duplicates)
{
	int other;

	ACCEPTED;
	client("0 send abcdef");
	await_bytes(fd, 6);
	SHOW(other = dup(fd));
	SHOW(read(fd, text, 2));
	SHOW(read(other, text, 2));
	show_bytes("text", text, 2);
	SHOW(fcntl(other, F_SETFL, O_NONBLOCK));
	SHOW(fcntl(fd, F_GETFL));
	SHOW(close(fd));
	SHOW(write(other, "answer", 6));
	client("0 take 6");
	SHOW(read(other, text, 100));
	SHOW(fcntl(other, F_DUPFD_CLOEXEC, 50));
	SHOW(fcntl(50, F_GETFD));
	SHOW(close(other));
	show_poll("still open", 50);
	SHOW(dup2(0, 50));
	client("0 end");
}

CASE(a_duplicate_of_the_listener)
{
	int other;

	ACCEPTED;
	SHOW(other = dup(listener));
	SHOW(close(listener));
	client("1 open");
	await(other, POLLIN);
	SHOW(accept(other, NULL, NULL));
	say("%d", fd >= 0);
}

CASE(status_flags)
{
	int on = 1, off = 0;

	ACCEPTED;
	SHOW(fcntl(fd, F_GETFL));
	SHOW(ioctl(fd, FIONBIO, &on));
	SHOW(fcntl(fd, F_GETFL));
	SHOW(read(fd, text, 1));
	SHOW(ioctl(fd, FIONBIO, &off));
	SHOW(fcntl(fd, F_GETFL));
	SHOW(ioctl(fd, FIONBIO, NULL));
	SHOW(ioctl(fd, FIONBIO, NOWHERE));
	SHOW(fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND));
	SHOW(fcntl(fd, F_GETFL));
	SHOW(fcntl(fd, F_SETFL, O_RDWR));
	SHOW(fcntl(fd, F_GETFL));
	SHOW(fcntl(fd, F_SETFD, FD_CLOEXEC));
	SHOW(fcntl(fd, F_GETFD));
	SHOW(ioctl(fd, FIONCLEX));
	SHOW(fcntl(fd, F_GETFD));
	SHOW(ioctl(fd, FIOCLEX));
	SHOW(fcntl(fd, F_GETFD));
	SHOW(fcntl(fd, F_SETFD, 6));
	SHOW(fcntl(fd, F_GETFD));
	SHOW(fcntl(fd, 9999));
	SHOW(fcntl(fd, F_GETPIPE_SZ));
}

CASE(its_link_in_proc)
{
	ssize_t got;

	ACCEPTED;
	dup2(fd, 60);
	dup2(listener, 61);
	got = readlink("/proc/self/fd/60", text, 100) > 8;
	show_bytes("leads to", text, 8);
	SHOW(readlink("/proc/self/fd/61", text, 100) > 8);
	show_bytes("leads to", text, 8);
	SHOW(open("/proc/self/fd/60", O_RDWR));
	say("%zd", got);
}

CASE(numbers_of_sockets_differ)
{
	struct stat one, two, three;

	ACCEPTED;
	client("1 open");
	fstat(fd, &one);
	fstat(take(), &two);
	fstat(listener, &three);
	say("%d %d %d", one.st_ino != two.st_ino, one.st_ino != three.st_ino,
	    one.st_dev == three.st_dev);
	say("%lu %lu", (unsigned long)one.st_nlink, (unsigned long)one.st_blocks);
}
