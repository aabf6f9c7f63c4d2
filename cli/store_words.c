/* SPDX-License-Identifier: MIT */
#include "cli/store_words.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hex(char letter)
{
	if (letter >= '0' && letter <= '9')
		return letter - '0';
	letter = (char)tolower((unsigned char)letter);
	return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* What stands behind a backslash. Returns how many characters; 0: nothing that may. */
static size_t escape(const char *at, char *out)
{
	static const char letters[] = "nrt0\"\\";
	static const char meant[] = "\n\r\t\0\"\\";
	const char *found = *at ? strchr(letters, *at) : NULL;

	if (found) {
		*out = meant[found - letters];
		return 1;
	}
	if (*at != 'x' || hex(at[1]) < 0 || hex(at[2]) < 0)
		return 0;
	*out = (char)(hex(at[1]) << 4 | hex(at[2]));
	return 3;
}

/* A part in quotes, from behind the first. Returns where it ends, behind the last; NULL with a
 * sentence. */
static const char *quoted(const char *at, char quote, char **out, struct mf_error *err)
{
	for (; *at && *at != quote; at++) {
		size_t count;

		if (*at != '\\' || quote == '\'') {
			*(*out)++ = *at;
			continue;
		}
		count = escape(at + 1, *out);
		if (!count) {
			mf_error_set(err, -EINVAL,
				     "behind a backslash stands one of n r t 0 \" \\ or xHH");
			return NULL;
		}
		++*out;
		at += count;
	}
	if (*at)
		return at + 1;
	mf_error_set(err, -EINVAL, "a quote (%c) has no end", quote);
	return NULL;
}

static const char *one_word(const char *at, char **out, struct mf_error *err)
{
	while (at && *at && !isspace((unsigned char)*at)) {
		if (*at == '"' || *at == '\'')
			at = quoted(at + 1, *at, out, err);
		else
			*(*out)++ = *at++;
	}
	return at;
}

int store_words_split(struct store_words *words, const char *line, struct mf_error *err)
{
	char *out = malloc(2 * strlen(line) + 2);

	*words = (struct store_words){.owned = out};
	if (!out)
		return mf_error_set(err, -ENOMEM, "not enough memory");
	for (;;) {
		struct store_word *word = &words->at[words->count];

		line += strspn(line, " \t\r\n");
		if (!*line)
			return 0;
		if (words->count == STORE_WORDS_MAX)
			return mf_error_set(err, -EINVAL, "these are more than %u words",
					    STORE_WORDS_MAX);
		word->data = out;
		line = one_word(line, &out, err);
		if (!line)
			return -EINVAL;
		word->bytes = (size_t)(out - word->data);
		*out++ = 0;
		words->count++;
	}
}

void store_words_finish(struct store_words *words)
{
	free(words->owned);
	*words = (struct store_words){.owned = NULL};
}

static bool is_plain(const uint8_t *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (at[i] <= ' ' || at[i] > '~' || strchr("\"'\\#", at[i]))
			return false;
	return bytes;
}

void store_word_print(const void *data, size_t bytes)
{
	const uint8_t *at = data;

	if (is_plain(at, bytes)) {
		fwrite(at, 1, bytes, stdout);
		return;
	}
	putchar('"');
	for (; bytes; at++, bytes--) {
		if (*at == '"' || *at == '\\')
			printf("\\%c", *at);
		else if (*at == '\n')
			fputs("\\n", stdout);
		else if (*at < ' ' || *at > '~')
			printf("\\x%02x", *at);
		else
			putchar(*at);
	}
	putchar('"');
}
