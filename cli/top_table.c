/* SPDX-License-Identifier: MIT */
#include "cli/top_table.h"
#include "ipc/control/why.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MIN       10
#define NAME_MAX_WIDTH 32
#define WIDE           80 /* what all columns need */
#define SLOW           4  /* so many times what the fastest takes */

static const struct {
	const char *title;
	int width; /* 0: the rest */
} columns[MF_TOP_COLUMNS] = {
	{"TENANT", NAME_MIN}, {"REQ/S", 6}, {"P50", 6},     {"P99", 6}, {"WAIT", 4}, {"VMS", 5},
	{"EX/R", 4},          {"PF/R", 4},  {"STORE/S", 7}, {"CPU", 4}, {"WHY", 0},
};

struct row {
	const struct mf_control_sample *now;
	const char *name;
	double values[MF_TOP_COLUMNS];
	struct mf_control_why why;
	bool any; /* requests ended meanwhile */
};

static double since(uint64_t now, uint64_t before)
{
	return now > before ? (double)(now - before) : 0;
}

static uint64_t ended(const struct mf_control_status *status)
{
	return status->ok + status->crash + status->memory + status->response + status->deadline +
	       status->too_large + status->conflict + status->store_failed;
}

static void set_row(struct row *row, const struct mf_control_sample *now,
		    const struct mf_control_sample *before, double seconds)
{
	static const struct mf_control_sample nothing;
	const struct mf_control_status *a = &now->status;
	const struct mf_control_status *b;
	struct mf_hist hist;
	double requests;

	row->now = now;
	row->name = *now->tenant ? now->tenant : *a->program ? a->program : "-";
	if (!now->answered)
		return;
	/* Another engine has its place: it counts from its own beginning. */
	if (!before || !before->answered || before->status.pid != a->pid)
		before = &nothing;
	b = &before->status;
	requests = since(ended(a), ended(b));
	row->any = requests > 0;
	mf_control_hist_since(&hist, &now->times.of[MF_CONTROL_TIME_REQUEST],
			      &before->times.of[MF_CONTROL_TIME_REQUEST]);
	row->values[MF_TOP_RATE] = seconds > 0 ? requests / seconds : 0;
	row->values[MF_TOP_P50] = (double)mf_control_percentile(&hist, 0.50);
	row->values[MF_TOP_P99] = (double)mf_control_percentile(&hist, 0.99);
	row->values[MF_TOP_QUEUE] = (double)a->queued;
	row->values[MF_TOP_VMS] = (double)a->vms_busy;
	row->values[MF_TOP_EXITS] =
		requests > 0 ? since(a->user_exits, b->user_exits) / requests : 0;
	row->values[MF_TOP_FAULTS] =
		requests > 0 ? since(a->page_faults, b->page_faults) / requests : 0;
	row->values[MF_TOP_STORE] =
		seconds > 0 ? since(a->store_calls, b->store_calls) / seconds : 0;
	row->values[MF_TOP_CPU] =
		seconds > 0 ? since(a->cpu_ns, b->cpu_ns) / seconds / 1e9 * 100 : 0;
	row->why = mf_control_why(a, b);
	row->values[MF_TOP_WHY] = row->why.part;
}

/* ---- order ---- */

static int compare(const void *left, const void *right, void *arg)
{
	const struct mf_top_view *view = arg;
	const struct row *a = left;
	const struct row *b = right;
	double x = a->values[view->sort];
	double y = b->values[view->sort];
	int order = x > y ? -1 : x < y ? 1 : 0;

	if (view->sort == MF_TOP_WHY)
		order = strcmp(a->why.what ? a->why.what : "~", b->why.what ? b->why.what : "~");
	if (view->sort == MF_TOP_TENANT || !order)
		order = strcmp(a->name, b->name);
	return view->reversed ? -order : order;
}

/* ---- cells ---- */

#define CELL 64

static void put_time(char cell[CELL], double ns)
{
	if (ns <= 0)
		strcpy(cell, "-");
	else if (ns < 1e3)
		snprintf(cell, CELL, "%.0fns", ns);
	else if (ns < 1e6)
		snprintf(cell, CELL, ns < 1e4 ? "%.1fus" : "%.0fus", ns / 1e3);
	else if (ns < 1e9)
		snprintf(cell, CELL, ns < 1e7 ? "%.1fms" : "%.0fms", ns / 1e6);
	else
		snprintf(cell, CELL, "%.1fs", ns / 1e9);
}

static void put_count(char cell[CELL], double value)
{
	if (value < 9.95 && value > 0)
		snprintf(cell, CELL, "%.1f", value);
	else if (value < 1e4)
		snprintf(cell, CELL, "%.0f", value);
	else if (value < 1e6)
		snprintf(cell, CELL, "%.0fk", value / 1e3);
	else
		snprintf(cell, CELL, "%.0fM", value / 1e6);
}

static void put_why(char cell[CELL], const struct row *row)
{
	if (!row->why.what || !*row->why.what)
		strcpy(cell, "-");
	else
		snprintf(cell, CELL, "%s %.0f%%%s%s", row->why.what, row->why.part * 100,
			 *row->why.behind ? "<" : "", row->why.behind);
}

static void put_cell(char cell[CELL], const struct row *row, enum mf_top_column column)
{
	double value = row->values[column];

	switch (column) {
	case MF_TOP_TENANT:
		snprintf(cell, CELL, "%s", row->name);
		break;
	case MF_TOP_P50:
	case MF_TOP_P99:
		put_time(cell, value);
		break;
	case MF_TOP_QUEUE:
		snprintf(cell, CELL, "%.0f", value);
		break;
	case MF_TOP_VMS:
		snprintf(cell, CELL, "%" PRIu64 "/%" PRIu64, row->now->status.vms_busy,
			 row->now->status.vms);
		break;
	case MF_TOP_EXITS:
	case MF_TOP_FAULTS:
		if (row->any)
			put_count(cell, value);
		else
			strcpy(cell, "-");
		break;
	case MF_TOP_CPU:
		snprintf(cell, CELL, "%.0f%%", value);
		break;
	case MF_TOP_WHY:
		put_why(cell, row);
		break;
	default:
		put_count(cell, value);
	}
}

/* Names come from elsewhere, and this goes to a terminal. */
static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text > '~')
			*text = '?';
}

/* ---- lines ---- */

/* As many characters as there is room; what stands last is not filled up. */
static void put(FILE *to, const char *cell, int width, bool left, unsigned int *room)
{
	char text[CELL + NAME_MAX_WIDTH];
	int length =
		width ? snprintf(text, sizeof(text), left ? "%-*.*s" : "%*.*s", width, width, cell)
		      : snprintf(text, sizeof(text), "%s", cell);

	if ((unsigned int)length > *room)
		text[length = (int)*room] = '\0';
	fputs(text, to);
	*room -= (unsigned int)length;
}

static int name_width(const struct mf_top_view *view)
{
	unsigned int more = view->width > WIDE ? (view->width - WIDE) / 2 : 0;
	unsigned int width = NAME_MIN + (view->width ? more : 6);

	return (int)(width < NAME_MAX_WIDTH ? width : NAME_MAX_WIDTH);
}

static int width_of(const struct mf_top_view *view, int column)
{
	return column == MF_TOP_TENANT ? name_width(view) : columns[column].width;
}

static bool is_left(int column)
{
	return column == MF_TOP_TENANT || column == MF_TOP_WHY;
}

static void put_head(FILE *to, const struct mf_top_view *view)
{
	unsigned int room = view->width ? view->width : 200;
	int column;

	fputs(view->colours ? "\033[7m" : "", to);
	for (column = 0; column < MF_TOP_COLUMNS; column++) {
		bool sorts = view->colours && column == (int)view->sort;

		if (column)
			put(to, " ", 1, true, &room);
		fputs(sorts ? "\033[1m" : "", to);
		put(to, columns[column].title, width_of(view, column), is_left(column), &room);
		fputs(sorts ? "\033[22m" : "", to);
	}
	while (view->colours && view->width && room--)
		putc(' ', to);
	fprintf(to, "%s%s", view->colours ? "\033[0m" : "", view->end);
}

/* Much slower than the fastest, or silent. */
static bool is_slow(const struct row *row, double fastest_ns)
{
	return !row->now->answered || row->values[MF_TOP_P99] > SLOW * fastest_ns;
}

static double fastest(const struct row *rows, size_t count)
{
	double least = 0;
	size_t i;

	for (i = 0; i < count; i++)
		if (rows[i].any && (least <= 0 || rows[i].values[MF_TOP_P99] < least))
			least = rows[i].values[MF_TOP_P99];
	return least;
}

static void put_row(FILE *to, const struct row *row, const struct mf_top_view *view, bool is_bold)
{
	unsigned int room = view->width ? view->width : 200;
	bool bold = view->colours && is_bold;
	char cell[CELL];
	int column;

	fputs(bold ? "\033[1m" : "", to);
	for (column = 0; column < MF_TOP_COLUMNS; column++) {
		if (column)
			put(to, " ", 1, true, &room);
		if (column && !row->now->answered) {
			snprintf(cell, sizeof(cell), "%s: does not answer",
				 *row->now->state ? row->now->state : "?");
			clean(cell);
			put(to, cell, 0, true, &room);
			break;
		}
		put_cell(cell, row, (enum mf_top_column)column);
		clean(cell);
		put(to, cell, width_of(view, column), is_left(column), &room);
	}
	fprintf(to, "%s%s", bold ? "\033[0m" : "", view->end);
}

static double seconds_between(const struct mf_survey *now, const struct mf_survey *before)
{
	return before->count ? since(now->when_ns, before->when_ns) / 1e9 : 0;
}

size_t mf_top_print(FILE *to, const struct mf_survey *now, const struct mf_survey *before,
		    const struct mf_top_view *view)
{
	struct row *rows = calloc(now->count + 1, sizeof(*rows));
	struct mf_top_view order = *view;
	double least;
	size_t end = now->count;
	size_t i;

	put_head(to, view);
	for (i = 0; rows && i < now->count; i++)
		set_row(&rows[i], &now->samples[i], mf_survey_find(before, now->samples[i].tenant),
			seconds_between(now, before));
	if (!rows)
		return 0;
	least = fastest(rows, now->count);
	qsort_r(rows, now->count, sizeof(*rows), compare, &order);
	if (view->lines && end > view->first + view->lines)
		end = view->first + view->lines;
	for (i = view->first; i < end; i++)
		put_row(to, &rows[i], view, is_slow(&rows[i], least));
	free(rows);
	return now->count;
}

void mf_top_sum(FILE *to, const struct mf_survey *now, const struct mf_survey *before)
{
	double seconds = seconds_between(now, before);
	double rate = 0;
	double cpu = 0;
	uint64_t queued = 0;
	uint64_t busy = 0;
	uint64_t vms = 0;
	size_t silent = 0;
	size_t i;

	for (i = 0; i < now->count; i++) {
		struct row row = {0};

		set_row(&row, &now->samples[i], mf_survey_find(before, now->samples[i].tenant),
			seconds);
		rate += row.values[MF_TOP_RATE];
		cpu += row.values[MF_TOP_CPU];
		queued += now->samples[i].status.queued;
		busy += now->samples[i].status.vms_busy;
		vms += now->samples[i].status.vms;
		silent += !now->samples[i].answered;
	}
	fprintf(to,
		"%zu %s, %zu silent; %.0f requests/s, %" PRIu64 " wait, %" PRIu64 "/%" PRIu64
		" VMs busy, cpu %.0f%%",
		now->count, now->count == 1 ? "engine" : "engines", silent, rate, queued, busy, vms,
		cpu);
}
