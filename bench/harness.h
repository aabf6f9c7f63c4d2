/* SPDX-License-Identifier: MIT */
/*
 * What every benchmark shares: options, the list of cases, samples and their percentiles, a table
 * for people and a JSON object a line for machines. harness.c has main(); a subject has
 * `bench_cases`. Figures are reported, never judged: only a case that could not be measured is a
 * failure.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "measure/record.h"

struct bench_case {
	const char *name;
	int (*run)(const struct bench_case *self); /* 0, BENCH_SKIPPED, or anything else: failed */
	unsigned int mib;                          /* of the image */
	unsigned int arg;
	bool quick; /* part of the subset for the emulated machine */
};
#define BENCH_SKIPPED 77

extern const struct bench_case bench_cases[]; /* ends with a NULL name */

struct bench_options {
	bool quick; /* --quick: the subset, fewer rounds */
	int first_cpu;
	int last_cpu; /* the process is pinned to this one */
};
extern struct bench_options bench;

uint64_t bench_now_ns(void);
void bench_pin(int cpu); /* -1: anywhere; the report tells it */
/* argv (a path) as a child on that CPU, which dies with this process; its output into nothing,
 * errors too unless BENCH_VERBOSE is set. -1: it cannot be. */
pid_t bench_spawn(char *const *argv, int cpu);

/* A loop that has a tenth of the rounds with --quick, and whose warm-up the next report tells. */
bool bench_next(struct mf_loop *loop);
bool bench_measured(const struct mf_loop *loop);
/* The same for a loop that somebody else runs. */
size_t bench_rounds(size_t rounds);
void bench_warmed_up(const struct mf_loop *loop);

#define BENCH_COUNTS_MAX MF_RECORD_COUNTS
/* A case's figures; see measure/record.h for the members that are told. */
struct bench_report {
	const char *name;
	const char *unit;
	struct mf_samples samples;
	const char *yardstick; /* NULL = none */
	struct mf_samples yard;
	struct mf_count counts[BENCH_COUNTS_MAX];
	size_t count_count;
};

void bench_count(struct bench_report *report, const char *name, double value);
/* Print both forms, free the samples. */
void bench_print(struct bench_report *report);
/* One figure that was computed, as a case of its own. */
void bench_print_value(const char *name, const char *unit, double value);
/* A sentence under the table; returns BENCH_SKIPPED. */
int bench_skip(const struct bench_case *self, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same for a failure; returns 1. */
int bench_fail(const struct bench_case *self, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Path of a file of this build, seen from the folder of the running benchmark. Not thread-safe. */
const char *bench_path(const char *relative);

/* MemAvailable of /proc/meminfo, in bytes. */
double bench_available_bytes(void);

#endif
