/* SPDX-License-Identifier: MIT */
/*
 * The program of fast_server_test: it listens, and waits as its argument says (epoll, poll,
 * accept; engaged: by epoll, and it has connected to itself before). The first byte of what a
 * client sends is a command, the next eight a seed: 'a' answer and close; 'w' print a line, too;
 * 'k' answer and keep the connection; 'r' make random calls and answer with what came of each; 'w'
 * print a line, too; 'f' forge the log of calls that were answered in ring 3; 'e' use what it was
 * engaged in, and make random calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <mayfly/abi/fast.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define CALLS 80

static int listener, epoll = -1;
static uint64_t seed;
static char text[32768];
static size_t text_bytes;

static uint64_t random_word(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static unsigned int below(unsigned int bound)
{
	return (unsigned int)(random_word() >> 20) % bound;
}

static void say(const char *what, long result)
{
	if (text_bytes < sizeof(text) - 100)
		text_bytes += (size_t)sprintf(text + text_bytes, "%s %ld %d\n", what, result,
					      result < 0 ? errno : 0);
}

static void say_bytes(const char *bytes, long count)
{
	unsigned int sum = 0;
	long i;

	for (i = 0; i < count; i++)
		sum = sum * 31 + (unsigned char)bytes[i];
	say("  bytes", sum);
}

static void *wild(void)
{
	static void *const places[] = {(void *)16, (void *)0x7ffffffff000, (void *)-4096l, NULL};

	return places[below(4)];
}

static void some_read(int fd)
{
	static const size_t sizes[] = {0, 1, 7, 64, 5000};
	char bytes[5000];
	struct iovec pieces[2] = {{bytes, 5}, {bytes + 5, sizes[below(5)]}};
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
	size_t size = sizes[below(5)];
	long got;

	switch (below(6)) {
	case 0:
		say("read", got = read(fd, bytes, size));
		break;
	case 1:
		say("peek", got = recv(fd, bytes, size, MSG_PEEK | MSG_DONTWAIT));
		break;
	case 2:
		say("recv", got = recv(fd, bytes, size, MSG_DONTWAIT));
		break;
	case 3:
		say("readv", got = readv(fd, pieces, 2));
		break;
	case 4:
		say("recvmsg", got = recvmsg(fd, &message, MSG_DONTWAIT));
		break;
	default:
		say("wild read", read(fd, wild(), size + 1));
		return;
	}
	if (got > 0)
		say_bytes(bytes, got);
}

static void some_write(int fd)
{
	char bytes[300];
	struct iovec pieces[2] = {{bytes, below(100)}, {bytes + 100, below(100)}};
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
	unsigned int i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)('A' + below(26));
	switch (below(5)) {
	case 0:
		say("write", write(fd, bytes, below(300)));
		break;
	case 1:
		say("send", send(fd, bytes, below(300), MSG_NOSIGNAL | MSG_DONTWAIT));
		break;
	case 2:
		say("writev", writev(fd, pieces, 2));
		break;
	case 3:
		say("sendmsg", sendmsg(fd, &message, MSG_NOSIGNAL));
		break;
	default:
		say("wild write", write(fd, wild(), 100));
		break;
	}
}

static void some_watch(int fd)
{
	static const uint32_t what[] = {EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT,
					EPOLLIN | EPOLLRDHUP};
	static const uint32_t how[] = {0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT};
	static const int ops[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, 7};
	struct epoll_event event = {.events = what[below(4)] | how[below(4)],
				    .data.u64 = random_word()};

	say("epoll_ctl", epoll_ctl(epoll, ops[below(4)], fd, below(20) ? &event : wild()));
}

static void some_wait(void)
{
	struct epoll_event events[4];
	int max = (int)below(5);
	long got =
		below(15) ? epoll_wait(epoll, events, max, 0) : epoll_wait(epoll, wild(), max, 0);
	long i;

	say("epoll_wait", got);
	for (i = 0; i < got; i++) {
		say("  events", events[i].events);
		say("  data", (long)events[i].data.u64);
	}
}

static void some_poll(int fd)
{
	struct pollfd list[3] = {
		{fd, POLLIN | POLLOUT, 0}, {listener, POLLIN, 0}, {fd, POLLRDHUP, 0}};
	unsigned int count = 1 + below(3);

	say("poll", poll(list, count, 0));
	while (count--)
		say("  revents", list[count].revents);
}

static void some_option(int fd)
{
	struct sockaddr_in name = {0};
	socklen_t bytes = (socklen_t)below(20);
	int on = (int)below(2);

	switch (below(9)) {
	case 7:
		on = (int)below(100);
		say("keepidle",
		    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE + (int)below(3), &on, sizeof(on)));
		break;
	case 8:
		on = (int)below(20);
		say("another option",
		    setsockopt(fd, on % 2 ? SOL_SOCKET : IPPROTO_IP, on, &on, sizeof(on)));
		bytes = sizeof(on);
		say("keepidle", getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &on, &bytes));
		say("  is", on);
		break;
	case 0:
		say("F_GETFL", fcntl(fd, F_GETFL));
		break;
	case 1:
		say("F_SETFD", fcntl(fd, F_SETFD, on));
		say("F_GETFD", fcntl(fd, F_GETFD));
		break;
	case 2:
		say("FIONBIO", ioctl(fd, FIONBIO, &(int){1}));
		break;
	case 3:
		say("nodelay", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
		break;
	case 4:
		bytes = sizeof(on);
		say("keepalive", getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &bytes));
		say("  is", on);
		break;
	case 5:
		say("name", getsockname(fd, (struct sockaddr *)&name, &bytes));
		say("  bytes", bytes);
		say("  port", bytes > 3 ? ntohs(name.sin_port) : 0);
		break;
	default:
		say("wild name", getpeername(fd, wild(), &bytes));
		break;
	}
}

static int other = -1, counter = -1;

static void some_descriptor(int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 99};
	struct sockaddr_in from;
	socklen_t bytes = sizeof(from);
	int copy;

	switch (below(6)) {
	case 0:
		copy = accept4(listener, below(2) ? (struct sockaddr *)&from : NULL, &bytes,
			       SOCK_NONBLOCK | (below(2) ? SOCK_CLOEXEC : 0));
		say("accept", copy);
		if (copy >= 0)
			other = copy;
		break;
	case 1:
		say("dup", copy = dup(fd));
		some_read(copy);
		say("close", close(copy));
		break;
	case 2:
		if (counter < 0)
			say("eventfd", counter = eventfd(0, EFD_NONBLOCK));
		say("watch it", epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &event));
		break;
	case 3:
		if (counter >= 0)
			say("count", eventfd_write(counter, 1));
		break;
	case 4:
		if (other >= 0)
			say("close the other", close(other));
		other = -1;
		break;
	default:
		say("shutdown", below(20) ? 0 : shutdown(fd, (int)below(4)));
		break;
	}
}

static void random_calls(int fd)
{
	unsigned int i;

	for (i = 0; i < CALLS; i++) {
		int on = other >= 0 && below(3) == 0 ? other : fd;

		switch (below(7)) {
		case 0:
			some_read(on);
			break;
		case 1:
			some_write(on);
			break;
		case 2:
			some_watch(on);
			break;
		case 3:
			some_wait();
			break;
		case 4:
			some_poll(on);
			break;
		case 5:
			some_option(on);
			break;
		default:
			some_descriptor(on);
			break;
		}
	}
	for (i = 0; i < text_bytes;) {
		ssize_t put = write(fd, text + i, text_bytes - i);

		if (put <= 0)
			break;
		i += (unsigned int)put;
	}
	_exit(0);
}

static void forge(int fd)
{
	static const uint32_t numbers[] = {SYS_read,       SYS_write,     SYS_close,
					   SYS_accept4,    SYS_shutdown,  SYS_fcntl,
					   SYS_setsockopt, SYS_epoll_ctl, SYS_epoll_wait,
					   SYS_exit_group, SYS_mmap,      SYS_clone};
	struct mf_fast_area *area = (struct mf_fast_area *)MF_FAST_AREA_VA;
	uint32_t count = below(MF_FAST_LOG + 2);
	uint32_t i;
	uint32_t k;

	for (i = 0; i < count && i < MF_FAST_LOG; i++) {
		struct mf_fast_entry *entry = &area->log[i];

		entry->number = below(9) ? numbers[below(12)] : (uint32_t)random_word();
		entry->result = below(3) ? (int64_t)below(2) : (int64_t)below(200) - 100;
		for (k = 0; k < 4; k++)
			entry->arg[k] = below(4) ? below(8) : random_word() >> below(64);
		if (below(2))
			entry->arg[0] = (uint64_t)fd;
		if (below(2))
			entry->arg[1] = MF_FAST_AREA_VA + below(sizeof(*area));
	}
	area->state.log_count = count;
	if (below(2))
		some_read(fd);
	sbrk(0);
	syscall(SYS_brk, 0);
	random_calls(fd);
}

static int line, near_end; /* a listener where somebody waits, one end of a connection */
static int sleeping;       /* an epoll over them, which nobody has asked yet */

/* Listens at another port, too, and has connected there twice: accepted, with bytes on their way in
 * both directions, and not accepted. */
static void engage(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(81)};
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 7};
	int on = 1;
	int i;

	line = socket(AF_INET, SOCK_STREAM, 0);
	bind(line, (struct sockaddr *)&address, sizeof(address));
	listen(line, 5);
	for (i = 0; i < 2; i++) {
		near_end = socket(AF_INET, SOCK_STREAM, 0);
		connect(near_end, (struct sockaddr *)&address, sizeof(address));
		write(near_end, text, i ? 10 : sizeof(text));
		if (!i)
			other = accept4(line, NULL, NULL, SOCK_NONBLOCK);
	}
	write(other, "bytes", 5);
	setsockopt(other, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	sleeping = epoll_create1(0);
	epoll_ctl(sleeping, EPOLL_CTL_ADD, other, &event);
	epoll_ctl(sleeping, EPOLL_CTL_ADD, line, &event);
}

static void use_engaged(int fd)
{
	struct epoll_event events[8];
	int waited;

	fcntl(line, F_SETFL, O_NONBLOCK);
	fcntl(near_end, F_SETFL, O_NONBLOCK);
	epoll_wait(sleeping, events, 8, 0);
	waited = accept4(line, NULL, NULL, SOCK_NONBLOCK);
	read(waited, text, sizeof(text));
	write(waited, text, 100);
	write(near_end, text, sizeof(text));
	shutdown(waited, SHUT_WR);
	close(waited);
	if (below(2))
		close(line);
	random_calls(fd);
}

/* False: the connection is closed. */
static int command(int fd, const char *bytes, ssize_t count)
{
	if (count < 9)
		return 0;
	memcpy(&seed, bytes + 1, 8);
	seed |= 1;
	if (*bytes == 'r')
		random_calls(fd);
	else if (*bytes == 'f')
		forge(fd);
	else if (*bytes == 'e')
		use_engaged(fd);
	if (*bytes == 'w' && write(2, "a line\n", 7) != 7)
		return 0;
	if (*bytes != 'r' && *bytes != 'f' && write(fd, "answer\n", 7) == 7 && *bytes == 'k')
		return 1;
	if (*bytes == 'a' || *bytes == 'w')
		close(fd);
	return 0;
}

static void serve_epoll(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
	char bytes[64];

	epoll = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		struct epoll_event events[8];
		int count = epoll_wait(epoll, events, 8, -1);
		int i;

		for (i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd == listener) {
				fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
				event.data.fd = fd;
				epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
			} else {
				command(fd, bytes, read(fd, bytes, 9));
			}
		}
	}
}

static void serve_blocking(int polls)
{
	char bytes[64];

	epoll = epoll_create1(EPOLL_CLOEXEC);
	for (;;) {
		struct pollfd door = {.fd = listener, .events = POLLIN};
		int fd;

		if (polls && poll(&door, 1, -1) != 1)
			continue;
		fd = accept(listener, NULL, NULL);
		while (command(fd, bytes, recv(fd, bytes, 9, 0)))
			;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
	const char *mode = argc > 1 ? argv[1] : "epoll";

	listener = socket(AF_INET, SOCK_STREAM | (*mode == 'e' ? SOCK_NONBLOCK : 0), 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 16))
		return 1;
	if (!strcmp(mode, "engaged"))
		engage();
	if (*mode == 'e')
		serve_epoll();
	serve_blocking(*mode == 'p');
	return 0;
}
