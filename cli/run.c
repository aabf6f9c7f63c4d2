/* SPDX-License-Identifier: MIT */
#include "cli/options.h"
#include "cli/program_options.h"
#include "cli/verbs.h"

#include <stdio.h>
#include <unistd.h>

static void print_help(void)
{
	fputs("usage: mayfly run [OPTIONS] -- PROG [ARGS...]\n"
	      "\n"
	      "Run a Linux program in a virtual machine of its own, with this terminal's standard\n"
	      "streams. It reaches no file, no network and no environment but what is allowed "
	      "here,\n"
	      "and what it needs to start. PROG is a path, or a name that is looked for in PATH.\n"
	      "\n"
	      "  --deadline TIME        end it after this time (none)\n",
	      stdout);
	mf_cli_program_help(stdout);
	fputs("\n"
	      "Exit status: the program's; 128+N when it died of signal N; 124 at the deadline; "
	      "125\n"
	      "when Mayfly itself failed.\n",
	      stdout);
}

enum {
	OPT_DEADLINE = MF_OPT_VERB,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"deadline", required_argument, NULL, OPT_DEADLINE},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int parse(int argc, char **argv, struct mf_cli_program *program,
		 struct mf_run_options *options, bool *help_wanted, struct mf_error *err)
{
	struct option list[MF_OPTIONS_MAX];
	int option;
	int ret = 0;

	mf_cli_program_list(long_options, list);
	while (!ret && (option = getopt_long(argc, argv, "+:h", list, NULL)) != -1) {
		if (option == OPT_DEADLINE)
			ret = mf_parse_duration("deadline", optarg, &options->deadline_ns, err);
		else if (option == OPT_HELP || option == 'h')
			*help_wanted = true;
		else if (option == ':' || option == '?')
			ret = mf_cli_bad_option("run", option, argv, err);
		else
			ret = mf_cli_program_option(program, option, optarg, err);
	}
	if (!ret && !*help_wanted && optind >= argc)
		ret = mf_error_set(err, -1, "no program given; write mayfly run -- PROG [ARGS...]");
	program->options.argv = argv + optind;
	return ret ? ret : mf_cli_program_complete(program, environ, err);
}

int mf_verb_run(int argc, char **argv)
{
	struct mf_cli_program program;
	struct mf_run_options options = {0};
	struct mf_error err = {0};
	bool help_wanted = false;
	int status = MF_STATUS_FAILED;

	mf_cli_program_init(&program);
	if (parse(argc, argv, &program, &options, &help_wanted, &err)) {
		mf_cli_fail("run", &err);
	} else if (help_wanted) {
		print_help();
		status = 0;
	} else {
		options.program = program.options;
		status = mf_run(&options, &err);
		if (err.text[0])
			mf_cli_fail("run", &err);
	}
	mf_cli_program_finish(&program);
	return status;
}
