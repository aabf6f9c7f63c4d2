/* SPDX-License-Identifier: MIT */
#include "ipc/control/times.h"

#include <jansson.h>
#include <string.h>

const char *mf_control_time_name(enum mf_control_time time)
{
	static const char *const names[] = {"request", "queue", "run", "store", "reset"};

	return names[time];
}

/* Pairs, in one list: a bucket and how many values it has; those without any are left out. */
static json_t *buckets_json(const struct mf_hist *hist, unsigned int coarse)
{
	json_t *list = json_array();
	uint32_t i;
	uint32_t j;

	for (i = 0; i < MF_HIST_BUCKETS; i += coarse) {
		uint64_t count = 0;

		for (j = i; j < i + coarse; j++)
			count += hist->buckets[j];
		if (count && (json_array_append_new(list, json_integer(i)) ||
			      json_array_append_new(list, json_integer((json_int_t)count))))
			break;
	}
	return list;
}

static json_t *hist_json(const struct mf_hist *hist, unsigned int coarse)
{
	return json_pack("{s:I, s:I, s:I, s:o}", "count", (json_int_t)hist->count, "sum_ns",
			 (json_int_t)hist->sum_ns, "max_ns", (json_int_t)hist->max_ns, "buckets",
			 buckets_json(hist, coarse));
}

json_t *mf_control_times_json(const struct mf_control_times *times, unsigned int coarse)
{
	json_t *root = json_object();
	int failed = !root;
	int i;

	for (i = 0; i < MF_CONTROL_TIME_COUNT && !failed; i++)
		failed = json_object_set_new(root, mf_control_time_name((enum mf_control_time)i),
					     hist_json(&times->of[i], coarse));
	if (!failed)
		return root;
	json_decref(root);
	return NULL;
}

/* -1: it is no count. */
static json_int_t count_of(const json_t *value)
{
	return json_is_integer(value) ? json_integer_value(value) : -1;
}

static bool read_hist(const json_t *from, struct mf_hist *hist)
{
	const json_t *list = json_object_get(from, "buckets");
	json_int_t count = count_of(json_object_get(from, "count"));
	json_int_t sum = count_of(json_object_get(from, "sum_ns"));
	json_int_t max = count_of(json_object_get(from, "max_ns"));
	size_t i;

	if (count < 0 || sum < 0 || max < 0 || !json_is_array(list) || json_array_size(list) % 2)
		return false;
	*hist = (struct mf_hist){
		.count = (uint64_t)count, .sum_ns = (uint64_t)sum, .max_ns = (uint64_t)max};
	for (i = 0; i < json_array_size(list); i += 2) {
		json_int_t bucket = count_of(json_array_get(list, i));
		json_int_t values = count_of(json_array_get(list, i + 1));

		if (bucket < 0 || bucket >= (json_int_t)MF_HIST_BUCKETS || values < 0)
			return false;
		hist->buckets[bucket] += (uint64_t)values;
	}
	return true;
}

bool mf_control_times_read(const json_t *root, struct mf_control_times *times)
{
	int i;

	for (i = 0; i < MF_CONTROL_TIME_COUNT; i++)
		if (!read_hist(json_object_get(root, mf_control_time_name((enum mf_control_time)i)),
			       &times->of[i]))
			return false;
	return true;
}

/* The middle of its bucket; the last one has no end, and nothing is above the maximum. */
static uint64_t value_of(const struct mf_hist *hist, uint32_t bucket)
{
	uint64_t first = mf_hist_first(bucket);
	uint64_t middle;

	if (bucket == MF_HIST_BUCKETS - 1)
		return hist->max_ns;
	middle = first + (mf_hist_first(bucket + 1) - first) / 2;
	return middle < hist->max_ns ? middle : hist->max_ns;
}

uint64_t mf_control_percentile(const struct mf_hist *hist, double fraction)
{
	uint64_t rank = (uint64_t)(fraction * (double)hist->count);
	uint64_t seen = 0;
	uint32_t i;

	if (hist->count && rank >= hist->count)
		rank = hist->count - 1;
	for (i = 0; i < MF_HIST_BUCKETS; i++) {
		seen += hist->buckets[i];
		if (seen > rank)
			return value_of(hist, i);
	}
	return 0;
}

void mf_control_hist_since(struct mf_hist *out, const struct mf_hist *now,
			   const struct mf_hist *before)
{
	uint32_t i;

	*out = *now;
	for (i = 0; i < MF_HIST_BUCKETS; i++)
		if (now->buckets[i] < before->buckets[i])
			return;
	for (i = 0; i < MF_HIST_BUCKETS; i++)
		out->buckets[i] -= before->buckets[i];
	out->count -= before->count;
	out->sum_ns -= before->sum_ns;
}
