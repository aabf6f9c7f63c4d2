/* SPDX-License-Identifier: MIT */
/* mayfly bench compare A B: is B better? */
#include "cli/options.h"
#include "cli/verbs.h"
#include "measure/compare.h"
#include "measure/record.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define STATUS_WORSE 1
#define NOTES_MAX    8u
#define BUSY_LOAD    0.5 /* for each processor */

/* What is told of a case. */
static const struct {
	const char *name;
	double fraction;
} told[] = {{"p50", 0.5}, {"p99", 0.99}};

#define TOLD (sizeof(told) / sizeof(told[0]))

struct comparison {
	const struct mf_bench_values *options;
	const char *paths[2];
	struct mf_results a;
	struct mf_results b;
	char notes[NOTES_MAX][256];
	size_t note_count;
	unsigned int verdicts[MF_VERDICT_OPEN + 1]; /* how many of each */
};

/* ---- what to think of when one reads it ---- */

static void __attribute__((format(printf, 2, 3)))
note(struct comparison *self, const char *format, ...)
{
	va_list args;

	if (self->note_count == NOTES_MAX)
		return;
	va_start(args, format);
	vsnprintf(self->notes[self->note_count++], sizeof(self->notes[0]), format, args);
	va_end(args);
}

static void note_other(struct comparison *self, const char *what, const char *a, const char *b)
{
	if (strcmp(a, b))
		note(self, "%s is another: %.80s in A, %.80s in B", what, a, b);
}

static void note_run(struct comparison *self, const char *name, const struct mf_results *run)
{
	if (run->machine.load > BUSY_LOAD * (double)run->machine.cpus)
		note(self, "%s was measured under load (%.2f): its tails tell of the others", name,
		     run->machine.load);
	if (run->interrupted)
		note(self, "%s was interrupted: it has not all cases", name);
}

static void take_notes(struct comparison *self)
{
	const struct mf_machine *a = &self->a.machine;
	const struct mf_machine *b = &self->b.machine;

	if (a->emulated)
		note(self, "emulated: counts are exact, times mean nothing and are not judged");
	note_other(self, "the kernel", a->kernel, b->kernel);
	note_other(self, "the governor", a->governor, b->governor);
	note_other(self, "the clock", a->clock, b->clock);
	note_run(self, "A", &self->a);
	note_run(self, "B", &self->b);
}

/* ---- a case ---- */

static void compare_case(struct comparison *self, const struct mf_result *a,
			 const struct mf_result *b, struct mf_difference differences[TOLD])
{
	double threshold = (double)self->options->threshold / 100;
	size_t i;

	for (i = 0; i < TOLD; i++) {
		mf_compare(a, b, told[i].fraction, self->options->seed, threshold, &differences[i]);
		if (self->a.machine.emulated)
			differences[i].verdict = MF_VERDICT_OPEN;
		self->verdicts[differences[i].verdict]++;
	}
}

static const double *find_count(const struct mf_result *result, const char *name)
{
	size_t i;

	for (i = 0; i < result->count_count; i++)
		if (!strcmp(result->counts[i].name, name))
			return &result->counts[i].value;
	return NULL;
}

/* Parts of its time are no counts. */
static bool is_exact(const char *name)
{
	size_t length = strlen(name);

	return length < 4 ||
	       (strcmp(name + length - 4, "_p50") && strcmp(name + length - 4, "_p99"));
}

/* ---- as text ---- */

static void print_difference(const char *name, const char *unit, const struct mf_difference *at)
{
	printf("%-28.127s %-5s %11s %11s", name, unit, mf_number(at->a), mf_number(at->b));
	if (at->a > 0)
		printf(" %+8.1f %%", 100 * at->change);
	else
		printf(" %10s", "");
	if (at->verdict == MF_VERDICT_OPEN)
		printf("  %-20s %s\n", "", mf_verdict_name(at->verdict));
	else
		printf("  [%+8.1f, %+8.1f] %s\n", 100 * at->low, 100 * at->high,
		       mf_verdict_name(at->verdict));
}

static void print_counts(const struct mf_result *a, const struct mf_result *b)
{
	size_t i;

	for (i = 0; i < a->count_count; i++) {
		const double *other = find_count(b, a->counts[i].name);

		if (other && *other != a->counts[i].value && is_exact(a->counts[i].name))
			printf("    %s: %s, then %s\n", a->counts[i].name,
			       mf_number(a->counts[i].value), mf_number(*other));
	}
}

static void print_case(struct comparison *self, const struct mf_result *a,
		       const struct mf_result *b)
{
	struct mf_difference differences[TOLD];
	char name[MF_RESULTS_NAME_MAX + 8];
	size_t i;

	compare_case(self, a, b, differences);
	for (i = 0; i < TOLD; i++) {
		snprintf(name, sizeof(name), "%s %s", i ? "" : a->name, told[i].name);
		print_difference(name, a->unit, &differences[i]);
	}
	if (*a->yardstick && !strcmp(a->yardstick, b->yardstick) && a->yardstick_p50 > 0)
		printf("    yardstick %s: %s, then %s (%+.1f %%)\n", a->yardstick,
		       mf_number(a->yardstick_p50), mf_number(b->yardstick_p50),
		       100 * (b->yardstick_p50 / a->yardstick_p50 - 1));
	print_counts(a, b);
}

static void print_missing(const struct mf_results *of, const struct mf_results *in,
			  const char *name)
{
	size_t i;

	for (i = 0; i < of->case_count; i++)
		if (!mf_results_find(in, of->cases[i].name))
			printf("only in %s: %s\n", name, of->cases[i].name);
}

static void print_text(struct comparison *self)
{
	size_t i;

	printf("A: %s, %s, revision %s\n", self->paths[0], self->a.made, self->a.revision);
	printf("B: %s, %s, revision %s\n", self->paths[1], self->b.made, self->b.revision);
	printf("intervals: %.0f %%, %u draws, seed %" PRIu64 "; differences below %" PRIu64
	       " %% are none\n",
	       100 * MF_COMPARE_CONFIDENCE, MF_COMPARE_DRAWS, self->options->seed,
	       self->options->threshold);
	for (i = 0; i < self->note_count; i++)
		printf("note: %s\n", self->notes[i]);
	printf("%-28s %-5s %11s %11s %10s  %s\n", "case", "unit", "A", "B", "change", "interval");
	for (i = 0; i < self->a.case_count; i++) {
		const struct mf_result *b = mf_results_find(&self->b, self->a.cases[i].name);

		if (b)
			print_case(self, &self->a.cases[i], b);
	}
	print_missing(&self->a, &self->b, "A");
	print_missing(&self->b, &self->a, "B");
	printf("%u better, %u worse, %u without a difference, %u open\n",
	       self->verdicts[MF_VERDICT_BETTER], self->verdicts[MF_VERDICT_WORSE],
	       self->verdicts[MF_VERDICT_SAME], self->verdicts[MF_VERDICT_OPEN]);
}

/* ---- as JSON ---- */

static void json_difference(const char *name, const struct mf_difference *at)
{
	printf(", \"%s\": {\"a\": %.10g, \"b\": %.10g, ", name, at->a, at->b);
	if (at->a > 0)
		printf("\"change\": %.6g, ", at->change);
	if (at->verdict != MF_VERDICT_OPEN)
		printf("\"low\": %.6g, \"high\": %.6g, ", at->low, at->high);
	printf("\"verdict\": \"%s\"}", mf_verdict_name(at->verdict));
}

static void json_case(struct comparison *self, const struct mf_result *a, const struct mf_result *b)
{
	struct mf_difference differences[TOLD];
	const char *comma = "";
	size_t i;

	compare_case(self, a, b, differences);
	printf("{\"case\": ");
	mf_json_text(stdout, a->name);
	printf(", \"unit\": \"%s\"", a->unit);
	for (i = 0; i < TOLD; i++)
		json_difference(told[i].name, &differences[i]);
	printf(", \"counts\": {");
	for (i = 0; i < a->count_count; i++) {
		const double *other = find_count(b, a->counts[i].name);

		if (!other)
			continue;
		printf("%s", comma);
		mf_json_text(stdout, a->counts[i].name);
		printf(": [%.10g, %.10g]", a->counts[i].value, *other);
		comma = ", ";
	}
	printf("}}");
}

static void json_missing(const char *name, const struct mf_results *of, const struct mf_results *in)
{
	const char *comma = "";
	size_t i;

	printf(",\n \"%s\": [", name);
	for (i = 0; i < of->case_count; i++) {
		if (mf_results_find(in, of->cases[i].name))
			continue;
		printf("%s", comma);
		mf_json_text(stdout, of->cases[i].name);
		comma = ", ";
	}
	putchar(']');
}

static void print_json(struct comparison *self)
{
	const char *comma = "";
	size_t i;

	printf("{\"seed\": %" PRIu64 ", \"draws\": %u, \"confidence\": %g, \"threshold\": %g,\n",
	       self->options->seed, MF_COMPARE_DRAWS, MF_COMPARE_CONFIDENCE,
	       (double)self->options->threshold / 100);
	printf(" \"notes\": [");
	for (i = 0; i < self->note_count; i++) {
		printf(i ? ", " : "");
		mf_json_text(stdout, self->notes[i]);
	}
	printf("],\n \"cases\": [");
	for (i = 0; i < self->a.case_count; i++) {
		const struct mf_result *b = mf_results_find(&self->b, self->a.cases[i].name);

		if (!b)
			continue;
		printf("%s\n  ", comma);
		json_case(self, &self->a.cases[i], b);
		comma = ",";
	}
	putchar(']');
	json_missing("only_a", &self->a, &self->b);
	json_missing("only_b", &self->b, &self->a);
	printf(",\n \"better\": %u, \"worse\": %u, \"same\": %u, \"open\": %u}\n",
	       self->verdicts[MF_VERDICT_BETTER], self->verdicts[MF_VERDICT_WORSE],
	       self->verdicts[MF_VERDICT_SAME], self->verdicts[MF_VERDICT_OPEN]);
}

/* ---- the verb ---- */

static int compare(struct comparison *self, int argc, char **argv, struct mf_error *err)
{
	int ret = 0;

	if (argc != 2)
		return mf_error_set(err, -EINVAL, "two files are wanted: mayfly bench compare A B");
	self->paths[0] = argv[0];
	self->paths[1] = argv[1];
	ret = mf_results_read(&self->a, argv[0], err);
	if (!ret)
		ret = mf_results_read(&self->b, argv[1], err);
	if (!ret)
		ret = mf_compare_check(&self->a, &self->b, err);
	if (ret)
		return ret;
	take_notes(self);
	if (self->options->compare_json)
		print_json(self);
	else
		print_text(self);
	if (fflush(stdout) || ferror(stdout))
		return mf_error_set(err, -EIO, "standard output cannot be written");
	return 0;
}

int mf_verb_bench_compare(int argc, char **argv)
{
	const struct mf_verb *verb = mf_verb_find("bench compare");
	struct mf_values values;
	struct mf_error err = {0};
	struct comparison self = {.options = &values.bench};
	int status = 0;

	if (mf_values_init(&values, verb->place, &err) ||
	    mf_parse_flags(verb, argc, argv, &values, &err))
		status = mf_cli_fail(verb->name, &err);
	else if (values.help)
		mf_print_help(verb, stdout);
	else if (compare(&self, argc - optind, argv + optind, &err))
		status = mf_cli_fail(verb->name, &err);
	else if (self.verdicts[MF_VERDICT_WORSE])
		status = STATUS_WORSE;
	mf_results_finish(&self.a);
	mf_results_finish(&self.b);
	mf_values_finish(&values);
	return status;
}
