/* SPDX-License-Identifier: MIT */
/* A line of the shell as words, and bytes as a word that would be read as them. */
#ifndef MF_CLI_STORE_WORDS_H
#define MF_CLI_STORE_WORDS_H

#include <stddef.h>

#include <mayfly/error.h>

#define STORE_WORDS_MAX 8u

struct store_word {
	char *data; /* a zero behind it; there may be others in it */
	size_t bytes;
};

struct store_words {
	struct store_word at[STORE_WORDS_MAX];
	unsigned int count;
	char *owned;
};

/* -EINVAL with a sentence; -ENOMEM. Finish them in any case. */
int store_words_split(struct store_words *words, const char *line, struct mf_error *err);
void store_words_finish(struct store_words *words);

/* On standard output; in quotes where it has to be. */
void store_word_print(const void *data, size_t bytes);

#endif
