/* SPDX-License-Identifier: MIT */
#include "measure/record.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#define DIGITS_MOST  4
#define DIGITS_LEAST 1

/* ---- numbers ---- */

const char *mf_number(double value)
{
	static char text[8][32];
	static unsigned int turn;
	char *to = text[turn++ % 8];
	bool whole = value == floor(value) || value >= 1000 || value <= -1000;

	snprintf(to, sizeof(text[0]), whole ? "%.0f" : "%.3f", value);
	return to;
}

void mf_json_text(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '"' || byte == '\\')
			fprintf(file, "\\%c", byte);
		else if (byte < 0x20 || byte > 0x7e)
			fprintf(file, "\\u%04x", byte);
		else
			fputc(byte, file);
	}
	fputc('"', file);
}

/* ---- samples: how often each value was there, by blocks of time ---- */

/* Rounded to so many digits that count. */
static double rounded(double value, int digits)
{
	int places;
	double scale;

	if (!(value > 0))
		return 0;
	places = digits - 1 - (int)floor(log10(value));
	scale = pow(10, abs(places));
	return places > 0 ? round(value * scale) / scale : round(value / scale) * scale;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

static size_t block_count(size_t count)
{
	return count >= MF_RECORD_BLOCKS * 10 ? MF_RECORD_BLOCKS : 1;
}

/* Rounded in place, sorted within each block; returns the number of pairs. */
static size_t round_blocks(double *at, size_t count, int digits)
{
	size_t blocks = block_count(count);
	size_t pairs = 0;
	size_t block;
	size_t i;

	for (block = 0; block < blocks; block++) {
		size_t from = count * block / blocks;
		size_t to = count * (block + 1) / blocks;

		for (i = from; i < to; i++)
			at[i] = rounded(at[i], digits);
		qsort(at + from, to - from, sizeof(*at), compare);
		for (i = from; i < to; i++)
			pairs += i == from || at[i] != at[i - 1];
	}
	return pairs;
}

static void write_block(FILE *file, const double *at, size_t count)
{
	size_t same;
	size_t i;

	fputc('[', file);
	for (i = 0; i < count; i += same) {
		for (same = 1; i + same < count && at[i + same] == at[i]; same++)
			;
		fprintf(file, "%s[%.10g,%zu]", i ? "," : "", at[i], same);
	}
	fputc(']', file);
}

/* Rounding again what is rounded is a little off the nearest; the digits that are told hold. */
static void write_samples(FILE *file, const struct mf_samples *samples)
{
	struct mf_samples copy = mf_samples_copy(samples);
	size_t blocks = block_count(copy.count);
	int digits = DIGITS_MOST;
	size_t block;

	while (round_blocks(copy.at, copy.count, digits) > MF_RECORD_PAIRS && digits > DIGITS_LEAST)
		digits--;
	fprintf(file, "{\"digits\":%d,\"blocks\":[", digits);
	for (block = 0; block < blocks; block++) {
		size_t from = copy.count * block / blocks;

		if (block)
			fputc(',', file);
		write_block(file, copy.at + from, copy.count * (block + 1) / blocks - from);
	}
	fputs("]}", file);
	mf_samples_free(&copy);
}

static double at_least_zero(double value)
{
	return value > 0 ? value : 0;
}

static void write_figures(FILE *file, struct mf_samples *samples)
{
	const char *comma = "";
	size_t i;

	fprintf(file, ",\"n\":%zu", samples->count);
	for (i = 0; i < MF_PERCENTILES; i++)
		fprintf(file, ",\"%s\":%s", mf_percentiles[i].name,
			mf_number(at_least_zero(
				mf_samples_percentile(samples, mf_percentiles[i].fraction))));
	fprintf(file, ",\"max\":%s,\"few\":[",
		mf_number(at_least_zero(mf_samples_percentile(samples, 1))));
	for (i = 0; i < MF_PERCENTILES; i++) {
		if (mf_percentile_is_sure(samples->count, mf_percentiles[i].fraction))
			continue;
		fprintf(file, "%s\"%s\"", comma, mf_percentiles[i].name);
		comma = ",";
	}
	fputs("],\"samples\":", file);
	write_samples(file, samples);
}

/* ---- lines ---- */

static void write_machine(FILE *file, const struct mf_machine *machine, bool scaled_down)
{
	const struct {
		const char *name;
		const char *text;
	} texts[] = {{"cpu", machine->cpu},
		     {"architecture", machine->architecture},
		     {"kernel", machine->kernel},
		     {"kvm", machine->kvm},
		     {"virtualisation", machine->virtualisation},
		     {"governor", machine->governor},
		     {"clock", machine->clock}};
	size_t i;

	fputc('{', file);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		fprintf(file, "\"%s\":", texts[i].name);
		mf_json_text(file, texts[i].text);
		fputc(',', file);
	}
	fprintf(file,
		"\"cpus\":%ld,\"memory_gib\":%.1f,\"load\":%.2f,\"emulated\":%s,\"scaled_down\":%"
		"s}",
		machine->cpus, machine->memory_gib, machine->load,
		machine->emulated ? "true" : "false", scaled_down ? "true" : "false");
}

void mf_record_write_head(FILE *file, const char *command, const struct mf_machine *machine,
			  bool scaled_down)
{
	char made[32];
	time_t now = time(NULL);
	struct tm day;

	gmtime_r(&now, &day);
	strftime(made, sizeof(made), "%Y-%m-%dT%H:%M:%SZ", &day);
	fprintf(file, "{\"format\":\"" MF_RECORD_FORMAT "\",\"version\":%d,\"made\":\"%s\",",
		MF_RECORD_VERSION, made);
	fputs("\"revision\":", file);
	mf_json_text(file, mf_revision);
	fputs(",\"command\":", file);
	mf_json_text(file, command);
	fputs(",\"machine\":", file);
	write_machine(file, machine, scaled_down);
	fputs("}\n", file);
	fflush(file);
}

void mf_record_write(FILE *file, const struct mf_record *record)
{
	size_t i;

	fputs("{\"case\":", file);
	mf_json_text(file, record->name);
	fprintf(file, ",\"unit\":\"%s\",\"cpu\":%d,\"warmup\":%zu", record->unit, record->cpu,
		record->warmup);
	write_figures(file, record->samples);
	if (record->yardstick && record->yard->count) {
		fputs(",\"yardstick\":{\"name\":", file);
		mf_json_text(file, record->yardstick);
		write_figures(file, record->yard);
		fputc('}', file);
	}
	fputs(",\"counts\":{", file);
	for (i = 0; i < record->count_count; i++)
		fprintf(file, "%s\"%s\":%s", i ? "," : "", record->counts[i].name,
			mf_number(record->counts[i].value));
	fputs("}}\n", file);
	fflush(file);
}

void mf_record_write_end(FILE *file, bool interrupted)
{
	fprintf(file, "{\"end\":\"%s\"}\n", interrupted ? "interrupted" : "complete");
	fflush(file);
}

/* ---- for people ---- */

void mf_record_print_head(FILE *file)
{
	size_t i;

	fprintf(file, "%-26s %-5s %6s", "case", "unit", "n");
	for (i = 0; i < MF_PERCENTILES; i++)
		fprintf(file, " %11s", mf_percentiles[i].label);
	fprintf(file, " %11s  yardstick p50\n", "max");
}

static void print_percentile(FILE *file, struct mf_samples *samples, double fraction)
{
	bool sure = mf_percentile_is_sure(samples->count, fraction);
	char text[40];

	snprintf(text, sizeof(text), sure ? "%s" : "(%s)",
		 mf_number(mf_samples_percentile(samples, fraction)));
	fprintf(file, " %11s", text);
}

static void print_counts(FILE *file, const struct mf_record *record)
{
	size_t i;

	for (i = 0; i < record->count_count; i++)
		fprintf(file, "%s%s=%s",
			i % 6 ? "  "
			: i   ? "\n    "
			      : "    ",
			record->counts[i].name, mf_number(record->counts[i].value));
	if (record->count_count)
		fputc('\n', file);
}

void mf_record_print(FILE *file, const struct mf_record *record)
{
	struct mf_samples *samples = record->samples;
	double yard = record->yardstick ? mf_samples_percentile(record->yard, 0.5) : 0;
	size_t i;

	fprintf(file, "%-26s %-5s %6zu", record->name, record->unit, samples->count);
	for (i = 0; i < MF_PERCENTILES; i++)
		print_percentile(file, samples, mf_percentiles[i].fraction);
	fprintf(file, " %11s", mf_number(mf_samples_percentile(samples, 1)));
	if (record->yardstick)
		fprintf(file, "  %s %s", record->yardstick, mf_number(yard));
	if (yard > 0)
		fprintf(file, " (x%.2f)", mf_samples_percentile(samples, 0.5) / yard);
	fputc('\n', file);
	print_counts(file, record);
	fflush(file);
}
