/* SPDX-License-Identifier: MIT */
#include "measure/read.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Where a sentence is about. */
struct reader {
	const char *path;
	size_t line;
	struct mf_error *err;
};

static int __attribute__((format(printf, 2, 3)))
wrong(const struct reader *reader, const char *format, ...)
{
	char why[256];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	return mf_error_set(reader->err, -EINVAL, "%s:%zu: %s", reader->path, reader->line, why);
}

/* ---- members ---- */

/* An object with these members, `may` (or NULL) and no others. */
static int check_members(const struct reader *reader, const json_t *object, const char *what,
			 const char *const *names, const char *may)
{
	size_t count = 0;

	if (!json_is_object(object))
		return wrong(reader, "%s is no object", what);
	for (; *names; names++, count++)
		if (!json_object_get(object, *names))
			return wrong(reader, "%s has no \"%s\"", what, *names);
	if (may && json_object_get(object, may))
		count++;
	if (json_object_size(object) != count)
		return wrong(reader, "%s has a member that version %d does not know", what,
			     MF_RECORD_VERSION);
	return 0;
}

static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

static int take_text(const struct reader *reader, const json_t *object, const char *name, char *to,
		     size_t room)
{
	const json_t *value = json_object_get(object, name);
	size_t length = json_is_string(value) ? json_string_length(value) : 0;

	if (!length || length >= room || !is_plain(json_string_value(value)))
		return wrong(reader, "\"%s\" is no text of 1 to %zu printable bytes", name,
			     room - 1);
	memcpy(to, json_string_value(value), length + 1);
	return 0;
}

static int check_number(const struct reader *reader, const json_t *value, const char *name,
			double least, double *to)
{
	if (!json_is_number(value) || !isfinite(json_number_value(value)) ||
	    json_number_value(value) < least)
		return wrong(reader, "\"%.64s\" is no number from %g on", name, least);
	*to = json_number_value(value);
	return 0;
}

static int take_number(const struct reader *reader, const json_t *object, const char *name,
		       double least, double *to)
{
	return check_number(reader, json_object_get(object, name), name, least, to);
}

static int check_integer(const struct reader *reader, const json_t *value, const char *name,
			 int64_t least, uint64_t most, int64_t *to)
{
	if (!json_is_integer(value) || json_integer_value(value) < least ||
	    (json_integer_value(value) > 0 && (uint64_t)json_integer_value(value) > most))
		return wrong(reader, "\"%s\" is no whole number from %lld to %llu", name,
			     (long long)least, (unsigned long long)most);
	*to = json_integer_value(value);
	return 0;
}

static int take_integer(const struct reader *reader, const json_t *object, const char *name,
			int64_t least, uint64_t most, int64_t *to)
{
	return check_integer(reader, json_object_get(object, name), name, least, most, to);
}

static int take_bool(const struct reader *reader, const json_t *object, const char *name, bool *to)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_boolean(value))
		return wrong(reader, "\"%s\" is neither true nor false", name);
	*to = json_is_true(value);
	return 0;
}

/* ---- the first line ---- */

static int read_machine(const struct reader *reader, const json_t *object,
			struct mf_results *results)
{
	static const char *const names[] = {
		"cpu",  "architecture", "kernel", "kvm",      "virtualisation", "governor", "clock",
		"cpus", "memory_gib",   "load",   "emulated", "scaled_down",    NULL};
	struct mf_machine *to = &results->machine;
	const struct {
		const char *name;
		char *to;
		size_t room;
	} texts[] = {{"cpu", to->cpu, sizeof(to->cpu)},
		     {"architecture", to->architecture, sizeof(to->architecture)},
		     {"kernel", to->kernel, sizeof(to->kernel)},
		     {"kvm", to->kvm, sizeof(to->kvm)},
		     {"virtualisation", to->virtualisation, sizeof(to->virtualisation)},
		     {"governor", to->governor, sizeof(to->governor)},
		     {"clock", to->clock, sizeof(to->clock)}};
	int64_t cpus = 0;
	int ret = check_members(reader, object, "\"machine\"", names, NULL);
	size_t i;

	for (i = 0; !ret && i < sizeof(texts) / sizeof(texts[0]); i++)
		ret = take_text(reader, object, texts[i].name, texts[i].to, texts[i].room);
	if (!ret)
		ret = take_integer(reader, object, "cpus", 1, 1u << 20, &cpus);
	to->cpus = (long)cpus;
	if (!ret)
		ret = take_number(reader, object, "memory_gib", 0, &to->memory_gib);
	if (!ret)
		ret = take_number(reader, object, "load", -1, &to->load);
	if (!ret)
		ret = take_bool(reader, object, "emulated", &to->emulated);
	return ret ? ret : take_bool(reader, object, "scaled_down", &results->scaled_down);
}

/* What it is, before what is in it: another version may have other members. */
static int check_format(const struct reader *reader, const json_t *root)
{
	const json_t *format = json_object_get(root, "format");
	const json_t *version = json_object_get(root, "version");

	if (!json_is_string(format) || strcmp(json_string_value(format), MF_RECORD_FORMAT))
		return wrong(reader, "these are no results of mayfly bench or ./dev bench");
	if (!json_is_integer(version))
		return wrong(reader, "\"version\" is no whole number");
	if (json_integer_value(version) != MF_RECORD_VERSION)
		return wrong(reader,
			     "the format's version is %lld, this program knows %d alone: measure "
			     "both with the same version",
			     (long long)json_integer_value(version), MF_RECORD_VERSION);
	return 0;
}

static int read_head(const struct reader *reader, const json_t *root, struct mf_results *results)
{
	static const char *const names[] = {"format",  "version", "made", "revision",
					    "command", "machine", NULL};
	char command[4096];
	int ret = check_format(reader, root);

	if (!ret)
		ret = check_members(reader, root, "the first line", names, NULL);
	if (!ret)
		ret = take_text(reader, root, "made", results->made, sizeof(results->made));
	if (!ret)
		ret = take_text(reader, root, "revision", results->revision,
				sizeof(results->revision));
	if (!ret)
		ret = take_text(reader, root, "command", command, sizeof(command));
	return ret ? ret : read_machine(reader, json_object_get(root, "machine"), results);
}

/* ---- samples ---- */

static int read_bin(const struct reader *reader, const json_t *pair, struct mf_bin *bin)
{
	int64_t count = 0;
	int ret;

	if (json_array_size(pair) != 2) /* 0 for what is no array */
		return wrong(reader, "a pair of \"samples\" is no array of two");
	ret = check_number(reader, json_array_get(pair, 0), "samples", 0, &bin->value);
	if (!ret)
		ret = check_integer(reader, json_array_get(pair, 1), "samples", 1,
				    MF_RESULTS_SAMPLES_MAX, &count);
	bin->count = (uint64_t)count;
	return ret;
}

static int read_block(const struct reader *reader, const json_t *block, struct mf_figures *figures,
		      uint32_t number)
{
	size_t count = json_array_size(block);
	struct mf_bin *bins;
	uint64_t sum = 0;
	size_t i;
	int ret = 0;

	if (!count)
		return wrong(reader, "a block of \"samples\" is no array, or empty");
	bins = realloc(figures->bins, (figures->bin_count + count) * sizeof(*bins));
	if (!bins)
		return mf_error_set(reader->err, -ENOMEM, "not enough memory");
	figures->bins = bins;
	bins += figures->bin_count;
	for (i = 0; i < count && !ret; i++) {
		ret = read_bin(reader, json_array_get(block, i), &bins[i]);
		bins[i].block = number;
		if (!ret && i && bins[i].value <= bins[i - 1].value)
			ret = wrong(reader, "a block of \"samples\" does not ascend");
		if (!ret)
			sum += bins[i].count;
	}
	if (ret)
		return ret;
	figures->bin_count += count;
	if (sum !=
	    figures->n * (number + 1) / figures->blocks - figures->n * number / figures->blocks)
		return wrong(
			reader,
			"block %u of \"samples\" has %llu of them, which is not its part of %llu",
			number + 1, (unsigned long long)sum, (unsigned long long)figures->n);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	const struct mf_bin *x = a;
	const struct mf_bin *y = b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return (x->block > y->block) - (x->block < y->block);
}

static int read_samples(const struct reader *reader, const json_t *samples,
			struct mf_figures *figures)
{
	static const char *const names[] = {"digits", "blocks", NULL};
	const json_t *blocks = json_object_get(samples, "blocks");
	int64_t digits;
	uint32_t i;
	int ret = check_members(reader, samples, "\"samples\"", names, NULL);

	if (!ret)
		ret = take_integer(reader, samples, "digits", 1, 4, &digits);
	if (ret)
		return ret;
	figures->blocks = figures->n >= MF_RECORD_BLOCKS * 10 ? MF_RECORD_BLOCKS : 1;
	if (json_array_size(blocks) != figures->blocks)
		return wrong(reader, "\"samples\" has not its %u blocks", figures->blocks);
	for (i = 0; i < figures->blocks && !ret; i++)
		ret = read_block(reader, json_array_get(blocks, i), figures, i);
	if (!ret && figures->bin_count > MF_RECORD_PAIRS)
		ret = wrong(reader, "\"samples\" has more than %u pairs", MF_RECORD_PAIRS);
	if (!ret)
		qsort(figures->bins, figures->bin_count, sizeof(*figures->bins), by_value);
	return ret;
}

static int check_few(const struct reader *reader, const json_t *few, uint64_t n)
{
	size_t at = 0;
	size_t i;

	if (!json_is_array(few))
		return wrong(reader, "\"few\" is no array");
	for (i = 0; i < MF_PERCENTILES; i++) {
		const char *name = json_string_value(json_array_get(few, at));
		bool told = name && !strcmp(name, mf_percentiles[i].name);

		if (told == mf_percentile_is_sure(n, mf_percentiles[i].fraction))
			return wrong(reader, "\"few\" is not what %llu samples make of %s",
				     (unsigned long long)n, mf_percentiles[i].name);
		at += told;
	}
	return at == json_array_size(few) ? 0 : wrong(reader, "\"few\" names more than there is");
}

static int read_percentiles(const struct reader *reader, const json_t *object,
			    struct mf_figures *figures)
{
	double before = 0;
	size_t i;
	int ret = 0;

	for (i = 0; i <= MF_PERCENTILES && !ret; i++) {
		const char *name = i < MF_PERCENTILES ? mf_percentiles[i].name : "max";
		double *to = i < MF_PERCENTILES ? &figures->percentiles[i] : &figures->max;

		ret = take_number(reader, object, name, 0, to);
		if (!ret && *to < before)
			ret = wrong(reader, "\"%s\" is less than the percentile before", name);
		before = *to;
	}
	return ret;
}

static int read_figures(const struct reader *reader, const json_t *object,
			struct mf_figures *figures)
{
	int64_t n;
	int ret = take_integer(reader, object, "n", 1, MF_RESULTS_SAMPLES_MAX, &n);

	if (ret)
		return ret;
	figures->n = (uint64_t)n;
	ret = read_percentiles(reader, object, figures);
	if (!ret)
		ret = check_few(reader, json_object_get(object, "few"), figures->n);
	return ret ? ret : read_samples(reader, json_object_get(object, "samples"), figures);
}

/* ---- a case ---- */

#define FIGURES "n", "p50", "p90", "p99", "p999", "p9999", "max", "few", "samples"

static int read_yardstick(const struct reader *reader, const json_t *object, struct mf_result *to)
{
	static const char *const names[] = {"name", FIGURES, NULL};
	struct mf_figures figures = {0};
	int ret;

	if (!object)
		return 0;
	ret = check_members(reader, object, "\"yardstick\"", names, NULL);
	if (!ret)
		ret = take_text(reader, object, "name", to->yardstick, sizeof(to->yardstick));
	if (!ret)
		ret = read_figures(reader, object, &figures);
	to->yardstick_p50 = figures.percentiles[0];
	free(figures.bins);
	return ret;
}

static int read_counts(const struct reader *reader, json_t *object, struct mf_result *to)
{
	size_t count = json_object_size(object);
	const char *name;
	json_t *value;

	if (!json_is_object(object) || count > MF_RESULTS_COUNTS_MAX)
		return wrong(reader, "\"counts\" is no object of at most %u members",
			     MF_RESULTS_COUNTS_MAX);
	to->counts = calloc(count + 1, sizeof(*to->counts));
	if (!to->counts)
		return mf_error_set(reader->err, -ENOMEM, "not enough memory");
	json_object_foreach(object, name, value)
	{
		int ret = check_number(reader, value, "counts", -HUGE_VAL,
				       &to->counts[to->count_count].value);

		if (ret)
			return ret;
		if (!*name || strlen(name) > MF_RESULTS_NAME_MAX || !is_plain(name))
			return wrong(reader, "a name in \"counts\" is no text");
		strcpy(to->counts[to->count_count++].name, name);
	}
	return 0;
}

static int read_case(const struct reader *reader, json_t *root, struct mf_result *to)
{
	static const char *const names[] = {"case",  "unit",   "cpu", "warmup",
					    FIGURES, "counts", NULL};
	int64_t number;
	int ret = check_members(reader, root, "a case", names, "yardstick");

	if (!ret)
		ret = take_text(reader, root, "case", to->name, sizeof(to->name));
	if (!ret)
		ret = take_text(reader, root, "unit", to->unit, sizeof(to->unit));
	if (!ret && strcmp(to->unit, "ns") && strcmp(to->unit, "bytes") &&
	    strcmp(to->unit, "ratio"))
		ret = wrong(reader, "there is no unit %s", to->unit);
	if (!ret)
		ret = take_integer(reader, root, "cpu", -1, 1u << 20, &number);
	if (!ret)
		ret = take_integer(reader, root, "warmup", 0, MF_RESULTS_SAMPLES_MAX, &number);
	if (!ret)
		ret = read_figures(reader, root, &to->figures);
	if (!ret)
		ret = read_yardstick(reader, json_object_get(root, "yardstick"), to);
	return ret ? ret : read_counts(reader, json_object_get(root, "counts"), to);
}

static void finish_case(struct mf_result *result)
{
	free(result->figures.bins);
	free(result->counts);
}

static int add_case(const struct reader *reader, json_t *root, struct mf_results *results)
{
	struct mf_result *cases;
	struct mf_result *to;
	int ret;

	if (results->case_count == MF_RESULTS_CASES_MAX)
		return wrong(reader, "there are more than %u cases", MF_RESULTS_CASES_MAX);
	cases = realloc(results->cases, (results->case_count + 1) * sizeof(*cases));
	if (!cases)
		return mf_error_set(reader->err, -ENOMEM, "not enough memory");
	results->cases = cases;
	to = &cases[results->case_count];
	memset(to, 0, sizeof(*to));
	ret = read_case(reader, root, to);
	if (!ret && mf_results_find(results, to->name))
		ret = wrong(reader, "the case %s is there twice", to->name);
	if (ret)
		finish_case(to);
	else
		results->case_count++;
	return ret;
}

/* ---- the file ---- */

static int read_end(const struct reader *reader, const json_t *root, struct mf_results *results)
{
	static const char *const names[] = {"end", NULL};
	const char *text = json_string_value(json_object_get(root, "end"));
	int ret = check_members(reader, root, "the last line", names, NULL);

	if (ret)
		return ret;
	if (!text || (strcmp(text, "complete") && strcmp(text, "interrupted")))
		return wrong(reader, "\"end\" is neither \"complete\" nor \"interrupted\"");
	results->interrupted = !strcmp(text, "interrupted");
	return 0;
}

static int read_line(const struct reader *reader, const char *text, size_t bytes,
		     struct mf_results *results, bool *ended)
{
	json_error_t error;
	json_t *root;
	int ret;

	if (*ended)
		return wrong(reader, "there is more behind the last line");
	if (bytes > MF_RESULTS_LINE_MAX_BYTES)
		return wrong(reader, "the line has more than %u bytes", MF_RESULTS_LINE_MAX_BYTES);
	root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return wrong(reader, "no JSON: %s", error.text);
	*ended = json_object_get(root, "end");
	if (reader->line == 1)
		ret = read_head(reader, root, results);
	else if (*ended)
		ret = read_end(reader, root, results);
	else
		ret = add_case(reader, root, results);
	json_decref(root);
	return ret;
}

static int read_lines(struct reader *reader, const char *text, size_t bytes,
		      struct mf_results *results)
{
	bool ended = false;
	int ret = 0;

	while (bytes && !ret) {
		const char *end = memchr(text, '\n', bytes);
		size_t length = end ? (size_t)(end - text) : bytes;

		reader->line++;
		if (!end)
			return wrong(reader, "the line has no end: the file was cut off");
		ret = read_line(reader, text, length, results, &ended);
		text += length + 1;
		bytes -= length + 1;
	}
	if (!ret && !reader->line)
		ret = mf_error_set(reader->err, -EINVAL, "%s: it is empty", reader->path);
	if (!ret && !ended)
		ret = wrong(reader, "the last line is missing: the file was cut off");
	return ret;
}

static char *slurp(const char *path, size_t *bytes, struct mf_error *err)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;

	*bytes = 0;
	while (file && !ferror(file) && !feof(file) && *bytes <= MF_RESULTS_FILE_MAX_BYTES) {
		if (room - *bytes < 65536) {
			char *more = realloc(text, room = room * 2 + 131072);

			if (!more)
				break;
			text = more;
		}
		*bytes += fread(text + *bytes, 1, 65536, file);
	}
	if (file && feof(file) && !ferror(file)) {
		fclose(file);
		return text;
	}
	mf_error_set(err, -EIO,
		     *bytes > MF_RESULTS_FILE_MAX_BYTES ? "%s: it has more than 64 MiB%s"
							: "%s: it cannot be read: %s",
		     path, *bytes > MF_RESULTS_FILE_MAX_BYTES ? "" : strerror(errno));
	if (file)
		fclose(file);
	free(text);
	return NULL;
}

int mf_results_read(struct mf_results *results, const char *path, struct mf_error *err)
{
	struct reader reader = {.path = path, .err = err};
	size_t bytes;
	char *text;
	int ret;

	memset(results, 0, sizeof(*results));
	text = slurp(path, &bytes, err);
	if (!text)
		return -EIO;
	ret = read_lines(&reader, text, bytes, results);
	free(text);
	return ret;
}

void mf_results_finish(struct mf_results *results)
{
	while (results->case_count)
		finish_case(&results->cases[--results->case_count]);
	free(results->cases);
	results->cases = NULL;
}

const struct mf_result *mf_results_find(const struct mf_results *results, const char *name)
{
	size_t i;

	for (i = 0; i < results->case_count; i++)
		if (!strcmp(results->cases[i].name, name))
			return &results->cases[i];
	return NULL;
}
