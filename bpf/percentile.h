/* SPDX-License-Identifier: MIT */
/* Reading histograms that the kernel filled (histogram.h). Pure functions; any thread. */
#ifndef MF_BPF_PERCENTILE_H
#define MF_BPF_PERCENTILE_H

#include "bpf/histogram.h"

/* How many values a bucket has; the last one has no end. */
uint64_t mf_hist_width(uint32_t bucket);

/*
 * Take what `before` knew, the same histogram at an earlier time, away from it. What is left is
 * exact but for the maximum, which is the end of the highest bucket in use unless it is known
 * better.
 */
void mf_hist_take_away(struct mf_hist *from, const struct mf_hist *before);

/*
 * The value below which `fraction` (0..1) of the values lie: the middle of its bucket, never more
 * than the maximum, which is exact. 0 when the histogram is empty.
 */
uint64_t mf_hist_percentile(const struct mf_hist *hist, double fraction);

#endif
