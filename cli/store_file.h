/* SPDX-License-Identifier: MIT */
/* The file beside a store: a backup or a text, opened before the process is locked in. */
#ifndef MF_CLI_STORE_FILE_H
#define MF_CLI_STORE_FILE_H

#include "cli/store.h"
#include "engine/image/digest.h"

struct store_file {
	int fd;
	const char *name;
	bool is_stream; /* standard input or output */
};

/* To be read; "-" and NULL are standard input. -errno with a sentence. */
int store_file_open(struct store_file *file, const char *name, struct mf_error *err);

/* To be written; "-" and NULL are standard output. What is there is replaced by force alone. */
int store_file_create(struct store_file *file, const char *name, bool force, struct mf_error *err);

/* As many as there are of *bytes. */
int store_file_read(struct store_file *file, void *to, size_t *bytes, struct mf_error *err);
int store_file_write(struct store_file *file, const void *from, size_t bytes, struct mf_error *err);

/* On the disk. */
int store_file_finish(struct store_file *file, struct mf_error *err);

/* What is only half there is taken for nothing. */
void store_file_spoil(struct store_file *file);

/* A snapshot of the store. -errno with a sentence. */
int store_open_snapshot(struct store_job *job, struct mf_abi_admin_snapshot *snapshot,
			struct mf_error *err);

#endif
