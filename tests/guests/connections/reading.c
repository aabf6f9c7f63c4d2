/* SPDX-License-Identifier: MIT */
/* read(), recv() and their kin on an accepted connection. */
#include "connections.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>

static char text[4096];

/* The last bytes of a page behind which is none. */
static char *edge(size_t bytes)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(page + 4096, 4096);
	return page + 4096 - bytes;
}

CASE(read_in_parts)
{
	ACCEPTED;
	client("0 send abcdefghij");
	await_bytes(fd, 10);
	SHOW(read(fd, text, 0));
	SHOW(read(fd, NULL, 0));
	SHOW(read(fd, NOWHERE, 0));
	SHOW(read(fd, text, 3));
	show_bytes("text", text, 3);
	SHOW(recv(fd, text, 2, 0));
	show_bytes("text", text, 2);
	SHOW(recv(fd, text, 0, 0));
	SHOW(read(fd, text, 4096));
	show_bytes("text", text, 5);
	SHOW(recv(fd, text, 10, MSG_DONTWAIT));
	SHOW(recv(fd, text, 0, MSG_DONTWAIT));
	SHOW(recv(fd, text, 0, MSG_DONTWAIT | MSG_PEEK));
	SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
	SHOW(read(fd, text, 10));
	SHOW(read(fd, text, 0));
}

CASE(read_to_bad_addresses)
{
	ACCEPTED;
	client("0 send abcdefghij");
	await_bytes(fd, 10);
	SHOW(read(fd, NULL, 10));
	SHOW(read(fd, NOWHERE, 10));
	SHOW(read(fd, (void *)-4096, 10));
	SHOW(read(fd, text, (size_t)-1));
	SHOW(recv(fd, NOWHERE, 10, MSG_PEEK));
	SHOW(read(fd, text, 4));
	show_bytes("text", text, 4);
	SHOW(read(-1, text, 4));
	SHOW(read(fd + 50, text, 4));
}

/* How much of it is taken before the bad address is found differs; that nothing is lost does not.
 */
CASE(peek)
{
	ACCEPTED;
	client("0 send abcdefghij");
	await_bytes(fd, 10);
	SHOW(recv(fd, text, 4, MSG_PEEK));
	show_bytes("text", text, 4);
	SHOW(recv(fd, text, 40, MSG_PEEK | MSG_DONTWAIT));
	SHOW(recv(fd, text, 4, MSG_PEEK | MSG_WAITALL));
	SHOW(recv(fd, text, 4, 0));
	SHOW(recv(fd, text, 40, MSG_PEEK));
	show_bytes("text", text, 6);
	SHOW(recv(fd, text, 40, 0));
	SHOW(recv(fd, text, 40, MSG_PEEK | MSG_DONTWAIT));
}

CASE(truncated)
{
	ACCEPTED;
	client("0 send abcdefghij");
	await_bytes(fd, 10);
	strcpy(text, "untouched");
	SHOW(recv(fd, text, 4, MSG_TRUNC));
	if (domain == AF_UNIX)
		show_bytes("text", text, 4);
	else
		show_bytes("text", text, 9);
	SHOW(recv(fd, text, 3, MSG_TRUNC | MSG_PEEK));
	SHOW(recv(fd, NULL, domain == AF_UNIX ? 0 : 3, MSG_TRUNC));
	SHOW(recv(fd, text, 100, 0));
	show_bytes("text", text, 3);
}

CASE(wait_for_all)
{
	ACCEPTED;
	client("0 send abcdefghij");
	await_bytes(fd, 10);
	SHOW(recv(fd, text, 4, MSG_WAITALL));
	SHOW(recv(fd, text, 40, MSG_WAITALL | MSG_DONTWAIT));
	client("0 send klm");
	client("0 shut");
	SHOW(recv(fd, text, 40, MSG_WAITALL));
	show_bytes("text", text, 3);
	SHOW(recv(fd, text, 40, MSG_WAITALL));
}

CASE(wait_for_all_a_time)
{
	struct timeval span = {0, 20000};

	ACCEPTED;
	SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &span, sizeof(span)));
	SHOW(recv(fd, text, 4, MSG_WAITALL));
	SHOW(read(fd, text, 4));
	client("0 send ab");
	await_bytes(fd, 2);
	SHOW(recv(fd, text, 4, MSG_WAITALL));
	SHOW(recv(fd, text, 4, 0));
}

CASE(other_flags)
{
	ACCEPTED;
	client("0 send abcdefghij");
	await_bytes(fd, 10);
	SHOW(recv(fd, text, 1, MSG_OOB));
	SHOW(recv(fd, text, 1, MSG_NOSIGNAL));
	SHOW(recv(fd, text, 1, MSG_CMSG_CLOEXEC));
	SHOW(recv(fd, text, 1, MSG_DONTROUTE));
	SHOW(recv(fd, text, 1, MSG_EOR));
	SHOW(recv(fd, text, 1, 0x100000));
	SHOW(recv(fd, text, 1, MSG_CONFIRM));
	SHOW(recv(fd, text, 100, 0));
}

CASE(read_lists)
{
	struct iovec list[3] = {{text, 2}, {NULL, 0}, {text + 8, 4}};
	struct iovec huge[2] = {{text, (size_t)-1}, {text, 1}};
	struct iovec bad[2] = {{text, 2}, {NOWHERE, 4}};

	ACCEPTED;
	client("0 send abcdefghijklmnop");
	await_bytes(fd, 16);
	memset(text, '.', 16);
	SHOW(readv(fd, list, 3));
	show_bytes("text", text, 16);
	SHOW(readv(fd, list, 0));
	SHOW(readv(fd, list, -1));
	SHOW(readv(fd, list, 1025));
	SHOW(readv(fd, huge, 2));
	SHOW(readv(fd, NOWHERE, 1));
	SHOW(readv(fd, list + 1, 1));
	SHOW(readv(fd, list, 2));
	SHOW(preadv(fd, list, 2, 0));
	SHOW(preadv(fd, list, 2, -1));
	SHOW(SYS(preadv2, fd, list, 2, -1, -1, 0));
	SHOW(SYS(preadv2, fd, list, 2, -1, -1, 8));
	say("%d", bad[0].iov_len == 2);
}

CASE(receive_messages)
{
	char control[64];
	struct sockaddr_storage name;
	struct iovec list[2] = {{text, 3}, {text + 8, 4}};
	struct msghdr message = {.msg_name = &name,
				 .msg_namelen = sizeof(name),
				 .msg_iov = list,
				 .msg_iovlen = 2,
				 .msg_control = control,
				 .msg_controllen = sizeof(control),
				 .msg_flags = 0x77};

	ACCEPTED;
	client("0 send abcdefghijklmnop");
	await_bytes(fd, 16);
	SHOW(recvmsg(fd, &message, 0));
	say("name %u control %zu flags %x", message.msg_namelen, message.msg_controllen,
	    message.msg_flags);
	message.msg_name = NULL;
	message.msg_namelen = 5;
	message.msg_controllen = 0;
	SHOW(recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT));
	say("name %u control %zu flags %x", message.msg_namelen, message.msg_controllen,
	    message.msg_flags);
	message.msg_control = NULL;
	message.msg_namelen = 5;
	SHOW(recvmsg(fd, &message, MSG_CMSG_CLOEXEC));
	say("name %u control %zu flags %x", message.msg_namelen, message.msg_controllen,
	    message.msg_flags);
	message.msg_iovlen = 0;
	SHOW(recvmsg(fd, &message, MSG_DONTWAIT));
	message.msg_iovlen = 1025;
	SHOW(recvmsg(fd, &message, 0));
	SHOW(recvmsg(fd, NOWHERE, 0));
	message.msg_iov = NOWHERE;
	message.msg_iovlen = 1;
	SHOW(recvmsg(fd, &message, 0));
	message.msg_iov = list;
	message.msg_name = &name;
	message.msg_namelen = (socklen_t)-1;
	SHOW(recvmsg(fd, &message, 0));
	SHOW(recv(fd, text, 100, 0));
	message.msg_namelen = 5;
	message.msg_name = NULL;
	message.msg_flags = 0x77;
	SHOW(recvmsg(fd, &message, MSG_DONTWAIT));
	say("name %u flags %x", message.msg_namelen, message.msg_flags);
	client("0 shut");
	await(fd, POLLRDHUP);
	SHOW(recvmsg(fd, &message, 0));
	say("name %u control %zu flags %x", message.msg_namelen, message.msg_controllen,
	    message.msg_flags);
}

CASE(receive_with_addresses)
{
	struct sockaddr_storage name;
	socklen_t bytes = sizeof(name);
	struct mmsghdr messages[2] = {0};
	struct iovec piece = {text, 2};

	ACCEPTED;
	client("0 send abcdefghijklmnop");
	await_bytes(fd, 16);
	SHOW(recvfrom(fd, text, 2, 0, (struct sockaddr *)&name, &bytes));
	say("%u bytes", bytes);
	bytes = (socklen_t)-1;
	SHOW(recvfrom(fd, text, 2, 0, (struct sockaddr *)&name, &bytes));
	SHOW(recvfrom(fd, text, 2, 0, (struct sockaddr *)&name, NULL));
	SHOW(recvfrom(fd, text, 2, 0, NULL, NULL));
	messages[0].msg_hdr.msg_iov = messages[1].msg_hdr.msg_iov = &piece;
	messages[0].msg_hdr.msg_iovlen = messages[1].msg_hdr.msg_iovlen = 1;
	SHOW(recvmmsg(fd, messages, 2, 0, NULL));
	say("%u %u", messages[0].msg_len, messages[1].msg_len);
	SHOW(recv(fd, text, 100, 0));
	SHOW(recvmmsg(fd, messages, 2, MSG_DONTWAIT, NULL));
	SHOW(recvmmsg(fd, messages, 0, 0, NULL));
}

CASE(behind_the_end)
{
	ACCEPTED;
	client("0 send abcdef");
	client("0 shut");
	await(fd, POLLRDHUP);
	await_bytes(fd, 6);
	show_poll("bytes and the end", fd);
	SHOW(recv(fd, text, 2, 0));
	SHOW(recv(fd, text, 100, MSG_PEEK));
	SHOW(read(fd, text, 100));
	SHOW(read(fd, text, 100));
	SHOW(recv(fd, text, 100, MSG_DONTWAIT));
	SHOW(recv(fd, text, 100, MSG_PEEK));
	show_poll("the end", fd);
	SHOW(write(fd, "answer", 6));
	client("0 take 6");
	SHOW(close(fd));
	client("0 end");
}

CASE(behind_a_reset)
{
	INTERNET_ONLY;
	int error = -1;
	socklen_t bytes = sizeof(error);

	ACCEPTED;
	client("0 reset");
	await(fd, POLLHUP);
	show_poll("reset", fd);
	SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes));
	say("error %d", error);
	show_poll("its error was told", fd);
	SHOW(read(fd, text, 100));
	SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
	SHOW(getpeername(fd, (struct sockaddr *)text, &bytes));
	SHOW(shutdown(fd, SHUT_WR));
	SHOW(shutdown(fd, SHUT_RD));
}

CASE(a_reset_behind_bytes)
{
	INTERNET_ONLY;
	int there = -1;

	ACCEPTED;
	client("0 send abcdef");
	await_bytes(fd, 6);
	client("0 reset");
	await(fd, POLLHUP);
	show_poll("reset", fd);
	SHOW(ioctl(fd, FIONREAD, &there));
	say("%d there", there);
	SHOW(read(fd, text, 2));
	SHOW(read(fd, text, 100));
	SHOW(read(fd, text, 100));
	show_poll("read", fd);
}

CASE(a_reset_while_it_reads)
{
	INTERNET_ONLY;
	ACCEPTED;
	client("0 reset");
	await(fd, POLLHUP);
	SHOW(read(fd, text, 100));
	SHOW(read(fd, text, 100));
	SHOW(recv(fd, text, 100, MSG_DONTWAIT));
	SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
}

CASE(a_reset_behind_the_end)
{
	INTERNET_ONLY;
	ACCEPTED;
	client("0 shut");
	await(fd, POLLRDHUP);
	client("0 reset");
	await(fd, POLLHUP);
	show_poll("reset", fd);
	SHOW(read(fd, text, 100));
	SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
	SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
	show_poll("reset", fd);
}

CASE(a_reset_while_it_writes)
{
	INTERNET_ONLY;
	ACCEPTED;
	client("0 reset");
	await(fd, POLLHUP);
	SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
	SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
	SHOW(read(fd, text, 100));
}

CASE(read_waits_a_time)
{
	struct timeval span = {0, 20000};
	struct timeval none = {0};

	ACCEPTED;
	SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &span, sizeof(span)));
	SHOW(read(fd, text, 100));
	SHOW(recv(fd, text, 100, MSG_PEEK));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none)));
	client("0 send x");
	SHOW(read(fd, text, 100));
}

CASE(low_water)
{
	int low = 5;
	struct timeval span = {0, 20000};

	ACCEPTED;
	SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &span, sizeof(span)));
	client("0 send ab");
	await_bytes(fd, 2);
	show_poll("two of five", fd);
	client("0 send cde");
	await_bytes(fd, 5);
	show_poll("five of five", fd);
	SHOW(read(fd, text, 100));
	client("0 send ab");
	await_bytes(fd, 2);
	SHOW(read(fd, text, 1));
	SHOW(recv(fd, text, 1, MSG_DONTWAIT));
	client("0 send a");
	client("0 shut");
	await(fd, POLLRDHUP);
	show_poll("the end", fd);
	SHOW(read(fd, text, 100));
}

CASE(up_to_the_end_of_memory)
{
	char *at = edge(4);

	ACCEPTED;
	client("0 send abcdefghij");
	await_bytes(fd, 10);
	SHOW(read(fd, at, 4));
	show_bytes("at", at, 4);
	SHOW(recv(fd, at, 4, MSG_PEEK));
	show_bytes("at", at, 4);
}

CASE(how_much_is_there)
{
	int there = -1;

	ACCEPTED;
	SHOW(ioctl(fd, FIONREAD, &there));
	say("%d", there);
	client("0 send abcdefghij");
	await_bytes(fd, 10);
	SHOW(read(fd, text, 3));
	SHOW(ioctl(fd, FIONREAD, &there));
	say("%d", there);
	SHOW(ioctl(fd, FIONREAD, NULL));
	SHOW(ioctl(fd, SIOCOUTQ, &there));
	say("%d", there);
	SHOW(ioctl(fd, SIOCATMARK, &there));
	SHOW(ioctl(listener, FIONREAD, &there));
	SHOW(ioctl(fd, 0x1234, &there));
	SHOW(ioctl(fd, TIOCGWINSZ, text));
	client("0 shut");
	await(fd, POLLRDHUP);
	SHOW(ioctl(fd, FIONREAD, &there));
	say("%d", there);
}

CASE(much_comes_in)
{
	size_t all = 0;
	ssize_t got;

	ACCEPTED;
	client("0 fill 100000");
	client("0 shut");
	while ((got = read(fd, text, 4096)) > 0)
		all += (size_t)got;
	say("%zu, then %zd", all, got);
}
