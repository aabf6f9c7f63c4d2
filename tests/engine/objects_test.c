/* SPDX-License-Identifier: MIT */
/*
 * Pipes, event counters, timers and epolls that the image holds: every fork has its own, what a
 * request does to them is gone in the next one, they are no host descriptors, and what they hold
 * counts against the VM's memory.
 */
#include "tests/engine/harness.h"

#include <stdio.h>
#include <string.h>

/* What "/look" says: the edge and the single shot come once, the level comes twice. The numbers are
 * those that the program's eight descriptors and epoll's data have. */
#define OF_IMAGE                                                                     \
	"outer 1: 8=1 first 4: 3=1 5=1 6=1 7=1 second 2: 6=1 7=1 poll 3 pipe 12 12 " \
	"[of the image] counter 8 3 semaphore 8 timer 8 flags 800 1 next 10"

static struct lab lab;
static struct guest guest;

static void open_lab(const struct lab_options *options)
{
	lab_open(&lab, "objects", options);
	guest_fork(&guest, &lab);
}

static void close_lab(void)
{
	guest_finish(&guest);
	lab_close(&lab);
}

static const char *ask(struct guest *of, const char *target)
{
	guest_ask(of, target, NULL, 0);
	cr_assert_eq(of->exit.kind, MF_EXIT_READY, "%s: %s", target, of->answer);
	return of->answer;
}

Test(objects, every_request_finds_what_the_image_has, .timeout = 60)
{
	int i;

	open_lab(NULL);
	cr_assert_str_eq(ask(&guest, "/look"), OF_IMAGE);
	for (i = 0; i < 5; i++) {
		guest_reset_and_audit(&guest, "looking");
		ask(&guest, "/change");
		guest_reset_and_audit(&guest, "changing");
		cr_assert_str_eq(ask(&guest, "/look"), OF_IMAGE, "after a change");
	}
	close_lab();
}

Test(objects, every_fork_has_its_own, .timeout = 60)
{
	struct guest other;

	open_lab(NULL);
	guest_fork(&other, &lab);
	ask(&guest, "/change");
	cr_assert_str_eq(ask(&other, "/look"), OF_IMAGE, "while another has changed its own");
	guest_finish(&other);
	close_lab();
}

Test(objects, they_are_no_host_descriptors, .timeout = 60)
{
	int before;

	open_lab(NULL);
	before = count_descriptors();
	ask(&guest, "/change"); /* it leaves 50 pipes and more open */
	cr_assert_eq(count_descriptors(), before);
	guest_reset(&guest);
	cr_assert_eq(count_descriptors(), before);
	close_lab();
}

Test(objects, what_pipes_hold_is_limited_as_memory_is, .timeout = 600)
{
	static const struct lab_options small = {.memory_bytes = 32u << 20};
	long before;
	int mib = 0;
	int i;

	run_max_us = 2 * RUN_MAX_US;
	open_lab(&small);
	for (i = 0; i < 3; i++) {
		before = resident_kib();
		cr_assert_eq(sscanf(ask(&guest, "/fill"), "%d", &mib), 1, "%s", guest.answer);
		cr_assert_not_null(strstr(guest.answer, "ENOMEM"), "%s", guest.answer);
		cr_assert(mib >= 16 && mib < 32, "%s", guest.answer);
		cr_assert(guest.process.out_of_memory);
		guest_reset_and_audit(&guest, "full pipes");
		ask(&guest, "/look");
		guest_reset(&guest);
	}
	cr_assert_lt(resident_kib() - before, 16 << 10, "%ld KiB more", resident_kib() - before);
	close_lab();
}

Test(objects, what_files_without_a_name_hold_is_limited_as_memory_is, .timeout = 600)
{
	static const struct lab_options small = {.memory_bytes = 32u << 20};
	int before;
	int mib = 0;
	int i;

	run_max_us = 2 * RUN_MAX_US;
	open_lab(&small);
	before = count_descriptors();
	for (i = 0; i < 3; i++) {
		cr_assert_eq(sscanf(ask(&guest, "/file"), "%d", &mib), 1, "%s", guest.answer);
		cr_assert_not_null(strstr(guest.answer, "ENOSPC -1 ENOSPC"), "%s", guest.answer);
		cr_assert(mib >= 16 && mib < 32, "%s", guest.answer);
		guest_reset_and_audit(&guest, "a full file");
		cr_assert_eq(count_descriptors(), before);
	}
	close_lab();
}

Test(objects, a_wait_for_ever_is_ended_from_outside, .timeout = 60)
{
	run_max_us = 200000;
	open_lab(NULL);
	guest_ask(&guest, "/sleep", NULL, 0);
	cr_assert_eq(guest.exit.kind, MF_EXIT_KICKED, "%s", guest.answer);
	run_max_us = RUN_MAX_US;
	guest_reset_and_audit(&guest, "a wait");
	cr_assert_str_eq(ask(&guest, "/look"), OF_IMAGE);
	close_lab();
}
