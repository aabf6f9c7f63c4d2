/* SPDX-License-Identifier: MIT */
#include "cli/options.h"
#include "cli/verbs.h"
#include "ipc/control/client.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* The engine understood, and said no. */
#define STATUS_REFUSED 1

struct ctl_options {
	const char *path;
	const char *command;
	uint64_t timeout_ns;
	bool json;
};

static int check(struct ctl_options *options, int argc, char **argv, struct mf_error *err)
{
	static const char *const commands[] = {"status", "drain", "stop"};
	size_t i;

	if (!options->path)
		return mf_error_set(err, -1, "no engine named; write --control unix:PATH");
	if (optind + 1 != argc)
		return mf_error_set(err, -1, "%s; there are status, drain and stop",
				    optind < argc ? "more than one command" : "no command given");
	options->command = argv[optind];
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(options->command, commands[i]))
			return 0;
	return mf_error_set(err, -1, "there is no command %s; there are status, drain and stop",
			    options->command);
}

static void print_reply(const struct ctl_options *options, const struct mf_control_reply *reply)
{
	if (options->json)
		puts(reply->text);
	else if (reply->has_status)
		mf_control_status_print(&reply->status, stdout);
	else
		puts(strcmp(options->command, "stop") ? "It drains." : "It stops.");
}

static int ask(const struct ctl_options *options, struct mf_error *err)
{
	struct mf_control_reply reply;
	unsigned int timeout_ms = (unsigned int)(options->timeout_ns / 1000000);
	int status = 0;

	if (mf_control_ask(options->path, options->command, timeout_ms, &reply, err))
		return mf_cli_fail("ctl", err);
	if (reply.ok || options->json)
		print_reply(options, &reply);
	if (!reply.ok) {
		mf_cli_fail("ctl", &reply.error);
		status = STATUS_REFUSED;
	}
	mf_control_reply_finish(&reply);
	if (fflush(stdout) || ferror(stdout))
		status = MF_STATUS_FAILED;
	return status;
}

int mf_verb_ctl(int argc, char **argv)
{
	const struct mf_verb *verb = mf_verb_find("ctl");
	struct mf_values values;
	struct ctl_options options = {0};
	struct mf_error err = {0};
	int status;

	if (mf_values_init(&values, verb->place, &err) ||
	    mf_parse_flags(verb, argc, argv, &values, &err)) {
		status = mf_cli_fail("ctl", &err);
	} else if (values.help) {
		mf_print_help(verb, stdout);
		status = 0;
	} else {
		options.path = values.ctl.control;
		options.timeout_ns = values.ctl.timeout_ns;
		options.json = values.ctl.json;
		status = check(&options, argc, argv, &err) ? mf_cli_fail("ctl", &err)
							   : ask(&options, &err);
	}
	mf_values_finish(&values);
	return status;
}
