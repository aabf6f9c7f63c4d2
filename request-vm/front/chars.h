/* SPDX-License-Identifier: MIT */
/* Classes of bytes in HTTP/1 (RFC 9110 section 5.6, RFC 9112), for both directions. */
#ifndef REQUEST_VM_FRONT_CHARS_H
#define REQUEST_VM_FRONT_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* tchar: what names of methods and headers are made of */
static inline bool mf_char_token(unsigned char c)
{
	/* letters, digits and !#$%&'*+-.^_`|~ */
	static const unsigned long long set[2] = {0x03ff6cfa00000000ull, 0x57ffffffc7fffffeull};

	return c < 128 && (set[c >> 6] >> (c & 63) & 1);
}

/* what a header's value may hold: no control character but the tab */
static inline bool mf_char_value(unsigned char c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static inline bool mf_char_blank(unsigned char c)
{
	return c == ' ' || c == '\t';
}

static inline unsigned char mf_char_lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

/* Is the text this word, whatever its case? */
static inline bool mf_text_is(const char *text, size_t length, const char *word)
{
	return length == strlen(word) && strncasecmp(text, word, length) == 0;
}

/* Takes blanks off both ends. */
static inline void mf_text_trim(const char **text, size_t *length)
{
	while (*length > 0 && mf_char_blank((unsigned char)**text)) {
		(*text)++;
		(*length)--;
	}
	while (*length > 0 && mf_char_blank((unsigned char)(*text)[*length - 1]))
		(*length)--;
}

#endif
