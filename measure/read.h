/* SPDX-License-Identifier: MIT */
/*
 * Reading results (docs/formats/bench.md). A file is anybody's: it is refused unless all of it is
 * as the format says.
 */
#ifndef MF_MEASURE_READ_H
#define MF_MEASURE_READ_H

#include <mayfly/error.h>

#include "measure/record.h"

#define MF_RESULTS_FILE_MAX_BYTES (64u << 20)
#define MF_RESULTS_LINE_MAX_BYTES (1u << 20)
#define MF_RESULTS_CASES_MAX      10000u
#define MF_RESULTS_COUNTS_MAX     64u
#define MF_RESULTS_NAME_MAX       127u
#define MF_RESULTS_SAMPLES_MAX    (1ull << 40)

/* A value, and how often it was there in one block of time. */
struct mf_bin {
	double value;
	uint64_t count;
	uint32_t block;
};

struct mf_figures {
	uint64_t n;
	double percentiles[MF_PERCENTILES]; /* as told */
	double max;
	struct mf_bin *bins; /* by value, of all blocks; owned */
	size_t bin_count;
	uint32_t blocks;
};

struct mf_result {
	char name[MF_RESULTS_NAME_MAX + 1];
	char unit[8];
	struct mf_figures figures;
	char yardstick[MF_RESULTS_NAME_MAX + 1]; /* "": none */
	double yardstick_p50;
	struct {
		char name[MF_RESULTS_NAME_MAX + 1];
		double value;
	} * counts; /* owned */
	size_t count_count;
};

struct mf_results {
	struct mf_machine machine;
	bool scaled_down;
	bool interrupted;
	char made[32];
	char revision[MF_RESULTS_NAME_MAX + 1];
	struct mf_result *cases; /* by name; owned */
	size_t case_count;
};

/* -errno with a sentence that names the file, and the line if it is one's fault. Finish it in any
 * case. */
int mf_results_read(struct mf_results *results, const char *path, struct mf_error *err);
void mf_results_finish(struct mf_results *results);

/* NULL: there is none of that name. */
const struct mf_result *mf_results_find(const struct mf_results *results, const char *name);

#endif
