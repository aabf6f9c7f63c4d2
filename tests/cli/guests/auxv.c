/* SPDX-License-Identifier: MIT */
/* What a program is given at its start, as text; addresses as what they point at. */
#include <cpuid.h>
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

extern char **environ;
int main(int argc, char **argv);

/* Each string follows the one before, as setproctitle() and /proc/PID/cmdline want it. */
static int adjoin(char **strings, int count)
{
	int i;

	for (i = 0; i + 1 < count; i++)
		if (strings[i] + strlen(strings[i]) + 1 != strings[i + 1])
			return 0;
	return 1;
}

static void print_program_headers(void)
{
	const Elf64_Phdr *header = (const Elf64_Phdr *)getauxval(AT_PHDR);
	unsigned long i;

	for (i = 0; i < getauxval(AT_PHNUM); i++)
		printf("header %u flags %u size %lu\n", header[i].p_type, header[i].p_flags,
		       (unsigned long)header[i].p_memsz);
}

/* On x86 AT_HWCAP is of CPUID 1's EDX: FPU, SSE, SSE2. A signal frame has to hold the XSAVE area.
 */
static void print_machine(void)
{
	unsigned int a, xsave_bytes, c, d;

	__cpuid_count(0xd, 0, a, xsave_bytes, c, d);
	printf("hwcap has %lx\n", getauxval(AT_HWCAP) & 0x6000001);
	printf("a signal frame holds the XSAVE area %d\n",
	       getauxval(AT_MINSIGSTKSZ) > xsave_bytes &&
		       getauxval(AT_MINSIGSTKSZ) < xsave_bytes + 2048);
}

int main(int argc, char **argv)
{
	const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
	unsigned long entry = getauxval(AT_ENTRY);
	unsigned long base = getauxval(AT_BASE);
	int different = 0;
	int envc = 0;
	int i;

	for (i = 1; i < 16; i++)
		different += random[i] != random[0];
	while (environ[envc])
		envc++;
	if (argc > 500) {
		printf("argc %d, %ld bytes, adjoin %d\n", argc,
		       (long)(argv[argc - 1] + strlen(argv[argc - 1]) - argv[0]),
		       adjoin(argv, argc));
		return 0;
	}
	printf("argc %d envc %d adjoin %d %d\n", argc, envc, adjoin(argv, argc),
	       adjoin(environ, envc));
	for (i = 0; i < argc; i++)
		printf("argv %s\n", argv[i]);
	for (i = 0; i < envc; i++)
		printf("env %s\n", environ[i]);
	printf("execfn %s platform %s\n", (char *)getauxval(AT_EXECFN),
	       (char *)getauxval(AT_PLATFORM));
	printf("page %lu ticks %lu secure %lu flags %lu phent %lu\n", getauxval(AT_PAGESZ),
	       getauxval(AT_CLKTCK), getauxval(AT_SECURE), getauxval(AT_FLAGS),
	       getauxval(AT_PHENT));
	printf("uid %lu %lu gid %lu %lu\n", getauxval(AT_UID), getauxval(AT_EUID),
	       getauxval(AT_GID), getauxval(AT_EGID));
	printf("random %d vdso %d\n", different > 3, getauxval(AT_SYSINFO_EHDR) != 0);
	printf("interpreter %s\n", !base                             ? "none"
				   : memcmp((void *)base, ELFMAG, 4) ? "bad"
								     : "there");
	printf("entry near main %d\n", entry / (1ul << 28) == (unsigned long)main / (1ul << 28));
	printf("stack aligned %d\n", (unsigned long)&argv[-1] % 16 == 0);
	printf("a break %d\n", sbrk(4096) != (void *)-1);
	print_machine();
	print_program_headers();
	return 0;
}
