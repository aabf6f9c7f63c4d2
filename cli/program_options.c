/* SPDX-License-Identifier: MIT */
#include "cli/program_options.h"
#include "cli/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct row {
	const char *name;
	const char *value; /* as help shows it: "SIZE"; "[=PATHS]" may be left out; NULL: none */
	const char *help;
	int (*take)(struct mf_cli_program *program, const struct row *row, const char *value,
		    struct mf_error *err);
	size_t field; /* where in struct mf_program_options, if `take` needs it */
	uint64_t min;
	uint64_t max;
};

static int take_size(struct mf_cli_program *, const struct row *, const char *, struct mf_error *);
static int take_count(struct mf_cli_program *, const struct row *, const char *, struct mf_error *);
static int take_duration(struct mf_cli_program *, const struct row *, const char *,
			 struct mf_error *);
static int take_flag(struct mf_cli_program *, const struct row *, const char *, struct mf_error *);
static int take_paths(struct mf_cli_program *, const struct row *, const char *, struct mf_error *);
static int take_rules(struct mf_cli_program *, const struct row *, const char *, struct mf_error *);
static int take_env(struct mf_cli_program *, const struct row *, const char *, struct mf_error *);
static int take_env_names(struct mf_cli_program *, const struct row *, const char *,
			  struct mf_error *);
static int take_cwd(struct mf_cli_program *, const struct row *, const char *, struct mf_error *);
static int take_volume(struct mf_cli_program *, const struct row *, const char *,
		       struct mf_error *);
static int take_all(struct mf_cli_program *, const struct row *, const char *, struct mf_error *);

#define FIELD(member) offsetof(struct mf_program_options, member)

/*
 * Limits, then permissions, then the rest. take_size, take_count and take_flag fill a uint64_t,
 * another and a bool of struct mf_program_options; mf_parse_count and mf_parse_duration are there
 * for more of the kind.
 */
static const struct row rows[] = {
	{"memory", "SIZE", "memory the program may have (256M)", take_size, FIELD(memory_bytes),
	 1ull << 20, 64ull << 30},
	{"output", "SIZE", "what it may print (no limit)", take_size, FIELD(output_bytes), 1,
	 UINT64_MAX},
	{"cpu-time", "TIME", "CPU time it, or a request, may use; waiting is none (no limit)",
	 take_duration, FIELD(cpu_ns), 0, 0},
	{"files", "N", "descriptors it may have open (1024)", take_count, FIELD(files), 3, 4096},
	{"pids", "N", "threads it may have (1024)", take_count, FIELD(threads), 1, MF_THREADS},
	{"allow-read", "[=PATHS]", "files and folders it may read; alone: all", take_paths,
	 FIELD(read), 0, 0},
	{"allow-write", "[=PATHS]", "files and folders it may change; alone: all", take_paths,
	 FIELD(write), 0, 0},
	{"volume", "HOST:GUEST[:r|rw]", "show it the folder HOST as GUEST; may be repeated",
	 take_volume, 0, 0, 0},
	{"allow-env", "[=NAMES]", "variables of this environment it gets; alone: all",
	 take_env_names, 0, 0, 0},
	{"env", "NAME=VALUE", "a variable of its own; may be repeated", take_env, 0, 0, 0},
	{"allow-net", "[=HOSTS]", "addresses it may connect to and listen on; alone: all",
	 take_rules, FIELD(net), 0, 0},
	{"allow-connect", "[=HOSTS]", "addresses it may connect to; alone: all", take_rules,
	 FIELD(connect), 0, 0},
	{"allow-listen", "[=HOSTS]", "addresses it may listen on; alone: all", take_rules,
	 FIELD(listen), 0, 0},
	{"allow-all", NULL, "all of the above", take_all, 0, 0, 0},
	{"explain", NULL, "say of each refused access which option would allow it", take_flag,
	 FIELD(explain), 0, 0},
	{"cwd", "DIR", "its working directory (this one if it may be read, else /)", take_cwd, 0, 0,
	 0},
	{"trust-image", NULL, "nobody writes to the image file PROG: map it, do not copy it",
	 take_flag, FIELD(trust_image), 0, 0},
	{"trace-syscalls", NULL, "print its system calls on stderr, as strace would", take_flag,
	 FIELD(trace), 0, 0},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

void mf_cli_program_init(struct mf_cli_program *program)
{
	memset(program, 0, sizeof(*program));
	program->options.memory_bytes = 256ull << 20;
	program->options.boot_deadline_ns = 30000000000ull;
}

void mf_cli_program_finish(struct mf_cli_program *program)
{
	struct mf_program_options *options = &program->options;

	while (program->owned_count)
		free(program->owned[--program->owned_count]);
	free(program->owned);
	free(program->env);
	free(program->env_names);
	free(program->volumes);
	free((void *)options->read.paths);
	free((void *)options->write.paths);
	free((void *)options->net.rules);
	free((void *)options->connect.rules);
	free((void *)options->listen.rules);
}

static bool may_miss(const struct row *row)
{
	return row->value && *row->value == '[';
}

void mf_cli_program_list(const struct option *own, struct option list[MF_OPTIONS_MAX])
{
	size_t count = 0;
	size_t i;

	for (; own->name && count + ROWS + 1 < MF_OPTIONS_MAX; own++)
		list[count++] = *own;
	for (i = 0; i < ROWS; i++)
		list[count++] = (struct option){rows[i].name,
						!rows[i].value       ? no_argument
						: may_miss(&rows[i]) ? optional_argument
								     : required_argument,
						NULL, MF_OPT_PROGRAM + (int)i};
	list[count] = (struct option){NULL, 0, NULL, 0};
}

void mf_cli_program_help(FILE *out)
{
	size_t i;

	for (i = 0; i < ROWS; i++) {
		int used = fprintf(out, "  --%s%s%s", rows[i].name,
				   rows[i].value && !may_miss(&rows[i]) ? " " : "",
				   rows[i].value ? rows[i].value : "");

		if (used > 24)
			used = fprintf(out, "\n") - 1;
		fprintf(out, "%*s%s\n", 25 - used, "", rows[i].help);
	}
}

int mf_cli_program_option(struct mf_cli_program *program, int option, const char *value,
			  struct mf_error *err)
{
	const struct row *row = &rows[option - MF_OPT_PROGRAM];

	if (option < MF_OPT_PROGRAM || option >= MF_OPT_PROGRAM + (int)ROWS)
		return 1;
	return row->take(program, row, value, err);
}

static void *field_of(struct mf_cli_program *program, const struct row *row)
{
	return (char *)&program->options + row->field;
}

static int no_memory(struct mf_error *err)
{
	return mf_error_set(err, -ENOMEM, "not enough memory for the options");
}

/* `item` is freed at the end, also when it could not be taken; NULL gives NULL. */
static void *own(struct mf_cli_program *program, void *item)
{
	void **grown =
		item ? realloc(program->owned, (program->owned_count + 1) * sizeof(*grown)) : NULL;

	if (!grown) {
		free(item);
		return NULL;
	}
	program->owned = grown;
	return grown[program->owned_count++] = item;
}

/* A list of strings, NULL-ended. */
static int append(const char ***list, size_t *count, const char *text, struct mf_error *err)
{
	const char **grown = realloc(*list, (*count + 2) * sizeof(*grown));

	if (!grown)
		return no_memory(err);
	*list = grown;
	grown[(*count)++] = text;
	grown[*count] = NULL;
	return 0;
}

/* A,B,C into a list. */
static int append_parts(struct mf_cli_program *program, const struct row *row, const char *value,
			const char ***list, size_t *count, struct mf_error *err)
{
	char *rest = own(program, strdup(value));
	char *part;
	int ret = rest ? 0 : no_memory(err);

	while (!ret && (part = strsep(&rest, ","))) {
		if (!*part)
			return mf_error_set(err, -EINVAL, "--%s=%s has an empty part", row->name,
					    value);
		ret = append(list, count, part, err);
	}
	return ret;
}

static int take_size(struct mf_cli_program *program, const struct row *row, const char *value,
		     struct mf_error *err)
{
	uint64_t *field = field_of(program, row);
	int ret = mf_parse_size(row->name, value, field, err);

	if (!ret && (*field < row->min || *field > row->max))
		ret = mf_error_set(err, -EINVAL, "--%s %s is not between %lluM and %lluG",
				   row->name, value, (unsigned long long)row->min >> 20,
				   (unsigned long long)row->max >> 30);
	return ret;
}

static int take_count(struct mf_cli_program *program, const struct row *row, const char *value,
		      struct mf_error *err)
{
	uint64_t *field = field_of(program, row);
	int ret = mf_parse_count(row->name, value, row->max, field, err);

	if (!ret && *field < row->min)
		ret = mf_error_set(err, -EINVAL, "--%s %s is fewer than %llu", row->name, value,
				   (unsigned long long)row->min);
	return ret;
}

static int take_duration(struct mf_cli_program *program, const struct row *row, const char *value,
			 struct mf_error *err)
{
	return mf_parse_duration(row->name, value, field_of(program, row), err);
}

static int take_flag(struct mf_cli_program *program, const struct row *row, const char *value,
		     struct mf_error *err)
{
	(void)value;
	(void)err;
	*(bool *)field_of(program, row) = true;
	return 0;
}

static int take_paths(struct mf_cli_program *program, const struct row *row, const char *value,
		      struct mf_error *err)
{
	struct mf_permit_paths *field = field_of(program, row);
	const char **list = (const char **)field->paths;
	int ret;

	if (!value) {
		field->all = true;
		return 0;
	}
	ret = append_parts(program, row, value, &list, &field->count, err);
	field->paths = list;
	return ret;
}

static int take_rules(struct mf_cli_program *program, const struct row *row, const char *value,
		      struct mf_error *err)
{
	struct mf_net_rules *field = field_of(program, row);
	const char **list = (const char **)field->rules;
	int ret;

	if (!value) {
		field->all = true;
		return 0;
	}
	ret = append_parts(program, row, value, &list, &field->count, err);
	field->rules = list;
	return ret;
}

static int take_env(struct mf_cli_program *program, const struct row *row, const char *value,
		    struct mf_error *err)
{
	(void)row;
	if (!strchr(value, '=') || *value == '=')
		return mf_error_set(err, -EINVAL,
				    "--env %s has no name and value; write --env NAME=VALUE",
				    value);
	return append(&program->env, &program->env_count, value, err);
}

static int take_env_names(struct mf_cli_program *program, const struct row *row, const char *value,
			  struct mf_error *err)
{
	if (value && strchr(value, '='))
		return mf_error_set(err, -EINVAL,
				    "--allow-env=%s takes names; to set one, write --env "
				    "NAME=VALUE",
				    value);
	if (value)
		return append_parts(program, row, value, &program->env_names,
				    &program->env_name_count, err);
	program->env_all = true;
	return 0;
}

static int take_cwd(struct mf_cli_program *program, const struct row *row, const char *value,
		    struct mf_error *err)
{
	(void)row;
	if (*value != '/')
		return mf_error_set(err, -EINVAL, "--cwd %s is not an absolute path", value);
	program->options.cwd = value;
	return 0;
}

static int bad_volume(const char *value, struct mf_error *err)
{
	return mf_error_set(err, -EINVAL,
			    "--volume %s is none; write --volume HOST:GUEST, :r (the default) or "
			    ":rw behind it, GUEST an absolute path",
			    value);
}

static int take_volume(struct mf_cli_program *program, const struct row *row, const char *value,
		       struct mf_error *err)
{
	struct mf_program_options *options = &program->options;
	char *host = own(program, strdup(value));
	struct mf_permit_volume *grown =
		realloc(program->volumes, (options->volume_count + 1) * sizeof(*program->volumes));
	char *guest = host ? strchr(host, ':') : NULL;
	char *how;

	(void)row;
	if (grown)
		options->volumes = program->volumes = grown;
	if (!host || !grown)
		return no_memory(err);
	if (!guest || guest == host || guest[1] != '/')
		return bad_volume(value, err);
	*guest++ = 0;
	how = strchr(guest, ':');
	if (how)
		*how++ = 0;
	if (how && strcmp(how, "r") && strcmp(how, "rw"))
		return bad_volume(value, err);
	grown[options->volume_count++] =
		(struct mf_permit_volume){host, guest, how && !strcmp(how, "rw")};
	return 0;
}

static int take_all(struct mf_cli_program *program, const struct row *row, const char *value,
		    struct mf_error *err)
{
	const char **list = (const char **)program->options.net.rules;
	int ret = append(&list, &program->options.net.count, "unix:*", err);

	(void)row;
	(void)value;
	program->options.net.rules = list;
	program->options.net.all = true;
	program->options.read.all = true;
	program->options.write.all = true;
	program->env_all = true;
	return ret;
}

static bool same_name(const char *variable, const char *other, size_t bytes)
{
	return !strncmp(variable, other, bytes) && variable[bytes] == '=';
}

/* NAME, or BEGIN*. */
static bool is_allowed(const struct mf_cli_program *program, const char *variable)
{
	size_t i;

	for (i = 0; i < program->env_name_count; i++) {
		const char *name = program->env_names[i];
		size_t bytes = strlen(name);

		if (name[bytes - 1] == '*' ? !strncmp(variable, name, bytes - 1)
					   : same_name(variable, name, bytes))
			return true;
	}
	return program->env_all;
}

/* Of two that have the same name the later one counts. */
static void keep_the_last(struct mf_cli_program *program)
{
	size_t kept = 0;
	size_t i;
	size_t j;

	for (i = 0; i < program->env_count; i++) {
		size_t bytes = strcspn(program->env[i], "=");

		for (j = i + 1; j < program->env_count; j++)
			if (same_name(program->env[j], program->env[i], bytes))
				break;
		if (j == program->env_count)
			program->env[kept++] = program->env[i];
	}
	program->env_count = kept;
	if (program->env)
		program->env[kept] = NULL;
}

int mf_cli_program_complete(struct mf_cli_program *program, char *const *host, struct mf_error *err)
{
	const char **given = program->env;
	size_t given_count = program->env_count;
	size_t i;
	int ret = 0;

	program->env = NULL;
	program->env_count = 0;
	for (; !ret && *host; host++)
		if (strchr(*host, '=') && is_allowed(program, *host))
			ret = append(&program->env, &program->env_count, *host, err);
	for (i = 0; !ret && i < given_count; i++)
		ret = append(&program->env, &program->env_count, given[i], err);
	free(given);
	keep_the_last(program);
	program->options.env = program->env;
	return ret;
}
