/* SPDX-License-Identifier: MIT */
/* What a request can do to its own channel that no honest one does. */
#include "store_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <mayfly/abi/store.h>
#include <mayfly/store.h>

static struct mf_abi_channel *const header = (void *)MF_CHANNEL_VA;
static uint64_t dice;
static volatile int zero;
static char text[4096];

static uint64_t roll(void)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice;
}

static size_t window_bytes(void)
{
	return mf_channel_bytes(header->ring_bytes);
}

static long wait_at_channel(void)
{
	return mf_sdk_exit(MF_CALL_CHANNEL_WAIT, NULL, 0, 0);
}

/* A message of the store's without the SDK's patience: -EAGAIN when there is no room. */
static int ask(struct mf_ring *requests, uint32_t function, const char *key, uint32_t value_bytes)
{
	static uint8_t value[1 << 20];
	struct mf_abi_kv head = {1, (uint16_t)strlen(key), value_bytes, 10};
	struct mf_piece pieces[] = {
		{&head, sizeof(head)}, {"t", 1}, {key, head.key_bytes}, {value, value_bytes}};

	return mf_ring_put(requests, function, 1, 0, pieces, 4);
}

/* ---- writing where others write ---- */

static void scribble_once(size_t bytes)
{
	uint64_t kind = roll() % 8;
	uint32_t word = (uint32_t)roll();

	if (kind < 4) /* an index: wild, near, aligned or not */
		(&header->request_tail)[kind].at =
			roll() % 2 ? word : ((&header->request_tail)[kind].at + word % 64) & ~7u;
	else if (kind == 4)
		((uint32_t *)header)[roll() % 5] = word; /* magic, version, geometry, lost */
	else if (kind == 5)                              /* a header in either ring */
		*(uint32_t *)(WINDOW + MF_CHANNEL_HEAD_BYTES + roll() % 2 * (bytes / 2) +
			      (roll() % 64) * 8) = roll() % 2 ? word : word % 4096;
	else
		*(uint64_t *)(WINDOW + (roll() % (bytes / 8)) * 8) = roll();
}

/* Calls, and everything in the channel is somebody else's between and within them. */
static void scribble(const struct mf_request *request, unsigned long number)
{
	size_t bytes = window_bytes();
	struct mf_ring requests, replies;
	int open = mf_channel_open(header, bytes, &requests, &replies);
	int i, k;

	dice = number * 2654435761u + 88172645463325252ull;
	for (i = 0; i < 40 && !open; i++) {
		ask(&requests, 1 + (uint32_t)roll() % 6, "scribbled", (uint32_t)(roll() % 300));
		for (k = (int)(roll() % 20); k; k--)
			scribble_once(bytes);
		requests.broken = false;
		if (roll() % 4 == 0) {
			struct mf_bytes in = {"x", 1};

			mf_store_call((uint32_t)roll() % 8, &in, 1, text, sizeof(text), NULL);
		}
	}
	say("scribbled");
}

/* Indices that cannot be; then it waits as if nothing were wrong. */
static void wild_indices(const struct mf_request *request, unsigned long number)
{
	static const uint32_t wild[] = {1,          7,          0xffffffff, 0x80000000, 0x200008,
					0x7ffffff8, 0xfffffff8, 0x200000,   24,         12345};
	uint32_t value = wild[number / 4 % 10];

	(&header->request_tail)[number % 4].at = value;
	if (number % 4 != 0)
		header->request_tail.at = 40;
	wait_at_channel();
	wait_at_channel();
	say("waited");
}

/* Messages whose headers lie, with a tail that is right. */
static void bad_sizes(const struct mf_request *request, unsigned long number)
{
	static const uint32_t sizes[] = {0, 1, 23, 25, 0xffffffff, 0x80000000, 4096, 0x200001};
	struct mf_abi_message *message = (void *)(WINDOW + MF_CHANNEL_HEAD_BYTES);

	*message = (struct mf_abi_message){sizes[number % 8], 1, 1, 0, 0};
	mf_store_release(&header->request_tail.at, 32);
	wait_at_channel();
	say("waited");
}

/* Calls of every function with payloads of noise: the store's own checks. */
static void noise(const struct mf_request *request, unsigned long number)
{
	static uint8_t bytes[70000];
	unsigned int i;
	size_t k;
	int code = 0;

	dice = number + 1;
	for (i = 0; i < 60; i++) {
		struct mf_abi_kv head = {(uint16_t)(roll() % 80), (uint16_t)(roll() % 600),
					 (uint32_t)roll() % 3000, roll()};
		struct mf_bytes in = {bytes, roll() % 3 ? roll() % 4000 : roll() % sizeof(bytes)};

		for (k = 0; k < in.length; k += 8)
			*(uint64_t *)(bytes + k) = roll();
		if (roll() % 4)
			memcpy(bytes, &head, sizeof(head));
		if (roll() % 2)
			in.length =
				sizeof(head) + head.table_bytes + head.key_bytes + head.value_bytes;
		code = mf_store_call(1 + (uint32_t)roll() % 6, &in, 1, text, sizeof(text), NULL);
		if (code == -ECONNRESET || code == -EPROTO)
			break;
	}
	say(code == -ECONNRESET || code == -EPROTO ? "the store is hurt" : "refused");
}

/* ---- too much, too little ---- */

/* Asks and asks and reads no reply; waits for room, which never comes. */
static void flood(const struct mf_request *request, unsigned long number)
{
	struct mf_ring requests, replies;
	unsigned long put = 0;

	if (mf_channel_open(header, window_bytes(), &requests, &replies))
		abort();
	while (!number || put < number) {
		int code = ask(&requests, MF_KV_GET, "flood", 0);

		if (!code)
			put++;
		else if (code == -EAGAIN)
			wait_at_channel();
		else
			break;
	}
	say("flooded");
}

/* Large replies that nobody takes. */
static void glut(const struct mf_request *request, unsigned long number)
{
	struct mf_ring requests, replies;
	int i;

	if (mf_channel_open(header, window_bytes(), &requests, &replies))
		abort();
	ask(&requests, MF_KV_PUT, "glut", 1 << 20);
	for (i = 0; i < 8; i++)
		ask(&requests, MF_KV_GET, "glut", 0);
	for (i = 0; i < 8; i++)
		wait_at_channel();
	say("glutted");
}

static void wait_for_nothing(const struct mf_request *request, unsigned long number)
{
	for (;;) /* it may return early, as futexes do */
		wait_at_channel();
}

/* A reply lies there, and it asks for one. */
static void wait_in_a_loop(const struct mf_request *request, unsigned long number)
{
	struct mf_ring requests, replies;

	if (mf_channel_open(header, window_bytes(), &requests, &replies))
		abort();
	ask(&requests, MF_KV_GET, "loop", 0);
	for (;;)
		wait_at_channel();
}

static void die_in_a_call(const struct mf_request *request, unsigned long number)
{
	struct mf_ring requests, replies;

	if (mf_channel_open(header, window_bytes(), &requests, &replies))
		abort();
	ask(&requests, number % 2 ? MF_KV_PUT : MF_KV_GET, "dying",
	    (uint32_t)(number * 997 % 100000));
	if (number % 3 == 0)
		*(volatile int *)(unsigned long)zero = 1;
	if (number % 3 == 1)
		_exit(3);
	__asm__ volatile("hlt");
}

static void wake(const struct mf_request *request, unsigned long number)
{
	long code = mf_sdk_exit(MF_CALL_CHANNEL_WAKE, NULL, 0, 0);

	snprintf(text, sizeof(text), "%ld", code);
	say(text);
}

/* ---- Linux and the channel ---- */

static size_t used;

static void note(const char *name, long result, long code)
{
	used += (size_t)snprintf(text + used, sizeof(text) - used, "%s %ld\n", name,
				 result < 0 ? code : result);
}

#define NOTE(name, call)                  \
	do {                              \
		long got_;                \
		errno = 0;                \
		got_ = (long)(call);      \
		note(name, got_, -errno); \
	} while (0)

static void system_calls(const struct mf_request *request, unsigned long number)
{
	uint8_t *at = WINDOW + number % window_bytes();
	struct iovec piece = {at, 16};
	int ends[2];

	used = 0;
	if (pipe(ends))
		abort();
	if (write(ends[1], "0123456789abcdef", 16) != 16)
		abort();
	NOTE("write", write(ends[1], at, 16));
	NOTE("read", read(ends[0], at, 8));
	NOTE("readv", readv(ends[0], &piece, 1));
	NOTE("writev", writev(ends[1], &piece, 1));
	NOTE("pwrite", write(1, at, 16));
	NOTE("clock_gettime", clock_gettime(CLOCK_THREAD_CPUTIME_ID, (void *)at));
	NOTE("nanosleep", nanosleep((void *)at, NULL));
	NOTE("getcwd", getcwd((char *)at, 100) ? 1 : -1);
	NOTE("open", open((char *)at, O_RDONLY));
	NOTE("pipe", pipe((int *)at));
	NOTE("sigaction", sigaction(SIGUSR1, NULL, (void *)at));
	NOTE("uname", uname((void *)at));
	NOTE("stat", stat("/", (void *)at));
	say(text);
}

static void maps(const struct mf_request *request, unsigned long number)
{
	size_t bytes = window_bytes();
	int rw = PROT_READ | PROT_WRITE;
	int fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	uint8_t *mine = mmap(NULL, 8192, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	used = 0;
	NOTE("munmap", munmap(WINDOW, bytes));
	NOTE("munmap-part", munmap(WINDOW + 4096, 4096));
	NOTE("munmap-over", munmap(WINDOW - 4096, 3 * 4096));
	NOTE("mprotect", mprotect(WINDOW, 4096, PROT_READ));
	NOTE("mprotect-exec", mprotect(WINDOW, bytes, rw | PROT_EXEC));
	NOTE("mremap", mremap(WINDOW, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 1);
	NOTE("mremap-to",
	     mremap(mine, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, WINDOW) == MAP_FAILED ? -1
											   : 1);
	NOTE("mmap-fixed", mmap(WINDOW, 4096, rw, fixed, -1, 0) == MAP_FAILED ? -1 : 1);
	NOTE("mmap-over", mmap(WINDOW - 4096, 3 * 4096, rw, fixed, -1, 0) == MAP_FAILED ? -1 : 1);
	NOTE("madvise", madvise(WINDOW, 4096, MADV_DONTNEED));
	NOTE("mmap-hint",
	     mmap(WINDOW, 4096, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == WINDOW ? 1 : 0);
	NOTE("magic", header->magic == MF_CHANNEL_MAGIC);
	NOTE("call", mf_store_put("t", MF_STRING("after-maps"), MF_STRING("v")));
	say(text);
}

/* The response comes from the channel, where others write. */
static void respond_from_channel(const struct mf_request *request, unsigned long number)
{
	mf_respond(200, NULL, WINDOW + 4096, 100);
}

const struct target hostile_targets[] = {
	{"scribble", scribble},
	{"indices", wild_indices},
	{"sizes", bad_sizes},
	{"noise", noise},
	{"flood", flood},
	{"glut", glut},
	{"wait", wait_for_nothing},
	{"loop", wait_in_a_loop},
	{"die", die_in_a_call},
	{"wake", wake},
	{"calls", system_calls},
	{"maps", maps},
	{"respond", respond_from_channel},
	{NULL, NULL},
};
