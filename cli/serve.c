/* SPDX-License-Identifier: MIT */
#include "cli/options.h"
#include "cli/verbs.h"

#include <getopt.h>
#include <unistd.h>

static int parse(const struct mf_verb *verb, int argc, char **argv, struct mf_values *values,
		 struct mf_error *err)
{
	const struct mf_serve_options *serve = &values->serve;
	int ret = mf_parse_flags(verb, argc, argv, values, err);

	if (ret || values->help)
		return ret;
	if (!serve->listen == !serve->router_fd)
		return mf_error_set(
			err, -1, "no address; write mayfly serve --listen 127.0.0.1:8080 -- PROG");
	if (optind >= argc)
		return mf_error_set(err, -1,
				    "no program given; write mayfly serve --listen ADDR -- PROG");
	if (serve->store.program && !serve->store.folder)
		return mf_error_set(err, -1, "--store-program needs a folder: --store DIR");
	values->program.argv = argv + optind;
	return mf_values_complete(values, environ, err);
}

int mf_verb_serve(int argc, char **argv)
{
	const struct mf_verb *verb = mf_verb_find("serve");
	struct mf_values values;
	struct mf_error err = {0};
	int status = MF_STATUS_FAILED;

	if (mf_values_init(&values, verb->place, &err) || parse(verb, argc, argv, &values, &err)) {
		mf_cli_fail("serve", &err);
	} else if (values.help) {
		mf_print_help(verb, stdout);
		status = 0;
	} else {
		status = mf_serve(&values.serve, &err);
		if (err.text[0])
			mf_cli_fail("serve", &err);
	}
	mf_values_finish(&values);
	return status;
}
