/* SPDX-License-Identifier: MIT */
/* mayfly store backup and restore: docs/formats/backup.md. */
#include "cli/store.h"
#include "cli/store_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAGIC   "MFBACKUP"
#define VERSION 1u

struct backup_head {
	char magic[8];
	uint32_t version;
	uint32_t format; /* of the records */
	uint64_t txn_id;
	uint64_t epoch;
	uint64_t time_ms;
	uint8_t digest[MF_DIGEST_BYTES]; /* of what is before it */
};
_Static_assert(sizeof(struct backup_head) == 72, "the format");

#define FRAME_BLOCK 1u
#define FRAME_END   2u

/* Before each payload; a digest is behind it. */
struct backup_frame {
	uint32_t kind;
	uint32_t bytes;  /* of the payload */
	uint64_t number; /* from 0 */
};

/* The payload of the last frame. */
struct backup_end {
	uint64_t blocks;
	uint64_t records;
};

struct backup {
	struct store_file file;
	uint8_t digest[MF_DIGEST_BYTES]; /* of what came last: each is part of the next one's */
	uint64_t blocks;
	uint64_t records;
};

static struct backup backup; /* the process has one */

/* ---- digests ---- */

static int digest_of(const struct backup_frame *frame, const void *payload,
		     uint8_t out[MF_DIGEST_BYTES])
{
	struct mf_digest *digest = mf_digest_begin();

	if (!digest)
		return -ENOMEM;
	mf_digest_add(digest, backup.digest, sizeof(backup.digest));
	mf_digest_add(digest, frame, sizeof(*frame));
	mf_digest_add(digest, payload, frame->bytes);
	return mf_digest_end(digest, out);
}

static int digest_head(const struct backup_head *head, uint8_t out[MF_DIGEST_BYTES])
{
	struct mf_digest *digest = mf_digest_begin();

	if (!digest)
		return -ENOMEM;
	mf_digest_add(digest, head, offsetof(struct backup_head, digest));
	return mf_digest_end(digest, out);
}

/* ---- backup ---- */

int store_backup_open(struct store_job *job, struct mf_error *err)
{
	struct backup_head nothing = {0};
	uint8_t unused[MF_DIGEST_BYTES];

	/* The library may look for files at its first use: later there are none. */
	digest_head(&nothing, unused);
	return store_file_create(&backup.file, job->file, job->options->force, err);
}

static int write_head(const struct mf_abi_admin_snapshot *snapshot, struct mf_error *err)
{
	struct backup_head head = {.magic = MAGIC,
				   .version = VERSION,
				   .format = snapshot->format,
				   .txn_id = snapshot->txn_id,
				   .epoch = snapshot->epoch};
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	head.time_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	if (digest_head(&head, head.digest))
		return mf_error_set(err, -ENOMEM, "cannot make a digest");
	memcpy(backup.digest, head.digest, sizeof(backup.digest));
	return store_file_write(&backup.file, &head, sizeof(head), err);
}

static int write_frame(uint32_t kind, const void *payload, size_t bytes, struct mf_error *err)
{
	struct backup_frame frame = {kind, (uint32_t)bytes, backup.blocks};
	uint8_t digest[MF_DIGEST_BYTES];
	int ret;

	if (digest_of(&frame, payload, digest))
		return mf_error_set(err, -ENOMEM, "cannot make a digest");
	ret = store_file_write(&backup.file, &frame, sizeof(frame), err);
	if (!ret)
		ret = store_file_write(&backup.file, payload, bytes, err);
	if (!ret)
		ret = store_file_write(&backup.file, digest, sizeof(digest), err);
	memcpy(backup.digest, digest, sizeof(digest));
	return ret;
}

static int write_blocks(struct store_job *job, uint64_t id, struct mf_error *err)
{
	int ret;

	for (;;) {
		ret = store_must(job, MF_ADMIN_READ, &id, sizeof(id), err);
		if (ret || !job->reply_bytes)
			return ret;
		ret = write_frame(FRAME_BLOCK, job->reply, job->reply_bytes, err);
		if (ret)
			return ret;
		backup.records += store_records(job->reply, job->reply_bytes);
		backup.blocks++;
	}
}

static int write_end(struct mf_error *err)
{
	struct backup_end end = {backup.blocks, backup.records};
	int ret = write_frame(FRAME_END, &end, sizeof(end), err);

	return ret ? ret : store_file_finish(&backup.file, err);
}

int store_backup(struct store_job *job, struct mf_error *err)
{
	struct mf_abi_admin_snapshot snapshot;
	int ret = store_open_snapshot(job, &snapshot, err);

	if (!ret)
		ret = write_head(&snapshot, err);
	if (!ret)
		ret = write_blocks(job, snapshot.id, err);
	if (!ret)
		ret = write_end(err);
	if (!ret) /* that one may have been given up meanwhile is no matter any more */
		store_call(job, MF_ADMIN_CLOSE, &snapshot.id, sizeof(snapshot.id));
	else
		store_file_spoil(&backup.file);
	return ret ? MF_STATUS_FAILED : 0;
}

/* ---- restore ---- */

int store_restore_open(struct store_job *job, struct mf_error *err)
{
	struct backup_head nothing = {0};
	uint8_t unused[MF_DIGEST_BYTES];

	digest_head(&nothing, unused);
	return store_file_open(&backup.file, job->file, err);
}

static int not_whole(const struct store_job *job, const char *what, struct mf_error *err)
{
	return mf_error_set(err, -EBADMSG, "%s is no whole backup: %s; nothing was restored",
			    job->file, what);
}

static int read_all(const struct store_job *job, void *to, size_t bytes, struct mf_error *err)
{
	size_t got = bytes;
	int ret = store_file_read(&backup.file, to, &got, err);

	return ret ? ret : got < bytes ? not_whole(job, "it ends too early", err) : 0;
}

static int read_head(const struct store_job *job, struct backup_head *head, struct mf_error *err)
{
	uint8_t digest[MF_DIGEST_BYTES];
	int ret = read_all(job, head, sizeof(*head), err);

	if (ret)
		return ret;
	if (memcmp(head->magic, MAGIC, sizeof(head->magic)))
		return not_whole(job, "it does not begin like one", err);
	if (head->version != VERSION)
		return mf_error_set(err, -EPROTO,
				    "%s is a backup of version %u; this mayfly knows version %u",
				    job->file, head->version, VERSION);
	if (digest_head(head, digest) || memcmp(digest, head->digest, sizeof(digest)))
		return not_whole(job, "its head is damaged", err);
	memcpy(backup.digest, digest, sizeof(digest));
	return 0;
}

/* The next frame; its payload is in the job. */
static int read_frame(struct store_job *job, struct backup_frame *frame, struct mf_error *err)
{
	uint8_t said[MF_DIGEST_BYTES];
	uint8_t digest[MF_DIGEST_BYTES];
	int ret = read_all(job, frame, sizeof(*frame), err);

	if (ret)
		return ret;
	if (frame->bytes > MF_ADMIN_BLOCK_MAX_BYTES || frame->number != backup.blocks ||
	    (frame->kind != FRAME_BLOCK && frame->kind != FRAME_END))
		return not_whole(job, "a part of it is damaged, or missing", err);
	ret = read_all(job, job->reply, frame->bytes, err);
	if (!ret)
		ret = read_all(job, said, sizeof(said), err);
	if (ret)
		return ret;
	if (digest_of(frame, job->reply, digest) || memcmp(digest, said, sizeof(digest)))
		return not_whole(job, "a part of it is damaged, or missing", err);
	memcpy(backup.digest, digest, sizeof(digest));
	return 0;
}

/* The payload lies where the reply comes: it is sent from a copy. */
static int put_block(struct store_job *job, size_t bytes, uint8_t *copy, struct mf_error *err)
{
	int ret;

	memcpy(copy, job->reply, bytes);
	ret = store_call(job, MF_ADMIN_RESTORE_PUT, copy, bytes);
	if (ret == -EILSEQ || ret == -EINVAL)
		return not_whole(job, "its records are not in order", err);
	if (ret)
		return store_explain(job, ret, err);
	backup.records += store_records(copy, bytes);
	backup.blocks++;
	return 0;
}

static int check_end(struct store_job *job, const struct backup_frame *frame, struct mf_error *err)
{
	struct backup_end end = {0};
	size_t more = 1;
	int ret;

	if (frame->bytes == sizeof(end))
		memcpy(&end, job->reply, sizeof(end));
	if (frame->bytes != sizeof(end) || end.blocks != backup.blocks ||
	    end.records != backup.records)
		return not_whole(job, "its end does not fit", err);
	ret = store_file_read(&backup.file, job->reply, &more, err);
	return ret ? ret : more ? not_whole(job, "something follows its end", err) : 0;
}

static int put_blocks(struct store_job *job, uint8_t *copy, struct mf_error *err)
{
	struct backup_frame frame;
	int ret;

	for (;;) {
		ret = read_frame(job, &frame, err);
		if (ret)
			return ret;
		if (frame.kind == FRAME_END)
			return check_end(job, &frame, err);
		ret = put_block(job, frame.bytes, copy, err);
		if (ret)
			return ret;
	}
}

static int finish(struct store_job *job, const struct backup_head *head, struct mf_error *err)
{
	struct mf_abi_admin_snapshot from = {
		.txn_id = head->txn_id, .epoch = head->epoch, .format = head->format};
	int ret = store_call(job, MF_ADMIN_RESTORE_FINISH, &from, sizeof(from));

	if (ret == -EPROTO)
		return mf_error_set(err, ret,
				    "%s has records of format %u, which this mayfly does not know",
				    job->file, head->format);
	return ret ? store_explain(job, ret, err) : 0;
}

int store_restore(struct store_job *job, struct mf_error *err)
{
	uint8_t *copy = malloc(MF_ADMIN_BLOCK_MAX_BYTES);
	struct backup_head head;
	int ret = copy ? read_head(job, &head, err) : mf_error_set(err, -ENOMEM, "no memory");

	if (!ret)
		ret = put_blocks(job, copy, err);
	if (!ret)
		ret = finish(job, &head, err);
	free(copy);
	if (ret)
		return MF_STATUS_FAILED;
	if (job->options->json)
		printf("{\"records\":%llu,\"transaction\":%llu}\n",
		       (unsigned long long)backup.records, (unsigned long long)head.txn_id);
	return 0;
}
