/* SPDX-License-Identifier: MIT */
/* What `mayfly top` shows: rows from two surveys, put in order, as lines of text. No terminal. */
#ifndef MF_CLI_TOP_TABLE_H
#define MF_CLI_TOP_TABLE_H

#include <stdio.h>

#include "ipc/control/survey.h"

/* In the order of --sort's words (config/table.c). */
enum mf_top_column {
	MF_TOP_TENANT,
	MF_TOP_RATE,
	MF_TOP_P50,
	MF_TOP_P99,
	MF_TOP_QUEUE,
	MF_TOP_VMS,
	MF_TOP_EXITS,
	MF_TOP_FAULTS,
	MF_TOP_STORE,
	MF_TOP_CPU,
	MF_TOP_WHY,
	MF_TOP_COLUMNS,
};

struct mf_top_view {
	enum mf_top_column sort;
	bool reversed;
	bool colours;       /* and bold; else plain text */
	unsigned int width; /* 0: as wide as it comes */
	unsigned int lines; /* of tenants, at most; 0: all */
	unsigned int first; /* tenants that are passed over */
	const char *end;    /* of a line */
};

/* The head, a line of each tenant; `before` may be empty: then nothing is told by time. The number
 * of tenants. */
size_t mf_top_print(FILE *to, const struct mf_survey *now, const struct mf_survey *before,
		    const struct mf_top_view *view);

/* All of them in a line. */
void mf_top_sum(FILE *to, const struct mf_survey *now, const struct mf_survey *before);

#endif
