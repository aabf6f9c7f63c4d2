/* SPDX-License-Identifier: MIT */
#include "cli/options.h"
#include "cli/verbs.h"
#include "ipc/control/client.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The engine understood, and said no. */
#define STATUS_REFUSED 1

/* Of one file that is sent; the rest of a message is small. */
#define FILE_MAX 60000

/* What stands behind a command. */
enum argument {
	NOTHING,
	MAYBE_TENANT,
	TENANT,
	A_FILE,
	CHANGES, /* a tenant, and KEY=VALUE... */
};

static const struct command {
	const char *name;
	enum argument argument;
	const char *done; /* said when it was accepted */
} commands[] = {
	{"status", MAYBE_TENANT, NULL},
	{"drain", MAYBE_TENANT, "It drains."},
	{"stop", NOTHING, "It stops."},
	{"list", NOTHING, NULL},
	{"add", A_FILE, "It is added."},
	{"remove", TENANT, "It is removed when what runs is done."},
	{"reload", MAYBE_TENANT, "It is reloaded."},
	{"limits", CHANGES, "It has these values, or is replaced by one that has."},
	{"events", NOTHING, NULL},
};

struct ctl_options {
	const char *path;
	const struct command *command;
	const char *tenant;
	char *text; /* owned */
	uint64_t timeout_ns;
	bool json;
};

static int read_file(struct ctl_options *options, const char *path, struct mf_error *err)
{
	FILE *file = fopen(path, "re");
	size_t bytes;

	options->text = calloc(1, FILE_MAX + 2);
	if (!file || !options->text) {
		int code = -errno;

		if (file)
			fclose(file);
		return mf_error_set(err, code, "cannot open %s: %s", path, strerror(-code));
	}
	bytes = fread(options->text, 1, FILE_MAX + 1, file);
	fclose(file);
	if (bytes > FILE_MAX || strlen(options->text) != bytes)
		return mf_error_set(err, -EFBIG, "%s is larger than %d bytes, or no text", path,
				    FILE_MAX);
	return 0;
}

static int join_changes(struct ctl_options *options, int argc, char **argv, struct mf_error *err)
{
	size_t room = 1;
	int i;

	for (i = 0; i < argc; i++)
		room += strlen(argv[i]) + 1;
	options->text = calloc(1, room);
	if (!options->text)
		return mf_error_set(err, -ENOMEM, "not enough memory");
	for (i = 0; i < argc; i++) {
		strcat(options->text, argv[i]);
		strcat(options->text, "\n");
	}
	return 0;
}

static int take_arguments(struct ctl_options *options, int argc, char **argv, struct mf_error *err)
{
	enum argument wanted = options->command->argument;
	const char *name = options->command->name;

	if (wanted == NOTHING || (wanted == MAYBE_TENANT && argc > 1) ||
	    ((wanted == TENANT || wanted == A_FILE) && argc > 1))
		return argc ? mf_error_set(err, -1,
					   "more than one command, or %s is too much for %s",
					   argv[wanted != NOTHING], name)
			    : 0;
	if (wanted == MAYBE_TENANT && !argc)
		return 0;
	if (!argc || (wanted == CHANGES && argc < 2))
		return mf_error_set(err, -1, "%s wants %s", name,
				    wanted == A_FILE   ? "a file"
				    : wanted == TENANT ? "a tenant"
						       : "a tenant, and KEY=VALUE");
	if (wanted == A_FILE)
		return read_file(options, argv[0], err);
	options->tenant = argv[0];
	return wanted == CHANGES ? join_changes(options, argc - 1, argv + 1, err) : 0;
}

static int check(struct ctl_options *options, int argc, char **argv, struct mf_error *err)
{
	size_t i;

	if (!options->path)
		return mf_error_set(err, -1, "no engine named; write --control unix:PATH");
	if (optind == argc)
		return mf_error_set(err, -1,
				    "no command given; there are status, drain and stop, and more "
				    "for mayflyd: see mayfly ctl --help");
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[optind], commands[i].name))
			options->command = &commands[i];
	if (!options->command)
		return mf_error_set(err, -1,
				    "there is no command %s; there are status, drain and stop, and "
				    "more for mayflyd: see mayfly ctl --help",
				    argv[optind]);
	return take_arguments(options, argc - optind - 1, argv + optind + 1, err);
}

static void print_reply(const struct ctl_options *options, const struct mf_control_reply *reply)
{
	if (options->json)
		puts(reply->text);
	else if (reply->has_status)
		mf_control_status_print(&reply->status, stdout);
	else if (!options->command->done && reply->tenants)
		mf_control_tenants_print(reply->tenants, reply->tenant_count, stdout);
	else
		puts(options->command->done ? options->command->done : "It is done.");
}

static int ask(const struct ctl_options *options, struct mf_error *err)
{
	struct mf_control_reply reply;
	unsigned int timeout_ms = (unsigned int)(options->timeout_ns / 1000000);
	int status = 0;

	if (mf_control_ask_more(options->path, options->command->name, options->tenant,
				options->text, timeout_ms, &reply, err))
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

static int print_event(void *arg, const char *text, size_t bytes)
{
	const struct ctl_options *options = arg;
	struct mf_control_event event;

	if (options->json)
		printf("%.*s\n", (int)bytes, text);
	else if (!mf_control_event_read(&event, text, bytes))
		mf_control_event_print(&event, stdout);
	return !fflush(stdout) && !ferror(stdout);
}

static int follow(const struct ctl_options *options, struct mf_error *err)
{
	char path[256];

	snprintf(path, sizeof(path), "%s.events", options->path);
	return mf_events_follow(path, print_event, (void *)(uintptr_t)options, err)
		       ? mf_cli_fail("ctl", err)
		       : 0;
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
		if (check(&options, argc, argv, &err))
			status = mf_cli_fail("ctl", &err);
		else if (!strcmp(options.command->name, "events"))
			status = follow(&options, &err);
		else
			status = ask(&options, &err);
		free(options.text);
	}
	mf_values_finish(&values);
	return status;
}
