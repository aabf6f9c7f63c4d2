/* SPDX-License-Identifier: MIT */
/*
 * The guest program of embed.c: any static program will do. main() is the warm-up, what it prepares
 * is part of the image; the function is what the host calls.
 */
#include <stdint.h>

static uint64_t weight[256];
static uint64_t calls;

/* Exported by being global: embed.c finds it by its name. */
uint64_t add_up(const uint8_t *bytes, uint64_t count)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++)
		sum += weight[bytes[i]];
	calls++; /* seen by nobody else: the next call starts from the image */
	return sum;
}

int main(void)
{
	for (unsigned int i = 0; i < 256; i++)
		weight[i] = i;
	return 0;
}
