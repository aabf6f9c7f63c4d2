/* SPDX-License-Identifier: MIT */
/* What `mayfly stat` prints: a table for people, or one JSON object. */
#ifndef MF_CLI_STAT_REPORT_H
#define MF_CLI_STAT_REPORT_H

#include <stdio.h>

#include "bpf/probes.h"
#include "cli/stat_engine.h"
#include "cli/stat_table.h"

struct mf_stat_report {
	const char *name; /* of the command or process */
	pid_t pid;
	double seconds;
	bool interval; /* of the last of them only */
	struct mf_stat_rows rows;
	const struct mf_measured *measured; /* NULL: nothing by BPF */
	const struct mf_engines *engines;
	const struct mf_abi_stats_lane *engine; /* their sums; nothing when there are none */
	const struct mf_probes_notes *notes;    /* what could not be measured, and why */
};

void mf_stat_print_text(FILE *file, const struct mf_stat_report *report);
void mf_stat_print_json(FILE *file, const struct mf_stat_report *report);

#endif
