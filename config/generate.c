/* SPDX-License-Identifier: MIT */
/*
 * Writes what is made of the table of options: a manual page from its template, or bash's
 * completion. Run by the build.
 *
 *   generate man TEMPLATE     lines "@OPTIONS VERB@" become that verb's options
 *   generate completion
 */
#include "config/parse.h"

#include <stdlib.h>
#include <string.h>

/* As roff wants it. */
static void put_text(const char *text)
{
	for (; *text; text++)
		if (*text == '-')
			fputs("\\-", stdout);
		else if (*text == '\\')
			fputs("\\e", stdout);
		else
			putchar(*text);
}

static void put_name(const struct mf_option *option, bool flags)
{
	fputs(".TP\n\\fB", stdout);
	if (option->letter)
		printf("\\-%c\\fR, \\fB", option->letter);
	if (flags)
		fputs("\\-\\-", stdout);
	put_text(option->name);
	fputs("\\fR", stdout);
	if (option->value) {
		fputs(!flags ? " = \\fI" : mf_option_may_miss(option) ? "\\fI" : " \\fI", stdout);
		put_text(option->value);
		fputs("\\fR", stdout);
	}
	putchar('\n');
}

static void put_option(const struct mf_option *option, bool flags)
{
	put_name(option, flags);
	if (option->help[0] >= 'a' && option->help[0] <= 'z') {
		putchar(option->help[0] - 'a' + 'A');
		put_text(option->help + 1);
	} else {
		put_text(option->help);
	}
	if (option->initial) {
		fputs(" (", stdout);
		put_text(option->initial);
		putchar(')');
	}
	puts(".");
	if (option->more) {
		put_text(option->more);
		putchar('\n');
	}
}

/* Those that stand in all of these places, and in none of the others. */
static void put_options(unsigned int all, unsigned int but)
{
	const struct mf_option *option;

	for (option = mf_options; option->name; option++)
		if ((option->places & all) == all && !(option->places & (but | MF_UNLISTED)))
			put_option(option, !(all & (MF_IN_FILE | MF_IN_TENANT)));
}

/* What a template names, and which rows that are. */
static const struct {
	const char *name;
	unsigned int all;
	unsigned int but;
} groups[] = {
	{"programs", MF_IN_RUN | MF_IN_SERVE, MF_IN_CTL},
	{"run", MF_IN_RUN, MF_IN_SERVE},
	{"serve", MF_IN_SERVE, MF_IN_RUN},
	{"image", MF_IN_IMAGE, MF_IN_RUN},
	{"ctl", MF_IN_CTL, MF_IN_RUN},
	{"stat", MF_IN_STAT, MF_IN_RUN},
	{"top", MF_IN_TOP, MF_IN_RUN},
	{"config", MF_IN_CONFIG, MF_IN_RUN},
	{"doctor", MF_IN_DOCTOR, MF_IN_RUN},
	{"benchhost", MF_IN_BENCH_HOST, MF_IN_RUN},
	{"benchcompare", MF_IN_BENCH_COMPARE, MF_IN_RUN},
	{"store", MF_IN_STORE, MF_IN_RUN},
	{"daemon", MF_IN_DAEMON, MF_IN_RUN},
	{"file", MF_IN_FILE, 0},
	{"tenant", MF_IN_TENANT, MF_IN_SERVE},
};

static bool put_group(const char *line)
{
	char name[32];
	size_t i;

	if (sscanf(line, "@OPTIONS %31[a-z]@", name) != 1)
		return false;
	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (!strcmp(groups[i].name, name)) {
			put_options(groups[i].all, groups[i].but);
			return true;
		}
	fprintf(stderr, "generate: no such options: %s", line);
	exit(1);
}

static int write_man(const char *path)
{
	FILE *template = fopen(path, "r");
	char line[4096];

	if (!template) {
		perror(path);
		return 1;
	}
	while (fgets(line, sizeof(line), template))
		if (!put_group(line))
			fputs(line, stdout);
	fclose(template);
	return 0;
}

static void put_flags(unsigned int place)
{
	const struct mf_option *option;

	for (option = mf_options; option->name; option++)
		if ((option->places & place) && !(option->places & MF_UNLISTED))
			printf(" --%s%s", option->name, mf_option_may_miss(option) ? "=" : "");
}

/* Words of options that take one of a few. */
static void put_choices(unsigned int place)
{
	const struct mf_option *option;
	size_t i;

	for (option = mf_options; option->name; option++) {
		if (!(option->places & place) || !option->words)
			continue;
		printf("\t\t--%s) words='", option->name);
		for (i = 0; option->words[i]; i++)
			printf("%s%s", i ? " " : "", option->words[i]);
		puts("' ;;");
	}
}

static bool same_first_word(const struct mf_verb *a, const struct mf_verb *b)
{
	size_t length = strcspn(a->name, " ");

	return strcspn(b->name, " ") == length && !strncmp(a->name, b->name, length);
}

static void write_completion(void)
{
	const struct mf_verb *verb;

	puts("# SPDX-License-Identifier: MIT\n"
	     "# Completion of mayfly and mayflyd for bash; made from the table of options.\n"
	     "_mayfly() {\n"
	     "\tlocal current=$2 before=$3 verb=${COMP_WORDS[1]} words= flags= i\n"
	     "\tCOMPREPLY=()\n"
	     "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	     "\t\t[ \"${COMP_WORDS[i]}\" != -- ] || return 0\n"
	     "\tdone\n"
	     "\t[ \"${1##*/}\" != mayflyd ] || verb=mayflyd\n"
	     "\tcase $before in");
	put_choices(~0u);
	puts("\t*)\n"
	     "\t\tcase $verb in");
	for (verb = mf_verb_texts; verb->name; verb++) {
		printf("\t\t%.*s) words='%s' flags='", (int)strcspn(verb->name, " "), verb->name,
		       verb->words ? verb->words : "");
		put_flags(verb->place);
		/* Another one of the same first word. */
		while (verb[1].name && same_first_word(verb, verb + 1))
			put_flags((++verb)->place);
		puts("' ;;");
	}
	puts("\t\tesac\n"
	     "\t\tif [ $COMP_CWORD = 1 ] && [ \"$verb\" != mayflyd ]; then\n"
	     "\t\t\twords='run serve image ctl store stat config doctor bench --help --version'\n"
	     "\t\telif [[ $current == -* ]]; then\n"
	     "\t\t\twords=$flags\n"
	     "\t\tfi ;;\n"
	     "\tesac\n"
	     "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
	     "\t[[ ${COMPREPLY[*]} != *= ]] || compopt -o nospace\n"
	     "}\n"
	     "complete -o default -F _mayfly mayfly mayflyd");
}

int main(int argc, char **argv)
{
	int status = 0;

	if (argc == 3 && !strcmp(argv[1], "man")) {
		status = write_man(argv[2]);
	} else if (argc == 2 && !strcmp(argv[1], "completion")) {
		write_completion();
	} else {
		fputs("usage: generate man TEMPLATE | completion\n", stderr);
		return 1;
	}
	return fflush(stdout) || status;
}
