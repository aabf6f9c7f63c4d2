/* SPDX-License-Identifier: MIT */
/*
 * Writing results as docs/formats/bench.md has them: a line about the machine, a line a case, a
 * line that says that it is all. bench/ and `mayfly bench host` write the same.
 */
#ifndef MF_MEASURE_RECORD_H
#define MF_MEASURE_RECORD_H

#include <stdio.h>

#include "measure/machine.h"
#include "measure/samples.h"

#define MF_RECORD_FORMAT  "mayfly-bench"
#define MF_RECORD_VERSION 1
#define MF_RECORD_COUNTS  16u
/* The most pairs of value and number that are kept of a case's samples, and of its yardstick's. */
#define MF_RECORD_PAIRS  4096u
#define MF_RECORD_BLOCKS 10u

struct mf_count {
	const char *name;
	double value;
};

struct mf_record {
	const char *name;
	const char *unit;
	struct mf_samples *samples; /* at least one */
	const char *yardstick;      /* NULL: none */
	struct mf_samples *yard;
	const struct mf_count *counts;
	size_t count_count;
	size_t warmup; /* rounds before these that were not counted */
	int cpu;       /* that it is pinned to; -1: none */
};

/* A string as JSON has it, in quotes; bytes that are no text are escaped. */
void mf_json_text(FILE *file, const char *text);

/* The first line. command: as it was given. */
void mf_record_write_head(FILE *file, const char *command, const struct mf_machine *machine,
			  bool scaled_down);
void mf_record_write(FILE *file, const struct mf_record *record);
/* The last line. interrupted: not all cases could be measured to their end. */
void mf_record_write_end(FILE *file, bool interrupted);

/* The same for people: the heads of the columns, and a line or some for a case. */
void mf_record_print_head(FILE *file);
void mf_record_print(FILE *file, const struct mf_record *record);

/* Whole numbers as such, fractions where they matter. In a buffer of eight that take turns. */
const char *mf_number(double value);

/* What `git describe` said of the source. */
extern const char mf_revision[];

#endif
