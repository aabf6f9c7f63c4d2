/* SPDX-License-Identifier: MIT */
/* mayfly store stat, check and compact. */
#include "cli/options.h"
#include "cli/store.h"
#include "cli/verbs.h"
#include "measure/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- stat ---- */

struct pair {
	char name[64];
	uint64_t number;
};

/* The pair or table at *at; false at the end. */
static bool next_pair(const struct store_job *job, size_t *at, struct pair *pair)
{
	struct mf_abi_admin_pair head;

	if (job->reply_bytes - *at < sizeof(head))
		return false;
	memcpy(&head, job->reply + *at, sizeof(head));
	*at += sizeof(head);
	if (head.name_bytes >= sizeof(pair->name) || head.name_bytes > job->reply_bytes - *at)
		return false;
	pair->number = head.number;
	memcpy(pair->name, job->reply + *at, head.name_bytes);
	pair->name[head.name_bytes] = 0;
	*at += head.name_bytes;
	return true;
}

struct table {
	struct mf_abi_admin_table head;
	char name[MF_KV_TABLE_MAX_BYTES + 1];
};

static bool next_table(const struct store_job *job, size_t *at, struct table *table)
{
	if (job->reply_bytes - *at < sizeof(table->head))
		return false;
	memcpy(&table->head, job->reply + *at, sizeof(table->head));
	*at += sizeof(table->head);
	if (table->head.name_bytes >= sizeof(table->name) ||
	    table->head.name_bytes > job->reply_bytes - *at)
		return false;
	memcpy(table->name, job->reply + *at, table->head.name_bytes);
	table->name[table->head.name_bytes] = 0;
	*at += table->head.name_bytes;
	return true;
}

/* A number of MF_ADMIN_STAT; 0 when it is not there. */
static uint64_t number_of(const struct store_job *job, const char *name)
{
	struct pair pair;
	size_t at = 0;

	while (next_pair(job, &at, &pair))
		if (!strcmp(pair.name, name))
			return pair.number;
	return 0;
}

static void print_pairs(const struct store_job *job)
{
	struct pair pair;
	size_t at = 0;

	for (bool first = true; next_pair(job, &at, &pair); first = false) {
		if (!job->options->json) {
			for (char *c = pair.name; *c; c++)
				*c = *c == '_' ? ' ' : *c;
			printf("%-28s %llu\n", pair.name, (unsigned long long)pair.number);
			continue;
		}
		printf("%s\"%s\":%llu", first ? "" : ",", pair.name,
		       (unsigned long long)pair.number);
	}
}

static void print_tables(const struct store_job *job, uint64_t page_bytes)
{
	struct table table;
	size_t at = 0;

	if (!job->options->json && job->reply_bytes)
		printf("\n%-28s %12s %14s %6s\n", "table", "records", "bytes", "depth");
	for (bool first = true; next_table(job, &at, &table); first = false) {
		unsigned long long bytes = table.head.pages * page_bytes;

		if (!job->options->json) {
			printf("%-28s %12llu %14llu %6u\n", table.name,
			       (unsigned long long)table.head.entries, bytes, table.head.depth);
			continue;
		}
		printf("%s{\"name\":", first ? "" : ",");
		mf_json_text(stdout, table.name);
		printf(",\"records\":%llu,\"bytes\":%llu,\"depth\":%u}",
		       (unsigned long long)table.head.entries, bytes, table.head.depth);
	}
}

/* Figures of the functions that programs have, too, which stat has not told already. */
static void print_figures(const struct store_job *job)
{
	static const char *const told[] = {"format", "epoch", "commit", "map.bytes", "page.bytes"};
	struct mf_abi_kv_stat figure;

	for (size_t at = 0; job->reply_bytes - at >= sizeof(figure); at += sizeof(figure)) {
		bool known = false;

		memcpy(&figure, job->reply + at, sizeof(figure));
		figure.name[sizeof(figure.name) - 1] = 0;
		for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
			known |= !strcmp(figure.name, told[i]);
		if (known || !strncmp(figure.name, "table.", strlen("table.")))
			continue;
		for (char *c = figure.name; *c; c++)
			*c = *c == '.' ? job->options->json ? '_' : ' ' : *c;
		printf(job->options->json ? ",\"%s\":%llu" : "%-28s %llu\n", figure.name,
		       (unsigned long long)figure.value);
	}
}

int store_stat(struct store_job *job, struct mf_error *err)
{
	uint64_t page_bytes;

	if (store_must(job, MF_ADMIN_STAT, NULL, 0, err))
		return MF_STATUS_FAILED;
	page_bytes = number_of(job, "page_bytes");
	if (job->options->json)
		printf("{\"served\":%s,", mf_store_door_is_shared(job->door) ? "true" : "false");
	else
		printf("%-28s %s\n", "served", mf_store_door_is_shared(job->door) ? "yes" : "no");
	print_pairs(job);
	if (store_must(job, MF_KV_STAT, NULL, 0, err))
		return MF_STATUS_FAILED;
	print_figures(job);
	if (store_must(job, MF_ADMIN_TABLES, NULL, 0, err))
		return MF_STATUS_FAILED;
	if (job->options->json)
		printf(",\"tables\":[");
	print_tables(job, page_bytes);
	if (job->options->json)
		puts("]}");
	return 0;
}

/* ---- check ---- */

struct findings {
	char *text;
	size_t bytes;
};

static int keep(struct findings *findings, const uint8_t *text, size_t bytes)
{
	char *grown = realloc(findings->text, findings->bytes + bytes + 1);

	if (!grown)
		return -ENOMEM;
	findings->text = grown;
	memcpy(grown + findings->bytes, text, bytes);
	findings->bytes += bytes;
	grown[findings->bytes] = 0;
	return 0;
}

static void show_progress(const struct mf_abi_admin_check *check)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%llu of %llu pages%s", (unsigned long long)check->pages,
			(unsigned long long)check->of_pages, check->over ? "\r\033[K" : "");
}

/* Names of tables are anybody's bytes: they go to a terminal. */
static void calm(char *text)
{
	for (; text && *text; text++)
		if ((unsigned char)*text < ' ' && *text != '\n')
			*text = '?';
}

static void print_check(const struct store_job *job, const struct mf_abi_admin_check *check,
			char *found)
{
	if (!job->options->json) {
		calm(found);
		fputs(found ? found : "", stdout);
		printf("%llu pages, %llu records, format %u: %s%llu fault%s\n",
		       (unsigned long long)check->pages, (unsigned long long)check->records,
		       check->format, check->found ? "" : "clean, ",
		       (unsigned long long)check->found, check->found == 1 ? "" : "s");
		return;
	}
	printf("{\"pages\":%llu,\"records\":%llu,\"format\":%u,\"faults\":%llu,\"found\":[",
	       (unsigned long long)check->pages, (unsigned long long)check->records, check->format,
	       (unsigned long long)check->found);
	for (char *line = found ? strtok(found, "\n") : NULL, *first = line; line;
	     line = strtok(NULL, "\n")) {
		fputs(line == first ? "" : ",", stdout);
		mf_json_text(stdout, line);
	}
	puts("]}");
}

int store_check(struct store_job *job, struct mf_error *err)
{
	struct mf_abi_admin_check check = {0};
	struct findings findings = {0};
	int status = STORE_STATUS_UNSEEN;
	int ret = store_must(job, MF_ADMIN_CHECK_BEGIN, NULL, 0, err);

	while (!ret && !check.over) {
		ret = store_must(job, MF_ADMIN_CHECK_STEP, NULL, 0, err);
		if (!ret && job->reply_bytes < sizeof(check))
			ret = store_explain(job, -EPROTO, err);
		if (ret)
			break;
		memcpy(&check, job->reply, sizeof(check));
		ret = keep(&findings, job->reply + sizeof(check), job->reply_bytes - sizeof(check));
		show_progress(&check);
	}
	if (!ret) {
		print_check(job, &check, findings.text);
		status = check.found ? STORE_STATUS_FOUND : 0;
	}
	free(findings.text);
	return status;
}

/* ---- compact ---- */

#define LOOK_NS  50000000l
#define PATIENCE (20u * 60 * 10) /* looks: ten minutes */

/* Until it has begun anew: its epoch is another one. */
static int await_start(struct store_job *job, uint64_t epoch, struct mf_error *err)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};

	for (unsigned int i = 0; i < PATIENCE; i++) {
		int ret = store_call(job, MF_ADMIN_STAT, NULL, 0);

		if (ret && ret != -ECONNRESET && ret != -ETIMEDOUT)
			return store_explain(job, ret, err);
		if (!ret && number_of(job, "epoch") != epoch)
			return 0;
		nanosleep(&pause, NULL);
	}
	return mf_error_set(err, -ETIMEDOUT, "the storage program of %s does not come back",
			    job->folder);
}

int store_compact(struct store_job *job, struct mf_error *err)
{
	uint64_t before;
	uint64_t epoch;
	uint64_t code;

	if (store_must(job, MF_ADMIN_STAT, NULL, 0, err))
		return MF_STATUS_FAILED;
	before = number_of(job, "used_bytes");
	epoch = number_of(job, "epoch");
	if (store_must(job, MF_ADMIN_COMPACT, NULL, 0, err) || await_start(job, epoch, err))
		return MF_STATUS_FAILED;
	code = number_of(job, "compaction_error");
	if (code || !number_of(job, "compactions")) {
		mf_error_set(err, -EIO, "%s was not compacted, and is as it was: %s", job->folder,
			     code ? strerror((int)code) : "it took too long, or the program died");
		return MF_STATUS_FAILED;
	}
	if (job->options->json)
		printf("{\"before_bytes\":%llu,\"after_bytes\":%llu}\n", (unsigned long long)before,
		       (unsigned long long)number_of(job, "used_bytes"));
	else
		printf("%llu bytes, which were %llu\n",
		       (unsigned long long)number_of(job, "used_bytes"),
		       (unsigned long long)before);
	return 0;
}
