/* SPDX-License-Identifier: MIT */
#include "guest/store/redis/number.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 20u /* with a sign */

bool number_parse(struct mf_bytes text, int64_t *number)
{
	const char *at = text.data;
	bool minus = text.length && at[0] == '-';
	size_t i = minus;
	uint64_t most = minus ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
	uint64_t value = 0;

	if (text.length == i || text.length > DIGITS_MAX)
		return false;
	if (at[i] == '0' && text.length > 1)
		return false;
	for (; i < text.length; i++) {
		uint64_t digit = (uint64_t)(at[i] - '0');

		if (at[i] < '0' || at[i] > '9' || value > (most - digit) / 10)
			return false;
		value = 10 * value + digit;
	}
	*number = (int64_t)(minus ? 0 - value : value);
	return true;
}

bool number_parse_real(struct mf_bytes text, long double *number)
{
	char copy[NUMBER_TEXT];
	char *end;

	if (!text.length || text.length >= sizeof(copy))
		return false;
	memcpy(copy, text.data, text.length);
	copy[text.length] = 0;
	if (isspace((unsigned char)copy[0]))
		return false;
	errno = 0;
	*number = strtold(copy, &end);
	return end == copy + text.length && !isnan(*number) &&
	       !(errno == ERANGE && (isinf(*number) || fpclassify(*number) == FP_ZERO));
}

size_t number_print_real(long double number, char text[NUMBER_TEXT])
{
	size_t length = (size_t)snprintf(text, NUMBER_TEXT, "%.17Lf", number);

	if (memchr(text, '.', length)) {
		while (text[length - 1] == '0')
			length--;
		length -= text[length - 1] == '.';
		text[length] = 0;
	}
	if (length == 2 && !strcmp(text, "-0"))
		length = (size_t)snprintf(text, NUMBER_TEXT, "0");
	return length;
}
