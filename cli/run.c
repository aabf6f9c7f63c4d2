/* SPDX-License-Identifier: MIT */
#include "cli/options.h"
#include "cli/verbs.h"

#include <getopt.h>
#include <unistd.h>

static int parse(const struct mf_verb *verb, int argc, char **argv, struct mf_values *values,
		 struct mf_error *err)
{
	int ret = mf_parse_flags(verb, argc, argv, values, err);

	if (ret || values->help)
		return ret;
	if (optind >= argc)
		return mf_error_set(err, -1,
				    "no program given; write mayfly run -- PROG [ARGS...]");
	values->program.argv = argv + optind;
	return mf_values_complete(values, environ, err);
}

int mf_verb_run(int argc, char **argv)
{
	const struct mf_verb *verb = mf_verb_find("run");
	struct mf_values values;
	struct mf_error err = {0};
	int status = MF_STATUS_FAILED;

	if (mf_values_init(&values, verb->place, &err) || parse(verb, argc, argv, &values, &err)) {
		mf_cli_fail("run", &err);
	} else if (values.help) {
		mf_print_help(verb, stdout);
		status = 0;
	} else {
		struct mf_run_options options = {values.program, values.run_deadline_ns};

		status = mf_run(&options, &err);
		if (err.text[0])
			mf_cli_fail("run", &err);
	}
	mf_values_finish(&values);
	return status;
}
