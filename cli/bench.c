/* SPDX-License-Identifier: MIT */
/* mayfly bench: which of its two. */
#include "cli/options.h"
#include "cli/verbs.h"

#include <errno.h>
#include <string.h>

int mf_verb_bench(int argc, char **argv)
{
	const char *which = argc > 1 ? argv[1] : "";
	struct mf_error err = {0};

	if (!strcmp(which, "host"))
		return mf_verb_bench_host(argc - 1, argv + 1);
	if (!strcmp(which, "compare"))
		return mf_verb_bench_compare(argc - 1, argv + 1);
	if (!strcmp(which, "--help") || !strcmp(which, "-h")) {
		mf_print_help(mf_verb_find("bench host"), stdout);
		putchar('\n');
		mf_print_help(mf_verb_find("bench compare"), stdout);
		return 0;
	}
	mf_error_set(&err, -EINVAL, "%s%s; there are host and compare: see mayfly bench --help",
		     *which ? "there is no " : "nothing to do", which);
	return mf_cli_fail("bench", &err);
}
