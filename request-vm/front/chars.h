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
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
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
