/* SPDX-License-Identifier: MIT */
/* How cases print. */
#include "case.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 4096

void say(const char *format, ...)
{
	char line[LINE_BYTES];
	int saved = errno;
	va_list list;
	int bytes;

	va_start(list, format);
	bytes = vsnprintf(line, sizeof(line) - 1, format, list);
	va_end(list);
	if (bytes > LINE_BYTES - 2)
		bytes = LINE_BYTES - 2;
	line[bytes++] = '\n';
	if (write(1, line, (size_t)bytes) != bytes)
		_exit(97);
	errno = saved;
}

void show_result(const char *expression, long value, bool hide)
{
	const char *name = strerrorname_np(errno);

	if (value == -1 && errno)
		say("%s = -1 %s", expression, name ? name : "?");
	else if (hide)
		say("%s works", expression);
	else
		say("%s = %ld", expression, value);
}

void show_bytes(const char *what, const void *bytes, size_t count)
{
	char text[LINE_BYTES / 2];
	const uint8_t *at = bytes;
	size_t used = 0;
	size_t i;

	for (i = 0; i < count && used + 8 < sizeof(text); i++) {
		if (at[i] >= ' ' && at[i] < 127 && at[i] != '\\')
			text[used++] = (char)at[i];
		else
			used += (size_t)sprintf(text + used, "\\x%02x", at[i]);
	}
	text[used] = 0;
	say("%s: \"%s\"%s", what, text, i < count ? "..." : "");
}
