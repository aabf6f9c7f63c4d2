/* SPDX-License-Identifier: MIT */
/* Metrics as text, and why a tenant is slow. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/control/exposition.h"
#include "ipc/control/why.h"

Test(exposition, names_of_tenants_are_escaped)
{
	static struct mf_control_sample samples[3];
	char *text;

	strcpy(samples[0].tenant, "a\"b\\c\nd");
	samples[0].answered = true;
	strcpy(samples[0].status.version, "1\"} 2\nx{y=\"");
	strcpy(samples[1].tenant, "\n# TYPE mayfly_up counter\n");
	text = mf_control_exposition(samples, 2);
	cr_assert(text != NULL);
	cr_expect(strstr(text, "\nmayfly_up{tenant=\"a\\\"b\\\\c\\nd\"} 1\n") != NULL);
	cr_expect(strstr(text, "\nmayfly_up{tenant=\"\\n# TYPE mayfly_up counter\\n\"} 0\n") !=
		  NULL);
	cr_expect(strstr(text, "version=\"1\\\"} 2\\nx{y=\\\"\"") != NULL);
	/* What would be a line of its own is none. */
	cr_expect(strstr(text, "\n# TYPE mayfly_up counter\n") == NULL);
	free(text);
}

Test(exposition, without_tenants_there_are_heads_alone)
{
	char *text = mf_control_exposition(NULL, 0);

	cr_assert(text != NULL);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		cr_expect_eq(line[0], '#', "%s", line);
	free(text);
}

Test(exposition, a_histogram_counts_every_value_once)
{
	static struct mf_control_sample sample = {.answered = true};
	struct mf_hist *hist = &sample.times.of[MF_CONTROL_TIME_RUN];
	char *text;

	mf_hist_note(hist, 0);
	mf_hist_note(hist, 1023);
	mf_hist_note(hist, 1024);
	mf_hist_note(hist, 1ull << 36);
	mf_hist_note(hist, UINT64_MAX / 2);
	text = mf_control_exposition(&sample, 1);
	cr_expect(strstr(text, "mayfly_run_duration_seconds_bucket{le=\"0.000001024\"} 2\n"));
	cr_expect(strstr(text, "mayfly_run_duration_seconds_bucket{le=\"0.000002048\"} 3\n"));
	cr_expect(strstr(text, "mayfly_run_duration_seconds_bucket{le=\"68.719476736\"} 3\n"));
	cr_expect(strstr(text, "mayfly_run_duration_seconds_bucket{le=\"+Inf\"} 5\n"));
	cr_expect(strstr(text, "mayfly_run_duration_seconds_count 5\n"));
	free(text);
}

struct row {
	struct mf_control_status now;
	const char *what;
	const char *behind;
	double part;
};

Test(why, the_largest_part_is_named)
{
	static const struct row rows[] = {
		{{.pid = 1}, "", "", 0},
		{{.run_ns = 10, .busy_ns = 10, .cpu_ns = 10}, "program", "", 1},
		{{.run_ns = 10, .busy_ns = 10, .cpu_ns = 1}, "processor", "", 0.9},
		{{.run_ns = 10, .store_ns = 30, .busy_ns = 10, .cpu_ns = 10}, "store", "", 0.75},
		{{.run_ns = 10, .calls_ns = 30}, "calls", "", 0.75},
		{{.run_ns = 10, .turn_ns = 30}, "turns", "", 0.75},
		{{.run_ns = 10, .client_ns = 30}, "client", "", 0.75},
		{{.queue_ns = 75, .store_ns = 20, .run_ns = 5}, "queue", "store", 0.75},
		{{.queue_ns = 75}, "queue", "", 1},
		{{.requests = 100, .rejected = 80, .run_ns = 5}, "queue full", "program", 0.8},
		{{.requests = 20, .limited = 80, .run_ns = 5}, "rate limit", "program", 0.8},
		{{.requests = 100, .memory = 90}, "memory limit", "", 0.9},
		{{.requests = 100, .rejected = 40, .run_ns = 5}, "program", "", 1},
	};
	static const struct mf_control_status before;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mf_control_why why = mf_control_why(&rows[i].now, &before);

		cr_expect_str_eq(why.what, rows[i].what, "row %zu: %s", i, why.what);
		cr_expect_str_eq(why.behind, rows[i].behind, "row %zu: %s", i, why.behind);
		cr_expect_float_eq(why.part, rows[i].part, 1e-9, "row %zu: %f", i, why.part);
	}
}

Test(why, only_what_came_meanwhile_counts)
{
	struct mf_control_status before = {.store_ns = 1000, .run_ns = 10};
	struct mf_control_status now = {.store_ns = 1010, .run_ns = 50};

	cr_expect_str_eq(mf_control_why(&now, &before).what, "program");
	/* Another engine in its place has counted less. */
	cr_expect_str_eq(mf_control_why(&before, &now).what, "");
}
