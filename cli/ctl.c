/* SPDX-License-Identifier: MIT */
#include "cli/options.h"
#include "cli/verbs.h"
#include "ipc/control/client.h"

#include <stdio.h>
#include <string.h>

/* The engine understood, and said no. */
#define STATUS_REFUSED 1

#define TIMEOUT_MAX_MS 86400000ull

static const char help[] =
	"usage: mayfly ctl --control unix:PATH [--timeout TIME] [--json] status|drain|stop\n"
	"\n"
	"Talk to an engine that was started with mayfly serve --control unix:PATH.\n"
	"\n"
	"  status                 say how it is: VMs, queue, requests by outcome, connections\n"
	"  drain                  finish what runs, take nothing new, then end\n"
	"  stop                   end now; what runs is dropped\n"
	"\n"
	"  --control unix:PATH    the engine's control socket\n"
	"  --timeout TIME         how long to wait for its answer (5s)\n"
	"  --json                 print the answer as JSON\n"
	"\n"
	"Exit status: 0; 1 when the engine refused; 125 when there is none, or it does not "
	"answer.\n";

enum {
	OPT_CONTROL = MF_OPT_VERB,
	OPT_TIMEOUT,
	OPT_JSON,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"control", required_argument, NULL, OPT_CONTROL},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

struct ctl_options {
	const char *path;
	const char *command;
	uint64_t timeout_ns;
	bool json;
	bool help;
};

static int parse_option(int option, char **argv, struct ctl_options *options, struct mf_error *err)
{
	switch (option) {
	case OPT_CONTROL:
		return mf_parse_control(optarg, &options->path, err);
	case OPT_TIMEOUT:
		return mf_parse_duration("timeout", optarg, &options->timeout_ns, err);
	case OPT_JSON:
		options->json = true;
		return 0;
	case OPT_HELP:
	case 'h':
		options->help = true;
		return 0;
	default:
		return mf_cli_bad_option("ctl", option, argv, err);
	}
}

static int check(struct ctl_options *options, int argc, char **argv, struct mf_error *err)
{
	static const char *const commands[] = {"status", "drain", "stop"};
	size_t i;

	if (options->timeout_ns > TIMEOUT_MAX_MS * 1000000)
		return mf_error_set(err, -1, "--timeout is longer than a day");
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

/* Options may stand on either side of the command. */
static int parse(int argc, char **argv, struct ctl_options *options, struct mf_error *err)
{
	int option;
	int ret = 0;

	while (!ret && !options->help &&
	       (option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1)
		ret = parse_option(option, argv, options, err);
	return ret || options->help ? ret : check(options, argc, argv, err);
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
	struct ctl_options options = {.timeout_ns = 5000000000ull};
	struct mf_error err = {0};

	if (parse(argc, argv, &options, &err))
		return mf_cli_fail("ctl", &err);
	if (options.help) {
		fputs(help, stdout);
		return 0;
	}
	return ask(&options, &err);
}
