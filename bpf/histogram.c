/* SPDX-License-Identifier: MIT */
#include "bpf/percentile.h"

uint64_t mf_hist_width(uint32_t bucket)
{
	uint32_t shift = bucket / MF_HIST_SUBS;

	return shift ? 1ull << (shift - 1) : 1;
}

void mf_hist_take_away(struct mf_hist *from, const struct mf_hist *before)
{
	uint64_t end = 0;
	uint32_t i;

	from->count -= before->count;
	from->sum_ns -= before->sum_ns;
	for (i = 0; i < MF_HIST_BUCKETS; i++) {
		from->buckets[i] -= before->buckets[i];
		if (from->buckets[i])
			end = mf_hist_first(i) + mf_hist_width(i) - 1;
	}
	if (end < from->max_ns && mf_hist_bucket(end) != MF_HIST_BUCKETS - 1)
		from->max_ns = end;
}

/* The last bucket has no end: its values are told by the maximum. */
static uint64_t value_of(const struct mf_hist *hist, uint32_t bucket)
{
	uint64_t middle = mf_hist_first(bucket) + mf_hist_width(bucket) / 2;

	return bucket == MF_HIST_BUCKETS - 1 || middle > hist->max_ns ? hist->max_ns : middle;
}

uint64_t mf_hist_percentile(const struct mf_hist *hist, double fraction)
{
	uint64_t seen = 0;
	uint64_t total = 0;
	uint64_t rank;
	uint32_t i;

	/* Not `count`: a histogram that is read while it is filled may be one ahead of it. */
	for (i = 0; i < MF_HIST_BUCKETS; i++)
		total += hist->buckets[i];
	rank = (uint64_t)(fraction * (double)total);
	rank = rank < total ? rank : total - 1;
	for (i = 0; total && i < MF_HIST_BUCKETS; i++) {
		seen += hist->buckets[i];
		if (seen > rank)
			return value_of(hist, i);
	}
	return 0;
}
