/* SPDX-License-Identifier: MIT */
/*
 * A record as a line of text: an object of JSON. "table", "key" and "value" are texts; what is no
 * text (no UTF-8, or with zeros or control characters other than tabs and newlines) is "table64",
 * "key64", "value64" in base64. "expires": ms since 1970; "kind": a number; left out when 0.
 */
#ifndef MF_CLI_STORE_JSON_H
#define MF_CLI_STORE_JSON_H

#include "cli/store.h"

void store_json_write(FILE *file, const struct store_record *record);

/* Before the process is locked in. */
void store_json_prepare(void);

struct store_line {
	struct store_record record;
	char table[MF_KV_TABLE_MAX_BYTES + 1];
	void *owned[2];
};

/* -EINVAL with what is wrong; -ENOMEM. */
int store_json_read(struct store_line *line, const char *text, size_t bytes, struct mf_error *err);
void store_json_finish(struct store_line *line);

#endif
