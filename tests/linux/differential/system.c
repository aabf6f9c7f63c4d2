/* SPDX-License-Identifier: MIT */
/* /proc/self, /dev and what of /sys programs read: that it is there, and how it is laid out. */
#include "case.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char text[65536];

static long slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	long all = 0, got;

	if (fd < 0)
		return -1;
	while (all < (long)sizeof(text) - 1 &&
	       (got = read(fd, text + all, sizeof(text) - 1 - (size_t)all)) > 0)
		all += got;
	text[all] = 0;
	close(fd);
	return all;
}

/* The words before the colons. */
static void show_keys(const char *path, const char *const *keys)
{
	slurp(path);
	for (; *keys; keys++)
		say("%s has %s: %d", path, *keys, strstr(text, *keys) != NULL);
}

CASE(of_itself, read, open, readlink, lseek, pread64)
{
	static const char *const keys[] = {"Name:\t",
					   "Umask:\t0022",
					   "\nState:\tR (running)\n",
					   "\nTgid:\t",
					   "\nPid:\t",
					   "\nPPid:\t",
					   "\nTracerPid:\t0\n",
					   "\nUid:\t",
					   "\nVmSize:\t",
					   "\nVmRSS:\t",
					   "\nThreads:\t1\n",
					   "\nSigBlk:\t0000000000000000\n",
					   "\nSigIgn:\t",
					   "\nCapEff:\t0000000000000000\n",
					   "\nCpus_allowed_list:\t",
					   NULL};
	static const char *const limits[] = {"Limit ", "\nMax cpu time ",
					     "\nMax open files            256                  256 "
					     "                 files     \n",
					     NULL};
	char expected[64];
	long got;
	int fd;

	show_keys("/proc/self/status", keys);
	show_keys("/proc/self/limits", limits);
	SHOW(slurp("/proc/self/comm"));
	show_bytes("comm", text, strlen(text));
	sprintf(expected, "%d (cases) R ", getpid());
	slurp("/proc/self/stat");
	SHOW(!strncmp(text, expected, strlen(expected)));
	slurp("/proc/self/cmdline");
	SHOW(strstr(text, "cases") != NULL);
	slurp("/proc/self/statm");
	SHOW(atol(text) > 0);
	slurp("/proc/self/environ");
	slurp("/proc/self/maps");
	SHOW(strstr(text, "[stack]") != NULL);
	SHOW(strstr(text, "r-xp") != NULL);
	SHOW(slurp("/proc/self/oom_score_adj"));
	sprintf(expected, "/proc/%d/comm", getpid());
	SHOW(slurp(expected));
	SHOW(slurp("/proc/thread-self/comm"));
	sprintf(expected, "/proc/self/task/%d/comm", getpid());
	SHOW(slurp(expected));
	SHOW(slurp("/proc/self/task/99999999/comm"));
	SHOW(slurp("/proc/99999999/comm"));
	SHOW(slurp("/proc/self/nothing"));
	got = readlink("/proc/self", text, sizeof(text));
	SHOW(got > 0 && atoi(text) == getpid());
	fd = (int)SHOW(SYS(open, "/proc/self/comm", O_RDONLY));
	SHOW(SYS(read, fd, text, 3));
	SHOW(SYS(read, fd, text, 100));
	SHOW(SYS(read, fd, text, 100));
	SHOW(SYS(lseek, fd, 1, SEEK_SET));
	SHOW(SYS(read, fd, text, 2));
	show_bytes("text", text, 2);
	SHOW(SYS(pread64, fd, text, 10, 4));
	SHOW(SYS(read, fd, NOWHERE, 2));
	SHOW(SYS(write, fd, "x", 1));
	SHOW(SYS(open, "/proc/self/comm", O_RDONLY | O_DIRECTORY));
	SHOW(SYS(open, "/proc/self/status", O_RDONLY | O_CREAT | O_EXCL));
	SHOW(SYS(open, "/proc/self/exe", O_RDONLY | O_NOFOLLOW));
}

CASE(links_of_itself, readlink, chdir, stat, lstat)
{
	char path[512];
	struct stat st, other;
	long got;

	mkdir("d", 0755);
	put_file("d/f", "text");
	chdir("d");
	got = SYS(readlink, "/proc/self/cwd", path, sizeof(path));
	SHOW(got > 2 && !strncmp(path + got - 2, "/d", 2));
	SHOW(SYS(readlink, "/proc/self/root", path, sizeof(path)));
	got = SYS(readlink, "/proc/self/exe", path, sizeof(path));
	SHOW(got > 6 && !strncmp(path + got - 6, "/cases", 6));
	SHOW(SYS(readlink, "/proc/self/exe", path, 3));
	SHOW(SYS(readlink, "/proc/self/comm", path, sizeof(path)));
	SHOW(SYS(lstat, "/proc/self/cwd", &st));
	SHOW(S_ISLNK(st.st_mode));
	SHOW(SYS(stat, "/proc/self/cwd", &st));
	stat(".", &other);
	SHOW(st.st_ino == other.st_ino);
	SHOW(SYS(stat, "/proc/self/cwd/f", &st));
	SHOW(st.st_size);
	SHOW(SYS(stat, "/proc/self/status", &st));
	show_stat("status", &st);
	SHOW(SYS(stat, "/proc/self", &st));
	show_stat("self", &st);
	SHOW(SYS(access, "/proc/self/status", R_OK));
	SHOW(SYS(access, "/proc/self/nothing", R_OK));
	SHOW(SYS(chdir, "/proc/self"));
	SHOW(slurp("comm"));
}

/* What is open, as its directory lists it: the numbers. */
static void show_numbers(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int seen[64] = {0}, i;

	if (!dir) {
		say("%s: cannot be listed", path);
		return;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && atoi(entry->d_name) < 64)
			seen[atoi(entry->d_name)] = 1;
		else if (entry->d_name[0] < '0')
			say("%s has %s, type %d", path, entry->d_name, entry->d_type);
	}
	closedir(dir);
	for (i = 0; i < 64; i++) {
		if (seen[i])
			say("%s has %d", path, i);
	}
}

CASE(descriptors_by_name, open, readlink, getdents64, stat)
{
	char path[512], name[64];
	struct stat st, other;
	int fd, again, p[2];
	long got;

	put_file("f", "0123456789");
	fd = open("f", O_RDONLY);
	pipe(p);
	dup2(fd, 20);
	show_numbers("/proc/self/fd");
	show_numbers("/dev/fd");
	sprintf(name, "/proc/self/fd/%d", fd);
	got = SYS(readlink, name, path, sizeof(path));
	SHOW(got > 2 && !strncmp(path + got - 2, "/f", 2));
	lseek(fd, 5, SEEK_SET);
	again = (int)SHOW(SYS(open, name, O_RDONLY));
	SHOW(SYS(read, again, text, 3));
	show_bytes("text", text, 3);
	SHOW(SYS(lseek, fd, 0, SEEK_CUR));
	SHOW(SYS(open, name, O_RDONLY | O_DIRECTORY));
	SHOW(SYS(open, name, O_RDONLY | O_NOFOLLOW));
	again = (int)SHOW(SYS(open, name, O_WRONLY));
	SHOW(SYS(write, again, "X", 1));
	SHOW(SYS(stat, name, &st));
	fstat(fd, &other);
	SHOW(st.st_ino == other.st_ino);
	unlink("f");
	again = (int)SHOW(SYS(open, name, O_RDONLY));
	SHOW(SYS(read, again, text, 3));
	show_bytes("text", text, 3);
	got = SYS(readlink, name, path, sizeof(path));
	SHOW(got > 12 && !strncmp(path + got - 12, "/f (deleted)", 12));
	sprintf(name, "/dev/fd/%d", p[0]);
	got = SYS(readlink, name, path, sizeof(path));
	SHOW(got > 6 && !strncmp(path, "pipe:[", 6));
	write(p[1], "through", 7);
	again = (int)SHOW(SYS(open, name, O_RDONLY));
	SHOW(SYS(read, again, text, 20));
	SHOW(SYS(open, "/proc/self/fd/99", O_RDONLY));
	SHOW(SYS(readlink, "/proc/self/fd/99", path, 9));
	fd = open(".", O_RDONLY);
	mkdir("d", 0755);
	sprintf(name, "/proc/self/fd/%d/d", fd);
	SHOW(SYS(stat, name, &st));
	sprintf(name, "/proc/self/fd/%d", fd);
	SHOW(close((int)SYS(open, name, O_RDONLY | O_DIRECTORY)));
	SHOW(SYS(chdir, name));
	sprintf(name, "/proc/self/fdinfo/%d", fd);
	slurp(name);
	SHOW(!strncmp(text, "pos:\t0\nflags:\t0", 15));
}

CASE(standard_streams_by_name, open, write)
{
	int fd = (int)SHOW(SYS(open, "/dev/stdout", O_WRONLY));

	SHOW(SYS(write, fd, "by /dev/stdout\n", 15));
	fd = (int)SHOW(SYS(open, "/proc/self/fd/1", O_WRONLY | O_APPEND));
	SHOW(SYS(write, fd, "by /proc/self/fd/1\n", 19));
	fd = (int)SHOW(SYS(open, "/dev/stdin", O_RDONLY));
	SHOW(SYS(read, fd, text, 10));
	SHOW(SYS(open, "/dev/tty", O_RDWR));
	fd = (int)SHOW(SYS(open, "/dev/full", O_RDWR));
	SHOW(SYS(write, fd, "x", 1));
	SHOW(SYS(write, fd, "x", 0));
	SHOW(SYS(read, fd, text, 4));
	SHOW(text[0]);
}

CASE(of_the_machine, read)
{
	static const char *const memory[] = {
		"MemTotal: ", "\nMemFree: ", "\nMemAvailable: ", "\nSwapTotal: ", NULL};
	static const char *const cpu[] = {"processor\t: 0\n", "\nvendor_id\t: ",
					  "\nmodel name\t: ", "\nflags\t\t: fpu ",
					  " sse2 ",           NULL};
	static const char *const stat[] = {"cpu  ", "\ncpu0 ", "\nbtime ", "\nprocesses ", NULL};
	static const char *const numbers[] = {"/proc/sys/kernel/pid_max",
					      "/proc/sys/vm/overcommit_memory",
					      "/proc/sys/vm/max_map_count",
					      "/proc/sys/vm/mmap_min_addr",
					      "/proc/sys/kernel/random/entropy_avail",
					      "/proc/uptime",
					      "/proc/loadavg",
					      "/proc/sys/net/core/somaxconn",
					      "/proc/sys/fs/nr_open",
					      "/sys/devices/system/cpu/online",
					      "/sys/devices/system/cpu/possible",
					      NULL};
	int i;

	show_keys("/proc/meminfo", memory);
	show_keys("/proc/cpuinfo", cpu);
	show_keys("/proc/stat", stat);
	for (i = 0; numbers[i]; i++) {
		slurp(numbers[i]);
		say("%s is a number: %d", numbers[i], text[0] >= '0' && text[0] <= '9');
	}
	SHOW(slurp("/proc/sys/kernel/random/uuid"));
	SHOW(text[14]);
	slurp("/proc/sys/kernel/ostype");
	show_bytes("ostype", text, strlen(text));
	slurp("/proc/filesystems");
	SHOW(strstr(text, "nodev\tproc\n") != NULL);
	slurp("/proc/version");
	SHOW(!strncmp(text, "Linux version ", 14));
}

CASE(links_to_what_is_made_up, open, stat, lstat, access, read)
{
	struct stat st;
	int fd;

	symlink("/dev/null", "null");
	symlink("/proc/self/comm", "comm");
	symlink("comm", "again");
	symlink("/dev/stdout", "out");
	symlink("/proc/self/nothing", "nothing");
	symlink("round", "round");
	fd = (int)SHOW(SYS(open, "null", O_RDWR));
	SHOW(SYS(write, fd, "x", 1));
	fd = (int)SHOW(SYS(open, "null", O_WRONLY | O_CREAT | O_TRUNC, 0644));
	SHOW(SYS(open, "null", O_RDONLY | O_NOFOLLOW));
	SHOW(SYS(open, "null", O_WRONLY | O_CREAT | O_EXCL, 0644));
	SHOW(slurp("comm"));
	show_bytes("comm", text, strlen(text));
	SHOW(slurp("again"));
	SHOW(SYS(open, "comm", O_RDONLY | O_DIRECTORY));
	fd = (int)SHOW(SYS(open, "out", O_WRONLY));
	SHOW(SYS(write, fd, "through a link\n", 15));
	SHOW(SYS(open, "nothing", O_RDONLY));
	SHOW(SYS(open, "round", O_RDONLY));
	SHOW(SYS(stat, "comm", &st));
	SHOW(S_ISREG(st.st_mode));
	SHOW(SYS(stat, "null", &st));
	SHOW(S_ISCHR(st.st_mode));
	SHOW(SYS(lstat, "comm", &st));
	SHOW(S_ISLNK(st.st_mode));
	SHOW(SYS(stat, "nothing", &st));
	SHOW(SYS(access, "comm", R_OK));
	SHOW(SYS(access, "round", R_OK));
}
