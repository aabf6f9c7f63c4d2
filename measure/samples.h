/* SPDX-License-Identifier: MIT */
/*
 * Samples of one figure in the order in which they were taken, their percentiles, and the loop that
 * takes them. For bench/ and `mayfly bench host`. Not thread-safe: a thread has its own.
 */
#ifndef MF_MEASURE_SAMPLES_H
#define MF_MEASURE_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_samples {
	double *at; /* in order of time */
	size_t count;
	size_t room;
	double *sorted; /* the first `sorted_count` of them by size, made when asked for */
	size_t sorted_count;
};

/* Aborts without memory: a measurement is worth nothing then. */
void mf_samples_add(struct mf_samples *samples, double value);
void mf_samples_free(struct mf_samples *samples);
/* The caller's to free. */
struct mf_samples mf_samples_copy(const struct mf_samples *samples);
/* The sample of that rank; 0 when there are none. */
double mf_samples_percentile(struct mf_samples *samples, double fraction);
/* By size; valid until one is added. NULL when there are none. */
const double *mf_samples_sorted(struct mf_samples *samples);

/* The percentiles that are told, and what they are called in a file. */
#define MF_PERCENTILES 5u
struct mf_percentile {
	const char *name;  /* "p999" */
	const char *label; /* "p99.9" */
	double fraction;
};
extern const struct mf_percentile mf_percentiles[MF_PERCENTILES];
/* A percentile stands on what is beyond it: fewer samples than these tell little. */
#define MF_PERCENTILE_BEYOND 10u
bool mf_percentile_is_sure(size_t count, double fraction);

/*
 * A measuring loop: true until `rounds` are done or `seconds` are over (but 23 are always done).
 * The first tenth (of either), at most a hundred, is warm-up: a sample counts only when
 * mf_loop_measured().
 */
struct mf_loop {
	size_t rounds;
	double seconds;
	const volatile bool *stop; /* NULL, or ends it when it becomes true */
	size_t done;
	size_t warmup; /* rounds that were not measured */
	uint64_t start_ns;
	uint64_t now_ns;
};
bool mf_loop_next(struct mf_loop *loop);
bool mf_loop_measured(const struct mf_loop *loop);

/* The processors that this process may use. */
struct mf_cpus {
	int first;
	int last; /* the same when there is one */
};
struct mf_cpus mf_cpus(void);
/* This thread on that one; -1: anywhere. */
void mf_pin(int cpu);

#endif
