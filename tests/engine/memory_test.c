/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: whatever a request does to its address space, the next one finds the image's, by
 * its contents and by its rights (the program "torture" keeps a model of both); large mappings are
 * backed as they are touched, and given back.
 */
#include "tests/engine/harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct lab lab;
static struct guest guest;

static void ask(const char *target)
{
	guest_ask(&guest, target, "body", 4);
	cr_assert_eq(guest.exit.kind, MF_EXIT_READY, "%s: %s", target, guest.answer);
}

Test(memory, what_a_request_maps_is_undone_with_its_translations, .timeout = 600)
{
	char folder[] = "/tmp/mayfly-memory-XXXXXX";
	struct lab_options options = {.folder = folder, .argument = folder};
	unsigned int count = rounds(6, 60, 3000);
	int descriptors = 0;
	char target[64];
	unsigned int i;

	run_max_us = 60000000;
	cr_assert_not_null(mkdtemp(folder));
	lab_open(&lab, "torture", &options);
	guest_fork(&guest, &lab);
	for (i = 0; i < count; i++) {
		snprintf(target, sizeof(target), "/%llu%s", (unsigned long long)random_u64(),
			 i % 8 ? "" : "/all");
		ask(target);
		cr_assert_str_eq(guest.answer, "ok", "request %u, %s: %s", i, target, guest.answer);
		guest_reset_and_audit(&guest, target);
		if (i == 2)
			descriptors = count_descriptors();
	}
	cr_expect_eq(count_descriptors(), descriptors);
	guest_finish(&guest);
	lab_close(&lab);
	rmdir(folder);
}

/* The test above would find it. */
Test(memory, a_reset_that_leaves_the_tables_is_found, .timeout = 120)
{
	char folder[] = "/tmp/mayfly-memory-XXXXXX";
	struct lab_options options = {.folder = folder, .argument = folder};
	bool found = false;
	int i;

	run_max_us = 60000000;
	cr_assert_not_null(mkdtemp(folder));
	lab_open(&lab, "torture", &options);
	guest_fork(&guest, &lab);
	guest.process.vm.skip_steps = MF_STEP_TABLES;
	for (i = 0; i < 10 && !found; i++) {
		guest_ask(&guest, i ? "/7/all" : "/5", NULL, 0);
		found = guest.exit.kind != MF_EXIT_READY || strcmp(guest.answer, "ok");
		if (!found)
			guest_reset(&guest);
	}
	cr_expect(found);
	guest_finish(&guest);
	lab_close(&lab);
	rmdir(folder);
}

Test(memory, large_ranges_are_backed_in_few_exits, .timeout = 120)
{
	struct lab_options options = {.memory_bytes = 128u << 20};
	int i;

	run_max_us = 60000000;
	lab_open(&lab, "counts", &options);
	guest_fork(&guest, &lab);
	for (i = 0; i < 3; i++) {
		ask("/walk");
		cr_expect_str_eq(guest.answer, "0", "%s pages were not zero", guest.answer);
		/* 16, 16, 32, ... up to the half that is left: of 16,384 pages. */
		cr_expect_leq(guest.user_exits, 24, "%llu exits",
			      (unsigned long long)guest.user_exits);
		guest_reset_and_audit(&guest, "a walk");
	}
	fprintf(stderr, "64 MiB touched page by page: %llu user exits\n",
		(unsigned long long)guest.user_exits);
	guest_finish(&guest);
	lab_close(&lab);
}

Test(memory, requests_go_on_in_a_range_of_the_image_without_faults, .timeout = 60)
{
	struct lab_options options = {.argument = "lazy"};
	int i;

	lab_open(&lab, "counts", &options);
	guest_fork(&guest, &lab);
	for (i = 0; i < 4; i++) {
		ask("/sum");
		guest_reset(&guest);
	}
	ask("/sum");
	cr_expect_eq(guest.user_exits, 1);
	cr_expect_eq(guest.faults, 0);
	guest_reset_and_audit(&guest, "writing on in a large range");
	guest_finish(&guest);
	lab_close(&lab);
}

Test(memory, touching_what_is_not_there_ends_the_request_alone, .timeout = 60)
{
	run_max_us = RUN_MAX_US;
	lab_open(&lab, "counts", NULL);
	guest_fork(&guest, &lab);
	guest_ask(&guest, "/overdraw", NULL, 0);
	cr_expect_eq(guest.exit.kind, MF_EXIT_SIGNALED);
	cr_expect_eq(guest.exit.status, SIGKILL);
	cr_expect(guest.process.out_of_memory);
	guest_reset_and_audit(&guest, "a request that touched more than there is");
	ask("/sum");
	guest_finish(&guest);
	lab_close(&lab);
}
