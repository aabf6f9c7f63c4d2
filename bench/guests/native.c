/* SPDX-License-Identifier: MIT */
/*
 * Work that runs natively and in a VM alike: `native KIND TIMES [MIB]`. Prints what the work took
 * by the program's own clock, in nanoseconds.
 *
 *   int     sorting and searching: branches that nobody predicts
 *   float   a product of matrices, by vectors of eight
 *   hash    SHA-256 of a buffer that fits the cache
 *   chase   one load that depends on the last, anywhere in MIB
 *   fault   map, touch each page, unmap, 1 MiB at a time
 *   large   the same, MIB at a time
 *   swap    of 512 pieces of 16 KiB that are in use, unmap one and map another in its place
 *   protect take the right to write from one page of 2 MiB, give it back, write all of them
 *   drop    touch each page of 1 MiB, give them back (MADV_DONTNEED)
 *   call    a system call that the kernel refuses at once
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* splitmix64 */
static uint64_t random_u64(void)
{
	static uint64_t state = 1;
	uint64_t value = state += 0x9e3779b97f4a7c15ull;

	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return value ^ value >> 31;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint64_t integers(void)
{
	static uint32_t numbers[1 << 16];
	uint64_t found = 0;
	size_t i;

	for (i = 0; i < 1 << 16; i++)
		numbers[i] = (uint32_t)random_u64();
	qsort(numbers, 1 << 16, sizeof(numbers[0]), compare);
	for (i = 0; i < 1 << 16; i++) {
		uint32_t key = (uint32_t)random_u64();

		found += bsearch(&key, numbers, 1 << 16, sizeof(key), compare) != NULL;
	}
	return found;
}

#define SIDE 256

typedef float eight __attribute__((vector_size(32)));

static eight left[SIDE][SIDE / 8], right[SIDE][SIDE / 8], product[SIDE][SIDE / 8];

__attribute__((target_clones("avx512f", "avx2", "default"))) static uint64_t floats(void)
{
	size_t row;
	size_t k;
	size_t column;

	for (row = 0; row < SIDE; row++)
		for (k = 0; k < SIDE / 8; k++)
			left[row][k] = right[row][k] = (eight){1, 2, 3, 4, 5, 6, 7, (float)row};
	for (row = 0; row < SIDE; row++)
		for (k = 0; k < SIDE; k++)
			for (column = 0; column < SIDE / 8; column++)
				product[row][column] += left[row][k / 8][k % 8] * right[k][column];
	return (uint64_t)product[3][3][3];
}

/* FIPS 180-4. The constants are the fractional parts of the roots of primes: computed. */
static uint32_t constants[64];

static uint32_t turn(uint32_t x, int by)
{
	return x >> by | x << (32 - by);
}

static uint32_t root_fraction(unsigned int prime)
{
	uint64_t low = 0;
	uint64_t high = 8ull << 32;

	while (high - low > 1) { /* the cube root, times 2^32 */
		uint64_t middle = (low + high) / 2;
		unsigned __int128 square = (unsigned __int128)middle * middle >> 32;

		if ((square * middle >> 64) >= prime)
			high = middle;
		else
			low = middle;
	}
	return (uint32_t)low;
}

static void make_constants(void)
{
	unsigned int count = 0;
	unsigned int prime;

	for (prime = 2; count < 64; prime++) {
		unsigned int divisor = 2;

		while (divisor * divisor <= prime && prime % divisor)
			divisor++;
		if (divisor * divisor > prime)
			constants[count++] = root_fraction(prime);
	}
}

static void digest_block(uint32_t state[8], const uint8_t *block)
{
	uint32_t words[64];
	uint32_t s[8];
	int i;

	memcpy(s, state, sizeof(s));
	for (i = 0; i < 16; i++)
		words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
			   (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
	for (; i < 64; i++) {
		uint32_t a = words[i - 15];
		uint32_t b = words[i - 2];

		words[i] = words[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + words[i - 7] +
			   (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
	}
	for (i = 0; i < 64; i++) {
		uint32_t t = s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) +
			     ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants[i] + words[i];
		uint32_t u = (turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) +
			     ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

		memmove(s + 1, s, 7 * sizeof(s[0]));
		s[4] += t;
		s[0] = t + u;
	}
	for (i = 0; i < 8; i++)
		state[i] += s[i];
}

static uint64_t hash(void)
{
	static uint8_t buffer[16384];
	uint32_t state[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	size_t round;
	size_t at;

	for (round = 0; round < 16; round++)
		for (at = 0; at < sizeof(buffer); at += 64)
			digest_block(state, buffer + at);
	buffer[0] = (uint8_t)state[0];
	return state[1];
}

static uint64_t chase(const uint8_t *memory, size_t bytes, size_t times)
{
	size_t lines = bytes / 64;
	uint32_t at = 1;
	size_t i;

	for (i = 0; i < times; i++) {
		at = at * 1664525u + 1013904223u;
		at += memory[((uint64_t)at * lines >> 32) * 64];
	}
	return at;
}

static uint8_t *map(size_t bytes)
{
	uint8_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		exit(2);
	madvise(at, bytes, MADV_HUGEPAGE);
	return at;
}

static uint64_t fault(size_t bytes)
{
	uint8_t *at = map(bytes);
	size_t i;

	for (i = 0; i < bytes; i += PAGE)
		at[i] = 1;
	munmap(at, bytes);
	return 0;
}

#define PIECES      512
#define PIECE_BYTES (16 * 1024)

/* As a heap that maps what it gives out; a few of its neighbours are written in between. */
static uint64_t swap(void)
{
	static uint8_t *pieces[PIECES];
	size_t at = random_u64() % PIECES;
	size_t i;

	if (pieces[at])
		munmap(pieces[at], PIECE_BYTES);
	pieces[at] =
		mmap(NULL, PIECE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pieces[at] == MAP_FAILED)
		exit(2);
	memset(pieces[at], 1, PIECE_BYTES);
	for (i = 0; i < 16; i++) {
		uint8_t *piece = pieces[random_u64() % PIECES];

		if (piece)
			piece[0]++;
	}
	return 0;
}

static uint64_t protect(void)
{
	static uint8_t *memory;
	size_t i;

	if (!memory)
		memory = map(2 << 20);
	if (mprotect(memory + 7 * PAGE, PAGE, PROT_READ) ||
	    mprotect(memory + 7 * PAGE, PAGE, PROT_READ | PROT_WRITE))
		exit(2);
	for (i = 0; i < 2 << 20; i += PAGE)
		memory[i]++;
	return 0;
}

static uint64_t drop(void)
{
	static uint8_t *memory;
	size_t i;

	if (!memory)
		memory = map(1 << 20);
	for (i = 0; i < 1 << 20; i += PAGE)
		memory[i]++;
	return (uint64_t)madvise(memory, 1 << 20, MADV_DONTNEED);
}

static uint64_t call(void)
{
	return (uint64_t)lseek(-1, 0, SEEK_SET);
}

static uint64_t work(const char *kind, size_t times, size_t bytes, uint8_t *memory)
{
	uint64_t sum = 0;

	if (!strcmp(kind, "chase"))
		return chase(memory, bytes, times);
	for (; times; times--)
		sum += !strcmp(kind, "int")       ? integers()
		       : !strcmp(kind, "float")   ? floats()
		       : !strcmp(kind, "hash")    ? hash()
		       : !strcmp(kind, "fault")   ? fault(1 << 20)
		       : !strcmp(kind, "large")   ? fault(bytes)
		       : !strcmp(kind, "swap")    ? swap()
		       : !strcmp(kind, "protect") ? protect()
		       : !strcmp(kind, "drop")    ? drop()
						  : call();
	return sum;
}

int main(int argc, char **argv)
{
	size_t times = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	size_t bytes = (argc > 3 ? strtoul(argv[3], NULL, 10) : 1) << 20;
	uint8_t *memory = NULL;
	uint64_t start;
	volatile uint64_t result;

	if (!times)
		return 2;
	if (!strcmp(argv[1], "chase")) {
		memory = map(bytes);
		memset(memory, 1, bytes);
	}
	make_constants();
	start = now_ns();
	result = work(argv[1], times, bytes, memory);
	(void)result;
	printf("%llu\n", (unsigned long long)(now_ns() - start));
	return 0;
}
