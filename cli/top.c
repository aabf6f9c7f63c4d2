/* SPDX-License-Identifier: MIT */
#include "cli/options.h"
#include "cli/top_screen.h"
#include "cli/verbs.h"
#include "engine/image/watchdog.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void nap(uint64_t ns)
{
	struct timespec span = {.tv_sec = (time_t)(ns / 1000000000ull),
				.tv_nsec = (long)(ns % 1000000000ull)};

	while (nanosleep(&span, &span) && errno == EINTR)
		;
}

/* A table for each interval, as often as was asked for; one without a terminal. */
static int print_tables(const struct mf_top_options *options, struct mf_error *err)
{
	struct mf_top_view view = {.sort = options->sort, .end = "\n"};
	struct mf_survey before = {0};
	struct mf_survey now;
	uint64_t left = options->count ? options->count : 1;
	int code = mf_survey_take(&before, options->path, options->timeout_ms, err);

	while (!code && left--) {
		nap(options->interval_ns);
		code = mf_survey_take(&now, options->path, options->timeout_ms, err);
		if (code)
			break;
		mf_top_print(stdout, &now, &before, &view);
		if (fflush(stdout))
			code = mf_error_set(err, -errno, "cannot write: %s", strerror(errno));
		mf_survey_finish(&before);
		before = now;
	}
	mf_survey_finish(&before);
	return code;
}

static bool has_screen(void)
{
	const char *kind = getenv("TERM");

	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && kind && *kind &&
	       strcmp(kind, "dumb") != 0;
}

static int take(const struct mf_values *values, int argc, char **argv,
		struct mf_top_options *options, struct mf_error *err)
{
	const struct mf_top_values *top = &values->top;

	*options = (struct mf_top_options){.path = top->control,
					   .interval_ns = top->interval_ns,
					   .timeout_ms = 2000,
					   .count = top->count,
					   .sort = (enum mf_top_column)top->sort};
	if (optind < argc)
		return mf_error_set(err, -EINVAL, "%s is too much", argv[optind]);
	if (!options->path)
		return mf_error_set(err, -EINVAL,
				    "whom to ask? Write --control unix:PATH, of mayflyd or of a "
				    "mayfly serve");
	return 0;
}

int mf_verb_top(int argc, char **argv)
{
	const struct mf_verb *verb = mf_verb_find("top");
	struct mf_top_options options;
	struct mf_values values;
	struct mf_error err = {0};
	int status = MF_STATUS_FAILED;

	if (mf_values_init(&values, verb->place, &err) ||
	    mf_parse_flags(verb, argc, argv, &values, &err)) {
		mf_cli_fail("top", &err);
	} else if (values.help) {
		mf_print_help(verb, stdout);
		status = 0;
	} else if (take(&values, argc, argv, &options, &err) ||
		   (values.top.batch || !has_screen() ? print_tables(&options, &err)
						      : mf_top_screen(&options, &err))) {
		mf_cli_fail("top", &err);
	} else {
		status = 0;
	}
	mf_values_finish(&values);
	return status;
}
