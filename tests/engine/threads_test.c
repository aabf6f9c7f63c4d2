/* SPDX-License-Identifier: MIT */
/*
 * An image with a crew of threads that wait: forks of it go on with them, and a reset puts every
 * one of them back to where it waited.
 */
#include "tests/engine/harness.h"

#include "engine/image/watchdog.h"

#include <string.h>

static struct lab lab;
static struct guest guest;

static const struct row {
	const char *target;
	const char *answer; /* the same each time: nothing is left of the time before */
} rows[] = {
	{"/add", "job 1: 532"}, {"/keep", "kept 20"}, {"/make", NULL},      {"/pipe", "piped 5"},
	{"/tick", "ticked"},    {"/spin", "spins"},   {"/lock", "nothing"}, {"/nothing", "nothing"},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Ids of new threads go on from the image's last one. */
static const char *answer_of(const struct row *row, const char *made)
{
	return row->answer ? row->answer : made;
}

static void ask(const struct row *row, const char *made)
{
	guest_ask(&guest, row->target, "hello", 5);
	cr_assert_str_eq(guest.answer, answer_of(row, made), "%s: %s", row->target, guest.answer);
	guest_reset_and_audit(&guest, row->target);
}

static void go_through(const char *argument, const char *made)
{
	struct lab_options options = {.argument = argument, .watched = true};
	unsigned int count = rounds(12, 120, 3000);
	unsigned int i;

	lab_open(&lab, "crew", &options);
	guest_fork(&guest, &lab);
	for (i = 0; i < count; i++)
		ask(&rows[i < ROWS ? i : random_below(ROWS)], made);
	guest_finish(&guest);
	guest_fork(&guest, &lab);
	ask(&rows[0], made);
	guest_finish(&guest);
	lab_close(&lab);
}

Test(threads, forks_go_on_with_the_threads_of_their_image, .timeout = 300)
{
	go_through(NULL, "made 24 to 33, local 0");
}

Test(threads, any_thread_may_be_the_one_that_is_ready, .timeout = 300)
{
	go_through("worker", "made 25 to 34, local 0");
}

/* Requests that end in the middle of everything. */
Test(threads, a_request_that_dies_with_its_threads_leaves_nothing, .timeout = 300)
{
	struct lab_options options = {.watched = true};
	unsigned int count = rounds(6, 60, 3000);
	unsigned int i;

	lab_open(&lab, "crew", &options);
	guest_fork(&guest, &lab);
	for (i = 0; i < count; i++) {
		static const char *const deadly[] = {"/crash", "/exit", "/hang", "/spin"};
		const char *target = deadly[i % 4];

		run_max_us = target[1] == 'h'   ? 20000
			     : target[1] == 's' ? 1000 + random_below(30000)
						: 5000000;
		guest_ask(&guest, target, "hello", 5);
		run_max_us = RUN_MAX_US;
		cr_assert(target[1] == 's' || guest.exit.kind != MF_EXIT_READY, "%s: %s", target,
			  guest.answer);
		guest_reset_and_audit(&guest, target);
		ask(&rows[random_below(ROWS)], "made 24 to 33, local 0");
	}
	guest_finish(&guest);
	lab_close(&lab);
}

/* One thread: nobody looks whose turn it is, and a request costs what it did without threads. */
Test(threads, a_program_of_one_thread_is_never_disturbed, .timeout = 60)
{
	static const uint8_t spin[] = {0xb9, 0,    0,    0,    0x10, /* mov $1 << 28, %ecx */
				       0xff, 0xc9, 0x75, 0xfc,       /* 1: dec %ecx; jnz 1b */
				       0x31, 0xc0, 0xc3};            /* xor %eax, %eax; ret */
	struct lab_options options = {.watched = true};

	lab_open(&lab, "bare", &options);
	guest_fork(&guest, &lab);
	run_max_us = RUN_MAX_US;
	cr_assert_eq(guest_run(&guest, spin, sizeof(spin)), 0, "%s", guest.answer);
	cr_assert_eq(guest.user_exits, 1);
	guest_finish(&guest);
	lab_close(&lab);
}
