/* SPDX-License-Identifier: MIT */
#include "cli/stat_report.h"
#include "cli/options.h"

#include <inttypes.h>

#include "request-vm/pool.h"
#include "measure/record.h"

#define OUTCOMES (MF_OUTCOME_STORE + 1)

_Static_assert(OUTCOMES <= MF_STATS_OUTCOMES, "room for every outcome");

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

static uint64_t sum(const uint64_t *values, size_t count)
{
	uint64_t total = 0;

	while (count--)
		total += values[count];
	return total;
}

static uint64_t runs(const struct mf_hist hists[MF_EXIT_CLASSES])
{
	uint64_t total = 0;
	unsigned int i;

	for (i = 0; i < MF_EXIT_CLASSES; i++)
		total += hists[i].count;
	return total;
}

static void print_lost(FILE *file, const struct mf_probes_lost *lost)
{
	uint64_t total =
		lost->records + lost->spans + lost->threads + lost->processes + lost->missed_runs;

	fprintf(file, "Events lost: %" PRIu64, total);
	if (total)
		fprintf(file,
			" (%" PRIu64 " without a histogram, %" PRIu64
			" requests and calls without room, %" PRIu64
			" of threads without room, %" PRIu64 " processes without room, %" PRIu64
			" runs missed)",
			lost->records, lost->spans, lost->threads, lost->processes,
			lost->missed_runs);
	fputc('\n', file);
}

static void print_measured(FILE *file, const struct mf_stat_report *report)
{
	const struct mf_measured *measured = report->measured;

	if (measured->runs && !runs(measured->run)) {
		mf_stat_print_head(file, "KVM_RUN returned");
		fprintf(file, "  none\n");
	}
	mf_stat_print_rows(file, &report->rows, measured);
	if (measured->resets)
		fprintf(file,
			"Resets: %" PRIu64 ", with %" PRIu64 " pages copied back; %" PRIu64
			" failed\n",
			measured->reset.count, measured->pages_copied, measured->resets_failed);
	print_lost(file, &measured->lost);
}

static void print_counts(FILE *file, const struct mf_abi_stats_lane *engine)
{
	unsigned int i;

	for (i = 0; i < MF_EXIT_CLASSES; i++)
		if (engine->user_exits[i])
			fprintf(file, "  user exits, %-16s %12" PRIu64 "\n", mf_exit_class_name(i),
				engine->user_exits[i]);
	fprintf(file, "  resets                       %12" PRIu64 "\n", engine->resets);
	fprintf(file, "  pages copied back            %12" PRIu64 "\n", engine->pages_copied);
	for (i = 0; i < OUTCOMES; i++)
		if (engine->requests[i])
			fprintf(file, "  requests, %-18s %12" PRIu64 "\n", mf_outcome_name(i),
				engine->requests[i]);
}

void mf_stat_print_text(FILE *file, const struct mf_stat_report *report)
{
	size_t i;

	fprintf(file, "mayfly stat: %s (process %d), %s%.2f s\n", report->name, report->pid,
		report->interval ? "the last " : "", report->seconds);
	if (report->measured)
		print_measured(file, report);
	if (report->engines->count) {
		fprintf(file, "Counted by the engine itself (%zu process%s)\n",
			report->engines->count, report->engines->count == 1 ? "" : "es");
		print_counts(file, report->engine);
	}
	for (i = 0; i < report->notes->count; i++)
		fprintf(file, "%s\n", report->notes->text[i]);
}

static void json_hist(FILE *file, const struct mf_hist *hist)
{
	fprintf(file, "\"count\":%" PRIu64, hist->count);
	if (hist->count)
		fprintf(file,
			",\"mean_us\":%.3f,\"p50_us\":%.3f,\"p99_us\":%.3f,\"p999_us\":%.3f,"
			"\"max_us\":%.3f",
			us(hist->sum_ns) / (double)hist->count, us(mf_hist_percentile(hist, 0.5)),
			us(mf_hist_percentile(hist, 0.99)), us(mf_hist_percentile(hist, 0.999)),
			us(hist->max_ns));
}

static void json_classes(FILE *file, const char *name, const struct mf_hist *hists, bool there)
{
	const char *comma = "";
	unsigned int i;

	fprintf(file, ",\"%s\":", name);
	if (!there) {
		fputs("null", file);
		return;
	}
	fprintf(file, "{\"count\":%" PRIu64 ",\"reasons\":{", runs(hists));
	for (i = 0; i < MF_EXIT_CLASSES; i++) {
		if (!hists[i].count)
			continue;
		fprintf(file, "%s\"%s\":{", comma, mf_exit_class_name(i));
		json_hist(file, &hists[i]);
		fputc('}', file);
		comma = ",";
	}
	fputs("}}", file);
}

static void json_series(FILE *file, const struct mf_measured *measured)
{
	size_t i;

	fputs(",\"series\":[", file);
	for (i = 0; i < measured->series_count; i++) {
		const struct mf_probes_series *series = &measured->series[i];

		fprintf(file, "%s{\"kind\":\"%s\",\"process\":%u,\"role\":\"%s\",\"class\":\"%s\",",
			i ? "," : "", mf_probe_kind_name(series->key.kind), series->key.tgid,
			mf_probe_role_name(series->key.role), mf_stat_class_name(&series->key));
		if (mf_stat_is_count(series->key.kind))
			fprintf(file, "\"count\":%" PRIu64, series->hist.count);
		else
			json_hist(file, &series->hist);
		fputc('}', file);
	}
	fputc(']', file);
}

static void json_measured(FILE *file, const struct mf_measured *measured)
{
	if (!measured) {
		fputs(",\"user_exits\":null,\"outside_guest\":null,\"resets\":null,"
		      "\"series\":null,\"lost\":null",
		      file);
		return;
	}
	json_classes(file, "user_exits", measured->run, measured->runs);
	json_classes(file, "outside_guest", measured->out, measured->outside);
	fputs(",\"resets\":", file);
	if (measured->resets) {
		fputc('{', file);
		json_hist(file, &measured->reset);
		fprintf(file, ",\"pages_copied\":%" PRIu64 ",\"failed\":%" PRIu64 "}",
			measured->pages_copied, measured->resets_failed);
	} else {
		fputs("null", file);
	}
	json_series(file, measured);
	fprintf(file,
		",\"lost\":{\"records\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"threads\":%" PRIu64
		",\"processes\":%" PRIu64 ",\"missed_runs\":%" PRIu64 "}",
		measured->lost.records, measured->lost.spans, measured->lost.threads,
		measured->lost.processes, measured->lost.missed_runs);
}

static void json_engine(FILE *file, const struct mf_stat_report *report)
{
	const struct mf_abi_stats_lane *engine = report->engine;
	unsigned int i;

	fputs(",\"engine\":", file);
	if (!report->engines->count) {
		fputs("null", file);
		return;
	}
	fprintf(file, "{\"processes\":%zu,\"user_exits\":%" PRIu64 ",\"reasons\":{",
		report->engines->count, sum(engine->user_exits, MF_EXIT_CLASSES));
	for (i = 0; i < MF_EXIT_CLASSES; i++)
		fprintf(file, "%s\"%s\":%" PRIu64, i ? "," : "", mf_exit_class_name(i),
			engine->user_exits[i]);
	fprintf(file, "},\"resets\":%" PRIu64 ",\"pages_copied\":%" PRIu64 ",\"requests\":{",
		engine->resets, engine->pages_copied);
	for (i = 0; i < OUTCOMES; i++)
		fprintf(file, "%s\"%s\":%" PRIu64, i ? "," : "", mf_outcome_name(i),
			engine->requests[i]);
	fputs("}}", file);
}

void mf_stat_print_json(FILE *file, const struct mf_stat_report *report)
{
	size_t i;

	fputs("{\"name\":", file);
	mf_json_text(file, report->name);
	fprintf(file, ",\"pid\":%d,\"seconds\":%.3f,\"interval\":%s", report->pid, report->seconds,
		report->interval ? "true" : "false");
	json_measured(file, report->measured);
	json_engine(file, report);
	fputs(",\"notes\":[", file);
	for (i = 0; i < report->notes->count; i++) {
		if (i)
			fputc(',', file);
		mf_json_text(file, report->notes->text[i]);
	}
	fputs("]}\n", file);
}
