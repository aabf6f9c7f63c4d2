/* SPDX-License-Identifier: MIT */
#include "config/parse.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#define LIST_MAX    96
#define LETTERS_MAX 32
#define ROW_NUMBER  1000 /* what getopt_long() returns for the first row; letters are below */

/* For getopt_long(). */
struct list {
	struct option options[LIST_MAX];
	char letters[LETTERS_MAX];
};

static int kind_of(const struct mf_option *option)
{
	if (!option->value)
		return no_argument;
	return mf_option_may_miss(option) ? optional_argument : required_argument;
}

static void make_list(const struct mf_verb *verb, struct list *list)
{
	size_t count = 0;
	size_t letters = 0;
	size_t i;

	memset(list, 0, sizeof(*list));
	if (!verb->anywhere)
		list->letters[letters++] = '+';
	list->letters[letters++] = ':';
	for (i = 0; mf_options[i].name && count + 1 < LIST_MAX; i++) {
		const struct mf_option *option = &mf_options[i];

		if (!(option->places & verb->place))
			continue;
		list->options[count++] =
			(struct option){option->name, kind_of(option), NULL, ROW_NUMBER + (int)i};
		if (option->letter && letters + 3 < LETTERS_MAX) {
			list->letters[letters++] = option->letter;
			if (option->value)
				list->letters[letters++] = ':';
		}
	}
}

static const struct mf_option *option_of(const struct mf_verb *verb, int code)
{
	const struct mf_option *option;

	if (code >= ROW_NUMBER)
		return &mf_options[code - ROW_NUMBER];
	for (option = mf_options; option->name; option++)
		if ((option->places & verb->place) && option->letter == code)
			return option;
	return NULL;
}

/* What getopt_long() did not understand (its '?' and ':'), as a sentence. */
static int misunderstood(const struct mf_verb *verb, int code, char **argv, struct mf_error *err)
{
	char one[3] = {'-', (char)optopt, 0};
	/* A letter may stand in the middle of a word; long options have numbers above those of
	 * letters. */
	const char *name = optopt > ' ' && optopt < 0x7f ? one : argv[optind - 1];
	const char *program = verb->place == MF_IN_DAEMON ? "" : "mayfly ";
	const char *like;

	if (code == ':')
		return mf_error_set(err, -EINVAL, "%s needs a value; see %s%s --help", name,
				    program, verb->name);
	like = !strncmp(name, "--", 2) ? mf_option_suggest(name + 2, verb->place) : NULL;
	if (like)
		return mf_error_set(err, -EINVAL,
				    "unknown option %s; did you mean --%s? See %s%s --help", name,
				    like, program, verb->name);
	return mf_error_set(err, -EINVAL, "unknown option %s; see %s%s --help", name, program,
			    verb->name);
}

/* Given by a person, not by default: a program that is started can heed it. */
static void note_start(struct mf_values *values, const struct mf_option *option)
{
	if (!option->fixed || values->program.start_option)
		return;
	values->program.start_option = option->name;
	values->program.start_option_why = option->fixed;
}

int mf_parse_flags(const struct mf_verb *verb, int argc, char **argv, struct mf_values *values,
		   struct mf_error *err)
{
	struct list list;
	int ret = 0;
	int code;

	make_list(verb, &list);
	while (!ret && !values->help &&
	       (code = getopt_long(argc, argv, list.letters, list.options, NULL)) != -1) {
		const struct mf_option *option =
			code == ':' || code == '?' ? NULL : option_of(verb, code);

		if (option)
			note_start(values, option);
		if (option)
			ret = option->take(values, option, optarg, err);
		else
			ret = misunderstood(verb, code, argv, err);
	}
	return ret;
}

static void print_options(unsigned int place, FILE *out)
{
	const struct mf_option *option;

	for (option = mf_options; option->name; option++) {
		char letter[] = {'-', option->letter, ',', ' ', 0};
		const char *between = option->value && !mf_option_may_miss(option) ? " " : "";
		int used;

		if (!(option->places & place) || (option->places & MF_UNLISTED))
			continue;
		used = fprintf(out, "  %s--%s%s%s", option->letter ? letter : "", option->name,
			       between, option->value ? option->value : "");
		if (used > 24)
			used = fprintf(out, "\n") - 1;
		fprintf(out, "%*s%s", 25 - used, "", option->help);
		if (option->initial)
			fprintf(out, " (%s)", option->initial);
		fputc('\n', out);
	}
}

void mf_print_help(const struct mf_verb *verb, FILE *out)
{
	fprintf(out, "usage: %s\n\n%s\n", verb->usage, verb->intro);
	print_options(verb->place, out);
	if (verb->outro)
		fprintf(out, "\n%s", verb->outro);
}
