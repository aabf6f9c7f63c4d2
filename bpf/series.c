/* SPDX-License-Identifier: MIT */
/* What was measured, after it was read: sums, and what came between two readings. */
#include "bpf/probes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void mf_measured_sum(struct mf_measured *measured)
{
	size_t i;

	memset(measured->run, 0, sizeof(measured->run));
	memset(measured->out, 0, sizeof(measured->out));
	memset(&measured->reset, 0, sizeof(measured->reset));
	for (i = 0; i < measured->series_count; i++) {
		const struct mf_probes_series *series = &measured->series[i];

		if (series->key.kind == MF_PROBE_RUN)
			mf_hist_add(&measured->run[series->key.class], &series->hist);
		else if (series->key.kind == MF_PROBE_OUTSIDE)
			mf_hist_add(&measured->out[series->key.class], &series->hist);
		else if (series->key.kind == MF_PROBE_RESET)
			mf_hist_add(&measured->reset, &series->hist);
	}
}

static const struct mf_probes_series *find(const struct mf_measured_before *before,
					   const struct mf_probe_key *key)
{
	size_t i;

	for (i = 0; i < before->series_count; i++)
		if (!memcmp(&before->series[i].key, key, sizeof(*key)))
			return &before->series[i];
	return NULL;
}

/* Series in which nothing came are left out. */
static void take_away(struct mf_measured *measured, const struct mf_measured_before *before)
{
	size_t left = 0;
	size_t i;

	for (i = 0; i < measured->series_count; i++) {
		struct mf_probes_series *series = &measured->series[i];
		const struct mf_probes_series *old = find(before, &series->key);

		if (old)
			mf_hist_take_away(&series->hist, &old->hist);
		if (!series->hist.count)
			continue;
		if (left != i)
			measured->series[left] = *series;
		left++;
	}
	measured->series_count = left;
}

static void lose_less(struct mf_probes_lost *lost, const struct mf_probes_lost *before)
{
	lost->records -= before->records;
	lost->spans -= before->spans;
	lost->threads -= before->threads;
	lost->processes -= before->processes;
	lost->missed_runs -= before->missed_runs;
}

int mf_measured_since(struct mf_measured *measured, struct mf_measured_before *before)
{
	size_t bytes = measured->series_count * sizeof(*measured->series);
	struct mf_measured_before now = {
		.series = malloc(bytes ? bytes : 1),
		.series_count = measured->series_count,
		.pages_copied = measured->pages_copied,
		.resets_failed = measured->resets_failed,
		.lost = measured->lost,
	};

	if (!now.series)
		return -ENOMEM;
	memcpy(now.series, measured->series, bytes);
	take_away(measured, before);
	measured->pages_copied -= before->pages_copied;
	measured->resets_failed -= before->resets_failed;
	lose_less(&measured->lost, &before->lost);
	mf_measured_sum(measured);
	free(before->series);
	*before = now;
	return 0;
}

void mf_measured_before_finish(struct mf_measured_before *before)
{
	free(before->series);
	*before = (struct mf_measured_before){0};
}
