/* SPDX-License-Identifier: MIT */
/* Claims of a test program that is not Criterion's: it runs threads and VMs of its own. */
#ifndef MF_TESTS_STORE_CLAIMS_H
#define MF_TESTS_STORE_CLAIMS_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct claim {
	const char *name;
	bool (*holds)(void);
};

#define CLAIM(name)         \
	{                   \
#name, name \
	}

/*
 * Look at each, or at those with `only` in their names (NULL: all); `why` says what was wrong with
 * the last one. Prints a line each and the sum. How many do not hold.
 */
static inline unsigned int claims_run(const struct claim *claims, size_t count, const char *only,
				      const char *why)
{
	unsigned int passed = 0;
	unsigned int failed = 0;

	for (size_t i = 0; i < count; i++) {
		bool good;

		if (only && !strstr(claims[i].name, only))
			continue;
		good = claims[i].holds();
		passed += good;
		failed += !good;
		printf("  %s %s\n", good ? "ok  " : "FAIL", claims[i].name);
		if (!good)
			printf("      %s\n", why);
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed;
}

#endif
