/* SPDX-License-Identifier: MIT */
/* Command-line values: sizes, durations, counts; and the options that verbs share. */
#ifndef MF_CLI_OPTIONS_H
#define MF_CLI_OPTIONS_H

#include <getopt.h>

#include "tenant/program.h"

/* "64M", "1G", "4096": bytes. "5s", "250ms", "2m": nanoseconds. A plain number above zero. -EINVAL
 * with a sentence that names the option. */
int mf_parse_size(const char *option, const char *text, uint64_t *bytes, struct mf_error *err);
int mf_parse_duration(const char *option, const char *text, uint64_t *ns, struct mf_error *err);
int mf_parse_count(const char *option, const char *text, uint64_t max, uint64_t *value,
		   struct mf_error *err);

/* The value of --control: unix:PATH, and only that. `path` points into it. */
int mf_parse_control(const char *text, const char **path, struct mf_error *err);

/* Options of every verb that runs a program. */
enum {
	MF_OPT_MEMORY = 1000,
	MF_OPT_ENV,
	MF_OPT_CWD,
	MF_OPT_ALLOW_READ,
	MF_OPT_ALLOW_WRITE,
	MF_OPT_TRACE,
	MF_OPT_OUTPUT,
	MF_OPT_VERB, /* a verb's own options start here */
};

#define MF_PROGRAM_LONG_OPTIONS                                               \
	{"memory", required_argument, NULL, MF_OPT_MEMORY},                   \
		{"env", required_argument, NULL, MF_OPT_ENV},                 \
		{"cwd", required_argument, NULL, MF_OPT_CWD},                 \
		{"allow-read", optional_argument, NULL, MF_OPT_ALLOW_READ},   \
		{"allow-write", optional_argument, NULL, MF_OPT_ALLOW_WRITE}, \
		{"output", required_argument, NULL, MF_OPT_OUTPUT},           \
	{                                                                     \
		"trace-syscalls", no_argument, NULL, MF_OPT_TRACE             \
	}

#define MF_PROGRAM_HELP                                                                         \
	"  --memory SIZE          memory the program may have (256M)\n"                         \
	"  --env K=V              an environment variable; may be repeated; nothing is "        \
	"inherited\n"                                                                           \
	"  --cwd DIR              its working directory (/)\n"                                  \
	"  --allow-read[=PATHS]   files and folders it may read, comma-separated; alone: all\n" \
	"  --allow-write[=PATHS]  files and folders it may change; alone: all\n"                \
	"  --output SIZE          what it may print (no limit)\n"                               \
	"  --trace-syscalls       print its system calls on stderr, as strace would\n"

#define MF_ENV_MAX 256u

/* Parsed; owns the strings it had to cut out of the command line. */
struct mf_cli_program {
	struct mf_program_options options;
	const char *env[MF_ENV_MAX + 1];
	size_t env_count;
	char *owned[MF_PATHS_MAX];
	size_t owned_count;
};

void mf_cli_program_init(struct mf_cli_program *program);
void mf_cli_program_finish(struct mf_cli_program *program);

/* One option; 1 = not one of ours, 0 = taken, -EINVAL with a sentence. */
int mf_cli_program_option(struct mf_cli_program *program, int option, const char *value,
			  struct mf_error *err);

/* How long a last sentence waits for somebody to read it. */
#define MF_CLI_PATIENCE_MS 1000

/* Print "mayfly VERB: sentence"; returns the status for failure. */
int mf_cli_fail(const char *verb, const struct mf_error *err);

/* What getopt_long() did not understand (its '?' and ':'), as a sentence; returns -EINVAL. */
int mf_cli_bad_option(const char *verb, int option, char **argv, struct mf_error *err);

#endif
