/* SPDX-License-Identifier: MIT */
/* What the verbs share beside the table of options: how a verb fails, and JSON. */
#ifndef MF_CLI_OPTIONS_H
#define MF_CLI_OPTIONS_H

#include <stdio.h>

#include "config/parse.h"

/* How long a last sentence waits for somebody to read it. */
#define MF_CLI_PATIENCE_MS 1000

/* Print "mayfly VERB: sentence"; returns the status for failure. */
int mf_cli_fail(const char *verb, const struct mf_error *err);

#endif
