/* SPDX-License-Identifier: MIT */
/* Small random changes of a text in HTTP, for the fuzzing of both directions. */
#ifndef TESTS_FRONT_MUTATE_H
#define TESTS_FRONT_MUTATE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The seed of this run, printed with the rounds; $MAYFLY_TEST_SEED repeats one. */
static inline unsigned mutate_seed(int rounds)
{
	const char *text = getenv("MAYFLY_TEST_SEED");
	unsigned seed = text ? (unsigned)strtoul(text, NULL, 0) : (unsigned)time(NULL);

	printf("MAYFLY_TEST_SEED=%u, %d rounds\n", seed, rounds);
	fflush(stdout);
	return seed;
}

/* So many, and a hundred times as many in the long form. */
static inline int mutate_rounds(int rounds)
{
	const char *is_long = getenv("MAYFLY_TEST_LONG");

	return is_long && *is_long == '1' ? rounds * 100 : rounds;
}

/* Changes `data` in place of `size` bytes, `room` at most; returns the new size. */
static inline size_t mutate(char *data, size_t size, size_t room, unsigned *seed)
{
	static const char spice[] = "\r\n\0 :\t,#*/09AZaz;\x80\xff\x7f\x01";
	size_t at = size ? (size_t)rand_r(seed) % size : 0;
	size_t span = 1 + (size_t)rand_r(seed) % 12;
	char c = spice[(size_t)rand_r(seed) % (sizeof(spice) - 1)];

	span = span < size - at ? span : size - at;
	switch (rand_r(seed) % 6) {
	case 0:
		data[at] = c;
		return size;
	case 1:
		data[at] = (char)rand_r(seed);
		return size;
	case 2: /* drop */
		memmove(data + at, data + at + span, size - at - span);
		return size - span;
	case 3: /* repeat */
		if (size + span > room)
			return size;
		memmove(data + at + span, data + at, size - at);
		return size + span;
	case 4:
		if (size + 1 > room)
			return size;
		memmove(data + at + 1, data + at, size - at);
		data[at] = c;
		return size + 1;
	default:
		data[at] = (char)(data[at] ^ (1 << (rand_r(seed) & 7)));
		return size;
	}
}

#endif
