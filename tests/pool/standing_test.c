/* SPDX-License-Identifier: MIT */
/* Which queues stand for too long; by made-up times. */
#include <criterion/criterion.h>

#include "request-vm/standing.h"

#define MS 1000000ull

/* A queue that is not empty, from which one is taken so often. */
static struct mf_standing stand(uint64_t *now, uint64_t each_ns, uint64_t for_ns)
{
	struct mf_standing standing = {0};
	uint64_t end = *now + for_ns;

	mf_standing_add(&standing, *now);
	while (*now < end) {
		*now += each_ns;
		mf_standing_take(&standing, *now);
	}
	return standing;
}

Test(standing, a_burst_is_never_too_long)
{
	uint64_t now = MS;
	struct mf_standing standing = stand(&now, 5 * MS, MF_STANDING_NS - 5 * MS);

	cr_assert_not(mf_standing_is_long(&standing, now, 100));
	mf_standing_end(&standing);
	cr_assert_not(mf_standing_is_long(&standing, now + MF_STANDING_NS * 2, 100));
	mf_standing_add(&standing, now);
	cr_assert_not(mf_standing_is_long(&standing, now + MF_STANDING_NS, 100));
}

Test(standing, a_queue_that_stands_is_bounded_by_time)
{
	uint64_t now = MS;
	struct mf_standing standing = stand(&now, 5 * MS, 2 * MF_STANDING_NS);

	cr_assert_not(mf_standing_is_long(&standing, now, 4));
	cr_assert(mf_standing_is_long(&standing, now, 5));
}

Test(standing, short_requests_may_be_many)
{
	uint64_t now = MS;
	struct mf_standing standing = stand(&now, MS / 10, 2 * MF_STANDING_NS);

	cr_assert_not(mf_standing_is_long(&standing, now, 150));
	cr_assert(mf_standing_is_long(&standing, now, 250));
}
