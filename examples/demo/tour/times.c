/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>

#include "times.h"

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void times_add(struct times *times, uint64_t ns)
{
	if (times->count == times->room) {
		size_t room = times->room ? times->room * 2 : 1024;
		uint64_t *more = realloc(times->ns, room * sizeof(*more));

		if (!more)
			return;
		times->ns = more;
		times->room = room;
	}
	times->ns[times->count++] = ns;
}

void times_merge(struct times *times, const struct times *other)
{
	for (size_t i = 0; i < other->count; i++)
		times_add(times, other->ns[i]);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

double times_us(struct times *times, double percent)
{
	if (times->count == 0)
		return 0;
	qsort(times->ns, times->count, sizeof(times->ns[0]), compare);
	return (double)times->ns[(size_t)((double)(times->count - 1) * percent / 100)] / 1000;
}

void times_finish(struct times *times)
{
	free(times->ns);
	*times = (struct times){0};
}
