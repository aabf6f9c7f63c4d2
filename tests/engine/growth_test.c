/* SPDX-License-Identifier: MIT */
/*
 * Working sets that grow and shrink: a request may make its whole image private; the memory comes
 * back; a limit on private memory holds; thousands of requests leave the process as it was.
 */
#include "tests/engine/harness.h"

#include <stdio.h>
#include <string.h>

static struct lab lab;
static struct guest guest;
static const struct lab_options heap = {.memory_bytes = 128u << 20, .argument = "heap"};

static long private_pages(void)
{
	return mf_mem_private_pages(&guest.process.vm.mem);
}

static void ask(const char *target)
{
	guest_ask(&guest, target, "body", 4);
	cr_assert_eq(guest.exit.kind, MF_EXIT_READY, "%s: %s", target, guest.answer);
}

Test(growth, request_that_writes_its_whole_image_is_undone_and_trimmed, .timeout = 300)
{
	long usual;
	long all;
	int i;

	run_max_us = 60000000; /* 16,384 first touches take their time */
	lab_open(&lab, "counts_musl", &heap);
	guest_fork(&guest, &lab);
	for (i = 0; i < 3; i++) {
		ask("/sum");
		guest_reset(&guest);
	}
	usual = private_pages();
	ask("/everything");
	all = private_pages();
	cr_expect_gt(all, 16000, "%ld pages", all);
	guest_reset_and_audit(&guest, "a request that wrote all of its image");
	for (i = 0; i < 40; i++) {
		ask("/sum");
		guest_reset(&guest);
	}
	cr_expect_lt(private_pages(), usual + 300, "%ld pages before, %ld in between, %ld after",
		     usual, all, private_pages());
	guest_reset_and_audit(&guest, "trimming");
	fprintf(stderr, "private pages: %ld, with all written %ld, after trimming %ld\n", usual,
		all, private_pages());
	guest_finish(&guest);
	lab_close(&lab);
}

Test(growth, limit_on_new_memory_holds, .timeout = 60)
{
	struct lab_options options = heap;

	options.private_pages = 1000;
	lab_open(&lab, "counts_musl", &options);
	guest_fork(&guest, &lab);
	ask("/sum");
	guest_reset(&guest);
	ask("/grow"); /* maps until it is refused */
	cr_expect_leq(strtoul(guest.answer, NULL, 10), 1000, "%s pages", guest.answer);
	cr_expect_geq(strtoul(guest.answer, NULL, 10), 500, "%s pages", guest.answer);
	guest_reset_and_audit(&guest, "growth up to the limit");
	ask("/sum");
	guest_finish(&guest);
	lab_close(&lab);
}

Test(growth, thousands_of_requests_leave_the_process_as_it_was, .timeout = 600)
{
	static const char *const targets[] = {"/sum",      "/sum",   "/sum",
					      "/scribble", "/crash", "/registers"};
	unsigned int count = rounds(150, 10000, 100000);
	int descriptors = 0;
	int threads = 0;
	long resident = 0;
	unsigned int i;

	lab_open(&lab, "counts", NULL);
	guest_fork(&guest, &lab);
	for (i = 0; i < count + 50; i++) {
		if (i == 50) {
			descriptors = count_descriptors();
			threads = count_threads();
			resident = resident_kib();
		}
		guest_ask(&guest, targets[random_below(6)], "body", 4);
		guest_reset(&guest);
	}
	cr_expect_eq(count_descriptors(), descriptors);
	cr_expect_eq(count_threads(), threads);
	cr_expect_lt(resident_kib(), resident + 16384, "%ld KiB, then %ld KiB", resident,
		     resident_kib());
	fprintf(stderr,
		"%u requests: %d descriptors, %d threads, %ld KiB before and %ld KiB after\n",
		count, descriptors, threads, resident, resident_kib());
	guest_finish(&guest);
	lab_close(&lab);
}
