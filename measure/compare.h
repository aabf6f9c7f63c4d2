/* SPDX-License-Identifier: MIT */
/*
 * Is one result better than another? Differences of percentiles with intervals by the bootstrap:
 * the samples are drawn anew many times, from the blocks of time and within them, and the interval
 * is what holds for 95 of a hundred draws. So it knows what varied within a run, and nothing of
 * what varies from run to run.
 */
#ifndef MF_MEASURE_COMPARE_H
#define MF_MEASURE_COMPARE_H

#include "measure/read.h"

#define MF_COMPARE_DRAWS      1000u
#define MF_COMPARE_CONFIDENCE 0.95

enum mf_verdict {
	MF_VERDICT_SAME,
	MF_VERDICT_BETTER,
	MF_VERDICT_WORSE,
	MF_VERDICT_OPEN, /* there is no interval: too few samples, or nothing to relate it to */
};

struct mf_difference {
	double a;
	double b;
	double change; /* (b - a) / a */
	double low;    /* its interval, without meaning when the verdict is open */
	double high;
	enum mf_verdict verdict;
};

/*
 * May they be compared? 0, or -EINVAL with a sentence: measured on another machine, emulated or
 * scaled down only one of them, a case in another unit.
 */
int mf_compare_check(const struct mf_results *a, const struct mf_results *b, struct mf_error *err);

/*
 * The difference at a fraction (0.5: of the medians) of two cases in the same unit, of which less
 * is better. The same seed gives the same interval. One smaller than `threshold` (0.01: one in a
 * hundred) is none.
 */
void mf_compare(const struct mf_result *a, const struct mf_result *b, double fraction,
		uint64_t seed, double threshold, struct mf_difference *difference);

const char *mf_verdict_name(enum mf_verdict verdict);

#endif
