/* SPDX-License-Identifier: MIT */
/*
 * A served program that holds sockets at its ready point and makes more in its requests. What it is
 * to hold is said by its argument: "pair", "listen" and "fresh" can be frozen, the others cannot.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <mayfly/sdk.h>

static int stream[2], packets[2], listener, epoll;
static int fresh_udp, fresh_tcp, bound_udp, soon, late; /* with the argument "fresh" */
static char text[512];
static struct sockaddr_in address;

static long *shared;
static sem_t *semaphore;

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

/* A connection through the image's listening socket, and who is at its end. */
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

/* Whoever connected before the image was frozen waits in each request. */
static void take_first(void)
{
	int b = accept(listener, NULL, NULL);
	char found[64] = "";

	say("%ld %ld %ld %s", recv(b, found, sizeof(found), 0), b >= 0, 0, "");
}

/* What changes it: it is this request's own. */
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

/* Sockets that were only made: this fork's own, as they were; and one that is bound. */
static void use_fresh(void)
{
	struct sockaddr_in own = {.sin_family = AF_INET}, to;
	socklen_t bytes = sizeof(own), to_bytes = sizeof(to);
	struct timeval patience = {.tv_sec = 20};
	int on = 0, accepted;
	char found[64] = "";
	long results = 0;

	getsockname(fresh_udp, (struct sockaddr *)&own, &bytes);
	results += own.sin_port == 0;
	getsockname(bound_udp, (struct sockaddr *)&to, &to_bytes);
	setsockopt(fresh_udp, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	results += sendto(fresh_udp, "x", 1, 0, (struct sockaddr *)&to, to_bytes);
	results += recv(bound_udp, found, sizeof(found), 0);
	bytes = sizeof(on);
	getsockopt(fresh_tcp, IPPROTO_TCP, TCP_NODELAY, &on, &bytes);
	results += on != 0;
	results += !connect(fresh_tcp, (struct sockaddr *)&address, sizeof(address));
	accepted = accept(listener, NULL, NULL);
	results += send(fresh_tcp, "12", 2, 0);
	results += recv(accepted, found, sizeof(found), 0);
	say("%ld %ld %ld %s", results, shutdown(bound_udp, SHUT_RD), listen(bound_udp, 1), "");
}

static uint64_t ns_of(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec;
}

/* Whole seconds of the monotonic clock; do its ways to be asked agree. */
static void tell_clock(void)
{
	struct timespec quick, call, boot, nap = {.tv_nsec = 1000000};
	long agree = 0;

	clock_gettime(CLOCK_MONOTONIC, &quick);
	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &call);
	agree += ns_of(&call) + 1000000 >= ns_of(&quick);
	syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &boot);
	agree += ns_of(&boot) >= ns_of(&call);
	clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
	clock_gettime(CLOCK_MONOTONIC, &call);
	agree += ns_of(&call) >= ns_of(&quick) + 1000000;
	say("%ld %ld %ld %s", quick.tv_sec, agree, 0, "");
}

/* Timers of the image: one runs out, the other one has so many seconds left. */
static void wait_for_timer(void)
{
	struct pollfd timers[2] = {{.fd = soon, .events = POLLIN}, {.fd = late, .events = POLLIN}};
	struct itimerspec left;
	long first = poll(timers, 1, 100000);

	timerfd_gettime(late, &left);
	say("%ld %ld %ld %s", first, poll(timers + 1, 1, 0), left.it_value.tv_sec, "");
}

static int timer_in(long seconds)
{
	struct itimerspec at = {{0}, {0}};
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);

	clock_gettime(CLOCK_MONOTONIC, &at.it_value);
	at.it_value.tv_sec += seconds;
	timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL);
	return fd;
}

/* Memory that is shared by a file without a name: this fork's own, with what the image has in it.
 */
static void use_shared(void)
{
	long taken = sem_trywait(semaphore);

	say("%ld %ld %ld %s", ++shared[512], taken, sem_trywait(semaphore), "");
}

static void make_shared(void)
{
	int fd = memfd_create("shared", 0);

	if (ftruncate(fd, 8192))
		return;
	shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	shared[512] = 41;
	close(fd);
	semaphore = sem_open("/mf-pool-semaphore", O_CREAT, 0600, 1);
	sem_unlink("/mf-pool-semaphore");
}

static void make_fresh(void)
{
	int on = 1;

	fresh_udp = socket(AF_INET, SOCK_DGRAM, 0);
	fresh_tcp = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fresh_tcp, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	bound_udp = socket(AF_INET, SOCK_DGRAM, 0);
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind(bound_udp, (struct sockaddr *)&address, sizeof(address));
	soon = timer_in(1);
	make_shared();
	late = timer_in(3000000);
}

static void serve(void)
{
	static const struct {
		const char *name;
		void (*serve)(void);
	} targets[] = {
		{"/pairs", use_pairs},      {"/close", close_pair},     {"/halve", halve_pair},
		{"/connect", connect_here}, {"/spoil", spoil_listener}, {"/leak", leak},
		{"/wait", wait_for_ever},   {"/fresh", use_fresh},      {"/clock", tell_clock},
		{"/timer", wait_for_timer}, {"/shared", use_shared},    {"/first", take_first},
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
		make_fresh();
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
	if (!strcmp(what, "talks"))
		connect(socket(AF_INET, SOCK_DGRAM, 0), (struct sockaddr *)&address,
			sizeof(address));
	if (!strcmp(what, "connected")) {
		int client = socket(AF_INET, SOCK_STREAM, 0);

		connect(client, (struct sockaddr *)&address, sizeof(address));
		send(client, "hello", 5, 0);
	}
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
