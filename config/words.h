/* SPDX-License-Identifier: MIT */
/* What values of options may be that are words, in the order of what they stand for. For the table
 * alone. */
#ifndef MF_CONFIG_WORDS_H
#define MF_CONFIG_WORDS_H

#include "config/values.h"

static const char *const by_words[] = {[MF_STAT_BY_REASON] = "reason",
				       [MF_STAT_BY_ROLE] = "role",
				       [MF_STAT_BY_TENANT] = "tenant",
				       NULL};
static const char *const reset_words[] = {[MF_END_RESET] = "request",
					  [MF_END_CONNECTION] = "connection",
					  [MF_END_KEEP] = "never",
					  NULL};
static const char *const protocol_words[] = {
	[MF_SERVE_HTTP] = "http", [MF_SERVE_RAW] = "raw", NULL};
static const char *const wait_words[] = {[MF_STORE_AUTO] = "auto",
					 [MF_STORE_POLL] = "poll",
					 [MF_STORE_HAND_OFF] = "hand-off",
					 [MF_STORE_WAKE] = "wake",
					 NULL};
static const char *const scope_words[] = {[MF_STORE_SCOPE_TENANT] = "tenant",
					  [MF_STORE_SCOPE_VM] = "vm",
					  [MF_STORE_SCOPE_EMPTY] = "empty",
					  NULL};
static const char *const access_words[] = {[MF_ACCESS_COMMON] = "common",
					   [MF_ACCESS_COMBINED] = "combined",
					   [MF_ACCESS_JSON] = "json",
					   NULL};
static const char *const forwarded_words[] = {[MF_FRONT_FORWARDED_NONE] = "none",
					      [MF_FRONT_FORWARDED_REPLACE] = "replace",
					      [MF_FRONT_FORWARDED_TRUST] = "trust",
					      NULL};
/* As the columns of cli/top_table.h. */
static const char *const top_words[] = {"tenant", "rate",   "p50",   "p99", "queue", "vms",
					"exits",  "faults", "store", "cpu", "why",   NULL};
static const char *const log_words[] = {"text", "json", NULL};

#endif
