/* SPDX-License-Identifier: MIT */
/* A program of which nearly all is constant: 8 MiB of data and 5 MiB of instructions. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define WORDS      (1u << 20)
#define CODE_BYTES (5u << 20)

#define PAGE_WORDS 512u

/* The first word of each page says where it stands, all others are alike; each instruction is a
 * return. */
__asm__(".pushsection .rodata\n"
	".balign 4096\n"
	"words:\n"
	".rept 2048\n"
	".quad . - words\n"
	".fill 511, 8, 0x5a5a5a5a\n"
	".endr\n"
	".popsection\n"
	".pushsection .text\n"
	".balign 4096\n"
	"code:\n"
	".fill 5 << 20, 1, 0xc3\n"
	".popsection\n");
extern volatile uint64_t words[];
extern char code[];

static int check(void)
{
	uint64_t i;

	for (i = 0; i < WORDS; i++)
		if (words[i] != (i % PAGE_WORDS ? 0x5a5a5a5a : i * 8))
			return printf("word %llu is wrong\n", (unsigned long long)i);
	for (i = 0; i < CODE_BYTES; i += 99991)
		((void (*)(void))(code + i))();
	return printf("all is as it was\n");
}

/* A page becomes the program's own when it is written, and stays so. */
static int change(void *page, size_t bytes, int prot)
{
	uint64_t was = *(uint64_t *)page;

	if (mprotect(page, bytes, PROT_READ | PROT_WRITE))
		return printf("mprotect failed\n");
	*(uint64_t *)page = ~was;
	if (mprotect(page, bytes, prot) || *(uint64_t *)page != ~was)
		return printf("what was written is gone\n");
	if (mprotect(page, bytes, PROT_READ | PROT_WRITE))
		return printf("mprotect failed\n");
	*(uint64_t *)page = was;
	return mprotect(page, bytes, prot) ? printf("mprotect failed\n") : 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	char line[8];

	setvbuf(stdout, NULL, _IONBF, 0);
	if (!strcmp(mode, "change")) {
		change((char *)words + (3 << 20), 4096, PROT_READ);
		change((char *)words + (5 << 20), 3 << 12, PROT_READ);
		change(code + (1 << 20), 4096, PROT_READ | PROT_EXEC);
	}
	if (!strcmp(mode, "late")) {
		printf("up\n");
		fgets(line, sizeof(line), stdin);
	}
	check();
	return 0;
}
