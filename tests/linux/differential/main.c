/* SPDX-License-Identifier: MIT */
/*
 * The program of all cases. --list: a line a case: file, name, options, calls. Otherwise the cases
 * that are named (file/name), one after the other in the working directory: "== file/name", what it
 * prints, "-- file/name". --numbers N...: system calls by number, each without arguments: N:ENAME.
 */
#include "case.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#define LINE_BYTES 4096

extern const struct diff_case *const __start_diff_cases[];
extern const struct diff_case *const __stop_diff_cases[];
extern const struct diff_options *const __start_diff_options[] __attribute__((weak));
extern const struct diff_options *const __stop_diff_options[] __attribute__((weak));

void show_stat(const char *what, const struct stat *st)
{
	static const char types[] = "?pc?d?b?-?l?s???";
	char size[32] = "";

	if (!S_ISDIR(st->st_mode))
		snprintf(size, sizeof(size), " size %lld links %lu", (long long)st->st_size,
			 (unsigned long)st->st_nlink);
	say("%s: %c %04o%s", what, types[(st->st_mode & S_IFMT) >> 12], st->st_mode & 07777, size);
}

static void show_content(const char *path, const struct stat *st)
{
	char text[64];
	ssize_t got = -1;
	int fd;

	if (S_ISLNK(st->st_mode)) {
		got = readlink(path, text, sizeof(text));
	} else if (S_ISREG(st->st_mode) && (fd = open(path, O_RDONLY)) >= 0) {
		got = read(fd, text, sizeof(text));
		close(fd);
	}
	if (got >= 0)
		show_bytes(S_ISLNK(st->st_mode) ? "  leads to" : "  holds", text, (size_t)got);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void show_folder(const char *folder)
{
	char *names[256];
	size_t count = 0, i;
	DIR *dir = opendir(folder);
	struct dirent *entry;

	if (!dir) {
		say("%s: %s", folder, strerrorname_np(errno));
		return;
	}
	while (count < 256 && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			names[count++] = strdup(entry->d_name);
	}
	closedir(dir);
	qsort(names, count, sizeof(names[0]), by_name);
	for (i = 0; i < count; i++) {
		char path[LINE_BYTES / 2];
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		free(names[i]);
		if (lstat(path, &st)) {
			say("%s: %s", path, strerrorname_np(errno));
			continue;
		}
		show_stat(path, &st);
		show_content(path, &st);
		if (S_ISDIR(st.st_mode))
			show_folder(path);
	}
}

void show_tree(void)
{
	show_folder(".");
}

void put_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	size_t bytes = strlen(text);

	if (fd < 0 || write(fd, text, bytes) != (ssize_t)bytes || close(fd)) {
		say("cannot make %s: %s", name, strerrorname_np(errno));
		_exit(96);
	}
}

/* tests/x/files.c -> files */
static const char *group_of(const char *file)
{
	static char group[64];
	const char *slash = strrchr(file, '/');

	snprintf(group, sizeof(group), "%s", slash ? slash + 1 : file);
	group[strcspn(group, ".")] = 0;
	return group;
}

static const char *options_of(const char *file)
{
	const struct diff_options *const *at = __start_diff_options;

	for (; at && at < __stop_diff_options; at++) {
		if (!strcmp((*at)->file, file))
			return (*at)->options;
	}
	return "";
}

static void list(void)
{
	const struct diff_case *const *at;

	for (at = __start_diff_cases; at < __stop_diff_cases; at++)
		printf("%s\t%s\t%s\t%s\n", group_of((*at)->file), (*at)->name,
		       options_of((*at)->file), (*at)->calls);
}

static void call_numbers(char **numbers)
{
	for (; *numbers; numbers++) {
		long value = syscall(atol(*numbers), 0, 0, 0, 0, 0, 0);

		printf("%s:%s\n", *numbers, value == -1 ? strerrorname_np(errno) : "works");
	}
}

/* What a case may have left of the process. */
static void tidy(int home)
{
	struct itimerval none = {0};
	sigset_t empty;
	int i;

	setitimer(ITIMER_REAL, &none, NULL);
	sigemptyset(&empty);
	for (i = 1; i < 65; i++)
		signal(i, SIG_DFL);
	sigprocmask(SIG_SETMASK, &empty, NULL);
	umask(022);
	SYS(close_range, 3, home - 1, 0);
	SYS(close_range, home + 1, ~0u, 0);
	if (fchdir(home))
		_exit(95);
}

static void run(const struct diff_case *c, int home)
{
	char where[256];

	snprintf(where, sizeof(where), "%s.%s", group_of(c->file), c->name);
	if (mkdir(where, 0755) || chdir(where))
		_exit(94);
	say("== %s/%s", group_of(c->file), c->name);
	c->run();
	say("-- %s/%s", group_of(c->file), c->name);
	tidy(home);
}

int main(int argc, char **argv)
{
	const struct diff_case *const *at;
	struct rlimit nofile = {.rlim_cur = 1024, .rlim_max = 1024};
	int home, i;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		list();
		return 0;
	}
	if (argc > 2 && !strcmp(argv[1], "--numbers")) {
		call_numbers(argv + 2);
		return 0;
	}
	umask(022);
	setrlimit(RLIMIT_NOFILE, &nofile);
	setvbuf(stdout, NULL, _IONBF, 0);
	home = fcntl(open(".", O_RDONLY | O_DIRECTORY), F_DUPFD_CLOEXEC, 200);
	close(3);
	for (i = 1; i < argc; i++) {
		for (at = __start_diff_cases; at < __stop_diff_cases; at++) {
			char name[128];

			snprintf(name, sizeof(name), "%s/%s", group_of((*at)->file), (*at)->name);
			if (!strcmp(name, argv[i]))
				run(*at, home);
		}
	}
	return 0;
}
