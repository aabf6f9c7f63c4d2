/* SPDX-License-Identifier: MIT */
#include "measure/compare.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* From here on a Poisson number is as good as a normal one. */
#define NORMAL_FROM 30.0

/* ---- may they be compared? ---- */

static int other(struct mf_error *err, const char *what, const char *a, const char *b)
{
	return mf_error_set(err, -EINVAL,
			    "they were measured on different machines (%s: %s, %s): there is "
			    "nothing to compare but the ratios to their yardsticks",
			    what, a, b);
}

static int check_machine(const struct mf_machine *a, const struct mf_machine *b,
			 struct mf_error *err)
{
	char sizes[2][32];

	if (a->emulated != b->emulated)
		return mf_error_set(err, -EINVAL,
				    "one was measured in an emulated machine, where times mean "
				    "nothing, and the other was not");
	if (strcmp(a->cpu, b->cpu))
		return other(err, "CPU", a->cpu, b->cpu);
	if (strcmp(a->architecture, b->architecture))
		return other(err, "architecture", a->architecture, b->architecture);
	if (strcmp(a->kvm, b->kvm))
		return other(err, "KVM", a->kvm, b->kvm);
	if (strcmp(a->virtualisation, b->virtualisation))
		return other(err, "hypervisor", a->virtualisation, b->virtualisation);
	snprintf(sizes[0], sizeof(sizes[0]), "%ld CPUs", a->cpus);
	snprintf(sizes[1], sizeof(sizes[1]), "%ld CPUs", b->cpus);
	if (a->cpus != b->cpus)
		return other(err, "size", sizes[0], sizes[1]);
	snprintf(sizes[0], sizeof(sizes[0]), "%.1f GiB", a->memory_gib);
	snprintf(sizes[1], sizeof(sizes[1]), "%.1f GiB", b->memory_gib);
	if (fabs(a->memory_gib - b->memory_gib) > 0.5)
		return other(err, "memory", sizes[0], sizes[1]);
	return 0;
}

int mf_compare_check(const struct mf_results *a, const struct mf_results *b, struct mf_error *err)
{
	int ret = check_machine(&a->machine, &b->machine, err);
	size_t common = 0;
	size_t i;

	if (ret)
		return ret;
	if (a->scaled_down != b->scaled_down)
		return mf_error_set(err, -EINVAL,
				    "one was scaled down (--quick) and the other was not");
	for (i = 0; i < a->case_count; i++) {
		const struct mf_result *same = mf_results_find(b, a->cases[i].name);

		common += !!same;
		if (same && strcmp(same->unit, a->cases[i].unit))
			return mf_error_set(err, -EINVAL, "%s is told in %s and in %s", same->name,
					    a->cases[i].unit, same->unit);
	}
	return common ? 0 : mf_error_set(err, -EINVAL, "they have no case in common");
}

/* ---- drawing ---- */

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/* (0, 1] */
static double uniform(uint64_t *state)
{
	return ((double)(random_next(state) >> 11) + 1) / 9007199254740992.0;
}

static double normal(uint64_t *state)
{
	double radius = sqrt(-2 * log(uniform(state)));

	return radius * cos(2 * M_PI * uniform(state));
}

/* How often a value is drawn that is expected so often, when all are drawn anew. */
static double poisson(uint64_t *state, double mean)
{
	double left = uniform(state);
	double part = exp(-mean);
	double number = 0;

	if (mean <= 0)
		return 0;
	if (mean >= NORMAL_FROM)
		return fmax(0, round(mean + sqrt(mean) * normal(state)));
	/* So far out the parts are nothing; and it ends, whatever was rounded. */
	while (left > part && number < 10 * NORMAL_FROM) {
		left -= part;
		part *= mean / ++number;
	}
	return number;
}

/* The value at which a fraction of all drawn ones is reached; the rank as mf_samples_percentile().
 */
static double at_fraction(const struct mf_figures *figures, const double *drawn, double total,
			  double fraction)
{
	double rank = floor(fraction * total);
	double seen = 0;
	size_t i;

	for (i = 0; i < figures->bin_count; i++) {
		seen += drawn[i];
		if (seen > rank)
			return figures->bins[i].value;
	}
	return figures->bins[figures->bin_count - 1].value;
}

static double draw(const struct mf_figures *figures, double *drawn, double fraction,
		   uint64_t *state)
{
	unsigned int times[MF_RECORD_BLOCKS] = {0};
	double total = 0;
	uint32_t block;
	size_t i;

	for (block = 0; block < figures->blocks; block++)
		times[random_next(state) % figures->blocks]++;
	for (i = 0; i < figures->bin_count; i++) {
		const struct mf_bin *bin = &figures->bins[i];

		drawn[i] = poisson(state, (double)bin->count * times[bin->block]);
		total += drawn[i];
	}
	return total > 0 ? at_fraction(figures, drawn, total, fraction) : 0;
}

/* ---- comparing ---- */

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of its own for each case: another one before it changes nothing. */
static uint64_t seed_of(const char *name, uint64_t seed)
{
	for (; *name; name++)
		seed = (seed ^ (uint8_t)*name) * 0x100000001b3ull; /* FNV-1a */
	return seed;
}

/* False: there is none. */
static bool find_interval(const struct mf_result *a, const struct mf_result *b, double fraction,
			  uint64_t seed, struct mf_difference *difference)
{
	uint64_t state = seed_of(a->name, seed);
	size_t bins = a->figures.bin_count > b->figures.bin_count ? a->figures.bin_count
								  : b->figures.bin_count;
	double *drawn = calloc(bins, sizeof(*drawn));
	double changes[MF_COMPARE_DRAWS];
	size_t out = (size_t)(MF_COMPARE_DRAWS * (1 - MF_COMPARE_CONFIDENCE) / 2);
	size_t i;

	for (i = 0; drawn && i < MF_COMPARE_DRAWS; i++) {
		double from = draw(&a->figures, drawn, fraction, &state);
		double to = draw(&b->figures, drawn, fraction, &state);

		changes[i] = from > 0 ? (to - from) / from : 0;
	}
	free(drawn);
	if (!drawn)
		return false;
	qsort(changes, MF_COMPARE_DRAWS, sizeof(changes[0]), by_size);
	difference->low = changes[out];
	difference->high = changes[MF_COMPARE_DRAWS - 1 - out];
	return true;
}

static double told(const struct mf_figures *figures, double fraction)
{
	size_t i;

	for (i = 0; i < MF_PERCENTILES; i++)
		if (mf_percentiles[i].fraction == fraction)
			return figures->percentiles[i];
	return figures->max;
}

void mf_compare(const struct mf_result *a, const struct mf_result *b, double fraction,
		uint64_t seed, double threshold, struct mf_difference *difference)
{
	*difference = (struct mf_difference){.a = told(&a->figures, fraction),
					     .b = told(&b->figures, fraction),
					     .verdict = MF_VERDICT_OPEN};
	if (difference->a > 0)
		difference->change = (difference->b - difference->a) / difference->a;
	if (!(difference->a > 0) || !mf_percentile_is_sure(a->figures.n, fraction) ||
	    !mf_percentile_is_sure(b->figures.n, fraction) ||
	    !find_interval(a, b, fraction, seed, difference))
		return;
	if (fabs(difference->change) < threshold || (difference->low <= 0 && difference->high >= 0))
		difference->verdict = MF_VERDICT_SAME;
	else
		difference->verdict = difference->low > 0 ? MF_VERDICT_WORSE : MF_VERDICT_BETTER;
}

const char *mf_verdict_name(enum mf_verdict verdict)
{
	static const char *const names[] = {[MF_VERDICT_SAME] = "no difference",
					    [MF_VERDICT_BETTER] = "better",
					    [MF_VERDICT_WORSE] = "worse",
					    [MF_VERDICT_OPEN] = "open"};

	return names[verdict];
}
