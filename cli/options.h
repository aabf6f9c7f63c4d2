/* SPDX-License-Identifier: MIT */
/* Command-line values: sizes, durations, counts; and how a verb fails. */
#ifndef MF_CLI_OPTIONS_H
#define MF_CLI_OPTIONS_H

#include <getopt.h>
#include <stdio.h>
#include <stdint.h>

#include "tenant/program.h"

/* "64M", "1G", "4096": bytes. "5s", "250ms", "2m": nanoseconds. A plain number above zero. -EINVAL
 * with a sentence that names the option. */
int mf_parse_size(const char *option, const char *text, uint64_t *bytes, struct mf_error *err);
int mf_parse_duration(const char *option, const char *text, uint64_t *ns, struct mf_error *err);
int mf_parse_count(const char *option, const char *text, uint64_t max, uint64_t *value,
		   struct mf_error *err);

/* A verb's own options have numbers from here on; those of a program, smaller ones. */
#define MF_OPT_VERB 2000

/* The value of --control: unix:PATH, and only that. `path` points into it. */
int mf_parse_control(const char *text, const char **path, struct mf_error *err);

/* How long a last sentence waits for somebody to read it. */
#define MF_CLI_PATIENCE_MS 1000

/* Print "mayfly VERB: sentence"; returns the status for failure. */
int mf_cli_fail(const char *verb, const struct mf_error *err);

/* What getopt_long() did not understand (its '?' and ':'), as a sentence; returns -EINVAL. */
int mf_cli_bad_option(const char *verb, int option, char **argv, struct mf_error *err);

/* A string as JSON has it, in quotes; bytes that are no text are escaped. */
void mf_cli_json_text(FILE *file, const char *text);

#endif
