/* SPDX-License-Identifier: MIT */
/*
 * The program of taint_test. "/put": body = a secret of 16 bytes and a mask of places to copy it
 * to.
 * "/find": body = the secret's complement; answers how often the secret stands in its own memory
 * and registers. The secret itself is never formed while it searches.
 */
#include <fcntl.h>
#include <mayfly/sdk.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECRET 16
#define RW     (PROT_READ | PROT_WRITE)
#define DEEP   (300 << 10)
#define REGION 65536

extern char __executable_start[], _end[];

static char in_bss[SECRET * 64];
static char in_data[SECRET] = "not yet secret!";
static char *kept; /* from malloc, before the ready point */
static char *region;
static int file;
static char answer[64];

static void put_bss(const char *secret)
{
	size_t i;

	for (i = 0; i < sizeof(in_bss); i += SECRET)
		memcpy(in_bss + i, secret, SECRET);
	memcpy(in_data, secret, SECRET);
}

static void put_heap(const char *secret)
{
	char *fresh = malloc(5000);
	char *freed = malloc(700);

	memcpy(kept + 100, secret, SECRET);
	memcpy(fresh + 4000, secret, SECRET);
	memcpy(freed + 300, secret, SECRET);
	free(freed);
}

__attribute__((noinline)) static void put_stack(const char *secret)
{
	char deep[DEEP];

	memcpy(deep + 64, secret, SECRET);
	memcpy(deep + DEEP / 2, secret, SECRET);
	__asm__ volatile("" : : "r"(deep) : "memory");
}

static void put_maps(const char *secret)
{
	char *fresh = mmap(NULL, REGION, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *gone = mmap(NULL, REGION, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *top = (char *)syscall(SYS_brk, 0);

	if (syscall(SYS_brk, top + 8192) != (long)(top + 8192))
		_exit(53);

	memcpy(region + 4090, secret, SECRET);
	memcpy(fresh + 4096, secret, SECRET);
	memcpy(gone + 8192, secret, SECRET);
	memcpy(top, secret, SECRET);
	munmap(gone, REGION);
	munmap(region + 8192, 4096);
}

static void put_file(const char *secret)
{
	int fresh = open("taint.bin", O_RDWR);
	char back[SECRET];

	if (write(file, secret, SECRET) != SECRET || pread(fresh, back, SECRET, 0) < 0)
		_exit(51);
}

static void put_pipe(const char *secret)
{
	int ends[2];

	if (pipe(ends) || write(ends[1], secret, SECRET) != SECRET)
		_exit(52);
}

static void put_environment(const char *secret)
{
	char text[SECRET + 1] = {0};

	memcpy(text, secret, SECRET);
	setenv("SECRET", text, 1);
}

/* Names and numbers that the engine keeps about a program. */
static void put_names(const char *secret)
{
	char name[2 * SECRET + 1];
	size_t i;

	for (i = 0; i < SECRET; i++)
		snprintf(name + 2 * i, 3, "%02x", (unsigned char)secret[i]);
	mkdir(name, 0700);
	if (chdir(name) == 0)
		open(".", O_RDONLY | O_DIRECTORY);
	rmdir(name);
}

static uint64_t xcr0(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

static void put_vectors(const char *secret)
{
	char wide[64] __attribute__((aligned(64)));
	size_t i;

	for (i = 0; i < 64; i += SECRET)
		memcpy(wide + i, secret, SECRET);
#define ALL_OF(insn, reg)                                                                   \
	__asm__ volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" insn " %0,%%" reg \
			 "\\n\n.endr"                                                       \
			 :                                                                  \
			 : "m"(wide))
	if ((xcr0() & 0xe0) == 0xe0) {
		ALL_OF("vmovdqa64", "zmm");
		__asm__ volatile(".irp n,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
				 "vmovdqa64 %0,%%zmm\\n\n.endr\n"
				 ".irp n,1,2,3,4,5,6,7\nkmovw %0,%%k\\n\n.endr"
				 :
				 : "m"(wide));
	} else if (xcr0() & 4) {
		ALL_OF("vmovdqa", "ymm");
	} else {
		ALL_OF("movdqa", "xmm");
	}
	__asm__ volatile("fldt %0\n fldt %1" : : "m"(wide[0]), "m"(wide[6]));
}

static void put(const char *body)
{
	unsigned int mask =
		(unsigned char)body[SECRET] | (unsigned int)(unsigned char)body[SECRET + 1] << 8;
	static void (*const places[])(const char *) = {put_bss,         put_heap,  put_stack,
						       put_maps,        put_file,  put_pipe,
						       put_environment, put_names, put_vectors};
	unsigned int i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (mask >> i & 1)
			places[i](body);
}

/* Bytes of [at, end) whose complement equals the two words. */
static unsigned int count(const char *at, const char *end, uint64_t low, uint64_t high)
{
	unsigned int found = 0;

	for (; at + SECRET <= end; at++) {
		uint64_t a;
		uint64_t b;

		__asm__("" : "+r"(low), "+r"(high)); /* or the compiler forms the secret */
		memcpy(&a, at, 8);
		memcpy(&b, at + 8, 8);
		found += (a ^ low) == UINT64_MAX && (b ^ high) == UINT64_MAX;
	}
	return found;
}

static unsigned int find(const char *body, const struct mf_request *request)
{
	const char *frame = __builtin_frame_address(0);
	uint64_t low;
	uint64_t high;
	unsigned int found;
	char *fresh;

	static char vectors[4096] __attribute__((aligned(64)));

	__asm__ volatile("xsave64 %0" : "=m"(vectors) : "a"(-1), "d"(-1) : "memory");
	memcpy(&low, body, 8);
	memcpy(&high, body + 8, 8);
	found = count(__executable_start, _end, low, high);
	/* musl keeps one page without access at the heap's start. */
	found += count((char *)(((uintptr_t)_end + 4095) & ~4095ul) + 4096,
		       (char *)syscall(SYS_brk, 0), low, high);
	found += count(kept, kept + 3000, low, high);
	found += count(frame - DEEP - 8192, frame + 512, low, high);
	found += count(region, region + REGION, low, high);
	found += count((const char *)request - 2048, (const char *)request + 8192, low, high);
	fresh = malloc(9000);
	found += count(fresh, fresh + 9000, low, high);
	fresh = mmap(NULL, 4 * REGION, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	found += count(fresh, fresh + 4 * REGION, low, high);
	found += getenv("SECRET") != NULL;
	return found;
}

int main(void)
{
	const struct mf_request *request;

	kept = malloc(3000);
	region = mmap(NULL, REGION, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	file = open("taint.bin", O_RDWR | O_CREAT, 0600);
	if (file < 0)
		return 41;
	mf_request_capacity(8192);
	while ((request = mf_wait())) {
		struct mf_text target = mf_request_target(request);
		struct mf_text body = mf_request_body(request);
		int length;

		if (target.data[1] == 'p') {
			put(body.data);
			length = snprintf(answer, sizeof(answer), "put");
		} else {
			length = snprintf(answer, sizeof(answer), "found %u",
					  find(body.data, request));
		}
		mf_respond(200, NULL, answer, (size_t)length);
	}
	return 1;
}
