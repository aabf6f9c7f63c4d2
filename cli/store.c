/* SPDX-License-Identifier: MIT */
/* mayfly store: what an operator does to a store, served or not. */
#include "cli/store.h"
#include "cli/options.h"
#include "cli/verbs.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum file {
	NO_FILE,
	A_FILE,
	MAYBE_FILE,
	FILE_FIRST, /* FILE DIR */
};

static const struct command {
	const char *name;
	enum file file;
	const char *mode; /* of the storage program, by itself */
	bool may_make;
	bool is_new;                                              /* unless forced */
	int (*open)(struct store_job *job, struct mf_error *err); /* NULL: nothing */
	int (*run)(struct store_job *job, struct mf_error *err);
} commands[] = {
	{"stat", .run = store_stat},
	{"check", .mode = MF_ADMIN_MODE_CHECK, .run = store_check},
	{"backup", A_FILE, .open = store_backup_open, .run = store_backup},
	{"restore", FILE_FIRST, MF_ADMIN_MODE_RESTORE, true, true, store_restore_open,
	 store_restore},
	{"compact", .run = store_compact},
	{"dump", MAYBE_FILE, .open = store_dump_open, .run = store_dump},
	{"load", MAYBE_FILE, .may_make = true, .open = store_load_open, .run = store_load},
	{"shell", .run = store_shell},
};

/* ---- calls ---- */

int store_call(struct store_job *job, uint32_t function, const void *payload, size_t bytes)
{
	job->reply_bytes = MF_ADMIN_BLOCK_MAX_BYTES + 4096;
	return mf_store_door_call(job->door, function, payload, bytes, job->reply,
				  &job->reply_bytes);
}

int store_explain(const struct store_job *job, int code, struct mf_error *err)
{
	switch (code) {
	case -ENOSYS:
		return mf_error_set(err, code,
				    "the storage program of %s does not know this: it is a "
				    "tenant's own, or of another version",
				    job->folder);
	case -EPIPE:
		return mf_error_set(err, code, "the engine that serves %s is gone", job->folder);
	case -ETIMEDOUT:
		return mf_error_set(err, code,
				    "the storage program of %s does not answer; what its engine "
				    "printed says why",
				    job->folder);
	case -ESHUTDOWN:
		return mf_error_set(err, code, "the engine that serves %s ends", job->folder);
	case -ECONNRESET:
		return mf_error_set(err, code,
				    "the storage program of %s died meanwhile; what it said stands "
				    "with its engine's output",
				    job->folder);
	case -ESTALE:
		return mf_error_set(err, code,
				    "it was held for too long and was given up, or the folder is "
				    "another engine's by now; try again");
	case -EPROTONOSUPPORT:
		return mf_error_set(err, code,
				    "the store %s is of a newer format than this mayfly knows; use "
				    "the one that made it",
				    job->folder);
	case -EROFS:
		return mf_error_set(err, code,
				    "the server of %s gives each of its VMs a store of its own "
				    "(--store-scope): nothing is written into the folder",
				    job->folder);
	case -ENOSPC:
		return mf_error_set(err, code,
				    "there is no room: the disk is full, or the store has its "
				    "limit (--size, or its server's --store-size)");
	case -EBUSY:
		return mf_error_set(err, code,
				    "the store %s is busy with others of these commands; try again",
				    job->folder);
	default:
		return mf_error_set(err, code, "the store %s: %s", job->folder, strerror(-code));
	}
}

int store_must(struct store_job *job, uint32_t function, const void *payload, size_t bytes,
	       struct mf_error *err)
{
	int ret = store_call(job, function, payload, bytes);

	return ret ? store_explain(job, ret, err) : 0;
}

/* ---- the verb ---- */

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static const char *wants(const struct command *command)
{
	return command->file == A_FILE       ? "DIR FILE (or - for standard output)"
	       : command->file == FILE_FIRST ? "FILE (or - for standard input) DIR"
	       : command->file == MAYBE_FILE ? "DIR, and a FILE or nothing"
					     : "DIR, a store's folder, and nothing else";
}

static int take_arguments(struct store_job *job, const struct command *command, int argc,
			  char **argv, struct mf_error *err)
{
	int least = command->file == A_FILE || command->file == FILE_FIRST ? 2 : 1;
	int most = command->file == NO_FILE ? 1 : 2;
	bool reversed = command->file == FILE_FIRST;

	if (argc < least || argc > most)
		return mf_error_set(err, -EINVAL, "store %s takes %s", command->name,
				    wants(command));
	job->folder = argv[reversed];
	if (argc == 2)
		job->file = argv[!reversed];
	if (!*job->folder || (job->file && !*job->file))
		return mf_error_set(err, -EINVAL, "store %s: a name is empty", command->name);
	return 0;
}

static int run(struct store_job *job, const struct command *command, struct mf_error *err)
{
	const struct mf_store_door_options door = {
		.folder = job->folder,
		.mode = command->mode,
		.size_bytes = job->options->size_bytes,
		.memory_bytes = job->options->memory_bytes,
		.may_make = command->may_make,
		.must_be_new = command->is_new && !job->options->force,
		.never_shared = command->is_new,
	};
	int status = command->run == store_check ? STORE_STATUS_UNSEEN : MF_STATUS_FAILED;

	job->reply = malloc(MF_ADMIN_BLOCK_MAX_BYTES + 4096);
	if (!job->reply)
		mf_error_set(err, -ENOMEM, "not enough memory");
	else if ((!command->open || !command->open(job, err)) &&
		 !mf_store_door_open(&job->door, &door, err))
		status = command->run(job, err);
	mf_store_door_close(job->door);
	free(job->reply);
	return status;
}

static int no_command(const char *name, struct mf_error *err)
{
	return mf_error_set(err, -EINVAL,
			    "%s%s; there are stat, check, backup, restore, compact, "
			    "dump, load and shell: see mayfly store --help",
			    name ? "there is no command " : "no command given", name ? name : "");
}

static int obey(const struct mf_values *values, int argc, char **argv, struct mf_error *err)
{
	struct store_job job = {.options = &values->store};
	const struct command *command = argc ? find(argv[0]) : NULL;
	int status;

	if (!command) {
		no_command(argc ? argv[0] : NULL, err);
		return mf_cli_fail("store", err);
	}
	if (take_arguments(&job, command, argc - 1, argv + 1, err))
		return mf_cli_fail("store", err);
	status = run(&job, command, err);
	if (err->text[0])
		mf_cli_fail("store", err);
	if ((fflush(stdout) || ferror(stdout)) && !status) {
		mf_error_set(err, -EIO, "standard output cannot be written");
		status = mf_cli_fail("store", err);
	}
	return status;
}

int mf_verb_store(int argc, char **argv)
{
	const struct mf_verb *verb = mf_verb_find("store");
	struct mf_values values;
	struct mf_error err = {0};
	int status;

	if (mf_values_init(&values, verb->place, &err) ||
	    mf_parse_flags(verb, argc, argv, &values, &err)) {
		status = mf_cli_fail("store", &err);
	} else if (values.help) {
		mf_print_help(verb, stdout);
		status = 0;
	} else {
		status = obey(&values, argc - optind, argv + optind, &err);
	}
	mf_values_finish(&values);
	return status;
}
