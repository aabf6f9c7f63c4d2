/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "say.h"
#include "times.h"

#define TERMINAL_EVERY_NS 100000000ull
#define LINE_EVERY_NS     5000000000ull

static int failed;
static int progress_width; /* of the line that is to be overwritten */

static void end_progress(void)
{
	if (progress_width)
		printf("\r%*s\r", progress_width, "");
	progress_width = 0;
}

void say_scene(int number, const char *title)
{
	printf("\n%d. %s\n", number, title);
	fflush(stdout);
}

void say(const char *format, ...)
{
	va_list list;

	end_progress();
	printf("   ");
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	printf("\n");
	fflush(stdout);
}

void say_blank(void)
{
	printf("\n");
}

void say_progress(const char *what, size_t done, size_t all)
{
	static uint64_t last;
	bool terminal =
		isatty(STDOUT_FILENO) && !getenv("MAYFLY_EMULATED"); /* that one shows every byte */
	uint64_t now = now_ns();

	if (!last)
		last = now;
	if (done >= all) {
		end_progress();
		last = 0;
	} else if (now - last >= (terminal ? TERMINAL_EVERY_NS : LINE_EVERY_NS)) {
		last = now;
		progress_width = printf(terminal ? "\r   %s: %zu of %zu" : "   %s: %zu of %zu\n",
					what, done, all);
		if (!terminal)
			progress_width = 0;
	}
	fflush(stdout);
}

bool claim(bool holds, const char *format, ...)
{
	va_list list;

	end_progress();
	printf("   %s", holds ? "ok    " : "FAILS ");
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	printf("\n");
	fflush(stdout);
	failed += !holds;
	return holds;
}

int claims_failed(void)
{
	return failed;
}

const char *with_commas(unsigned long long number)
{
	static char texts[8][32];
	static unsigned int turn;
	char *at = texts[turn++ % 8] + sizeof(texts[0]) - 1;

	*at = '\0';
	for (int digits = 0; number || !digits; number /= 10) {
		if (digits && digits % 3 == 0)
			*--at = ',';
		*--at = (char)('0' + number % 10);
		digits++;
	}
	return at;
}
