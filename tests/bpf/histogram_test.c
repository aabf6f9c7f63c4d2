/* SPDX-License-Identifier: MIT */
/* The buckets' arithmetic, for all of them, and percentiles against sorted values. */
#include <criterion/criterion.h>

#include <stdlib.h>

#include "bpf/percentile.h"

static struct mf_hist hist;

static void put(uint64_t ns)
{
	hist.buckets[mf_hist_bucket(ns)]++;
	hist.count++;
	hist.sum_ns += ns;
	if (ns > hist.max_ns)
		hist.max_ns = ns;
}

Test(histogram, a_logarithm_is_the_highest_bit)
{
	unsigned int bit;

	cr_expect_eq(mf_hist_log2(0), 0u);
	for (bit = 0; bit < 64; bit++) {
		cr_expect_eq(mf_hist_log2(1ull << bit), bit);
		cr_expect_eq(mf_hist_log2((2ull << bit) - 1), bit);
	}
}

Test(histogram, each_bucket_holds_its_first_and_its_last_value)
{
	uint64_t next = 0;
	uint32_t i;

	for (i = 0; i < MF_HIST_BUCKETS; i++) {
		cr_assert_eq(mf_hist_first(i), next, "bucket %u begins elsewhere", i);
		next += mf_hist_width(i);
		cr_assert_eq(mf_hist_bucket(mf_hist_first(i)), i);
		cr_assert_eq(mf_hist_bucket(next - 1), i);
	}
	cr_expect_eq(next, 1ull << MF_HIST_TOP_BIT);
}

Test(histogram, what_is_too_large_is_in_the_last_bucket)
{
	cr_expect_eq(mf_hist_bucket(1ull << MF_HIST_TOP_BIT), MF_HIST_BUCKETS - 1);
	cr_expect_eq(mf_hist_bucket(UINT64_MAX), MF_HIST_BUCKETS - 1);
	put(1ull << 50);
	cr_expect_eq(mf_hist_percentile(&hist, 0.5), 1ull << 50);
}

Test(histogram, no_value_is_told_more_than_3_percent_off)
{
	uint32_t i;

	for (i = 0; i < MF_HIST_BUCKETS - 1; i++) {
		double first = (double)mf_hist_first(i);
		double last = first + (double)mf_hist_width(i) - 1;
		double told = first + (double)(mf_hist_width(i) / 2);

		cr_assert_leq(last - told, last * 0.03, "bucket %u", i);
		cr_assert_leq(told - first, first * 0.03, "bucket %u", i);
	}
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a;
	const uint64_t *y = b;

	return (*x > *y) - (*x < *y);
}

Test(histogram, percentiles_are_those_of_the_sorted_values)
{
	static const double fractions[] = {0, 0.01, 0.5, 0.9, 0.99, 0.999, 1};
	static uint64_t values[20000];
	unsigned int count = sizeof(values) / sizeof(values[0]);
	unsigned int i;

	srand48(1);
	for (i = 0; i < count; i++) {
		values[i] = (uint64_t)(drand48() * (double)(1ull << lrand48() % 39));
		put(values[i]);
	}
	qsort(values, count, sizeof(values[0]), compare);
	for (i = 0; i < sizeof(fractions) / sizeof(fractions[0]); i++) {
		unsigned int rank = (unsigned int)(fractions[i] * count);
		double exact = (double)values[rank < count ? rank : count - 1];
		double told = (double)mf_hist_percentile(&hist, fractions[i]);

		cr_expect_leq(told, exact * 1.03, "%g: %g is told as %g", fractions[i], exact,
			      told);
		cr_expect_geq(told, exact * 0.97, "%g: %g is told as %g", fractions[i], exact,
			      told);
	}
}

Test(histogram, nothing_is_told_of_an_empty_one)
{
	cr_expect_eq(mf_hist_percentile(&hist, 0.5), 0u);
	cr_expect_eq(mf_hist_percentile(&hist, 1), 0u);
}

Test(histogram, no_percentile_is_above_the_maximum)
{
	put(1000001);
	cr_expect_eq(mf_hist_percentile(&hist, 0.5), 1000001u);
	cr_expect_eq(mf_hist_percentile(&hist, 0.999), 1000001u);
}

Test(histogram, one_is_added_to_another)
{
	static struct mf_hist other;

	put(5);
	other = hist;
	put(700);
	mf_hist_add(&other, &hist);
	cr_expect_eq(other.count, 3u);
	cr_expect_eq(other.sum_ns, 710u);
	cr_expect_eq(other.max_ns, 700u);
	cr_expect_eq(other.buckets[5], 2u);
}
