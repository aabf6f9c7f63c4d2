/* SPDX-License-Identifier: MIT */
/* The program of memory_test.py: "give HOW" takes memory and gives it back, waiting for a line of
 * input between; "limit HOW" asks for memory until it is refused, and says by what; "again KIB"
 * gives the same memory back again and again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB   (1ul << 20)
#define BYTES (192 * MIB)
#define RW    (PROT_READ | PROT_WRITE)
#define ANON  (MAP_PRIVATE | MAP_ANONYMOUS)

static void say_and_wait(const char *word)
{
	char line[16];

	write(1, word, strlen(word));
	read(0, line, sizeof(line));
}

static int give(const char *how)
{
	int by_break = !strcmp(how, "brk");
	char *at = by_break ? sbrk(BYTES) : mmap(NULL, BYTES, RW, ANON, -1, 0);

	if (at == MAP_FAILED)
		return 1;
	memset(at, 1, BYTES);
	say_and_wait("up\n");
	if (by_break)
		sbrk(-(long)BYTES);
	else if (!strcmp(how, "munmap"))
		munmap(at, BYTES);
	else if (!strcmp(how, "dontneed"))
		madvise(at, BYTES, MADV_DONTNEED);
	else if (!strcmp(how, "free"))
		madvise(at, BYTES, MADV_FREE);
	else if (!strcmp(how, "mremap"))
		mremap(at, BYTES, 4096, 0);
	say_and_wait("down\n");
	return 0;
}

/* One step of taking: bytes got, or 0 with errno. */
static size_t take(const char *how, size_t bytes)
{
	static char *grown;
	static size_t grown_bytes = 4096;
	char *at = MAP_FAILED;

	if (!strcmp(how, "brk")) {
		at = sbrk((long)bytes);
	} else if (!strcmp(how, "mremap")) {
		if (!grown)
			grown = mmap(NULL, grown_bytes, RW, ANON, -1, 0);
		at = mremap(grown, grown_bytes, grown_bytes + bytes, MREMAP_MAYMOVE);
		if (at != MAP_FAILED) {
			grown = at;
			at += grown_bytes;
			grown_bytes += bytes;
		}
	} else if (!strcmp(how, "protect")) {
		at = mmap(NULL, bytes, PROT_NONE, ANON, -1, 0);
		if (at != MAP_FAILED && mprotect(at, bytes, RW))
			return 0;
	} else if (!strcmp(how, "shared")) {
		at = mmap(NULL, bytes, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	} else if (!strcmp(how, "populate")) {
		at = mmap(NULL, bytes, RW, ANON | MAP_POPULATE, -1, 0);
	} else if (!strcmp(how, "advice")) {
		at = mmap(NULL, bytes, RW, ANON | MAP_NORESERVE, -1, 0);
		if (at != MAP_FAILED && madvise(at, bytes, 23))
			return 0;
	} else if (!strcmp(how, "lock")) {
		at = mmap(NULL, bytes, RW, ANON | MAP_NORESERVE, -1, 0);
		if (at != MAP_FAILED && mlock(at, bytes))
			return 0;
	} else if (!strcmp(how, "call")) {
		int zero = open("/dev/zero", O_RDONLY);

		at = mmap(NULL, bytes, RW, ANON | MAP_NORESERVE, -1, 0);
		if (at != MAP_FAILED && read(zero, at, bytes) != (ssize_t)bytes)
			return 0;
		close(zero);
	} else {
		at = mmap(NULL, bytes, RW, ANON, -1, 0);
	}
	if (at == MAP_FAILED)
		return 0;
	memset(at, 1, bytes);
	return bytes;
}

static int limit(const char *how, size_t bytes)
{
	size_t all = 0;
	size_t got;

	while ((got = take(how, bytes)))
		all += got;
	printf("%s after %zu MiB\n", strerrorname_np(errno), all / MIB);
	return 0;
}

static int touch(void)
{
	char *at = mmap(NULL, 1ul << 40, RW, ANON | MAP_NORESERVE, -1, 0);
	size_t i;

	for (i = 0; at != MAP_FAILED; i += 4096)
		at[i] = 1;
	return 0;
}

/* Use a mapping, give back what is in it, and use it again: 100 times. */
static int again(size_t bytes)
{
	char *at = mmap(NULL, bytes, RW, ANON, -1, 0);
	int turn;
	size_t i;

	for (turn = 0; turn < 100; turn++) {
		for (i = 0; i < bytes; i += 4096) {
			if (at[i])
				return 1;
			at[i] = 1;
		}
		if (madvise(at, bytes, MADV_DONTNEED))
			return 2;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "give"))
		return give(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "limit"))
		return limit(argv[2], strtoul(argv[3], NULL, 10) * 1024);
	if (argc == 3 && !strcmp(argv[1], "again"))
		return again(strtoul(argv[2], NULL, 10) * 1024);
	return touch();
}
