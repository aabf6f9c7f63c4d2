/* SPDX-License-Identifier: MIT */
#include "tenant/rate.h"

/* The bucket as one number, the time at which it would be full: a token taken moves it by one
 * token's time, and it may lie no further ahead than an empty bucket takes to fill (GCRA, ITU-T
 * I.371). */
bool mf_rate_take(struct mf_rate *rate, uint64_t now_ns)
{
	uint64_t full = __atomic_load_n(&rate->full_ns, __ATOMIC_RELAXED);
	uint64_t next;

	if (!rate->each_ns)
		return true;
	do {
		next = (full > now_ns ? full : now_ns) + rate->each_ns;
		if (next - now_ns > rate->burst * rate->each_ns)
			return false;
	} while (!__atomic_compare_exchange_n(&rate->full_ns, &full, next, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	return true;
}
