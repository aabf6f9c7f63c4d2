/* SPDX-License-Identifier: MIT */
#include "cli/options.h"
#include "cli/verbs.h"
#include "request-vm/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static int parse_number(const char *text, const struct unit *units, uint64_t *value)
{
	char *end;
	unsigned long long number;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	for (; units->name; units++) {
		if (strcmp(end, units->name))
			continue;
		if (number > UINT64_MAX / units->factor)
			return -ERANGE;
		*value = number * units->factor;
		return 0;
	}
	return -EINVAL;
}

int mf_parse_size(const char *option, const char *text, uint64_t *bytes, struct mf_error *err)
{
	static const struct unit units[] = {
		{"", 1}, {"K", 1ull << 10}, {"M", 1ull << 20}, {"G", 1ull << 30}, {NULL, 0}};

	if (parse_number(text, units, bytes) || !*bytes)
		return mf_error_set(err, -EINVAL, "--%s %s is not a size; write 512K, 64M or 2G",
				    option, text);
	return 0;
}

int mf_parse_duration(const char *option, const char *text, uint64_t *ns, struct mf_error *err)
{
	static const struct unit units[] = {
		{"ms", 1000000ull}, {"s", 1000000000ull}, {"m", 60000000000ull}, {NULL, 0}};

	if (parse_number(text, units, ns) || !*ns)
		return mf_error_set(err, -EINVAL, "--%s %s is not a time; write 250ms, 5s or 2m",
				    option, text);
	return 0;
}

int mf_parse_count(const char *option, const char *text, uint64_t max, uint64_t *value,
		   struct mf_error *err)
{
	static const struct unit units[] = {{"", 1}, {NULL, 0}};

	if (parse_number(text, units, value) || !*value || *value > max)
		return mf_error_set(err, -EINVAL, "--%s %s is not a number from 1 to %" PRIu64,
				    option, text, max);
	return 0;
}

int mf_parse_control(const char *text, const char **path, struct mf_error *err)
{
	if (strncmp(text, "unix:", 5))
		return mf_error_set(err, -EINVAL, "--control %s is no socket; write unix:PATH",
				    text);
	*path = text + 5;
	return 0;
}

void mf_cli_program_init(struct mf_cli_program *program)
{
	memset(program, 0, sizeof(*program));
	program->options.memory_bytes = 256ull << 20;
	program->options.boot_deadline_ns = 30000000000ull;
	program->options.env = program->env;
}

void mf_cli_program_finish(struct mf_cli_program *program)
{
	while (program->owned_count)
		free(program->owned[--program->owned_count]);
}

/* PATH[,PATH...] into a list; no value means everything. */
static int add_paths(struct mf_cli_program *program, const char *value, bool *all,
		     const char **paths, size_t *count, struct mf_error *err)
{
	char *copy;
	char *rest;
	char *path;

	if (!value) {
		*all = true;
		return 0;
	}
	copy = program->owned_count < MF_PATHS_MAX ? strdup(value) : NULL;
	if (!copy)
		return mf_error_set(err, -ENOMEM, "too many --allow-read and --allow-write");
	program->owned[program->owned_count++] = copy;
	for (rest = copy; (path = strsep(&rest, ","));) {
		if (!*path)
			return mf_error_set(err, -EINVAL, "an empty path in the list %s", value);
		if (*count == MF_PATHS_MAX)
			return mf_error_set(err, -EINVAL, "more than %u paths are allowed",
					    MF_PATHS_MAX);
		paths[(*count)++] = path;
	}
	return 0;
}

static int add_env(struct mf_cli_program *program, const char *value, struct mf_error *err)
{
	if (!strchr(value, '=') || *value == '=')
		return mf_error_set(err, -EINVAL,
				    "--env %s has no name and value; write --env NAME=VALUE",
				    value);
	if (program->env_count == MF_ENV_MAX)
		return mf_error_set(err, -EINVAL, "more than %u --env", MF_ENV_MAX);
	program->env[program->env_count++] = value;
	return 0;
}

static int memory_option(struct mf_program_options *options, const char *value,
			 struct mf_error *err)
{
	int ret = mf_parse_size("memory", value, &options->memory_bytes, err);

	if (!ret && (options->memory_bytes < 1ull << 20 || options->memory_bytes > 64ull << 30))
		ret = mf_error_set(err, -EINVAL, "--memory %s is not between 1M and 64G", value);
	return ret;
}

int mf_cli_program_option(struct mf_cli_program *program, int option, const char *value,
			  struct mf_error *err)
{
	struct mf_program_options *options = &program->options;

	switch (option) {
	case MF_OPT_MEMORY:
		return memory_option(options, value, err);
	case MF_OPT_ENV:
		return add_env(program, value, err);
	case MF_OPT_CWD:
		if (*value != '/')
			return mf_error_set(err, -EINVAL, "--cwd %s is not an absolute path",
					    value);
		options->cwd = value;
		return 0;
	case MF_OPT_ALLOW_READ:
		return add_paths(program, value, &options->read_all, options->read_paths,
				 &options->read_count, err);
	case MF_OPT_ALLOW_WRITE:
		return add_paths(program, value, &options->write_all, options->write_paths,
				 &options->write_count, err);
	case MF_OPT_OUTPUT:
		return mf_parse_size("output", value, &options->output_bytes, err);
	case MF_OPT_TRACE:
		options->trace = true;
		return 0;
	default:
		return 1;
	}
}

int mf_cli_fail(const char *verb, const struct mf_error *err)
{
	mf_output_say(MF_CLI_PATIENCE_MS, "mayfly %s: %s\n", verb,
		      err->text[0] ? err->text : "failed");
	return MF_STATUS_FAILED;
}

int mf_cli_bad_option(const char *verb, int option, char **argv, struct mf_error *err)
{
	char one[3] = {'-', (char)optopt, 0};
	/* A letter may stand in the middle of a word; long options have numbers above those of
	 * letters. */
	const char *name = optopt > ' ' && optopt < 0x7f ? one : argv[optind - 1];

	if (option == ':')
		return mf_error_set(err, -EINVAL, "%s needs a value; see mayfly %s --help", name,
				    verb);
	return mf_error_set(err, -EINVAL, "unknown option %s; see mayfly %s --help", name, verb);
}
