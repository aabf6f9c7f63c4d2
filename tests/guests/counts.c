/* SPDX-License-Identifier: MIT */
/*
 * The program of counts_test. argv[1]: "plain"; "heap" (64 MiB of heap, all of it written before
 * the ready point); "remap" (each request maps, protects and unmaps: three calls); "lazy" (each
 * request goes on where the program stopped in a large mapping).
 * "/sum" adds up the body's bytes; "/everything" writes the whole heap; "/grow", "/scribble",
 * "/registers" and "/crash" are hostile.
 */
#include <mayfly/sdk.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HEAP_BYTES (64ul << 20)
#define MAP_BYTES  (256ul << 10)
#define RW         (PROT_READ | PROT_WRITE)
#define LAZY_BYTES (32ul << 20)
#define PAGE       4096ul

static char *heap;
static char *lazy; /* LAZY_BYTES, of which the first half was touched before the ready point */
static char copy[16 << 10];
static char junk[128 << 10];
static char answer[64];
static const char *mode = "plain";

static void remap(void)
{
	char *at = mmap(NULL, MAP_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(at, 1, MAP_BYTES);
	mprotect(at, MAP_BYTES, PROT_READ);
	munmap(at, MAP_BYTES);
}

static uint64_t sum(struct mf_text body)
{
	uint64_t value = 0;
	size_t i;

	memcpy(copy, body.data, body.length);
	for (i = 0; i < body.length; i++)
		value = value * 31 + (unsigned char)copy[i];
	if (heap)
		for (i = 0; i < HEAP_BYTES; i += HEAP_BYTES / 16)
			value += (unsigned char)heap[i]++;
	if (!strcmp(mode, "remap"))
		remap();
	if (lazy)
		memset(lazy + LAZY_BYTES / 2, 'l', 48 * PAGE);
	return value;
}

/* Map memory until there is none: how many pages there were. */
static int grow(void)
{
	int pages = 0;
	char *at;

	while ((at = mmap(NULL, 16 * 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED) {
		memset(at, 'g', 16 * 4096);
		pages += 16;
	}
	return pages;
}

/* Walk through a large mapping once: how many pages were not zero. */
static int walk(void)
{
	char *at = mmap(NULL, HEAP_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int found = 0;
	size_t i;

	if (at == MAP_FAILED)
		return -1;
	for (i = 0; i < HEAP_BYTES; i += PAGE)
		found += at[i]++ != 0;
	if (munmap(at, HEAP_BYTES))
		return -1;
	return found;
}

/* Touch more than there is: nobody comes back from that. */
static void overdraw(void)
{
	char *at = mmap(NULL, 1ul << 40, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t i;

	for (i = 0; at != MAP_FAILED; i += PAGE)
		at[i] = 1;
}

static void registers(void)
{
	__asm__ volatile("pxor %%xmm0, %%xmm0; mov $-1, %%r8; mov %%r8, %%r9; mov %%r9, %%r10; "
			 "movq %%r8, %%xmm7"
			 :
			 :
			 : "r8", "r9", "r10");
	__builtin_trap();
}

int main(int argc, char **argv)
{
	const struct mf_request *request;

	if (argc > 1)
		mode = argv[1];
	if (!strcmp(mode, "heap")) {
		heap = malloc(HEAP_BYTES);
		memset(heap, 'h', HEAP_BYTES);
	}
	if (!strcmp(mode, "lazy")) {
		lazy = mmap(NULL, LAZY_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(lazy, 'i', LAZY_BYTES / 2);
	}
	while ((request = mf_wait())) {
		const char *target = mf_request_target(request).data;
		int length = 0;

		if (!strcmp(target, "/crash"))
			*(volatile int *)16 = 1;
		else if (!strcmp(target, "/registers"))
			registers();
		else if (!strcmp(target, "/overdraw"))
			overdraw();
		else if (!strcmp(target, "/walk"))
			length = snprintf(answer, sizeof(answer), "%d", walk());
		else if (!strcmp(target, "/scribble"))
			memset(junk, 0x5a, sizeof(junk));
		else if (!strcmp(target, "/everything"))
			memset(heap, 'e', HEAP_BYTES);
		else if (!strcmp(target, "/grow"))
			length = snprintf(answer, sizeof(answer), "%d", grow());
		else
			length = snprintf(answer, sizeof(answer), "%llu",
					  (unsigned long long)sum(mf_request_body(request)));
		mf_respond(200, NULL, answer, (size_t)length);
	}
	return 1;
}
