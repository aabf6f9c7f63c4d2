/* SPDX-License-Identifier: MIT */
/*
 * The program of counts_test. argv[1]: "plain"; "heap" (64 MiB of heap, all of it written before
 * the ready point); "remap" (each request maps, protects and unmaps: three calls).
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

static char *heap;
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
	while ((request = mf_wait())) {
		const char *target = mf_request_target(request).data;
		int length = 0;

		if (!strcmp(target, "/crash"))
			*(volatile int *)16 = 1;
		else if (!strcmp(target, "/registers"))
			registers();
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
