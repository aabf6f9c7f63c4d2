/* SPDX-License-Identifier: MIT */
/*
 * The options that every verb shares that runs a program: its limits and its permissions. One table
 * (program_options.c) says all of an option: name, value, help, bounds, and where it goes; a new
 * one is a new row.
 */
#ifndef MF_CLI_PROGRAM_OPTIONS_H
#define MF_CLI_PROGRAM_OPTIONS_H

#include <getopt.h>
#include <stdio.h>

#include "tenant/program.h"

#define MF_OPT_PROGRAM 1000 /* what getopt_long() returns for them, from here on */

#define MF_OPTIONS_MAX 96 /* of a verb, the shared ones and the end included */

/* Parsed; owns the strings and lists that it had to make of the command line. */
struct mf_cli_program {
	struct mf_program_options options;
	const char **env; /* --env, then what --allow-env lets in */
	size_t env_count;
	bool env_all;
	const char **env_names; /* --allow-env=NAMES */
	size_t env_name_count;
	struct mf_permit_volume *volumes;
	bool allow_all;
	void **owned;
	size_t owned_count;
};

void mf_cli_program_init(struct mf_cli_program *program);
void mf_cli_program_finish(struct mf_cli_program *program);

/* A verb's own options (ending with zeroes) and the shared ones, for getopt_long(). */
void mf_cli_program_list(const struct option *own, struct option list[MF_OPTIONS_MAX]);

/* One option; 1 = not one of ours, 0 = taken, -EINVAL with a sentence. */
int mf_cli_program_option(struct mf_cli_program *program, int option, const char *value,
			  struct mf_error *err);

/*
 * After the last one: the environment is put together, and --allow-all becomes what it means.
 * `host` is the host's environment. -ENOMEM with a sentence.
 */
int mf_cli_program_complete(struct mf_cli_program *program, char *const *host,
			    struct mf_error *err);

/* Their lines of a verb's help. */
void mf_cli_program_help(FILE *out);

#endif
