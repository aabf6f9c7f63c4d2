/* SPDX-License-Identifier: MIT */
/* Who is lowered, and when; by made-up times. */
#include <criterion/criterion.h>

#include "tenant/priority.h"

#define MS 1000000ull

static const struct mf_priority unchangeable;

/* It works for so long, asks, and waits for so long. */
static void work(struct mf_turns *turns, uint64_t *now, uint64_t worked_ns, uint64_t waited_ns)
{
	*now += worked_ns;
	mf_turns_ask(turns, waited_ns != 0, *now);
	*now += waited_ns;
	mf_turns_begin(turns, *now);
}

static bool low_after(struct mf_turns *turns, uint64_t *now, uint64_t worked, uint64_t waited)
{
	unsigned int i;

	for (i = 0; i < 100; i++)
		work(turns, now, worked, waited);
	return turns->low;
}

Test(priority, who_works_most_of_the_time_is_lowered_and_who_waits_is_raised)
{
	struct mf_turns turns;
	uint64_t now = 7 * MS;

	mf_turns_init(&turns, &unchangeable, now);
	cr_assert_not(turns.low);
	cr_assert_not(low_after(&turns, &now, MS, 2 * MS));
	cr_assert(low_after(&turns, &now, MS, 0));
	cr_assert(low_after(&turns, &now, 2 * MS, MS));
	cr_assert_not(low_after(&turns, &now, MS, 3 * MS));
}

Test(priority, between_the_bounds_it_stays_what_it_is)
{
	struct mf_turns turns;
	uint64_t now = 0;

	mf_turns_init(&turns, &unchangeable, now);
	cr_assert_not(low_after(&turns, &now, 2 * MS, 3 * MS));
	cr_assert(low_after(&turns, &now, MS, 0));
	cr_assert(low_after(&turns, &now, 2 * MS, 3 * MS));
}

Test(priority, a_short_piece_of_work_lowers_nobody)
{
	struct mf_turns turns;
	uint64_t now = 0;

	mf_turns_init(&turns, &unchangeable, now);
	work(&turns, &now, MF_TURNS_TERM_NS - 1, 0);
	cr_assert_not(turns.low);
	work(&turns, &now, 0, MF_TURNS_TERM_NS);
	cr_assert_not(turns.low);
	work(&turns, &now, MF_TURNS_TERM_NS, 0);
	cr_assert(turns.low);
	work(&turns, &now, 0, MF_TURNS_TERM_NS);
	cr_assert_not(turns.low);
}
