/* SPDX-License-Identifier: MIT */
/* System calls that are answered in ring 3: what they keep, what they cost, and who abuses them. */
#include "tests/engine/harness.h"

#include <stdio.h>
#include <string.h>

static struct lab lab;
static struct guest guest;

static void begin(bool patched)
{
	struct lab_options options = {.patched = patched, .watched = true};

	lab_open(&lab, "fast", &options);
	guest_fork(&guest, &lab);
}

static void end(const char *what)
{
	guest_reset_and_audit(&guest, what);
	guest_finish(&guest);
	lab_close(&lab);
}

static void is_answered(const char *target, const char *answer)
{
	guest_ask(&guest, target, NULL, 0);
	cr_assert_str_eq(guest.answer, answer, "%s: %s", target, guest.answer);
	guest_reset_and_audit(&guest, target);
}

Test(fast, calls_keep_every_register_and_the_red_zone, .timeout = 60)
{
	begin(true);
	is_answered("/calls", "patched");
	is_answered("/calls", "patched");
	end("calls");
}

Test(fast, so_do_calls_that_were_not_patched, .timeout = 60)
{
	struct lab_options options = {.plain_text = true};

	lab_open(&lab, "fast", &options);
	guest_fork(&guest, &lab);
	is_answered("/calls", "plain");
	end("calls");
}

Test(fast, what_is_answered_in_the_guest_costs_no_exit, .timeout = 60)
{
	int i;

	begin(true);
	for (i = 0; i < 3; i++)
		is_answered("/many", "done");
	guest_ask(&guest, "/many", NULL, 0);
	cr_assert_eq(guest.user_exits, 1, "%lu user exits", (unsigned long)guest.user_exits);
	cr_assert_eq(guest.faults, 0, "%lu page faults", (unsigned long)guest.faults);
	end("many");
}

Test(fast, interrupted_calls_are_made_again, .timeout = 60)
{
	begin(true);
	is_answered("/signals", "done");
	end("signals");
}

Test(fast, a_thread_that_does_nothing_but_call_leaves_others_their_turn, .timeout = 120)
{
	run_max_us = 60000000;
	begin(true);
	is_answered("/spin", "done");
	end("spin");
}

/* Whatever it does to the area or to the code, the VM ends clean and serves the next request. */
Test(fast, abuse_stays_inside, .timeout = 600)
{
	unsigned int count = rounds(16, 400, 20000);
	unsigned int i;

	run_max_us = 20000;
	begin(true);
	for (i = 0; i < count; i++) {
		uint64_t seed = random_u64();

		guest_ask(&guest, i % 2 ? "/scribble" : "/jump", &seed, sizeof(seed));
		guest_reset(&guest);
		if (i % 16 == 0) {
			guest_reset_and_audit(&guest, "abuse");
			run_max_us = RUN_MAX_US;
			is_answered("/calls", "patched");
			run_max_us = 20000;
		}
	}
	end("abuse");
}
