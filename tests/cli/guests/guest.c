/* SPDX-License-Identifier: MIT */
/* One static program with many small behaviours, the first argument says which. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static volatile int zero;

/* musl has no strerrorname_np(). */
static const char *strerrorname(int code)
{
	static char number[16];

	switch (code) {
	case ENOENT:
		return "ENOENT";
	case EACCES:
		return "EACCES";
	case EPERM:
		return "EPERM";
	case EROFS:
		return "EROFS";
	case ENOMEM:
		return "ENOMEM";
	case EISDIR:
		return "EISDIR";
	case ELOOP:
		return "ELOOP";
	case EXDEV:
		return "EXDEV";
	}
	snprintf(number, sizeof(number), "%d", code);
	return number;
}

static int die(const char *how)
{
	if (!strcmp(how, "segv"))
		*(volatile int *)(uintptr_t)zero = 1;
	else if (!strcmp(how, "abrt"))
		abort();
	else if (!strcmp(how, "fpe"))
		return atoi("100") / zero;
	else if (!strcmp(how, "ill"))
		__asm__ volatile("ud2");
	else if (!strcmp(how, "bus"))
		raise(SIGBUS);
	else if (!strcmp(how, "hlt"))
		__asm__ volatile("hlt");
	else if (!strcmp(how, "in"))
		__asm__ volatile("in $0x10, %%eax" ::: "eax");
	else if (!strcmp(how, "int3"))
		__asm__ volatile("int3");
	else if (!strcmp(how, "stack"))
		return die("stack") + zero;
	else
		kill(getpid(), atoi(how));
	return 99; /* still alive */
}

/* All of stdin to a descriptor. */
static int copy(int to)
{
	static char buffer[70000];
	ssize_t got;

	while ((got = read(0, buffer, sizeof(buffer))) > 0) {
		ssize_t done = 0;

		while (done < got) {
			ssize_t put = write(to, buffer + done, (size_t)(got - done));

			if (put < 0)
				return 1;
			done += put;
		}
	}
	return got < 0 ? 2 : 0;
}

/* Fill a descriptor for ever; says with what it ended. */
static int flood(int to)
{
	char buffer[5000];

	memset(buffer, 'x', sizeof(buffer));
	while (write(to, buffer, sizeof(buffer)) > 0)
		;
	return errno;
}

static ssize_t print_by(const char *way, int to, int pipe_out, int pipe_in, int file)
{
	static char text[5000];
	struct iovec iov = {text, sizeof(text)};
	off_t start = 0;

	if (!strcmp(way, "writev"))
		return writev(to, &iov, 1);
	if (!strcmp(way, "pwritev2"))
		return syscall(SYS_pwritev2, to, &iov, 1, -1l, -1l, 0);
	if (!strcmp(way, "sendfile"))
		return sendfile(to, file, &start, sizeof(text));
	if (!strcmp(way, "splice")) {
		if (write(pipe_in, text, 4096) != 4096)
			return -1;
		return splice(pipe_out, NULL, to, NULL, 4096, 0);
	}
	return write(to, text, sizeof(text));
}

/* Print for ever, in one of the ways that there are; says with what it ended. */
static int flood_by(const char *way, const char *path)
{
	int to = way[0] == '/' ? open(way, O_WRONLY) : !strcmp(way, "dup") ? dup(1) : 1;
	int file = open(path, O_RDONLY);
	int ends[2];

	if (to < 0 || pipe(ends))
		return 200;
	if (!strcmp(way, "stderr"))
		to = 2;
	while (print_by(way, to, ends[0], ends[1], file) > 0)
		;
	return errno;
}

static int busy(void)
{
	while (!zero)
		;
	return 0;
}

static int nap(void)
{
	struct timespec span = {.tv_sec = 1000};

	return nanosleep(&span, NULL);
}

static int strings(char **list)
{
	for (; *list; list++)
		if (write(1, *list, strlen(*list) + 1) < 0)
			return 1;
	return 0;
}

static int print_random(void)
{
	const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
	int i;

	for (i = 0; i < 16; i++)
		printf("%02x", random[i]);
	return 0;
}

static int show_file(const char *path)
{
	char buffer[4096];
	int fd = open(path, O_RDONLY);
	ssize_t got;

	if (fd < 0) {
		printf("open: %s\n", strerrorname(errno));
		return 0;
	}
	got = read(fd, buffer, sizeof(buffer));
	if (got < 0)
		printf("read: %s\n", strerrorname(errno));
	else
		fwrite(buffer, 1, (size_t)got, stdout);
	return 0;
}

static int make_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("%s\n", strerrorname(errno));
	else
		printf("written\n");
	return 0;
}

/* The page behind the end of a mapped file. */
static int map_past_end(const char *path)
{
	int fd = open(path, O_RDONLY);
	volatile char *at = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fd, 0);

	if (at == MAP_FAILED)
		return 3;
	return at[0] ? at[4096] : 4;
}

/* How much memory there is: MiB that could be written. */
static int eat(void)
{
	int mib = 0;

	for (;; mib++) {
		void *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);

		if (at == MAP_FAILED)
			break;
		memset(at, 1, 1 << 20);
	}
	printf("%d %s\n", mib, strerrorname(errno));
	return 0;
}

static int print_cwd(void)
{
	char path[4096];

	puts(getcwd(path, sizeof(path)) ? path : strerrorname(errno));
	return 0;
}

/* How many descriptors there can be, by each way to get one, and whether the limit can be raised.
 */
static int count_files(void)
{
	int ways[4] = {0}, way, fd, ends[2];
	struct rlimit limit;

	for (way = 0; way < 4; way++) {
		for (;;) {
			fd = way == 0     ? dup(0)
			     : way == 1   ? eventfd(0, 0)
			     : way == 2   ? epoll_create1(0)
			     : pipe(ends) ? -1
					  : ends[1];
			if (fd < 0)
				break;
			ways[way] = fd + 1;
		}
		printf("%d %d ", ways[way], errno);
		for (fd = 3; fd < ways[way]; fd++)
			close(fd);
	}
	getrlimit(RLIMIT_NOFILE, &limit);
	printf("%lu %lu ", (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
	limit.rlim_cur = limit.rlim_max = limit.rlim_max + 1;
	printf("%d ", setrlimit(RLIMIT_NOFILE, &limit) ? errno : 0);
	printf("%d\n", dup2(0, (int)limit.rlim_max - 1) < 0 ? errno : 0);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	const char *arg = argc > 2 ? argv[2] : "";

	if (!strcmp(what, "exit"))
		return atoi(arg);
	if (!strcmp(what, "_exit"))
		_exit(atoi(arg));
	if (!strcmp(what, "die"))
		return die(arg);
	if (!strcmp(what, "copy"))
		return copy(atoi(arg));
	if (!strcmp(what, "flood"))
		return flood(atoi(arg));
	if (!strcmp(what, "flood-by"))
		return flood_by(arg, argc > 3 ? argv[3] : "");
	if (!strcmp(what, "busy"))
		return busy();
	if (!strcmp(what, "nap"))
		return nap();
	if (!strcmp(what, "args"))
		return strings(argv);
	if (!strcmp(what, "env"))
		return strings(environ);
	if (!strcmp(what, "random"))
		return print_random();
	if (!strcmp(what, "show"))
		return show_file(arg);
	if (!strcmp(what, "make"))
		return make_file(arg, argc > 3 ? argv[3] : "text");
	if (!strcmp(what, "past-end"))
		return map_past_end(arg);
	if (!strcmp(what, "eat"))
		return eat();
	if (!strcmp(what, "files"))
		return count_files();
	if (!strcmp(what, "cwd"))
		return print_cwd();
	if (!strcmp(what, "open-escapes"))
		return open("\033[2J\033]0;title\007\n", O_RDONLY) < 0 ? 0 : 1;
	if (!strcmp(what, "tty"))
		return isatty(atoi(arg)) ? 0 : 1;
	fprintf(stderr, "guest: no such behaviour: %s\n", what);
	return 98;
}
