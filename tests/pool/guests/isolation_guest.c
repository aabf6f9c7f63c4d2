/* SPDX-License-Identifier: MIT */
/*
 * A server with an epoll loop that knows nothing of Mayfly. It counts its requests wherever a
 * program can keep a number, repeats each client's nonce, and dies in any way it is asked to.
 */
#include "isolation.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <mayfly/abi/fast.h>

#define ROOM  (256 << 10) /* of a request */
#define FIXED ((void *)0x200000000000)

struct client {
	int fd;
	size_t have;
	char *bytes;
};

int listener, epoll;
char in_bss[64 * SECRET], *on_heap, *mapped;
uint64_t registers[16];
uint8_t vectors[8192] __attribute__((aligned(64)));

static struct client clients[16];
static int at_start; /* descriptors that were open then */
static unsigned int served;
static int *served_heap, *served_stack;

/* ---- answers ---- */

static void put(int fd, const char *bytes, size_t count)
{
	while (count) {
		ssize_t done = send(fd, bytes, count, MSG_NOSIGNAL);

		if (done < 0 && errno == EAGAIN)
			continue;
		if (done < 0)
			return;
		bytes += done;
		count -= (size_t)done;
	}
}

static void answer(int fd, const char *nonce, const char *body, size_t count)
{
	char head[256];
	int bytes = snprintf(head, sizeof(head),
			     "HTTP/1.1 200 OK\r\nX-Nonce: %s\r\nContent-Length: %zu\r\n\r\n", nonce,
			     count);

	put(fd, head, (size_t)bytes);
	put(fd, body, count);
}

/* The client's nonce, again and again. */
static void answer_large(int fd, const char *nonce)
{
	static char body[96 << 10];
	size_t bytes = strlen(nonce), at;

	for (at = 0; at + bytes <= sizeof(body); at += bytes)
		memcpy(body + at, nonce, bytes);
	answer(fd, nonce, body, at);
}

/* ---- numbers ---- */

static int open_now(void)
{
	int fd, count = 0;

	for (fd = 0; fd < 100; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int in_file(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT, 0600), count = 0;

	if (fd < 0 || (read(fd, &count, sizeof(count)) != sizeof(count) && count))
		return -1;
	count++;
	if (pwrite(fd, &count, sizeof(count), 0) != sizeof(count))
		return -2;
	close(fd);
	return count;
}

static int in_environment(void)
{
	const char *text = getenv("SERVED");
	char number[16];

	snprintf(number, sizeof(number), "%d", (text ? atoi(text) : 0) + 1);
	setenv("SERVED", number, 1);
	return atoi(number);
}

static int in_handlers(void)
{
	struct sigaction old;
	sigset_t mask, before;

	sigaction(SIGUSR1, NULL, &old);
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_BLOCK, &mask, &before);
	return 1 + (old.sa_handler != SIG_DFL) + sigismember(&before, SIGUSR2);
}

static int in_timers(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_NONE};
	timer_t timer;

	return timer_create(CLOCK_MONOTONIC, &event, &timer) ? -errno : 1 + (int)(long)timer;
}

static int in_maps(void)
{
	void *at = mmap(FIXED, 4096, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return at == FIXED ? ++*(int *)at : 2;
}

static void answer_count(int fd, const char *nonce)
{
	char text[512];
	int mask = (int)umask(0123);

	eventfd(1, 0); /* stays open */
	snprintf(text, sizeof(text), "%u %d %d %d %d %d %d %d %d %d %s", ++served, ++*served_heap,
		 ++*served_stack, in_file("/dev/shm/served"), in_environment(),
		 open_now() - at_start - 1, in_handlers(), in_timers(), in_maps(),
		 mask == 022 ? 1 : mask, nonce);
	answer(fd, nonce, text, strlen(text));
}

/* ---- deaths ---- */

static int deeper(int depth)
{
	volatile char some[4096];

	some[0] = (char)depth;
	return deeper(depth + 1) + some[0];
}

/* The nonce over all that can be written: what becomes of this request is its own affair. */
static void scribble(const char *nonce)
{
	char *area = (char *)MF_FAST_AREA_VA;
	size_t bytes = strlen(nonce), at;

	for (at = 0; at < HEAP_BYTES - bytes; at += bytes)
		memcpy(on_heap + at, nonce, bytes);
	for (at = 0; at < sizeof(in_bss) - bytes; at += bytes)
		memcpy(in_bss + at, nonce, bytes);
	for (at = 16; at < MF_FAST_AREA_PAGES * 4096 - bytes; at += bytes)
		memcpy(area + at, nonce, bytes);
	for (at = 0; at < sizeof(clients) - bytes; at += bytes)
		memcpy((char *)clients + at, nonce, bytes);
}

static void die(int how, const char *nonce)
{
	switch (how) {
	case 0:
		*(volatile int *)8 = 1;
		break;
	case 1:
		__asm__ volatile("ud2");
		break;
	case 2:
		abort();
	case 3:
		exit(deeper(0));
	case 4:
		exit(0);
	case 5:
		__asm__ volatile("hlt");
		break;
	case 6:
		__asm__ volatile("in $0x10, %%eax" : : : "eax");
		break;
	case 7:
		__asm__ volatile("movabs $0x8000000000000000, %%rsp\n push %%rax" : : : "memory");
		break;
	case 8:
		kill(getpid(), SIGKILL);
		break;
	case 9:
		memset(environ, 0xff, 4096);
		memset((char *)__builtin_frame_address(0) - 4096, 0xff, 8192);
		break;
	default:
		scribble(nonce);
	}
}

/* ---- requests ---- */

static int is(const char *target, const char *name)
{
	size_t bytes = strlen(name);

	return !strncmp(target, name, bytes) && (target[bytes] == '/' || target[bytes] == '?');
}

/* -1: the order is not all there yet. */
static int obey(int fd, const char *target, const char *nonce, const char *body, size_t have)
{
	struct order order;
	char text[2048];
	size_t i;

	if (have < sizeof(order))
		return -1;
	memcpy(&order, body, sizeof(order));
	if (is(target, "/hide")) {
		hide(&order);
		if (order.end == END_ANSWER)
			answer(fd, nonce, "hidden", 6);
		if (order.places >> 31)
			put(fd, (char *)mapped, MAPPED_BYTES); /* behind the answer */
		end_with_secret(&order);
	}
	if (is(target, "/both")) { /* what was hidden is found */
		hide(&order);
		for (i = 0; i < SECRET; i++)
			order.secret[i] = (uint8_t)~order.secret[i];
	}
	snprintf(text, sizeof(text), "%u ", find(order.secret));
	describe(text + strlen(text), sizeof(text) - strlen(text));
	answer(fd, nonce, text, strlen(text));
	return 0;
}

/* -1: it is not complete. */
static int serve(int fd, char *request, const char *body, size_t length, size_t have)
{
	const char *target = strchr(request, ' ') + 1;
	int how = atoi(target + strcspn(target, "0123456789? "));
	char nonce[64];

	snprintf(nonce, sizeof(nonce), "%.*s", (int)strcspn(strchr(target, '?') + 1, " "),
		 strchr(target, '?') + 1);
	if (is(target, "/hide") && !obey(fd, target, nonce, body, have))
		return 0; /* with some of the body still unread */
	if (have < length)
		return -1;
	if (is(target, "/count"))
		answer_count(fd, nonce);
	else if (is(target, "/echo"))
		answer(fd, nonce, body, length);
	else if (is(target, "/large"))
		answer_large(fd, nonce);
	else if (is(target, "/crash"))
		die(how, nonce);
	else if (is(target, "/spin"))
		for (;;)
			;
	else if (is(target, "/after")) {
		answer(fd, nonce, nonce, strlen(nonce));
		die(how, nonce);
	} else
		return obey(fd, target, nonce, body, have);
	return 0;
}

static int handle(struct client *client)
{
	char *end = memmem(client->bytes, client->have, "\r\n\r\n", 4), *text;
	size_t head, length, rest;

	if (!end)
		return 0;
	head = (size_t)(end + 4 - client->bytes);
	text = strcasestr(client->bytes, "\r\ncontent-length:");
	length = text && text < end ? strtoul(text + 17, NULL, 10) : 0;
	if (serve(client->fd, client->bytes, end + 4, length, client->have - head) < 0)
		return 0;
	rest = client->have - head < length ? 0 : client->have - head - length;
	memmove(client->bytes, client->bytes + client->have - rest, rest);
	client->have = rest;
	return 1;
}

static void feed(struct client *client)
{
	ssize_t got = read(client->fd, client->bytes + client->have, ROOM - client->have);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		close(client->fd);
		free(client->bytes);
		client->fd = 0;
		return;
	}
	client->have += (size_t)got;
	client->bytes[client->have] = '\0';
	while (handle(client))
		;
}

static void take(void)
{
	struct client *client = clients;
	struct epoll_event event = {.events = EPOLLIN};
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

	if (fd < 0)
		return;
	while (client->fd)
		client++;
	*client = (struct client){.fd = fd, .bytes = malloc(ROOM + 1)};
	event.data.ptr = client;
	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Notes all registers right behind the call. */
static int wait_for(struct epoll_event *events, int room)
{
	register long timeout __asm__("r10") = -1;
	long count;

	__asm__ volatile("mov $232, %%eax\n\tsyscall\n\t"
			 "mov %%rbx, 0+registers(%%rip)\n\tmov %%rbp, 8+registers(%%rip)\n\t"
			 "mov %%rsi, 16+registers(%%rip)\n\tmov %%rdi, 24+registers(%%rip)\n\t"
			 "mov %%rdx, 32+registers(%%rip)\n\tmov %%rcx, 40+registers(%%rip)\n\t"
			 "mov %%r8, 48+registers(%%rip)\n\tmov %%r9, 56+registers(%%rip)\n\t"
			 "mov %%r10, 64+registers(%%rip)\n\tmov %%r11, 72+registers(%%rip)\n\t"
			 "mov %%r12, 80+registers(%%rip)\n\tmov %%r13, 88+registers(%%rip)\n\t"
			 "mov %%r14, 96+registers(%%rip)\n\tmov %%r15, 104+registers(%%rip)\n\t"
			 : "=a"(count)
			 : "D"(epoll), "S"(events), "d"(room), "r"(timeout)
			 : "rcx", "r11", "memory");
	__asm__ volatile("xsave64 %0" : "+m"(vectors) : "a"(-1), "d"(-1));
	return (int)count;
}

static void loop(void)
{
	struct epoll_event events[8];
	int i, count;

	for (;;) {
		count = wait_for(events, 8);
		for (i = 0; i < count; i++) {
			if (events[i].data.ptr)
				feed(events[i].data.ptr);
			else
				take();
		}
	}
}

int main(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(80)};
	struct epoll_event event = {.events = EPOLLIN};
	int on_stack = 0;

	umask(022);
	served_stack = &on_stack;
	served_heap = calloc(1, sizeof(int));
	on_heap = calloc(1, HEAP_BYTES);
	mapped = mmap(NULL, MAPPED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 64))
		return 2;
	epoll = epoll_create1(0);
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	at_start = open_now();
	loop();
	return 0;
}
