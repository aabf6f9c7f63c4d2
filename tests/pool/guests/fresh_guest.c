/* SPDX-License-Identifier: MIT */
/* A served program that tells what must be its own in each request: random bytes, and the time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <mayfly/sdk.h>

#define READINGS 1000

static char text[256];
static unsigned int hooks;
static const uint8_t *at_random;
static uint64_t booted_as; /* the generation of the image */

static void hook(void *argument)
{
	hooks += *(unsigned int *)argument;
}

static int hex(char *to, const uint8_t *bytes, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		sprintf(to + 2 * i, "%02x", bytes[i]);
	return (int)(2 * count);
}

/* AT_RANDOM, generation, a number of the kernel's, how often the hook was called. */
static void tell_random(void)
{
	int used = hex(text, at_random, 16);
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		number = 0;
	snprintf(text + used, sizeof(text) - (size_t)used, " %" PRIx64 " %" PRIx64 " %u %" PRIx64,
		 mf_generation(), number, hooks, booted_as);
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/* The monotonic and the real time, and whether no reading was before the one before. */
static void tell_time(void)
{
	int64_t last = now_ns(CLOCK_MONOTONIC);
	int backwards = 0;
	int i;

	for (i = 0; i < READINGS; i++) {
		int64_t now = now_ns(CLOCK_MONOTONIC);

		backwards += now < last;
		last = now;
	}
	snprintf(text, sizeof(text), "%" PRId64 " %" PRId64 " %d", last, now_ns(CLOCK_REALTIME),
		 backwards);
}

static void serve(void)
{
	static unsigned int step = 1;
	const struct mf_request *request;

	booted_as = mf_generation();
	mf_on_request(hook, &step);
	while ((request = mf_wait())) {
		if (!strncmp(mf_request_target(request).data, "/time", 5))
			tell_time();
		else
			tell_random();
		mf_respond(200, "text/plain", text, strlen(text));
	}
}

/* What was the uppermost page of the stack is something else; nobody may go back there. */
__attribute__((noinline, noreturn)) static void serve_without(void)
{
	volatile char far_below[16384];
	void *page = (void *)((uintptr_t)at_random & ~4095ul);

	far_below[0] = 0;
	mf_inside(); /* the auxiliary vector goes, too */
	mf_generation();
	if (mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		abort();
	memset(page, 'x', 4096);
	serve();
	_exit(far_below[0]);
}

int main(int argc, char **argv)
{
	at_random = (const uint8_t *)getauxval(AT_RANDOM);
	if (argc > 1 && !strcmp(argv[1], "once")) {
		tell_time();
		puts(text);
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "without-stack"))
		serve_without();
	serve();
	return 0;
}
