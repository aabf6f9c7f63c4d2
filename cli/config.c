/* SPDX-License-Identifier: MIT */
/* mayfly config: is a configuration file good, and what holds with it. */
#include "cli/options.h"
#include "cli/verbs.h"
#include "config/file.h"
#include "measure/record.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#define STATUS_BAD 1

/* Which settings are printed, and how. */
struct show {
	const struct mf_settings *settings;
	bool json;
	bool first; /* nothing was printed on this level yet */
};

static void text_in_quotes(const char *text, FILE *out)
{
	fputc('"', out);
	for (; *text; text++)
		if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			fprintf(out, "\\x%02x", (unsigned char)*text);
		else
			fputc(*text, out);
	fputc('"', out);
}

static void print_value(const struct show *show, const char *text)
{
	if (!text)
		fputs("true", stdout);
	else if (show->json)
		mf_json_text(stdout, text);
	else
		text_in_quotes(text, stdout);
}

/* All settings of one option. */
static void print_values(const struct show *show, const struct mf_option *option)
{
	bool more = false;
	size_t i;

	if (option->list)
		putchar('[');
	for (i = 0; i < show->settings->count; i++) {
		const struct mf_setting *setting = &show->settings->settings[i];

		if (setting->option != option)
			continue;
		if (more)
			fputs(", ", stdout);
		print_value(show, setting->text);
		more = true;
	}
	if (option->list)
		putchar(']');
}

static void print_json(struct show *show, const struct mf_option *option,
		       const struct mf_setting *setting)
{
	printf("%s", show->first ? "" : ", ");
	mf_json_text(stdout, option->name);
	fputs(": {\"value\": ", stdout);
	if (setting)
		print_values(show, option);
	else if (option->initial)
		mf_json_text(stdout, option->initial);
	else
		fputs(option->value ? "null" : "false", stdout);
	fputs(", \"from\": ", stdout);
	if (setting) {
		fputs("{\"file\": ", stdout);
		mf_json_text(stdout, setting->file);
		printf(", \"line\": %u}}", setting->line);
	} else {
		fputs("\"default\"}", stdout);
	}
}

/* As it would stand in a file; what is only told stands behind a #. */
static void print_line(const struct show *show, const struct mf_option *option,
		       const struct mf_setting *setting, int indent)
{
	bool told = setting || option->initial || !option->value;

	printf("%*s%s%s = ", indent, "", told ? "" : "# ", option->name);
	if (setting)
		print_values(show, option);
	else if (option->initial)
		text_in_quotes(option->initial, stdout);
	else
		fputs(option->value ? "..." : "false", stdout);
	if (setting)
		printf("  # %s:%u\n", setting->file, setting->line);
	else
		printf("  # %s: %s\n", told ? "default" : "not set", option->help);
}

static void print_settings(struct show *show, unsigned int place, int indent)
{
	const struct mf_option *option;

	for (option = mf_options; option->name; option++) {
		const struct mf_setting *setting;

		if (!(option->places & place))
			continue;
		setting = mf_settings_find(show->settings, option);
		if (show->json)
			print_json(show, option, setting);
		else
			print_line(show, option, setting, indent);
		show->first = false;
	}
}

static void show_tenants(const struct mf_config *config, bool json)
{
	size_t i;

	printf(json ? ", \"tenants\": {" : "tenants = {\n");
	for (i = 0; i < config->tenant_count; i++) {
		const struct mf_config_tenant *tenant = &config->tenants[i];
		struct show show = {&tenant->settings, json, true};

		if (json)
			printf("%s\"%s\": {", i ? ", " : "", tenant->name);
		else
			printf("  %s = {  # %s:%u\n", tenant->name, config->path, tenant->line);
		print_settings(&show, MF_IN_TENANT, 4);
		printf(json ? "}" : "  };\n");
	}
	printf(json ? "}" : "};\n");
}

static void show_all(const struct mf_config *config, bool json)
{
	static const struct mf_settings none;
	struct show show = {config ? &config->settings : &none, json, true};

	if (json)
		putchar('{');
	print_settings(&show, MF_IN_FILE, 0);
	if (config) {
		show_tenants(config, json);
	} else {
		show.first = true;
		printf(json ? ", \"tenant\": {" : "# of each tenant:\n");
		print_settings(&show, MF_IN_TENANT, 0);
		if (json)
			putchar('}');
	}
	if (json)
		puts("}");
}

static int check_words(int argc, char **argv, struct mf_error *err)
{
	const char *word = optind < argc ? argv[optind] : NULL;
	int files = argc - optind - 1;

	if (!word)
		return mf_error_set(err, -1, "check or show is missing; see mayfly config --help");
	if (strcmp(word, "check") && strcmp(word, "show"))
		return mf_error_set(err, -1, "there is no word %s; there are check and show", word);
	if (*word == 'c' && files != 1)
		return mf_error_set(err, -1, "%s; write mayfly config check FILE",
				    files ? "one file at a time" : "no file given");
	if (files > 1)
		return mf_error_set(err, -1, "one file at a time; write mayfly config show FILE");
	return 0;
}

static int fail_with(const struct mf_error *err, int code)
{
	mf_cli_fail("config", err);
	return code == -EINVAL ? STATUS_BAD : MF_STATUS_FAILED;
}

static int check_or_show(const struct mf_values *values, int argc, char **argv,
			 struct mf_error *err)
{
	bool check = *argv[optind] == 'c';
	struct mf_config *config = NULL;
	int ret = 0;

	if (optind + 1 < argc)
		ret = mf_config_load(&config, argv[optind + 1], err);
	if (ret)
		return fail_with(err, ret);
	if (check)
		printf("%s is good: %zu tenants\n", config->path, config->tenant_count);
	else
		show_all(config, values->config_json);
	mf_config_put(config);
	return fflush(stdout) || ferror(stdout) ? MF_STATUS_FAILED : 0;
}

int mf_verb_config(int argc, char **argv)
{
	const struct mf_verb *verb = mf_verb_find("config");
	struct mf_values values;
	struct mf_error err = {0};
	int status;

	if (mf_values_init(&values, verb->place, &err) ||
	    mf_parse_flags(verb, argc, argv, &values, &err)) {
		status = mf_cli_fail("config", &err);
	} else if (values.help) {
		mf_print_help(verb, stdout);
		status = 0;
	} else if (check_words(argc, argv, &err)) {
		status = mf_cli_fail("config", &err);
	} else {
		status = check_or_show(&values, argc, argv, &err);
	}
	mf_values_finish(&values);
	return status;
}
