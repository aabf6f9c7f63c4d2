/* SPDX-License-Identifier: MIT */
/* Memory: mapping, protecting, moving, advising, files in memory. */
#include "case.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define PAGE 4096ul
#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 3
#endif

static sigjmp_buf faulted;

static void on_fault(int signo, siginfo_t *info, void *context)
{
	(void)context;
	say("  signal %d, code %d", signo, info->si_code);
	siglongjmp(faulted, 1);
}

static void catch_faults(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

/* What reading, and writing, a byte there comes to. */
static void probe(const char *what, void *at)
{
	volatile char *byte = at;

	say("%s", what);
	if (!sigsetjmp(faulted, 1))
		say("  reads %d", *byte);
	if (!sigsetjmp(faulted, 1)) {
		*byte = (char)(*byte + 1);
		say("  writes %d", *byte);
	}
}

static char *map(size_t pages, int prot)
{
	char *at = mmap(NULL, pages * PAGE, prot, ANON, -1, 0);

	if (at == MAP_FAILED)
		say("no memory");
	return at;
}

static int file_of(const char *name, size_t bytes)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	size_t i;

	for (i = 0; i < bytes; i += PAGE) {
		char page[PAGE];

		memset(page, 'a' + (int)(i / PAGE % 26), PAGE);
		WORKS(write(fd, page, bytes - i < PAGE ? bytes - i : PAGE));
	}
	return fd;
}

CASE(mmap_refuses, mmap)
{
	int reads, writes, dir;
	int fd = file_of("file", 2 * PAGE);

	reads = open("file", O_RDONLY);
	writes = open("file", O_WRONLY);
	dir = open(".", O_RDONLY | O_DIRECTORY);
	SHOW(SYS(mmap, 0, 0, RW, ANON, -1, 0));
	SHOW(SYS(mmap, 0, PAGE, RW, MAP_ANONYMOUS, -1, 0));
	SHOW(SYS(mmap, 0, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0));
	SHOW(SYS(mmap, 0, PAGE, RW, ANON, -1, 1));
	SHOW(SYS(mmap, 0, 1ul << 62, PROT_NONE, ANON, -1, 0));
	SHOW(SYS(mmap, 0, -1ul, PROT_NONE, ANON, -1, 0));
	SHOW(SYS(mmap, 1, PAGE, RW, ANON | MAP_FIXED, -1, 0));
	SHOW(SYS(mmap, 0, PAGE, RW, ANON | MAP_HUGETLB, -1, 0));
	SHOW(SYS(mmap, 0, PAGE, RW, ANON | MAP_HUGETLB | 5 << 26, -1, 0));
	SHOW(SYS(mmap, 0, PAGE, RW, MAP_PRIVATE, -1, 0));
	SHOW(SYS(mmap, 0, PAGE, RW, MAP_PRIVATE, 99, 0));
	SHOW(SYS(mmap, 0, PAGE, RW, MAP_PRIVATE, fd, 1));
	SHOW(SYS(mmap, 0, PAGE, RW, MAP_PRIVATE | MAP_HUGETLB, fd, 0));
	SHOW(SYS(mmap, 0, PAGE, RW, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0));
	SHOW(SYS(mmap, 0, PAGE, RW, MAP_SHARED, reads, 0));
	SHOW(SYS(mmap, 0, PAGE, PROT_READ, MAP_SHARED, writes, 0));
	SHOW(SYS(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, writes, 0));
	SHOW(SYS(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, dir, 0));
	SHOW(SYS(mmap, 0, PAGE, RW, MAP_SHARED_VALIDATE | 0x1000000, fd, 0));
	SHOW(SYS(mmap, 0, PAGE, RW, MAP_PRIVATE, fd, 0x7ffffffffffff000));
	WORKS(SYS(mmap, 0, PAGE, RW, MAP_PRIVATE, reads, 0));
	WORKS(SYS(mmap, 0, PAGE, RW, MAP_SHARED_VALIDATE, fd, 0));
	WORKS(SYS(mmap, 0, PAGE, PROT_READ, MAP_SHARED, reads, 0));
	WORKS(SYS(mmap, 0, PAGE, RW, ANON | MAP_STACK | MAP_NORESERVE | MAP_POPULATE, -1, 0));
	WORKS(SYS(mmap, 0, 100ul << 30, PROT_NONE, ANON | MAP_NORESERVE, -1, 0));
}

CASE(mmap_places, mmap, munmap)
{
	char *at = map(16, RW);
	char *low;

	SHOW(mmap(at + 4 * PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	SHOW(SYS(munmap, at + 4 * PAGE, PAGE));
	SHOW(mmap(at + 4 * PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == at + 4 * PAGE);
	SHOW(SYS(munmap, at + 4 * PAGE, PAGE));
	SHOW(mmap(at + 4 * PAGE, PAGE, RW, ANON, -1, 0) == at + 4 * PAGE);
	SHOW(mmap(at + 4 * PAGE, PAGE, RW, ANON, -1, 0) != at + 4 * PAGE);
	memset(at, 'x', 16 * PAGE);
	SHOW(mmap(at, 8 * PAGE, RW, ANON | MAP_FIXED, -1, 0) == at);
	SHOW(at[7 * PAGE] == 0 && at[8 * PAGE] == 'x');
	low = mmap(NULL, PAGE, RW, ANON | MAP_32BIT, -1, 0);
	SHOW((uintptr_t)low < 1ul << 31);
	SHOW(SYS(munmap, at, 0));
	SHOW(SYS(munmap, at + 1, PAGE));
	SHOW(SYS(munmap, at, 16 * PAGE));
	SHOW(SYS(munmap, at, 16 * PAGE));
	SHOW(SYS(munmap, 1ul << 62, PAGE));
	SHOW(SYS(munmap, 0, PAGE));
	SHOW(SYS(munmap, at, 1ul << 62));
}

CASE(mprotect_is_page_by_page, mprotect)
{
	char *at = map(6, RW);

	catch_faults();
	memset(at, 'm', 6 * PAGE);
	munmap(at + 3 * PAGE, PAGE);
	SHOW(SYS(mprotect, at + 1, PAGE, PROT_READ));
	SHOW(SYS(mprotect, at, 0, PROT_READ));
	SHOW(SYS(mprotect, at, PAGE, 0x100));
	SHOW(SYS(mprotect, at, PAGE, RW | PROT_GROWSDOWN));
	SHOW(SYS(mprotect, at, PAGE, RW | PROT_GROWSUP));
	SHOW(SYS(mprotect, at, PAGE, RW | PROT_GROWSUP | PROT_GROWSDOWN));
	SHOW(SYS(mprotect, at, -PAGE, PROT_READ));
	SHOW(SYS(mprotect, at + 3 * PAGE, PAGE, PROT_READ));
	probe("before", at + 2 * PAGE);
	/* What lies before the hole is changed all the same. */
	SHOW(SYS(mprotect, at, 6 * PAGE, PROT_READ));
	probe("before the hole", at + 2 * PAGE);
	probe("the hole", at + 3 * PAGE);
	probe("behind the hole", at + 4 * PAGE);
	SHOW(SYS(mprotect, at, PAGE, PROT_NONE));
	probe("none", at);
	SHOW(SYS(mprotect, at, PAGE, RW));
	probe("read and write", at);
	SHOW(SYS(mprotect, at + 1 * PAGE, PAGE, PROT_WRITE));
	probe("write", at + PAGE);
	/* Without PROT_READ it could still be read, but where there are protection keys. */
	SHOW(SYS(mprotect, at, PAGE, PROT_READ | PROT_EXEC));
	probe("execute", at);
}

CASE(mprotect_of_files, mprotect)
{
	int fd = file_of("file", 2 * PAGE);
	int reads = open("file", O_RDONLY);
	char *shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reads, 0);
	char *private = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, reads, 0);
	char *both = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	char byte;

	catch_faults();
	SHOW(SYS(mprotect, shared, PAGE, RW));
	SHOW(SYS(mprotect, private, PAGE, RW));
	probe("shared", shared);
	probe("private", private);
	SHOW(SYS(mprotect, both, 2 * PAGE, RW));
	both[PAGE] = 'Z';
	SHOW(pread(fd, &byte, 1, PAGE));
	SHOW(byte);
	SHOW(SYS(mprotect, both, PAGE, PROT_READ));
	probe("again read-only", both);
}

CASE(mremap_refuses, mremap)
{
	char *at = map(8, RW);

	munmap(at + 4 * PAGE, PAGE);
	SHOW(SYS(mremap, at + 1, PAGE, PAGE, 0));
	SHOW(SYS(mremap, at, PAGE, 0, 0));
	SHOW(SYS(mremap, at, PAGE, PAGE, 64));
	SHOW(SYS(mremap, at, PAGE, PAGE, MREMAP_FIXED, at));
	SHOW(SYS(mremap, at, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0));
	SHOW(SYS(mremap, at, PAGE, PAGE, MREMAP_DONTUNMAP, 0));
	SHOW(SYS(mremap, at + 4 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
	SHOW(SYS(mremap, at, 5 * PAGE, 9 * PAGE, MREMAP_MAYMOVE));
	SHOW(SYS(mremap, at, 0, PAGE, MREMAP_MAYMOVE));
	SHOW(SYS(mremap, at, PAGE, 4 * PAGE, 0));
	SHOW(SYS(mremap, at, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + PAGE));
	SHOW(SYS(mremap, at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 5 * PAGE + 1));
	SHOW(SYS(mremap, at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, 1ul << 60));
	SHOW(SYS(mremap, NOWHERE, PAGE, PAGE, MREMAP_MAYMOVE));
	SHOW(SYS(mremap, 0, PAGE, PAGE, MREMAP_MAYMOVE));
}

CASE(mremap_moves, mremap)
{
	char *at = map(16, RW);
	char *to = map(16, RW);
	char *got;

	catch_faults();
	memset(at, '1', 16 * PAGE);
	at[3 * PAGE] = '3';
	SHOW((char *)SYS(mremap, at, 16 * PAGE, 8 * PAGE, 0) == at);
	probe("cut off", at + 8 * PAGE);
	SHOW((char *)SYS(mremap, at, 8 * PAGE, 12 * PAGE, 0) == at);
	probe("grown", at + 8 * PAGE);
	got = (char *)SYS(mremap, at, 12 * PAGE, 40 * PAGE, MREMAP_MAYMOVE);
	SHOW(got[3 * PAGE] == '3' && got[7 * PAGE] == '1' && !got[39 * PAGE]);
	if (got != at)
		probe("left", at);
	else
		say("left\n  signal 11, code 1\n  signal 11, code 1");
	SHOW((char *)SYS(mremap, got, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	SHOW(to[3 * PAGE] == '3' && to[7 * PAGE] == '1' && !to[8 * PAGE]);
	probe("left, too", got);
	probe("not moved", got + 8 * PAGE);
	mprotect(to, PAGE, PROT_READ);
	got = (char *)SYS(mremap, to, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
	SHOW(got != to && got[0] == '1');
	probe("read-only as before", got);
	SHOW(to[0]);
	SHOW(SYS(mremap, to, 16 * PAGE, 17 * PAGE, MREMAP_MAYMOVE));
	got = (char *)SYS(mremap, to + PAGE, 4 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			  to + 8 * PAGE);
	SHOW(got == to + 8 * PAGE && got[2 * PAGE] == '\0' && got[0] == '1');
}

CASE(mremap_of_files, mremap)
{
	int fd = file_of("file", 4 * PAGE);
	char *shared = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, PAGE);
	char *private = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, PAGE);
	char *twin;
	char byte;

	private[0] = 'P';
	shared[1] = 'S';
	shared = (char *)SYS(mremap, shared, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE);
	private = (char *)SYS(mremap, private, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE);
	say("%c%c%c %c%c%c", shared[0], shared[1], shared[2 * PAGE], private[0], private[1],
	    private[2 * PAGE]);
	twin = (char *)SYS(mremap, shared, 0, PAGE, MREMAP_MAYMOVE);
	twin[2] = 'T';
	SHOW(shared[2]);
	SHOW(pread(fd, &byte, 1, PAGE + 2));
	SHOW(byte);
	SHOW(SYS(mremap, private, 0, PAGE, MREMAP_MAYMOVE));
}

CASE(madvise_does, madvise)
{
	int fd = file_of("file", 40 * PAGE);
	int reads = open("file", O_RDONLY);
	char *at = map(64, RW);
	char *shared = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	char *read_only = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, reads, 0);
	char *private = mmap(NULL, 40 * PAGE, RW, MAP_PRIVATE, fd, 0);
	char *anon = mmap(NULL, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	static const int hints[] = {MADV_NORMAL,    MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED,
				    MADV_DONTFORK,  MADV_DOFORK, MADV_HUGEPAGE,   MADV_NOHUGEPAGE,
				    MADV_DONTDUMP,  MADV_DODUMP, MADV_COLD,       MADV_PAGEOUT,
				    MADV_KEEPONFORK};
	size_t i;

	memset(at, 'a', 64 * PAGE);
	for (i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		say("hint %d", hints[i]);
		SHOW(SYS(madvise, at, 4 * PAGE, hints[i]));
	}
	SHOW(at[0]);
	SHOW(SYS(madvise, at + 1, PAGE, MADV_DONTNEED));
	SHOW(SYS(madvise, at, 0, MADV_DONTNEED));
	SHOW(SYS(madvise, at, PAGE, 77));
	SHOW(SYS(madvise, at, 0, 77));
	SHOW(SYS(madvise, at, -PAGE, MADV_DONTNEED));
	SHOW(SYS(madvise, at, PAGE, MADV_DONTNEED));
	SHOW(!at[0] && at[PAGE] == 'a');
	SHOW(SYS(madvise, at, 32 * PAGE, MADV_DONTNEED));
	SHOW(!at[PAGE] && !at[31 * PAGE] && at[32 * PAGE] == 'a');
	SHOW(SYS(madvise, at, PAGE, MADV_FREE));
	SHOW(SYS(madvise, private, PAGE, MADV_FREE));
	SHOW(SYS(madvise, shared, PAGE, MADV_FREE));
	private[0] = 'P';
	private[30 * PAGE] = 'P';
	SHOW(SYS(madvise, private, 40 * PAGE, MADV_DONTNEED));
	say("%c %c", private[0], private[30 * PAGE]);
	shared[0] = 'S';
	SHOW(SYS(madvise, shared, PAGE, MADV_DONTNEED));
	SHOW(shared[0]);
	SHOW(SYS(madvise, shared, PAGE, MADV_REMOVE));
	SHOW(shared[0] || shared[PAGE] != 'b');
	SHOW(SYS(madvise, private, PAGE, MADV_REMOVE));
	SHOW(SYS(madvise, read_only, PAGE, MADV_REMOVE));
	SHOW(SYS(madvise, at, PAGE, MADV_REMOVE));
	anon[0] = 'A';
	SHOW(SYS(madvise, anon, PAGE, MADV_DONTNEED));
	SHOW(anon[0]);
	SHOW(SYS(madvise, anon, PAGE, MADV_REMOVE));
	SHOW(anon[0]);
	SHOW(SYS(madvise, at, 64 * PAGE, MADV_WIPEONFORK));
	SHOW(SYS(madvise, shared, PAGE, MADV_WIPEONFORK));
	munmap(at + 2 * PAGE, PAGE);
	memset(at + 3 * PAGE, 'b', PAGE);
	SHOW(SYS(madvise, at, 4 * PAGE, MADV_DONTNEED));
	SHOW(at[3 * PAGE]);
	SHOW(SYS(madvise, at + 2 * PAGE, PAGE, MADV_DONTNEED));
}

CASE(populate, madvise)
{
	int fd = file_of("file", PAGE);
	char *at = map(4, RW);
	char *file = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);

	SHOW(SYS(madvise, at, 4 * PAGE, 22));
	SHOW(SYS(madvise, at, 4 * PAGE, 23));
	mprotect(at, PAGE, PROT_READ);
	SHOW(SYS(madvise, at, PAGE, 22));
	SHOW(SYS(madvise, at, PAGE, 23));
	mprotect(at, PAGE, PROT_NONE);
	SHOW(SYS(madvise, at, PAGE, 22));
	munmap(at + 2 * PAGE, PAGE);
	SHOW(SYS(madvise, at + PAGE, 3 * PAGE, 22));
	SHOW(SYS(madvise, file, PAGE, 23));
	SHOW(SYS(madvise, file, 2 * PAGE, 23));
}

CASE(shared_files, mmap, msync)
{
	int fd = file_of("file", PAGE + 100);
	char *one = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
	char *two = mmap(NULL, PAGE, RW, MAP_SHARED, fd, PAGE);
	char *private = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0);
	char text[8] = "";

	memcpy(one + 10, "mapped", 6);
	SHOW(pread(fd, text, 6, 10));
	show_bytes("read", text, 6);
	SHOW(pwrite(fd, "written", 7, 20));
	show_bytes("seen", one + 20, 7);
	two[3] = 'T';
	SHOW(one[PAGE + 3]);
	one[PAGE + 200] = 'B'; /* behind the end: never in the file */
	private[11] = '!';
	SHOW(one[11]);
	SHOW(SYS(msync, one, 2 * PAGE, MS_SYNC));
	SHOW(SYS(msync, one, 2 * PAGE, MS_ASYNC));
	SHOW(SYS(msync, one, 2 * PAGE, MS_SYNC | MS_ASYNC));
	SHOW(SYS(msync, one, 2 * PAGE, MS_INVALIDATE));
	SHOW(SYS(msync, one, 2 * PAGE, 64));
	SHOW(SYS(msync, one + 1, PAGE, MS_SYNC));
	SHOW(SYS(msync, one, 0, MS_SYNC));
	SHOW(SYS(msync, NULL, PAGE, MS_SYNC));
	SHOW(SYS(msync, one, -PAGE, MS_SYNC));
	/* The kernel itself writes there, and from there. */
	SHOW(pread(fd, one + 40, 7, 20));
	SHOW(write(1, one + 40, 0));
	show_bytes("copied", one + 40, 7);
	SHOW(ftruncate(fd, 3 * PAGE));
	SHOW(one[PAGE + 200]);
	close(fd);
	one[0] = 'c';
	SHOW(munmap(one, 2 * PAGE));
	SHOW(munmap(two, PAGE));
	fd = open("file", O_RDONLY);
	SHOW(pread(fd, text, 1, 0));
	SHOW(text[0]);
}

CASE(behind_the_end_of_a_file, mmap)
{
	int fd = file_of("file", PAGE + 100);
	char *shared = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);
	char *private = mmap(NULL, 3 * PAGE, RW, MAP_PRIVATE, fd, 0);

	catch_faults();
	SHOW(shared[PAGE + 100] || private[PAGE + 100]);
	probe("private, behind the end", private + 2 * PAGE);
	SHOW(pread(fd, private + 2 * PAGE, 10, 0));
	SHOW(ftruncate(fd, 3 * PAGE));
	probe("grown, private", private + 2 * PAGE);
	probe("grown, shared", shared + 2 * PAGE);
	SHOW(SYS(getcwd, shared, PAGE) > 0);
}

CASE(files_in_memory_stay, mmap, munmap)
{
	int fd = file_of("file", 70 * PAGE);
	char *at = mmap(NULL, 70 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	char *tail = mmap(NULL, 10 * PAGE, RW, MAP_PRIVATE, fd, 60 * PAGE);

	close(fd);
	SHOW(unlink("file"));
	SHOW(at[0] == 'a' && at[69 * PAGE] == 'a' + 69 % 26 && tail[0] == 'a' + 60 % 26);
	tail[0] = 'w';
	SHOW(at[60 * PAGE]);
	SHOW(munmap(at + 10 * PAGE, 10 * PAGE));
	SHOW(at[9 * PAGE] == 'a' + 9 && at[20 * PAGE] == 'a' + 20);
	SHOW(mprotect(at, PAGE, RW));
	at[1] = 'w';
	SHOW(at[0] == 'a' && at[1] == 'w');
	SHOW(madvise(at, PAGE, MADV_DONTNEED));
	SHOW(at[1]);
}

CASE(locks, mlock, munlock, mlock2, mlockall, munlockall)
{
	char *at = map(8, RW);
	char *fresh;

	SHOW(SYS(mlock, at + 10, PAGE));
	SHOW(SYS(madvise, at, PAGE, MADV_DONTNEED));
	SHOW(SYS(msync, at, PAGE, MS_INVALIDATE));
	SHOW(SYS(munlock, at, 2 * PAGE));
	SHOW(SYS(madvise, at, PAGE, MADV_DONTNEED));
	SHOW(SYS(mlock2, at, PAGE, 1));
	SHOW(SYS(mlock2, at, PAGE, 2));
	munmap(at + 4 * PAGE, PAGE);
	SHOW(SYS(mlock, at, 8 * PAGE));
	SHOW(SYS(munlock, at, 8 * PAGE));
	SHOW(SYS(mlock, at, 0));
	SHOW(SYS(mlock, -PAGE, 2 * PAGE));
	SHOW(SYS(mlockall, 0));
	SHOW(SYS(mlockall, 4));
	SHOW(SYS(mlockall, 8));
	SHOW(SYS(mlockall, MCL_FUTURE | 4));
	fresh = map(1, RW);
	SHOW(SYS(madvise, fresh, PAGE, MADV_DONTNEED));
	SHOW(SYS(munlockall));
	SHOW(SYS(madvise, fresh, PAGE, MADV_DONTNEED));
}

CASE(a_limit_on_address_space, prlimit64, mmap, brk, mremap)
{
	struct rlimit limit, old;
	char *at = map(1, RW);
	char *end = (char *)SYS(brk, 0);

	SHOW(SYS(prlimit64, 0, RLIMIT_AS, NULL, &old));
	limit = old;
	limit.rlim_cur = 1ul << 30;
	SHOW(SYS(prlimit64, 0, RLIMIT_AS, &limit, NULL));
	SHOW(SYS(mmap, NULL, 2ul << 30, PROT_NONE, ANON, -1, 0));
	SHOW(SYS(mremap, at, PAGE, 2ul << 30, MREMAP_MAYMOVE));
	SHOW((char *)SYS(brk, end + (2ul << 30)) == end);
	WORKS(SYS(mmap, NULL, 100ul << 20, PROT_NONE, ANON, -1, 0));
	SHOW(SYS(prlimit64, 0, RLIMIT_AS, &old, &limit));
	SHOW(limit.rlim_cur);
	WORKS(SYS(mmap, NULL, 2ul << 30, PROT_NONE, ANON, -1, 0));
}

CASE(residence, mincore)
{
	unsigned char bits[8] = "";
	char *at = map(4, RW);

	memset(at, 1, 4 * PAGE);
	SHOW(SYS(mincore, at, 4 * PAGE, bits));
	SHOW(bits[0] & bits[1] & bits[2] & bits[3] & 1);
	SHOW(SYS(mincore, at + 1, PAGE, bits));
	SHOW(SYS(mincore, at, PAGE, NOWHERE));
	munmap(at + PAGE, PAGE);
	SHOW(SYS(mincore, at, 2 * PAGE, bits));
	SHOW(SYS(mincore, at, -PAGE, bits));
}

CASE(the_break, brk)
{
	char *end = (char *)SYS(brk, 0);
	char *wall;

	catch_faults();
	SHOW((char *)SYS(brk, end + 40 * PAGE) == end + 40 * PAGE);
	memset(end, 'b', 40 * PAGE);
	SHOW((char *)SYS(brk, end + PAGE) == end + PAGE);
	SHOW((char *)SYS(brk, end + 4 * PAGE) == end + 4 * PAGE);
	SHOW(end[2 * PAGE]);
	SHOW((char *)SYS(brk, 1) == end + 4 * PAGE);
	SHOW((char *)SYS(brk, -1l) == end + 4 * PAGE);
	wall = mmap((char *)(((uintptr_t)end + 20 * PAGE) & -PAGE), PAGE, RW,
		    ANON | MAP_FIXED_NOREPLACE, -1, 0);
	SHOW(wall != MAP_FAILED);
	SHOW((char *)SYS(brk, end + 60 * PAGE) == end + 4 * PAGE);
	SHOW((char *)SYS(brk, end + 9 * PAGE) == end + 9 * PAGE);
	SHOW((char *)SYS(brk, end) == end);
}

CASE(large_ranges, mmap, mprotect, madvise)
{
	size_t bytes = 40ul << 20;
	char *at = mmap(NULL, bytes, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
	size_t i, sum = 0;

	catch_faults();
	SHOW(mprotect(at + (8ul << 20), 16ul << 20, RW));
	for (i = 8ul << 20; i < 24ul << 20; i += 37 * PAGE)
		at[i] = (char)(i >> 12);
	for (i = 8ul << 20; i < 24ul << 20; i += PAGE)
		sum += (unsigned char)at[i];
	SHOW(sum);
	probe("not given", at + (7ul << 20));
	probe("not given", at + (24ul << 20));
	SHOW(read(-1, at + (9ul << 20), 10));
	SHOW(SYS(getrandom, at + (20ul << 20), 3ul << 20, 0) > 0);
	SHOW(madvise(at + (8ul << 20), 16ul << 20, MADV_DONTNEED));
	SHOW(at[9ul << 20]);
	SHOW(munmap(at + (10ul << 20), 4ul << 20));
	probe("unmapped", at + (11ul << 20));
	SHOW(at[15ul << 20]);
}

CASE(a_range_that_grows_down, mmap)
{
	char *room = mmap(NULL, 4096 * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
	char *at;

	catch_faults();
	munmap(room, 4096 * PAGE);
	at = mmap(room + 2048 * PAGE, 4 * PAGE, RW, ANON | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	SHOW(at == room + 2048 * PAGE);
	probe("the page below", at - 1);
	probe("some below", at - 20 * PAGE);
}

CASE(zero_device, mmap)
{
	int fd = open("/dev/zero", O_RDWR);
	char *at = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);

	SHOW(fd > 0 && at != MAP_FAILED && !at[5]);
	at[5] = 1;
	SHOW(at[5]);
}

static int run_code(char *at, int value)
{
	const char code[] = {(char)0xb8, (char)value, 0, 0, 0, (char)0xc3};

	memcpy(at, code, sizeof(code));
	return 0;
}

CASE(code_that_is_written, mprotect, mmap)
{
	char *at = map(1, RW);
	int fd = file_of("code", PAGE);
	char *writes = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	char *runs = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	int i;

	catch_faults();
	for (i = 1; i < 4; i++) {
		mprotect(at, PAGE, RW);
		run_code(at, i);
		mprotect(at, PAGE, PROT_READ | PROT_EXEC);
		SHOW(((int (*)(void))at)());
		run_code(writes, 10 + i);
		SHOW(((int (*)(void))runs)());
	}
	mprotect(at, PAGE, RW);
	if (!sigsetjmp(faulted, 1))
		SHOW(((int (*)(void))at)());
	probe("code", runs);
}
