/* SPDX-License-Identifier: MIT */
#include "measure/samples.h"

#include "engine/image/watchdog.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

const struct mf_percentile mf_percentiles[MF_PERCENTILES] = {
	{"p50", "p50", 0.5},      {"p90", "p90", 0.9},         {"p99", "p99", 0.99},
	{"p999", "p99.9", 0.999}, {"p9999", "p99.99", 0.9999},
};

static double *grow(double *at, size_t count)
{
	at = realloc(at, count * sizeof(*at));
	if (!at)
		abort();
	return at;
}

void mf_samples_add(struct mf_samples *samples, double value)
{
	if (samples->count == samples->room) {
		samples->room = samples->room ? samples->room * 2 : 4096;
		samples->at = grow(samples->at, samples->room);
	}
	samples->at[samples->count++] = value;
}

void mf_samples_free(struct mf_samples *samples)
{
	free(samples->at);
	free(samples->sorted);
	*samples = (struct mf_samples){0};
}

struct mf_samples mf_samples_copy(const struct mf_samples *samples)
{
	struct mf_samples copy = {0};
	size_t i;

	for (i = 0; i < samples->count; i++)
		mf_samples_add(&copy, samples->at[i]);
	return copy;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

const double *mf_samples_sorted(struct mf_samples *samples)
{
	if (!samples->count)
		return NULL;
	if (samples->sorted_count != samples->count) {
		samples->sorted = grow(samples->sorted, samples->count);
		memcpy(samples->sorted, samples->at, samples->count * sizeof(*samples->at));
		qsort(samples->sorted, samples->count, sizeof(*samples->sorted), compare);
		samples->sorted_count = samples->count;
	}
	return samples->sorted;
}

double mf_samples_percentile(struct mf_samples *samples, double fraction)
{
	size_t rank = (size_t)(fraction * (double)samples->count);
	const double *sorted = mf_samples_sorted(samples);

	if (!sorted)
		return 0;
	return sorted[rank < samples->count ? rank : samples->count - 1];
}

bool mf_percentile_is_sure(size_t count, double fraction)
{
	/* (1 - 0.9) * 100 is a little less than 10. */
	return (double)count * (1 - fraction) > MF_PERCENTILE_BEYOND - 1e-6;
}

bool mf_loop_next(struct mf_loop *loop)
{
	loop->now_ns = mf_now_ns();
	if (!loop->start_ns) {
		loop->start_ns = loop->now_ns;
		loop->rounds += loop->rounds / 10;
	} else {
		if (!mf_loop_measured(loop))
			loop->warmup++;
		loop->done++;
	}
	if (loop->stop && *loop->stop)
		return false;
	if (loop->done >= 23 && (double)(loop->now_ns - loop->start_ns) > loop->seconds * 1e9)
		return false;
	return loop->done < loop->rounds;
}

bool mf_loop_measured(const struct mf_loop *loop)
{
	bool warm_by_time = (double)(loop->now_ns - loop->start_ns) > loop->seconds * 1e8;

	return loop->done >= loop->rounds / 11 || loop->done >= 100 ||
	       (loop->done >= 3 && warm_by_time);
}

struct mf_cpus mf_cpus(void)
{
	struct mf_cpus cpus = {-1, 0};
	cpu_set_t set;
	int cpu;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		if (cpus.first < 0)
			cpus.first = cpu;
		cpus.last = cpu;
	}
	return cpus;
}

void mf_pin(int cpu)
{
	cpu_set_t set;
	int i;

	CPU_ZERO(&set);
	for (i = 0; i < CPU_SETSIZE; i++)
		if (cpu < 0 || i == cpu)
			CPU_SET(i, &set);
	sched_setaffinity(0, sizeof(set), &set);
}
