/* SPDX-License-Identifier: MIT */
/* Looking an option up, and what one that is not there may have meant. */
#include "config/option.h"

#include <limits.h>
#include <string.h>

const struct mf_option *mf_option_find(const char *name, unsigned int place)
{
	const struct mf_option *option;

	for (option = mf_options; option->name; option++)
		if ((option->places & place) && !strcmp(option->name, name))
			return option;
	return NULL;
}

bool mf_option_may_miss(const struct mf_option *option)
{
	return option->value && *option->value == '[';
}

#define NAME_MAX_COMPARED 32u

static unsigned int least(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Letters to insert, delete or replace (Levenshtein's distance). */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[NAME_MAX_COMPARED + 1];
	size_t rows = strlen(a);
	size_t columns = strlen(b);
	size_t i;
	size_t j;

	if (rows > NAME_MAX_COMPARED || columns > NAME_MAX_COMPARED)
		return UINT_MAX;
	for (j = 0; j <= columns; j++)
		row[j] = (unsigned int)j;
	for (i = 1; i <= rows; i++) {
		unsigned int corner = row[0];

		row[0] = (unsigned int)i;
		for (j = 1; j <= columns; j++) {
			unsigned int above = row[j];

			row[j] = least(row[j - 1] + 1, above + 1, corner + (a[i - 1] != b[j - 1]));
			corner = above;
		}
	}
	return row[columns];
}

const char *mf_option_suggest(const char *name, unsigned int place)
{
	const struct mf_option *option;
	const char *best = NULL;
	unsigned int least_so_far = 4;

	for (option = mf_options; option->name; option++) {
		unsigned int far;

		if (!(option->places & place) || (option->places & MF_UNLISTED))
			continue;
		far = distance(name, option->name);
		if (far < least_so_far && far < strlen(name)) {
			least_so_far = far;
			best = option->name;
		}
	}
	return best;
}
