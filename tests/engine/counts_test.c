/* SPDX-License-Identifier: MIT */
/*
 * What a request costs, in numbers that no machine's speed changes: user exits, page faults of the
 * vCPU, page faults of this thread. Checked for every single request after the warm-up, with
 * hostile ones in between on the same VM.
 */
#include "tests/engine/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define BODY_MAX 16384

/* A sanitizer's runtime has page faults of its own in this thread: the figure means nothing there.
 */
#ifdef __SANITIZE_ADDRESS__
#define WORKER_FAULTS_COUNT false
#else
#define WORKER_FAULTS_COUNT true
#endif

static struct lab lab;
static struct guest guest;
static uint8_t body[BODY_MAX];

static const struct image {
	const char *name;
	const char *program;
	const char *mode;
	uint64_t memory_bytes;
	unsigned int exits; /* user exits of each request */
	bool quiet;         /* no page fault in any request */
} images[] = {
	{"static glibc PIE", "counts", "plain", 64u << 20, 1, true},
	{"musl with 64 MiB of heap", "counts_musl", "heap", 128u << 20, 1, true},
	{"map, protect, unmap", "counts_musl", "remap", 64u << 20, 4, false},
};

static long minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt;
}

static void sum(size_t bytes, uint64_t *expected)
{
	char text[32];
	char wanted[32];

	guest_ask(&guest, "/sum", body, bytes);
	memcpy(text, guest.answer, sizeof(text));
	text[31] = 0;
	if (!*expected)
		*expected = strtoull(text, NULL, 10);
	snprintf(wanted, sizeof(wanted), "%llu", (unsigned long long)*expected);
	cr_assert_str_eq(text, wanted, "%zu bytes: %s", bytes, guest.answer);
}

static const size_t sizes[] = {1, 20, 100, 700, 3000, 4096, 9000, BODY_MAX};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))
static uint64_t sums[SIZES];

static void be_hostile(void)
{
	static const char *const targets[] = {"/scribble", "/registers", "/crash"};

	guest_ask(&guest, targets[random_below(3)], NULL, 0);
	guest_reset(&guest);
}

static void warm_up(void)
{
	size_t i;
	int round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < SIZES; i++) {
			sum(sizes[i], &sums[i]);
			guest_reset(&guest);
		}
		guest_ask(&guest, "/scribble", NULL, 0);
		guest_reset(&guest);
	}
}

static void measure(const struct image *image, unsigned int count)
{
	uint64_t faults = 0;
	uint64_t exits = 0;
	long minor = 0;
	unsigned int i;

	for (i = 0; i < count; i++) {
		unsigned int size = random_below(SIZES);
		long before = minor_faults();

		sum(sizes[size], &sums[size]);
		guest_reset(&guest);
		minor += minor_faults() - before;
		faults += guest.faults;
		exits += guest.user_exits;
		cr_assert_eq(guest.user_exits, image->exits, "%s, request %u: %lu user exits",
			     image->name, i, (unsigned long)guest.user_exits);
		if (image->quiet) {
			cr_assert_eq(guest.faults, 0,
				     "%s, request %u of %zu bytes: %lu page faults", image->name, i,
				     sizes[size], (unsigned long)guest.faults);
			if (WORKER_FAULTS_COUNT)
				cr_assert_eq(minor_faults(), before,
					     "%s, request %u: %ld faults of the worker",
					     image->name, i, minor_faults() - before);
		}
		if (random_below(10) == 0)
			be_hostile();
	}
	fprintf(stderr,
		"%s: %u requests, %.3f user exits, %.3f vCPU page faults, %.3f worker page faults "
		"each\n",
		image->name, count, (double)exits / count, (double)faults / count,
		(double)minor / count);
}

static void count_image(const struct image *image)
{
	struct lab_options options = {.memory_bytes = image->memory_bytes, .argument = image->mode};
	size_t i;

	for (i = 0; i < BODY_MAX; i++)
		body[i] = (uint8_t)random_u64();
	memset(sums, 0, sizeof(sums));
	lab_open(&lab, image->program, &options);
	guest_fork(&guest, &lab);
	warm_up();
	measure(image, rounds(60, 500, 10000));
	guest_reset_and_audit(&guest, image->name);
	guest_finish(&guest);
	lab_close(&lab);
}

Test(counts, plain_request_is_one_exit_and_no_fault, .timeout = 600)
{
	count_image(&images[0]);
}

Test(counts, request_with_a_large_heap_is_one_exit_and_no_fault, .timeout = 600)
{
	count_image(&images[1]);
}

Test(counts, request_that_maps_is_one_exit_more_per_call, .timeout = 600)
{
	count_image(&images[2]);
}
