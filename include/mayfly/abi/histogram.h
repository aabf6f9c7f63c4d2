/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Log-linear histograms of nanoseconds: below 64 each value has a bucket of its own; above, every
 * power of two is cut into 32 buckets of equal width, so that the middle of a bucket is at most
 * 1/64 (1.6 %) away from any value in it. Filled by the engine's workers, each its own, and in the
 * kernel by probes (bpf/).
 */
#ifndef MAYFLY_ABI_HISTOGRAM_H
#define MAYFLY_ABI_HISTOGRAM_H

#include <stdint.h>

#define MF_HIST_SUB_BITS 5u
#define MF_HIST_SUBS     (1u << MF_HIST_SUB_BITS)
#define MF_HIST_TOP_BIT  40u /* 2^40 ns, 18 minutes, and what is longer: the last bucket */
#define MF_HIST_BUCKETS  ((MF_HIST_TOP_BIT - MF_HIST_SUB_BITS + 1) * MF_HIST_SUBS)

struct mf_hist {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t max_ns;
	uint64_t buckets[MF_HIST_BUCKETS];
};

/* Position of the highest bit that is set; 0 for 0. BPF has no instruction for it. */
static inline uint32_t mf_hist_log2(uint64_t value)
{
	uint32_t shift;
	uint32_t log;

	log = (uint32_t)(value > 0xffffffffull) << 5;
	value >>= log;
	shift = (uint32_t)(value > 0xffffu) << 4;
	value >>= shift;
	log |= shift;
	shift = (uint32_t)(value > 0xffu) << 3;
	value >>= shift;
	log |= shift;
	shift = (uint32_t)(value > 0xfu) << 2;
	value >>= shift;
	log |= shift;
	shift = (uint32_t)(value > 0x3u) << 1;
	value >>= shift;
	log |= shift;
	return log | (uint32_t)(value >> 1);
}

/* The bucket of a value; always below MF_HIST_BUCKETS. */
static inline uint32_t mf_hist_bucket(uint64_t value)
{
	uint32_t log = mf_hist_log2(value);
	uint32_t shift;

	if (log < MF_HIST_SUB_BITS)
		return (uint32_t)value;
	if (log >= MF_HIST_TOP_BIT)
		return MF_HIST_BUCKETS - 1;
	shift = log - MF_HIST_SUB_BITS;
	return (shift + 1) * MF_HIST_SUBS + (uint32_t)((value >> shift) & (MF_HIST_SUBS - 1));
}

/* One thread fills it: no lock, no atomic. Some twenty instructions. */
static inline void mf_hist_note(struct mf_hist *hist, uint64_t value_ns)
{
	hist->count++;
	hist->sum_ns += value_ns;
	if (value_ns > hist->max_ns)
		hist->max_ns = value_ns;
	hist->buckets[mf_hist_bucket(value_ns)]++;
}

/* The smallest value of a bucket; the last one has no end. */
static inline uint64_t mf_hist_first(uint32_t bucket)
{
	uint32_t shift = bucket / MF_HIST_SUBS;

	if (!shift)
		return bucket;
	return (uint64_t)(MF_HIST_SUBS + bucket % MF_HIST_SUBS) << (shift - 1);
}

static inline void mf_hist_add(struct mf_hist *to, const struct mf_hist *from)
{
	uint32_t i;

	to->count += from->count;
	to->sum_ns += from->sum_ns;
	if (from->max_ns > to->max_ns)
		to->max_ns = from->max_ns;
	for (i = 0; i < MF_HIST_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
}

#endif
