/* SPDX-License-Identifier: MIT */
/* openat2, files without a name (O_TMPFILE) and how they get one, and what /proc/self says of
 * files. */
#include "case.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

#define OPEN(dir, path, flags_, mode_, resolve_)                                                   \
	({                                                                                         \
		struct open_how how_ = {                                                           \
			.flags = (uint64_t)(flags_), .mode = mode_, .resolve = resolve_};          \
		long fd_ = SYS(openat2, dir, path, &how_, sizeof(how_));                           \
		say("%s %s %s: %s", #flags_, path, #resolve_, fd_ < 0 ? strerror(errno) : "open"); \
		fd_;                                                                               \
	})

static void make_tree(void)
{
	mkdir("base", 0700);
	mkdir("base/in", 0700);
	put_file("base/in/f", "inside");
	put_file("out", "outside");
	if (symlink("in/f", "base/inner") || symlink("../out", "base/outer") ||
	    symlink("/in/f", "base/absolute") || symlink("in", "base/dir"))
		say("no links");
}

CASE(openat2_resolves_as_it_is_told, openat2)
{
	static const uint64_t ways[] = {0,
					RESOLVE_BENEATH,
					RESOLVE_IN_ROOT,
					RESOLVE_NO_SYMLINKS,
					RESOLVE_NO_MAGICLINKS,
					RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	static const char *const paths[] = {
		"in/f",   "inner",        "outer",   "absolute", "dir/f", "in/../in/f",        "..",
		"../out", "in/../../out", "missing", "in/f/",    ".",     "in/../../base/in/f"};
	size_t i, k;
	int base;

	make_tree();
	base = open("base", O_PATH | O_DIRECTORY);
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		for (k = 0; k < sizeof(paths) / sizeof(paths[0]); k++) {
			struct open_how how = {.flags = O_RDONLY, .resolve = ways[i]};
			char text[8] = "";
			long fd;

			/* Without a bound a link leads to where nothing is allowed. */
			if (ways[i] != RESOLVE_NO_SYMLINKS && !strcmp(paths[k], "absolute") &&
			    !(ways[i] & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)))
				continue;
			fd = SYS(openat2, base, paths[k], &how, sizeof(how));

			say("%zu %s: %s", i, paths[k], fd < 0 ? strerror(errno) : "open");
			if (fd >= 0 && read((int)fd, text, 3) > 0)
				say("%s", text);
			close((int)fd);
		}
}

CASE(openat2_makes_files_beneath, openat2)
{
	char text[8] = "";
	int base;

	make_tree();
	base = open("base", O_PATH | O_DIRECTORY);
	OPEN(base, "new", O_CREAT | O_RDWR, 0600, RESOLVE_BENEATH);
	OPEN(base, "../new", O_CREAT | O_RDWR, 0600, RESOLVE_BENEATH);
	OPEN(base, "/rooted", O_CREAT | O_RDWR, 0640, RESOLVE_IN_ROOT);
	OPEN(base, "new", O_CREAT | O_EXCL | O_RDWR, 0600, RESOLVE_BENEATH);
	OPEN(base, "outer", O_WRONLY | O_TRUNC, 0, RESOLVE_BENEATH);
	OPEN(base, "inner", O_WRONLY | O_TRUNC, 0, RESOLVE_BENEATH);
	OPEN(base, "/etc/passwd", O_RDONLY, 0, RESOLVE_BENEATH);
	say("%ld", (long)read((int)OPEN(base, "in/f", O_RDONLY, 0, RESOLVE_IN_ROOT), text, 7));
	show_tree();
}

CASE(openat2_checks_its_arguments, openat2)
{
	struct {
		struct open_how how;
		uint64_t more[4];
	} big = {.how = {.flags = O_RDONLY}};

	put_file("f", "x");
	SHOW(SYS(openat2, AT_FDCWD, "f", &big, 23));
	SHOW(SYS(openat2, AT_FDCWD, "f", &big, 8192));
	SHOW(SYS(openat2, AT_FDCWD, "f", NOWHERE, sizeof(big.how)));
	SHOW(SYS(openat2, AT_FDCWD, NOWHERE, &big, sizeof(big.how)));
	SHOW(SYS(openat2, AT_FDCWD, "f", &big, sizeof(big)) >= 0);
	big.more[2] = 1;
	SHOW(SYS(openat2, AT_FDCWD, "f", &big, sizeof(big)));
	OPEN(AT_FDCWD, "f", O_RDONLY, 0600, 0);
	OPEN(AT_FDCWD, "g", O_CREAT, 010600, 0);
	OPEN(AT_FDCWD, "f", 1ull << 40, 0, 0);
	OPEN(AT_FDCWD, "f", O_RDONLY, 0, 64);
	OPEN(AT_FDCWD, "f", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT);
	OPEN(AT_FDCWD, "f", O_PATH | O_RDWR, 0, 0);
	OPEN(AT_FDCWD, "f", O_CREAT, 0, RESOLVE_CACHED);
	OPEN(77, "f", O_RDONLY, 0, RESOLVE_BENEATH);
	OPEN(AT_FDCWD, "", O_RDONLY, 0, RESOLVE_BENEATH);
	OPEN(AT_FDCWD, "/proc/self/fd/0", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS);
}

CASE(a_file_without_a_name_gets_one, openat, linkat)
{
	char link[32], text[16] = "";
	struct stat st;
	long fd;

	mkdir("d", 0700);
	fd = SYS(openat, AT_FDCWD, "d", O_TMPFILE | O_RDWR, 0640);
	SHOW(write((int)fd, "contents", 8));
	fstat((int)fd, &st);
	say("links %d mode %o size %d", (int)st.st_nlink, st.st_mode, (int)st.st_size);
	say("flags %d", (fcntl((int)fd, F_GETFL) & O_TMPFILE) == O_TMPFILE);
	show_tree();
	snprintf(link, sizeof(link), "/proc/self/fd/%ld", fd);
	SHOW(SYS(linkat, AT_FDCWD, link, AT_FDCWD, "d/named", AT_SYMLINK_FOLLOW));
	show_tree();
	say("%d %s", (int)pread(open("d/named", O_RDONLY), text, 8, 0), text);
	SHOW(linkat(AT_FDCWD, link, AT_FDCWD, "d/named", AT_SYMLINK_FOLLOW));
	SHOW(linkat(AT_FDCWD, link, AT_FDCWD, "elsewhere", AT_SYMLINK_FOLLOW));
	show_tree();
}

CASE(a_file_that_is_to_have_no_name, openat, linkat)
{
	char link[32];
	long fd = SYS(openat, AT_FDCWD, ".", O_TMPFILE | O_EXCL | O_WRONLY, 0600);

	snprintf(link, sizeof(link), "/proc/self/fd/%ld", fd);
	SHOW(SYS(linkat, AT_FDCWD, link, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	put_file("f", "");
	SHOW(SYS(openat, AT_FDCWD, "f", O_TMPFILE | O_RDWR, 0600));
	SHOW(SYS(openat, AT_FDCWD, "missing", O_TMPFILE | O_RDWR, 0600));
	SHOW(SYS(openat, AT_FDCWD, ".", O_TMPFILE | O_RDONLY, 0600));
	SHOW(SYS(openat, AT_FDCWD, ".", O_TMPFILE | O_CREAT | O_RDWR, 0600));
	show_tree();
}

CASE(fchmodat2_sets_modes, fchmodat2, linux_6_6)
{
	int fd;

	put_file("f", "");
	if (symlink("f", "link"))
		say("no link");
	SHOW(SYS(fchmodat2, AT_FDCWD, "f", 0600, 0));
	SHOW(SYS(fchmodat2, AT_FDCWD, "link", 0640, 0));
	SHOW(SYS(fchmodat2, AT_FDCWD, "link", 0600, AT_SYMLINK_NOFOLLOW));
	SHOW(SYS(fchmodat2, AT_FDCWD, "f", 0644, AT_SYMLINK_NOFOLLOW));
	fd = open("f", O_RDWR);
	SHOW(SYS(fchmodat2, fd, "", 0604, AT_EMPTY_PATH));
	SHOW(SYS(fchmodat2, fd, "", 0604, 0));
	SHOW(SYS(fchmodat2, 77, "", 0604, AT_EMPTY_PATH));
	SHOW(SYS(fchmodat2, AT_FDCWD, "f", 0600, 1 << 30));
	SHOW(SYS(fchmodat2, AT_FDCWD, "missing", 0600, 0));
	show_tree();
}

/* The line of /proc/self/maps for an address: rights, offset, whether device, inode and name are
 * the file's, and whether the name stands in its column. */
static void show_map(const void *address, const struct stat *st, const char *name)
{
	unsigned long from, to, offset, inode;
	unsigned int major_, minor_;
	char line[4400], rights[8], path[4096];
	FILE *maps = fopen("/proc/self/maps", "r");

	while (fgets(line, sizeof(line), maps)) {
		path[0] = 0;
		if (sscanf(line, "%lx-%lx %7s %lx %x:%x %lu %4095s", &from, &to, rights, &offset,
			   &major_, &minor_, &inode, path) < 7 ||
		    (unsigned long)address < from || (unsigned long)address >= to)
			continue;
		say("%s %lx %lx: %d %d %d %d", rights, to - from, offset,
		    makedev(major_, minor_) == st->st_dev, inode == st->st_ino,
		    strlen(path) >= strlen(name) &&
			    !strcmp(path + strlen(path) - strlen(name), name),
		    !path[0] || line[73] == path[0]);
	}
	fclose(maps);
}

CASE(maps_name_files)
{
	struct stat st;
	char *own, *shared;
	int fd;

	put_file("f", "x");
	fd = open("f", O_RDWR);
	ftruncate(fd, 3 * 4096);
	fstat(fd, &st);
	own = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fd, 4096);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	show_map(own, &st, "/f");
	show_map(shared, &st, "/f");
	munmap(own + 4096, 4096);
	show_map(own, &st, "/f");
	unlink("f");
	show_map(own, &st, "/f");
}
