/* SPDX-License-Identifier: MIT */
#include "request-vm/output.h"
#include "engine/image/watchdog.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

_Static_assert(MF_OUTPUT_LINE + 64 <= PIPE_BUF, "a pipe that can be written takes a whole line");

static bool as_json; /* set before there are threads */

void mf_output_set_json(bool json)
{
	as_json = json;
}

/* A line as an object; `text` loses its LF. As much of it as fits into what a pipe takes at once.
 */
static size_t make_object(char out[PIPE_BUF], const char *source, const char *text, size_t bytes)
{
	struct timespec now;
	size_t at, i;

	clock_gettime(CLOCK_REALTIME, &now);
	at = (size_t)snprintf(out, PIPE_BUF,
			      "{\"time\":%lld.%06ld,\"source\":\"%.32s\",\"text\":\"",
			      (long long)now.tv_sec, now.tv_nsec / 1000, source);
	for (i = 0; i < bytes && at < PIPE_BUF - 16; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\n' && i + 1 == bytes)
			break;
		if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f)
			at += (size_t)snprintf(out + at, PIPE_BUF - at, "\\u%04x", c);
		else
			out[at++] = (char)c;
	}
	memcpy(out + at, "\"}\n", 3);
	return at + 3;
}

/* A write after poll() blocks only if another thread took the room in between: they take turns. */
static int put_line(const char *source, const char *text, size_t bytes, int patience_ms)
{
	char object[PIPE_BUF];
	static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
	int put = 0;

	if (as_json) {
		bytes = make_object(object, source, text, bytes);
		text = object;
	}
	pthread_mutex_lock(&turn);
	if (poll(&log, 1, patience_ms) > 0)
		put = write(STDERR_FILENO, text, bytes) >= 0;
	pthread_mutex_unlock(&turn);
	return put;
}

void mf_output_say(int patience_ms, const char *format, ...)
{
	char text[2048];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (length > 0)
		put_line("mayfly", text,
			 length < (int)sizeof(text) ? (size_t)length : sizeof(text) - 1,
			 patience_ms);
}

static void new_second(struct mf_output_meter *meter, uint64_t second)
{
	char text[96];
	int length;

	if (meter->swallowed) {
		length = snprintf(text, sizeof(text),
				  "mayfly: %u lines of guest output were dropped\n",
				  meter->swallowed);
		put_line("mayfly", text, (size_t)length, 0);
	}
	*meter = (struct mf_output_meter){.second = second};
}

static int may_print(struct mf_output_meter *meter)
{
	uint64_t second = mf_now_ns() / 1000000000ull;

	if (second != meter->second)
		new_second(meter, second);
	if (meter->lines >= MF_OUTPUT_LINES_A_SECOND) {
		meter->swallowed++;
		return 0;
	}
	meter->lines++;
	return 1;
}

void mf_output_note(struct mf_output *output, const char *text)
{
	char line[MF_OUTPUT_LINE + 32];
	int length;

	if (!may_print(output->meter))
		return;
	length = as_json ? snprintf(line, sizeof(line), "%s", text)
			 : snprintf(line, sizeof(line), "[%s] %s\n", output->tag, text);
	if (!put_line(output->tag, line,
		      length < (int)sizeof(line) ? (size_t)length : sizeof(line) - 1, 0))
		output->meter->swallowed++;
}

/* What one write takes at the most. */
#define WRITE_MAX 65536u

static bool continues(const unsigned char *at, size_t count)
{
	size_t i;

	for (i = 1; i <= count; i++) /* in order: the line's NUL is not passed */
		if ((at[i] & 0xc0) != 0x80)
			return false;
	return true;
}

/* Bytes of the well-formed UTF-8 character there (RFC 3629); 0: it is none, or a C1 control. A NUL
 * ends the line. */
static size_t character(const unsigned char *at)
{
	if (at[0] >= 0xc2 && at[0] <= 0xdf)
		return continues(at, 1) && (at[0] > 0xc2 || at[1] >= 0xa0) ? 2 : 0;
	if (at[0] >= 0xe0 && at[0] <= 0xef)
		return continues(at, 2) && (at[0] != 0xe0 || at[1] >= 0xa0) &&
				       (at[0] != 0xed || at[1] < 0xa0)
			       ? 3
			       : 0;
	if (at[0] >= 0xf0 && at[0] <= 0xf4)
		return continues(at, 3) && (at[0] != 0xf0 || at[1] >= 0x90) &&
				       (at[0] != 0xf4 || at[1] < 0x90)
			       ? 4
			       : 0;
	return at[0] < 0x80;
}

/* What is no character becomes dots: a lone byte from 0x80 to 0x9f is a control to some terminals.
 */
static void mend_line(char *line)
{
	while (*line) {
		size_t bytes = character((const unsigned char *)line);

		if (!bytes)
			*line = '.';
		line += bytes ? bytes : 1;
	}
}

void mf_output_flush(struct mf_output *output)
{
	if (output->used) {
		output->line[output->used] = 0;
		mend_line(output->line);
		mf_output_note(output, output->line);
	}
	explicit_bzero(output->line, output->used + 1);
	output->used = 0;
}

/* Bytes that a terminal would act on become a dot; those above 0x7f are looked at when the line is
 * whole. */
static char harmless(char byte)
{
	unsigned char c = (unsigned char)byte;

	if (c == '\t')
		return ' ';
	return c < 0x20 || c == 0x7f ? '.' : byte;
}

ssize_t mf_output_write(void *cookie, int fd, const void *bytes, size_t count)
{
	struct mf_output *output = cookie;
	const char *at = bytes;
	size_t i;

	(void)fd;
	/* A deadline is looked at between two calls of the program. */
	if (count > WRITE_MAX)
		count = WRITE_MAX;
	for (i = 0; i < count; i++) {
		if (at[i] == '\n' || output->used == sizeof(output->line) - 1) {
			if (!output->used)
				output->line[output->used++] = ' ';
			mf_output_flush(output);
		}
		if (at[i] != '\n')
			output->line[output->used++] = harmless(at[i]);
	}
	return (ssize_t)count;
}
