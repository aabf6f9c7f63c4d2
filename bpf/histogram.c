/* SPDX-License-Identifier: MIT */
#include "bpf/percentile.h"

uint64_t mf_hist_first(uint32_t bucket)
{
	uint32_t shift = bucket / MF_HIST_SUBS;

	if (!shift)
		return bucket;
	return (uint64_t)(MF_HIST_SUBS + bucket % MF_HIST_SUBS) << (shift - 1);
}

uint64_t mf_hist_width(uint32_t bucket)
{
	uint32_t shift = bucket / MF_HIST_SUBS;

	return shift ? 1ull << (shift - 1) : 1;
}

void mf_hist_add(struct mf_hist *to, const struct mf_hist *from)
{
	uint32_t i;

	to->count += from->count;
	to->sum_ns += from->sum_ns;
	if (from->max_ns > to->max_ns)
		to->max_ns = from->max_ns;
	for (i = 0; i < MF_HIST_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
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
