/* SPDX-License-Identifier: MIT */
/*
 * An HTTP server as anybody would write one, that knows nothing of Mayfly. How it waits is its
 * first argument: epoll, edge, poll, select, accept, threads; its second where: a port (behind a
 * plus: of IPv6), or a path.
 */
#include <errno.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS 64

struct client {
	int fd;
	unsigned int asked; /* requests so far */
	int tells;          /* says when it is gone */
	size_t have;        /* bytes of the request so far */
	char *bytes;
	size_t room;
};

static struct client clients[CLIENTS];
static unsigned int served;
static char secret[64] = "nothing";
static char read_before[4096]; /* a request, as it was read */
static const char *mode = "epoll";
static int listener = -1;

static void put_all(int fd, const char *bytes, size_t count)
{
	while (count) {
		ssize_t put = send(fd, bytes, count, MSG_NOSIGNAL);

		if (put < 0 && errno == EAGAIN) {
			struct pollfd room = {.fd = fd, .events = POLLOUT};

			poll(&room, 1, -1);
			continue;
		}
		if (put < 0)
			return;
		bytes += put;
		count -= (size_t)put;
	}
}

static void put_text(int fd, const char *text)
{
	put_all(fd, text, strlen(text));
}

static void answer(int fd, const char *body, size_t count)
{
	char head[128];
	int bytes = snprintf(head, sizeof(head),
			     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: "
			     "%zu\r\n\r\n",
			     count);
	struct iovec pieces[2] = {{head, (size_t)bytes}, {(void *)body, count}};

	if (count < 4096 && writev(fd, pieces, 2) == (ssize_t)(bytes + count))
		return;
	put_all(fd, head, (size_t)bytes);
	put_all(fd, body, count);
}

static void answer_text(int fd, const char *text)
{
	answer(fd, text, strlen(text));
}

/* The connection as this program sees it. */
static void answer_names(int fd)
{
	struct sockaddr_in own = {0}, peer = {0};
	socklen_t own_bytes = sizeof(own), peer_bytes = sizeof(peer);
	int error = -1, type = -1, nodelay = 1, unread = -1;
	socklen_t bytes = sizeof(int);
	char text[256];

	getsockname(fd, (struct sockaddr *)&own, &own_bytes);
	getpeername(fd, (struct sockaddr *)&peer, &peer_bytes);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof(nodelay));
	nodelay = -1;
	getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &bytes);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes);
	ioctl(fd, FIONREAD, &unread);
	snprintf(text, sizeof(text), "%d %x:%u %d %x %d %d %d %d", own.sin_family,
		 ntohl(own.sin_addr.s_addr), ntohs(own.sin_port), peer.sin_family,
		 ntohl(peer.sin_addr.s_addr), nodelay, error, type, unread);
	answer_text(fd, text);
}

/* The client's address: "ADDRESS PORT", "unix NAME", "unix" without one. */
static void answer_peer(int fd)
{
	struct sockaddr_storage peer = {0};
	const struct sockaddr_in6 *in6 = (const void *)&peer;
	const struct sockaddr_in *in = (const void *)&peer;
	const struct sockaddr_un *un = (const void *)&peer;
	socklen_t bytes = sizeof(peer), room = offsetof(struct sockaddr_un, sun_path);
	char text[160] = "unix", address[64];

	getpeername(fd, (struct sockaddr *)&peer, &bytes);
	if (peer.ss_family == AF_UNIX && bytes > room)
		snprintf(text, sizeof(text), "unix %.*s", (int)(bytes - room),
			 un->sun_path[0] ? un->sun_path : un->sun_path + 1);
	else if (peer.ss_family != AF_UNIX)
		snprintf(text, sizeof(text), "%s %u",
			 inet_ntop(peer.ss_family,
				   peer.ss_family == AF_INET ? (const void *)&in->sin_addr
							     : (const void *)&in6->sin6_addr,
				   address, sizeof(address)),
			 ntohs(peer.ss_family == AF_INET ? in->sin_port : in6->sin6_port));
	answer_text(fd, text);
}

/* An answer without a length ends with the connection. */
static int answer_until_close(int fd)
{
	put_all(fd, "HTTP/1.0 200 OK\r\n\r\nuntil ", 25);
	put_all(fd, "the end", 7);
	return -1;
}

static int answer_chunks(int fd)
{
	put_all(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 47);
	put_all(fd, "5\r\nfirst\r\n", 10);
	put_all(fd, "7\r\n second\r\n0\r\n\r\n", 17);
	return 0;
}

/* Byte for byte. */
static void answer_slowly(int fd)
{
	const char *text = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow";

	for (; *text; text++)
		put_all(fd, text, 1);
}

static void answer_large(int fd, size_t bytes)
{
	char *body = malloc(bytes + 1);

	memset(body, 'b', bytes);
	answer(fd, body, bytes);
	free(body);
}

/* Events without end, each when its time has come. */
static int answer_events(int fd)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	int count;

	put_text(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
	for (count = 0; count < 100000; count++) {
		put_all(fd, "data: event\n\n", 13);
		nanosleep(&pause, NULL);
	}
	return -1;
}

/* Another protocol from here on: what comes goes back, in capitals. */
static int answer_upgrade(int fd)
{
	char bytes[512];
	ssize_t got, i;

	fcntl(fd, F_SETFL, 0);
	put_text(fd, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: shout\r\nConnection: "
		     "Upgrade\r\n\r\n");
	while ((got = read(fd, bytes, sizeof(bytes))) > 0) {
		for (i = 0; i < got; i++)
			bytes[i] = (char)(bytes[i] >= 'a' && bytes[i] <= 'z' ? bytes[i] - 32
									     : bytes[i]);
		put_all(fd, bytes, (size_t)got);
	}
	return -1;
}

static void answer_file(int fd)
{
	int file = open("/proc/self/exe", O_RDONLY);
	off_t bytes = lseek(file, 0, SEEK_END), at = 0;
	char head[96];

	put_all(fd, head,
		(size_t)snprintf(head, sizeof(head),
				 "HTTP/1.1 200 OK\r\nContent-Length: %ld\r\n\r\n", (long)bytes));
	while (at < bytes) {
		struct pollfd room = {.fd = fd, .events = POLLOUT};

		if (sendfile(fd, file, &at, (size_t)(bytes - at)) < 0 && errno == EAGAIN)
			poll(&room, 1, -1);
	}
	close(file);
}

/* Things that no good server does. Each ends with an answer, if it can. */
static int misbehave(int fd, const char *what)
{
	static char many[1 << 20];
	struct sockaddr_in any = {.sin_family = AF_INET};
	int count = 0;

	if (!strcmp(what, "abort")) {
		abort();
	} else if (!strcmp(what, "exit")) {
		exit(3);
	} else if (!strcmp(what, "answer-exit")) {
		answer_text(fd, "last words");
		exit(0);
	} else if (!strcmp(what, "spin")) {
		for (;;)
			;
	} else if (!strcmp(what, "sleep")) {
		sleep(1000);
	} else if (!strcmp(what, "memory")) {
		for (;;)
			memset(malloc(1 << 20), 1, 1 << 20);
	} else if (!strcmp(what, "nothing")) {
		return -1; /* closes without an answer */
	} else if (!strcmp(what, "short")) {
		put_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", 45);
		return -1;
	} else if (!strcmp(what, "garbage")) {
		put_all(fd, "this is no HTTP\r\n\r\n", 19);
	} else if (!strcmp(what, "flood")) {
		put_all(fd, "HTTP/1.1 200 OK\r\n\r\n", 19);
		for (;;)
			put_all(fd, many, sizeof(many));
	} else if (!strcmp(what, "accept-twice")) {
		fcntl(listener, F_SETFL, O_NONBLOCK);
		count = accept(listener, NULL, NULL) < 0 ? errno : 0;
		answer_text(fd, count == EAGAIN ? "none" : "one");
	} else if (!strcmp(what, "write-after-close")) {
		int copy = dup(fd);

		answer_text(fd, "closed");
		shutdown(fd, SHUT_RDWR);
		count = send(copy, "more", 4, MSG_NOSIGNAL) < 0 ? errno : 0;
		close(copy);
		exit(count == EPIPE ? 0 : 4);
	} else if (!strcmp(what, "close-listener")) {
		close(listener);
		answer_text(fd, "closed the listener");
	} else if (!strcmp(what, "listen-often")) {
		for (count = 0; count < 1000; count++) {
			int one = socket(AF_INET, SOCK_STREAM, 0);

			if (one < 0 || bind(one, (struct sockaddr *)&any, sizeof(any)) ||
			    listen(one, 1))
				break;
		}
		snprintf(many, sizeof(many), "%d", count);
		answer_text(fd, many);
	} else if (!strcmp(what, "connect-often")) {
		struct sockaddr_in own;
		socklen_t bytes = sizeof(own);

		getsockname(listener, (struct sockaddr *)&own, &bytes);
		own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		while (count < 1000 && !connect(socket(AF_INET, SOCK_STREAM, 0),
						(struct sockaddr *)&own, sizeof(own)))
			count++;
		snprintf(many, sizeof(many), "%d", count);
		answer_text(fd, many);
	} else if (!strcmp(what, "bad-pointers")) {
		char *volatile bad = (char *)16;
		socklen_t *volatile bad_bytes = (socklen_t *)32;

		count = read(fd, bad, 100) < 0 && (errno == EFAULT || errno == EAGAIN);
		count += write(fd, bad, 100) < 0 && errno == EFAULT;
		count += recv(fd, many, SIZE_MAX, MSG_DONTWAIT) < 0;
		count += accept(listener, (void *)bad, bad_bytes) < 0;
		count += setsockopt(fd, SOL_SOCKET, SO_LINGER, bad, 8) < 0;
		count += getsockopt(fd, SOL_SOCKET, SO_ERROR, bad, bad_bytes) < 0;
		snprintf(many, sizeof(many), "%d", count);
		answer_text(fd, many);
	}
	return 0;
}

/* Does the request's target begin so? What follows in *rest. */
static int asks(const char *request, const char *target, const char **rest)
{
	const char *at = strchr(request, ' ');
	size_t bytes = strlen(target);

	if (!at || strncmp(at + 1, target, bytes))
		return 0;
	*rest = at + 1 + bytes;
	return 1;
}

/* What goes on between this server and one client. */
static int serve_connection(struct client *client, const char *what)
{
	static char worked[2];
	char text[64];
	int i;

	client->tells |= !strncmp(what, "tell", 4);
	snprintf(text, sizeof(text), "%u", client->asked);
	if (!strncmp(what, "last", 4)) {
		put_text(client->fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n"
				     "Content-Length: 4\r\n\r\nlast");
		return -1;
	}
	if (!strncmp(what, "extra", 5)) {
		put_text(client->fd, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsome"
				     "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged");
		return 0;
	}
	if (!strncmp(what, "sleep", 5))
		sleep(1000);
	answer_text(client->fd, text);
	if (!strncmp(what, "spin-after", 10))
		for (;;)
			;
	if (!strncmp(what, "work-after", 10)) {
		for (i = 0; i < 1000; i++)
			worked[0] ^= (char)(getppid() + i);
		fprintf(stderr, "worked on\n");
	}
	if (!strncmp(what, "nap-after", 9) || !strncmp(what, "doze-after", 10)) {
		nanosleep(&(struct timespec){.tv_sec = *what == 'd' ? 1000 : 0, .tv_nsec = 1000000},
			  NULL);
		fprintf(stderr, "slept\n");
	}
	if (!strncmp(what, "abort-after", 11))
		abort();
	return strncmp(what, "close", 5) ? 0 : -1;
}

/* One whole request: -1: the connection is to be closed. */
static int serve(struct client *client, char *request, const char *body, size_t body_bytes)
{
	char text[8192];
	const char *rest = "";
	int fd = client->fd;

	served++;
	client->asked++;
	if (asks(request, "/count", &rest)) {
		snprintf(text, sizeof(text), "%u", served);
		answer_text(fd, text);
	} else if (asks(request, "/echo", &rest)) {
		answer(fd, body, body_bytes);
	} else if (asks(request, "/head", &rest)) {
		answer(fd, request, (size_t)(body - request));
	} else if (asks(request, "/connection/", &rest)) {
		return serve_connection(client, rest);
	} else if (asks(request, "/peer", &rest)) {
		answer_peer(fd);
	} else if (asks(request, "/names", &rest)) {
		answer_names(fd);
	} else if (asks(request, "/before/read", &rest)) {
		snprintf(read_before, sizeof(read_before), "%.*s",
			 (int)(body - request + (long)body_bytes), request);
		answer_text(fd, read_before);
	} else if (asks(request, "/before/tell", &rest)) {
		answer_text(fd, read_before);
	} else if (asks(request, "/remember", &rest)) {
		snprintf(secret, sizeof(secret), "%.*s", (int)body_bytes, body);
		answer_text(fd, secret);
	} else if (asks(request, "/recall", &rest)) {
		answer_text(fd, secret);
	} else if (asks(request, "/until-close", &rest)) {
		return answer_until_close(fd);
	} else if (asks(request, "/chunks", &rest)) {
		return answer_chunks(fd);
	} else if (asks(request, "/events", &rest)) {
		return answer_events(fd);
	} else if (asks(request, "/upgrade", &rest)) {
		return answer_upgrade(fd);
	} else if (asks(request, "/slow", &rest)) {
		answer_slowly(fd);
	} else if (asks(request, "/file", &rest)) {
		answer_file(fd);
	} else if (asks(request, "/large?", &rest)) {
		answer_large(fd, strtoul(rest, NULL, 10));
	} else if (asks(request, "/bad/", &rest)) {
		snprintf(text, sizeof(text), "%.*s", (int)strcspn(rest, " "), rest);
		return misbehave(fd, text);
	} else {
		answer_text(fd, "hello");
	}
	return 0;
}

/* Serve what has arrived as a whole. -1: close it. */
static int handle(struct client *client)
{
	char *end;

	while ((end = memmem(client->bytes, client->have, "\r\n\r\n", 4))) {
		size_t head = (size_t)(end - client->bytes) + 4;
		const char *length = strcasestr(client->bytes, "\r\ncontent-length:");
		size_t body = length && length < end ? strtoul(length + 17, NULL, 10) : 0;

		if (client->have < head + body)
			return 0;
		if (serve(client, client->bytes, client->bytes + head, body))
			return -1;
		client->have -= head + body;
		memmove(client->bytes, client->bytes + head + body, client->have + 1);
	}
	return 0;
}

/* Read once. -1: close it; 0: nothing was there; 1: there may be more. */
static int feed(struct client *client)
{
	ssize_t got;

	if (client->room - client->have < 4096) {
		client->room = client->room ? client->room * 2 : 8192;
		client->bytes = realloc(client->bytes, client->room + 1);
	}
	got = read(client->fd, client->bytes + client->have, client->room - client->have);
	if (got < 0)
		return errno == EAGAIN ? 0 : -1;
	if (!got)
		return -1;
	client->have += (size_t)got;
	client->bytes[client->have] = 0;
	return handle(client) ? -1 : 1;
}

static struct client *take(int fd)
{
	struct client *client = clients;

	while (client->fd)
		client++;
	*client = (struct client){.fd = fd};
	return client;
}

static void drop(struct client *client)
{
	if (client->tells)
		fprintf(stderr, "gone after %u\n", client->asked);
	close(client->fd);
	free(client->bytes);
	client->fd = 0;
}

static void run_epoll(int edge)
{
	uint32_t how = edge ? EPOLLET | EPOLLOUT | EPOLLRDHUP : 0;
	int epoll = epoll_create1(EPOLL_CLOEXEC), i, count, state, fd;
	struct epoll_event events[16] = {{.events = EPOLLIN | (edge ? EPOLLET : 0)}};

	fcntl(listener, F_SETFL, O_NONBLOCK);
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &events[0]);
	for (;;) {
		count = epoll_wait(epoll, events, 16, -1);
		for (i = 0; i < count; i++) {
			struct client *client = events[i].data.ptr;

			if (!client) {
				fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
				if (fd < 0)
					continue;
				client = take(fd);
				events[i].events = EPOLLIN | how;
				events[i].data.ptr = client;
				epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &events[i]);
				continue;
			}
			do
				state = feed(client);
			while (edge && state > 0);
			if (state < 0)
				drop(client);
		}
	}
}

static void run_poll(void)
{
	struct pollfd fds[CLIENTS + 1];
	struct client *of[CLIENTS + 1];
	int i, count;

	for (;;) {
		fds[0] = (struct pollfd){.fd = listener, .events = POLLIN};
		for (i = 0, count = 1; i < CLIENTS; i++) {
			if (!clients[i].fd)
				continue;
			of[count] = &clients[i];
			fds[count++] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
		}
		poll(fds, (nfds_t)count, 500);
		for (i = 1; i < count; i++)
			if (fds[i].revents && feed(of[i]) < 0)
				drop(of[i]);
		if (fds[0].revents)
			take(accept(listener, NULL, NULL));
	}
}

static void run_select(void)
{
	int i, most;

	for (;;) {
		struct timeval span = {.tv_sec = 1};
		fd_set set;

		FD_ZERO(&set);
		FD_SET(listener, &set);
		for (i = 0, most = listener; i < CLIENTS; i++) {
			if (!clients[i].fd)
				continue;
			FD_SET(clients[i].fd, &set);
			most = clients[i].fd > most ? clients[i].fd : most;
		}
		if (select(most + 1, &set, NULL, NULL, &span) <= 0)
			continue;
		for (i = 0; i < CLIENTS; i++)
			if (clients[i].fd && FD_ISSET(clients[i].fd, &set) && feed(&clients[i]) < 0)
				drop(&clients[i]);
		if (FD_ISSET(listener, &set))
			take(accept(listener, NULL, NULL));
	}
}

static void *serve_one(void *arg)
{
	struct client client = {.fd = (int)(long)arg};

	while (feed(&client) > 0)
		;
	drop(&client);
	return NULL;
}

static void run_accept(int threads)
{
	pthread_t thread;

	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			exit(5);
		if (!threads || pthread_create(&thread, NULL, serve_one, (void *)(long)fd))
			serve_one((void *)(long)fd);
		else
			pthread_detach(thread);
	}
}

/* No HTTP: each line is answered with a number. */
static void run_lines(void)
{
	char line[512], text[32];
	ssize_t got;
	int fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		while ((got = read(fd, line, sizeof(line))) > 0) {
			snprintf(text, sizeof(text), "%u ", ++served);
			put_all(fd, text, strlen(text));
			put_all(fd, line, (size_t)got);
		}
		close(fd);
	}
}

static void listen_at(const char *where)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr *to = (struct sockaddr *)&in;
	socklen_t bytes = sizeof(in);
	int on = 1;

	in.sin_port = htons((uint16_t)atoi(where));
	in6.sin6_port = htons((uint16_t)atoi(where + 1));
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", where);
	if (*where == '/') {
		to = (struct sockaddr *)&un;
		bytes = sizeof(un);
	} else if (*where == '+') {
		to = (struct sockaddr *)&in6;
		bytes = sizeof(in6);
	}
	listener = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (listener < 0 || bind(listener, to, bytes) || listen(listener, 128)) {
		perror("listening");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	mode = argc > 1 ? argv[1] : mode;
	if (!strcmp(mode, "never")) {
		pause();
		return 0;
	}
	listen_at(argc > 2 ? argv[2] : "80");
	if (!strcmp(mode, "later"))
		pause();
	if (!strcmp(mode, "second"))
		listen_at("81"); /* the first one is never waited at */
	if (!strcmp(mode, "lines"))
		run_lines();
	else if (!strcmp(mode, "poll"))
		run_poll();
	else if (!strcmp(mode, "select"))
		run_select();
	else if (!strcmp(mode, "accept") || !strcmp(mode, "threads"))
		run_accept(!strcmp(mode, "threads"));
	else
		run_epoll(!strcmp(mode, "edge"));
	return 0;
}
