/* SPDX-License-Identifier: MIT */
#include <mayfly/error.h>

#include <stdarg.h>
#include <stdio.h>

int mf_error_set(struct mf_error *err, int code, const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return code;
}
