/* SPDX-License-Identifier: MIT */
#include "cli/bench_page.h"

#include <math.h>

/* A plot's inside, in pixels. */
#define LEFT   70.0
#define TOP    10.0
#define WIDTH  560.0
#define HEIGHT 200.0
#define POINTS 120
#define NINES  4.0 /* to p99.99 */

static void put_text(FILE *file, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<':
			fputs("&lt;", file);
			break;
		case '>':
			fputs("&gt;", file);
			break;
		case '&':
			fputs("&amp;", file);
			break;
		case '"':
			fputs("&quot;", file);
			break;
		default:
			fputc(*text, file);
		}
}

/* ---- a plot: percentiles by how rare they are, both axes logarithmic ---- */

struct scale {
	double low; /* decades */
	double high;
};

static void widen(struct scale *scale, struct mf_samples *samples)
{
	double least = mf_samples_percentile(samples, 0);
	double most = mf_samples_percentile(samples, 1);

	if (!samples->count || !(most > 0))
		return;
	if (!(least > 0))
		least = most / 10;
	scale->low = fmin(scale->low, floor(log10(least)));
	scale->high = fmax(scale->high, ceil(log10(most)));
}

static double y_of(const struct scale *scale, double value)
{
	double at = value > 0 ? log10(value) : scale->low;

	return TOP + HEIGHT * (scale->high - fmax(at, scale->low)) / (scale->high - scale->low);
}

static void put_value(FILE *file, double decade)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	int step = (int)fmin(fmax(floor(decade / 3), 0), 3);

	fprintf(file, "%g %s", pow(10, decade - 3 * step), units[step]);
}

static void put_axes(FILE *file, const struct scale *scale)
{
	static const char *const labels[] = {"0", "p90", "p99", "p99.9", "p99.99"};
	double decade;
	int i;

	for (decade = scale->low; decade <= scale->high; decade++) {
		double y = y_of(scale, pow(10, decade));

		fprintf(file,
			"<path class=\"g\" d=\"M%g %.1fH%g\"/><text x=\"%g\" y=\"%.1f\" "
			"class=\"r\">",
			LEFT, y, LEFT + WIDTH, LEFT - 6, y + 4);
		put_value(file, decade);
		fputs("</text>", file);
	}
	for (i = 0; i <= (int)NINES; i++)
		fprintf(file,
			"<path class=\"g\" d=\"M%.1f %gV%g\"/><text x=\"%.1f\" y=\"%g\" "
			"class=\"m\">%s</text>",
			LEFT + WIDTH * i / NINES, TOP, TOP + HEIGHT, LEFT + WIDTH * i / NINES,
			TOP + HEIGHT + 16, labels[i]);
}

/* As far as the samples carry it. */
static void put_line(FILE *file, const struct scale *scale, struct mf_samples *samples,
		     const char *class)
{
	int i;

	if (!samples->count)
		return;
	fprintf(file, "<path class=\"%s\" d=\"", class);
	for (i = 0; i <= POINTS; i++) {
		double nines = NINES * i / POINTS;
		double beyond = pow(10, -nines);

		if (i && beyond * (double)samples->count < 1)
			break;
		fprintf(file, "%c%.1f %.1f", i ? 'L' : 'M', LEFT + WIDTH * i / POINTS,
			y_of(scale, mf_samples_percentile(samples, 1 - beyond)));
	}
	fputs("\"/>", file);
}

static void put_plot(FILE *file, const struct mf_record *record)
{
	struct scale scale = {HUGE_VAL, -HUGE_VAL};

	widen(&scale, record->samples);
	if (record->yardstick)
		widen(&scale, record->yard);
	if (!(scale.high >= scale.low))
		return;
	if (scale.high <= scale.low)
		scale.high = scale.low + 1;
	fprintf(file, "<svg viewBox=\"0 0 %g %g\" role=\"img\">", LEFT + WIDTH + 30,
		TOP + HEIGHT + 24);
	put_axes(file, &scale);
	if (record->yardstick)
		put_line(file, &scale, record->yard, "y");
	put_line(file, &scale, record->samples, "c");
	fputs("</svg>\n", file);
}

/* ---- the page ---- */

static void put_percentile(FILE *file, struct mf_samples *samples, double fraction)
{
	bool sure = mf_percentile_is_sure(samples->count, fraction);

	fprintf(file, sure ? "<td>%s</td>" : "<td class=\"few\">(%s)</td>",
		mf_number(mf_samples_percentile(samples, fraction)));
}

static void put_row(FILE *file, const char *name, struct mf_samples *samples)
{
	size_t i;

	fputs("<tr><th>", file);
	put_text(file, name);
	fprintf(file, "</th><td>%zu</td>", samples->count);
	for (i = 0; i < MF_PERCENTILES; i++)
		put_percentile(file, samples, mf_percentiles[i].fraction);
	fprintf(file, "<td>%s</td></tr>\n", mf_number(mf_samples_percentile(samples, 1)));
}

static void put_head_row(FILE *file)
{
	size_t i;

	fputs("<table><tr><th>ns</th><td>samples</td>", file);
	for (i = 0; i < MF_PERCENTILES; i++)
		fprintf(file, "<td>%s</td>", mf_percentiles[i].label);
	fputs("<td>max</td></tr>\n", file);
}

static void put_case(FILE *file, const struct mf_page_case *at)
{
	const struct mf_record *record = &at->record;
	size_t i;

	fputs("<h2>", file);
	put_text(file, record->name);
	fputs("</h2>\n<p>", file);
	put_text(file, at->what);
	fputs("</p>\n", file);
	put_head_row(file);
	put_row(file, record->name, record->samples);
	if (record->yardstick)
		put_row(file, record->yardstick, record->yard);
	fputs("</table>\n<p class=\"n\">", file);
	for (i = 0; i < record->count_count; i++) {
		put_text(file, record->counts[i].name);
		fprintf(file, " %s &nbsp; ", mf_number(record->counts[i].value));
	}
	fputs("</p>\n", file);
	put_plot(file, record);
}

static const char style[] =
	"<style>body{font:15px/1.4 sans-serif;max-width:60em;margin:2em auto;padding:0 "
	"1em;color:#222}"
	"table{border-collapse:collapse}td,th{padding:.2em .7em;text-align:right;border-bottom:1px "
	"solid #ddd;font-weight:normal}th{text-align:left}.few,.n{color:#888}"
	"svg{max-width:45em;display:block}svg text{font:11px sans-serif;fill:#555}"
	".r{text-anchor:end}.m{text-anchor:middle}.g{stroke:#e4e4e4}"
	".c,.y{fill:none;stroke-width:2;stroke:#06c}.y{stroke:#999;stroke-dasharray:5 4}"
	".w{background:#fe9;padding:.5em}</style>\n";

void mf_page_write(FILE *file, const struct mf_machine *machine, bool interrupted,
		   const struct mf_page_case *cases, size_t count)
{
	char text[1024] = "";
	FILE *line = fmemopen(text, sizeof(text), "w");
	size_t i;

	if (line) {
		mf_machine_print(line, machine);
		fclose(line);
	}
	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	      "<title>mayfly bench host</title>\n",
	      file);
	fputs(style, file);
	fputs("</head><body>\n<h1>mayfly bench host</h1>\n<p>", file);
	put_text(file, text);
	fprintf(file, "</p>\n<p>Source revision ");
	put_text(file, mf_revision);
	fputs(".</p>\n", file);
	if (machine->emulated)
		fputs("<p class=\"w\">emulated: counts are exact, times mean nothing</p>\n", file);
	if (interrupted)
		fputs("<p class=\"w\">interrupted: not all cases are here</p>\n", file);
	fputs("<p>Blue: the case; dashed: its yardstick, measured in turns with it. To the right "
	      "are "
	      "the rare ones. What is in parentheses has fewer than ten samples beyond it.</p>\n",
	      file);
	for (i = 0; i < count; i++)
		put_case(file, &cases[i]);
	fputs("</body></html>\n", file);
}
