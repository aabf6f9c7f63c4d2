/* SPDX-License-Identifier: MIT */
/* mayfly store dump and load: a record a line, as an object of JSON. */
#include "cli/store_file.h"
#include "cli/store_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOAD_BYTES   (256u << 10) /* of a transaction, at least; one record may have more */
#define LOAD_RECORDS 1000u
#define AGAIN_MAX    10u

static struct store_file text_file;
static FILE *text;

static uint64_t time_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- dump ---- */

int store_dump_open(struct store_job *job, struct mf_error *err)
{
	int ret = store_file_create(&text_file, job->file, job->options->force, err);

	if (ret)
		return ret;
	text = text_file.is_stream ? stdout : fdopen(text_file.fd, "w");
	return text ? 0 : mf_error_set(err, -ENOMEM, "not enough memory");
}

static int dump_record(void *arg, const struct store_record *record)
{
	const uint64_t *now = arg;

	if (!record->expires_ms || record->expires_ms > *now)
		store_json_write(text, record);
	return ferror(text);
}

int store_dump(struct store_job *job, struct mf_error *err)
{
	struct mf_abi_admin_snapshot snapshot = {0};
	uint64_t now = time_ms();
	int ret = store_open_snapshot(job, &snapshot, err);

	while (!ret) {
		ret = store_must(job, MF_ADMIN_READ, &snapshot.id, sizeof(snapshot.id), err);
		if (ret || !job->reply_bytes)
			break;
		ret = store_each(job->reply, job->reply_bytes, dump_record, &now);
		if (ret == -EPROTO)
			store_explain(job, ret, err);
	}
	if (fflush(text) || ferror(text))
		ret = mf_error_set(err, -EIO, "cannot write %s", text_file.name);
	store_call(job, MF_ADMIN_CLOSE, &snapshot.id, sizeof(snapshot.id));
	if (!ret && !text_file.is_stream)
		ret = store_file_finish(&text_file, err);
	return ret ? MF_STATUS_FAILED : 0;
}

/* ---- load ---- */

struct load {
	struct store_job *job;
	struct store_block block;
	unsigned long first; /* line of the block */
	unsigned long line;
	unsigned long long records;
};

int store_load_open(struct store_job *job, struct mf_error *err)
{
	int ret = store_file_open(&text_file, job->file, err);

	if (ret)
		return ret;
	store_json_prepare();
	text = text_file.is_stream ? stdin : fdopen(text_file.fd, "r");
	return text ? 0 : mf_error_set(err, -ENOMEM, "not enough memory");
}

static int explain_line(struct load *load, int code, struct mf_error *err)
{
	struct mf_error why = {0};

	store_explain(load->job, code, &why);
	return mf_error_set(err, code, "%s:%lu: from this line on nothing is loaded: %s",
			    text_file.name, load->first, why.text);
}

/* All records of the block, or none. */
static int give(struct load *load, struct mf_error *err)
{
	int ret = 0;

	if (!load->block.records)
		return 0;
	for (unsigned int i = 0; i < AGAIN_MAX && (!i || ret == -EAGAIN); i++)
		ret = store_call(load->job, MF_ADMIN_PUT, load->block.bytes, load->block.used);
	if (ret)
		return explain_line(load, ret, err);
	load->records += load->block.records;
	store_block_clear(&load->block);
	return 0;
}

static int load_large(struct load *load, const struct store_record *record, struct mf_error *err)
{
	int ret = give(load, err);

	if (ret)
		return ret;
	load->first = load->line;
	ret = store_put_large(load->job, record);
	load->records += !ret;
	return ret ? explain_line(load, ret, err) : 0;
}

static int load_record(struct load *load, const struct store_record *record, struct mf_error *err)
{
	bool full = load->block.used >= LOAD_BYTES || load->block.records >= LOAD_RECORDS;

	if (full || !store_block_add(&load->block, record)) {
		int ret = give(load, err);

		if (ret)
			return ret;
		store_block_add(&load->block, record);
	}
	if (load->block.records == 1)
		load->first = load->line;
	return 0;
}

static int load_line(struct load *load, const char *line, size_t bytes, struct mf_error *err)
{
	struct store_line parsed;
	struct mf_error why = {0};
	int ret = store_json_read(&parsed, line, bytes, &why);

	if (ret) {
		give(load, err);
		return mf_error_set(err, ret, "%s:%lu: %s; what is before it is loaded",
				    text_file.name, load->line, why.text);
	}
	ret = store_is_large(&parsed.record) ? load_large(load, &parsed.record, err)
					     : load_record(load, &parsed.record, err);
	store_json_finish(&parsed);
	return ret;
}

static bool is_blank(const char *line)
{
	return !line[strspn(line, " \t\r\n")];
}

int store_load(struct store_job *job, struct mf_error *err)
{
	struct load load = {.job = job};
	char *line = NULL;
	size_t room = 0;
	ssize_t got;
	int ret =
		store_block_init(&load.block) ? mf_error_set(err, -ENOMEM, "not enough memory") : 0;

	while (!ret && (got = getline(&line, &room, text)) > 0) {
		load.line++;
		if (!is_blank(line))
			ret = load_line(&load, line, (size_t)got, err);
	}
	if (!ret && ferror(text))
		ret = mf_error_set(err, -EIO, "cannot read %s", text_file.name);
	if (!ret)
		ret = give(&load, err);
	free(line);
	store_block_finish(&load.block);
	if (!ret && job->options->json)
		printf("{\"records\":%llu}\n", load.records);
	return ret ? MF_STATUS_FAILED : 0;
}
