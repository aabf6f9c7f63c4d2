/* SPDX-License-Identifier: MIT */
/*
 * Prints every record of every table of a store's data file, `TABLE KEY VALUE` a line (the table
 * `counts` holds numbers), and fails when one cannot be read or a compacting copy is not the same.
 * usage: kills-reader FILE BYTES
 */
#include "tests/store/durability/replay_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print(const char *table, const void *key, size_t key_bytes, const void *value,
		  size_t value_bytes)
{
	int64_t number;

	if (table[0] == '.')
		return;
	printf("%s %.*s ", table, (int)key_bytes, (const char *)key);
	if (!strcmp(table, "counts") && value_bytes == sizeof(number)) {
		memcpy(&number, value, sizeof(number));
		printf("%lld", (long long)number);
	} else {
		fwrite(value, 1, value_bytes, stdout);
	}
	putchar('\n');
}

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	return 1;
}

int main(int argc, char **argv)
{
	size_t bytes = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
	struct contents contents;
	struct contents copy;
	const char *why;

	if (!bytes)
		return fail("usage", "kills-reader FILE BYTES");
	why = reader_read(argv[1], bytes, &contents);
	if (!why)
		why = reader_each(argv[1], bytes, print);
	if (why)
		return fail("the store", why);
	why = reader_copy(argv[1], bytes, &copy);
	if (why || copy.sum != contents.sum || copy.records != contents.records)
		return fail("a compacting copy", why ? why : "it holds something else");
	return fflush(stdout) ? fail("output", "cannot write") : 0;
}
