/* SPDX-License-Identifier: MIT */
#include "ipc/control/exposition.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct mf_control_status, field)

/* A number of struct mf_control_status. Those of one family stand together, the first names it. */
struct row {
	const char *family;
	const char *type;
	const char *help;
	const char *label; /* that tells it from the others of its family */
	uint32_t per;      /* so many are one of the unit that the name says */
	size_t offset;
};

static const struct row rows[] = {
	{"mayfly_requests_total", "counter",
	 "Requests that the pools were given and that have ended, by outcome.", "outcome=\"ok\"", 1,
	 AT(ok)},
	{NULL, NULL, NULL, "outcome=\"crash\"", 1, AT(crash)},
	{NULL, NULL, NULL, "outcome=\"memory\"", 1, AT(memory)},
	{NULL, NULL, NULL, "outcome=\"response\"", 1, AT(response)},
	{NULL, NULL, NULL, "outcome=\"deadline\"", 1, AT(deadline)},
	{NULL, NULL, NULL, "outcome=\"too_large\"", 1, AT(too_large)},
	{NULL, NULL, NULL, "outcome=\"conflict\"", 1, AT(conflict)},
	{NULL, NULL, NULL, "outcome=\"store\"", 1, AT(store_failed)},
	{"mayfly_requests_refused_total", "counter",
	 "Requests that no VM was asked to serve, by reason.", "reason=\"queue\"", 1, AT(rejected)},
	{NULL, NULL, NULL, "reason=\"rate\"", 1, AT(limited)},
	{NULL, NULL, NULL, "reason=\"invalid\"", 1, AT(refused)},
	{NULL, NULL, NULL, "reason=\"unavailable\"", 1, AT(unavailable)},
	{"mayfly_request_reruns_total", "counter",
	 "Requests that were served again after a conflict.", NULL, 1, AT(reruns)},
	{"mayfly_request_time_seconds_total", "counter",
	 "Time of all requests until now, by what they did or waited for.", "part=\"queue\"",
	 1000000000, AT(queue_ns)},
	{NULL, NULL, NULL, "part=\"turn\"", 1000000000, AT(turn_ns)},
	{NULL, NULL, NULL, "part=\"run\"", 1000000000, AT(run_ns)},
	{NULL, NULL, NULL, "part=\"store\"", 1000000000, AT(store_ns)},
	{NULL, NULL, NULL, "part=\"calls\"", 1000000000, AT(calls_ns)},
	{NULL, NULL, NULL, "part=\"client\"", 1000000000, AT(client_ns)},
	{"mayfly_worker_busy_seconds_total", "counter",
	 "Time in which workers' threads had something to do.", NULL, 1000000000, AT(busy_ns)},
	{"mayfly_worker_cpu_seconds_total", "counter",
	 "Time in which workers' threads had a processor; what lacks of the busy time, they waited "
	 "for one.",
	 NULL, 1000000000, AT(cpu_ns)},
	{"mayfly_vms", "gauge", "VMs by state.", "state=\"busy\"", 1, AT(vms_busy)},
	{NULL, NULL, NULL, "state=\"idle\"", 1, AT(vms_idle)},
	{"mayfly_vms_limit", "gauge", "VMs that there may be.", NULL, 1, AT(vms)},
	{"mayfly_vms_discarded_total", "counter", "VMs that were given up and forked anew.", NULL,
	 1, AT(vms_discarded)},
	{"mayfly_queue_length", "gauge", "Requests that wait for a VM.", NULL, 1, AT(queued)},
	{"mayfly_queue_limit", "gauge", "Requests that may wait for a VM.", NULL, 1,
	 AT(queue_limit)},
	{"mayfly_user_exits_total", "counter", "Returns of KVM_RUN, of finished requests.", NULL, 1,
	 AT(user_exits)},
	{"mayfly_page_faults_total", "counter",
	 "Page faults that KVM handled, of finished requests.", NULL, 1, AT(page_faults)},
	{"mayfly_resets_total", "counter", "VMs that were put back to their image.", NULL, 1,
	 AT(resets)},
	{"mayfly_reset_pages_total", "counter", "Pages that resets copied.", NULL, 1,
	 AT(pages_copied)},
	{"mayfly_reset_audits_total", "counter", "VMs that were checked after their reset.", NULL,
	 1, AT(audits)},
	{"mayfly_reset_audit_failures_total", "counter",
	 "VMs that were found to differ from their image.", NULL, 1, AT(audit_failures)},
	{"mayfly_connections_total", "counter", "Connections that were accepted.", NULL, 1,
	 AT(accepted)},
	{"mayfly_connections", "gauge", "Connections that are open.", NULL, 1, AT(connections)},
	{"mayfly_running_requests", "gauge",
	 "Requests that the front door has given on and that have no answer yet.", NULL, 1,
	 AT(running)},
	{"mayfly_client_failures_total", "counter", "What went wrong with clients, by reason.",
	 "reason=\"gone\"", 1, AT(cancelled)},
	{NULL, NULL, NULL, "reason=\"slow\"", 1, AT(timeouts)},
	{NULL, NULL, NULL, "reason=\"unread\"", 1, AT(dropped)},
	{"mayfly_invalid_responses_total", "counter", "Responses of programs that were none.", NULL,
	 1, AT(invalid)},
	{"mayfly_unsent_bytes", "gauge", "Bytes of responses that wait for slow readers.", NULL, 1,
	 AT(unsent_bytes)},
	{"mayfly_store_up", "gauge", "Whether the storage program runs; 0 without a store, too.",
	 NULL, 1, AT(store_up)},
	{"mayfly_store_restarts_total", "counter",
	 "Starts of the storage program behind the first one.", NULL, 1, AT(store_restarts)},
	{"mayfly_store_calls_total", "counter", "Calls that the storage program answered.", NULL, 1,
	 AT(store_calls)},
	{"mayfly_store_commits_total", "counter",
	 "Requests of which the store has taken what they wrote.", NULL, 1, AT(committed)},
	{"mayfly_store_lost_calls_total", "counter", "Calls that died with the storage program.",
	 NULL, 1, AT(store_lost)},
	{"mayfly_store_hand_offs_total", "counter",
	 "Times that a worker ran the storage VM itself.", NULL, 1, AT(store_hand_offs)},
	{"mayfly_store_user_exits_total", "counter", "Returns of KVM_RUN of the storage VM.", NULL,
	 1, AT(store_user_exits)},
	{"mayfly_store_in_place_reads_total", "counter", "Values that requests found in place.",
	 NULL, 1, AT(store_in_place)},
	{"mayfly_uptime_seconds", "gauge", "Time since the engine began.", NULL, 1000,
	 AT(uptime_ms)},
	{"mayfly_workers", "gauge", "Worker threads.", NULL, 1, AT(workers)},
	{"mayfly_workers_answering", "gauge",
	 "Worker threads that told their numbers in time; those of the others are old.", NULL, 1,
	 AT(workers_answering)},
};

static const char *const times_help[MF_CONTROL_TIME_COUNT] = {
	"From where a request was whole to the end of its answer.",
	"From a request's arrival until it had a VM.",
	"From where a request had a VM to its answer.",
	"One wait of a request for the store.",
	"The reset of a VM to its image.",
};

/* A histogram ends its buckets at powers of two of nanoseconds: from a microsecond to a minute. */
#define BUCKET_BITS_MIN 10u
#define BUCKET_BITS_MAX 36u

/* The three that the format escapes; bytes that would end the line elsewhere are none of a name. */
static void put_label(FILE *to, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			fprintf(to, "\\%c", *text);
		else if (*text == '\n')
			fputs("\\n", to);
		else
			putc(*text, to);
	}
}

/* `a` and `b` are labels, or NULL. */
static void put_labels(FILE *to, const struct mf_control_sample *sample, const char *a,
		       const char *b)
{
	const char *comma = "";

	if (!*sample->tenant && !a && !b)
		return;
	putc('{', to);
	if (*sample->tenant) {
		fputs("tenant=\"", to);
		put_label(to, sample->tenant);
		putc('"', to);
		comma = ",";
	}
	if (a) {
		fprintf(to, "%s%s", comma, a);
		comma = ",";
	}
	if (b)
		fprintf(to, "%s%s", comma, b);
	putc('}', to);
}

static void put_head(FILE *to, const char *family, const char *type, const char *help)
{
	fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", family, help, family, type);
}

/* Exact, without an exponent. */
static void put_fraction(FILE *to, uint64_t value, uint32_t per)
{
	int digits = per == 1 ? 0 : per == 1000 ? 3 : 9;

	if (!digits)
		fprintf(to, " %" PRIu64 "\n", value);
	else
		fprintf(to, " %" PRIu64 ".%0*" PRIu64 "\n", value / per, digits, value % per);
}

static void put_rows(FILE *to, const struct mf_control_sample *samples, size_t count)
{
	const struct row *end = rows + sizeof(rows) / sizeof(rows[0]);
	const struct row *row;
	const char *family = NULL;
	size_t i;

	for (row = rows; row < end; row++) {
		if (row->family) {
			family = row->family;
			put_head(to, family, row->type, row->help);
		}
		for (i = 0; i < count; i++) {
			const char *at = (const char *)&samples[i].status + row->offset;

			if (!samples[i].answered)
				continue;
			fputs(family, to);
			put_labels(to, &samples[i], row->label, NULL);
			put_fraction(to, *(const uint64_t *)at, row->per);
		}
	}
}

static void put_hist(FILE *to, const char *family, const struct mf_control_sample *sample,
		     const struct mf_hist *hist)
{
	uint64_t below = 0;
	uint32_t bucket = 0;
	unsigned int bits;
	char le[40];

	for (bits = BUCKET_BITS_MIN; bits <= BUCKET_BITS_MAX; bits++) {
		uint64_t end_ns = 1ull << bits;

		for (; mf_hist_first(bucket) < end_ns; bucket++)
			below += hist->buckets[bucket];
		snprintf(le, sizeof(le), "le=\"%" PRIu64 ".%09" PRIu64 "\"", end_ns / 1000000000,
			 end_ns % 1000000000);
		fprintf(to, "%s_bucket", family);
		put_labels(to, sample, le, NULL);
		fprintf(to, " %" PRIu64 "\n", below);
	}
	for (; bucket < MF_HIST_BUCKETS; bucket++)
		below += hist->buckets[bucket];
	fprintf(to, "%s_bucket", family);
	put_labels(to, sample, "le=\"+Inf\"", NULL);
	fprintf(to, " %" PRIu64 "\n%s_sum", below, family);
	put_labels(to, sample, NULL, NULL);
	put_fraction(to, hist->sum_ns, 1000000000);
	fprintf(to, "%s_count", family);
	put_labels(to, sample, NULL, NULL);
	fprintf(to, " %" PRIu64 "\n", below);
}

static void put_times(FILE *to, const struct mf_control_sample *samples, size_t count)
{
	char family[64];
	size_t i;
	int time;

	for (time = 0; time < MF_CONTROL_TIME_COUNT; time++) {
		snprintf(family, sizeof(family), "mayfly_%s_duration_seconds",
			 mf_control_time_name((enum mf_control_time)time));
		put_head(to, family, "histogram", times_help[time]);
		for (i = 0; i < count; i++)
			if (samples[i].answered)
				put_hist(to, family, &samples[i], &samples[i].times.of[time]);
	}
}

/* Of each tenant, whether its engine lives or not. */
static void put_engines(FILE *to, const struct mf_control_sample *samples, size_t count)
{
	size_t i;

	put_head(to, "mayfly_up", "gauge",
		 "Whether the engine answered; without it there is nothing else of it.");
	for (i = 0; i < count; i++) {
		fputs("mayfly_up", to);
		put_labels(to, &samples[i], NULL, NULL);
		fprintf(to, " %d\n", samples[i].answered);
	}
	put_head(to, "mayfly_engine_restarts_total", "counter",
		 "Engines that were started in the place of one that had died.");
	for (i = 0; i < count; i++) {
		fputs("mayfly_engine_restarts_total", to);
		put_labels(to, &samples[i], NULL, NULL);
		fprintf(to, " %" PRIu64 "\n", samples[i].restarts);
	}
}

/* What is a text is a label of a number that is 1. */
static void put_info(FILE *to, const struct mf_control_sample *samples, size_t count)
{
	size_t i;

	put_head(to, "mayfly_engine_info", "gauge", "What the engine is.");
	for (i = 0; i < count; i++) {
		const struct mf_control_status *status = &samples[i].status;

		if (!samples[i].answered)
			continue;
		fputs("mayfly_engine_info{", to);
		if (*samples[i].tenant) {
			fputs("tenant=\"", to);
			put_label(to, samples[i].tenant);
			fputs("\",", to);
		}
		fputs("version=\"", to);
		put_label(to, status->version);
		fputs("\",kvm=\"", to);
		put_label(to, status->kvm);
		fputs("\",state=\"", to);
		put_label(to, status->state);
		fputs("\"} 1\n", to);
	}
}

char *mf_control_exposition(const struct mf_control_sample *samples, size_t count)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);

	if (!to)
		return NULL;
	put_engines(to, samples, count);
	put_info(to, samples, count);
	put_rows(to, samples, count);
	put_times(to, samples, count);
	if (!fclose(to))
		return text;
	free(text);
	return NULL;
}
