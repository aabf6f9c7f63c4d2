/* SPDX-License-Identifier: MIT */
#include "config/number.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static int parse_number(const char *text, const struct unit *units, uint64_t *value)
{
	char *end;
	unsigned long long number;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	for (; units->name; units++) {
		if (strcmp(end, units->name))
			continue;
		if (number > UINT64_MAX / units->factor)
			return -ERANGE;
		*value = number * units->factor;
		return 0;
	}
	return -EINVAL;
}

int mf_parse_size(const char *option, const char *text, uint64_t *bytes, struct mf_error *err)
{
	static const struct unit units[] = {
		{"", 1}, {"K", 1ull << 10}, {"M", 1ull << 20}, {"G", 1ull << 30}, {NULL, 0}};

	if (parse_number(text, units, bytes) || !*bytes)
		return mf_error_set(err, -EINVAL, "--%s %s is not a size; write 512K, 64M or 2G",
				    option, text);
	return 0;
}

int mf_parse_duration(const char *option, const char *text, uint64_t *ns, struct mf_error *err)
{
	static const struct unit units[] = {
		{"ms", 1000000ull}, {"s", 1000000000ull}, {"m", 60000000000ull}, {NULL, 0}};

	if (parse_number(text, units, ns) || !*ns)
		return mf_error_set(err, -EINVAL, "--%s %s is not a time; write 250ms, 5s or 2m",
				    option, text);
	return 0;
}

int mf_parse_count(const char *option, const char *text, uint64_t max, uint64_t *value,
		   struct mf_error *err)
{
	static const struct unit units[] = {{"", 1}, {NULL, 0}};

	if (parse_number(text, units, value) || !*value || *value > max)
		return mf_error_set(err, -EINVAL, "--%s %s is not a number from 1 to %" PRIu64,
				    option, text, max);
	return 0;
}
