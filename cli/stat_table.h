/* SPDX-License-Identifier: MIT */
/* The rows of `mayfly stat`: what was measured, by reason, role or tenant, and its histograms as
 * users of bcc know them. */
#ifndef MF_CLI_STAT_TABLE_H
#define MF_CLI_STAT_TABLE_H

#include <stdio.h>

#include "bpf/probes.h"

struct mf_stat_rows {
	int by;         /* enum mf_stat_by */
	bool histogram; /* draw them, too */
};

/* Every kind that was measured. */
void mf_stat_print_rows(FILE *file, const struct mf_stat_rows *rows,
			const struct mf_measured *measured);

/* One row, and the line above a table of such. */
void mf_stat_print_row(FILE *file, const char *name, const struct mf_hist *hist);
void mf_stat_print_head(FILE *file, const char *title);

/* Is it counted only, not timed? */
bool mf_stat_is_count(enum mf_probe_kind kind);

/* What the class of a series says: why KVM_RUN returned, how a call was answered, ... */
const char *mf_stat_class_name(const struct mf_probe_key *key);

#endif
