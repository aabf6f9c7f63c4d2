/* SPDX-License-Identifier: MIT */
/* Names of files: making, removing, renaming, listing. */
#include "case.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE  2
#endif

CASE(directories, mkdir, mkdirat, rmdir, unlinkat)
{
	int fd;

	put_file("f", "");
	SHOW(SYS(mkdir, "d", 0777));
	SHOW(SYS(mkdir, "d", 0777));
	SHOW(SYS(mkdir, "f", 0777));
	SHOW(SYS(mkdir, "f/x", 0777));
	SHOW(SYS(mkdir, "missing/x", 0777));
	SHOW(SYS(mkdir, "", 0777));
	SHOW(SYS(mkdir, ".", 0777));
	SHOW(SYS(mkdir, "..", 0777));
	SHOW(SYS(mkdir, "trailing/", 01750));
	SHOW(SYS(mkdir, NOWHERE, 0777));
	fd = open("d", O_RDONLY);
	SHOW(SYS(mkdirat, fd, "e", 0711));
	SHOW(SYS(mkdirat, 99, "e", 0711));
	SHOW(SYS(mkdirat, 0, "e", 0711));
	show_tree();
	SHOW(SYS(rmdir, "d"));
	SHOW(SYS(rmdir, "f"));
	SHOW(SYS(rmdir, "missing"));
	SHOW(SYS(rmdir, "d/."));
	SHOW(SYS(rmdir, "d/e/.."));
	SHOW(SYS(unlinkat, fd, "e", 0));
	SHOW(SYS(unlinkat, fd, "e", AT_REMOVEDIR));
	SHOW(SYS(rmdir, "d/"));
	SHOW(SYS(rmdir, "trailing"));
	show_tree();
}

CASE(removing, unlink, unlinkat)
{
	int fd;

	put_file("f", "still here");
	mkdir("d", 0755);
	put_file("d/g", "");
	symlink("d", "link");
	fd = open("f", O_RDONLY);
	SHOW(SYS(unlink, "f"));
	SHOW(SYS(unlink, "f"));
	SHOW(SYS(unlink, "d"));
	SHOW(SYS(unlink, "link/"));
	SHOW(SYS(unlink, "link"));
	SHOW(SYS(unlink, "d/g/"));
	SHOW(SYS(unlink, ""));
	SHOW(SYS(unlink, NOWHERE));
	SHOW(SYS(unlinkat, AT_FDCWD, "d/g", 8));
	SHOW(SYS(unlinkat, AT_FDCWD, "d/g", 0));
	SHOW(SYS(unlinkat, AT_FDCWD, "d", AT_REMOVEDIR));
	SHOW(SYS(lseek, fd, 0, SEEK_END));
	show_tree();
}

CASE(renaming, rename, renameat, renameat2)
{
	int fd;

	put_file("a", "a");
	put_file("b", "b");
	mkdir("d", 0755);
	mkdir("e", 0755);
	put_file("e/x", "x");
	SHOW(SYS(rename, "a", "c"));
	SHOW(SYS(rename, "a", "c"));
	SHOW(SYS(rename, "b", "c"));
	SHOW(SYS(rename, "c", "d"));
	SHOW(SYS(rename, "d", "c"));
	SHOW(SYS(rename, "d", "e"));
	SHOW(SYS(rename, "e", "d"));
	SHOW(SYS(rename, "d", "d/below"));
	SHOW(SYS(rename, "c", "c"));
	SHOW(SYS(rename, ".", "x"));
	SHOW(SYS(rename, "c", "missing/x"));
	SHOW(SYS(rename, "c", ""));
	SHOW(SYS(rename, "c", NOWHERE));
	fd = open("d", O_RDONLY);
	SHOW(SYS(renameat, AT_FDCWD, "c", fd, "c"));
	SHOW(SYS(renameat, fd, "c", 99, "c"));
	put_file("n", "n");
	SHOW(SYS(renameat2, AT_FDCWD, "n", fd, "c", RENAME_NOREPLACE));
	SHOW(SYS(renameat2, AT_FDCWD, "n", fd, "c", RENAME_EXCHANGE));
	SHOW(SYS(renameat2, AT_FDCWD, "n", fd, "none", RENAME_EXCHANGE));
	SHOW(SYS(renameat2, AT_FDCWD, "n", fd, "c", RENAME_EXCHANGE | RENAME_NOREPLACE));
	SHOW(SYS(renameat2, AT_FDCWD, "n", fd, "c", 8));
	show_tree();
}

CASE(links, link, linkat, symlink, symlinkat, readlink, readlinkat)
{
	char text[64];
	int fd;

	put_file("f", "text");
	mkdir("d", 0755);
	SHOW(SYS(link, "f", "g"));
	SHOW(SYS(link, "f", "g"));
	SHOW(SYS(link, "d", "e"));
	SHOW(SYS(link, "missing", "e"));
	SHOW(SYS(symlink, "f", "to_f"));
	SHOW(SYS(symlink, "f", "to_f"));
	SHOW(SYS(symlink, "", "empty"));
	SHOW(SYS(symlink, "nowhere", "dangling"));
	SHOW(SYS(symlink, "x", "missing/x"));
	SHOW(SYS(link, "to_f", "hard_to_link"));
	SHOW(SYS(linkat, AT_FDCWD, "to_f", AT_FDCWD, "hard_to_file", AT_SYMLINK_FOLLOW));
	SHOW(SYS(linkat, AT_FDCWD, "f", AT_FDCWD, "h", 1));
	fd = open("d", O_RDONLY);
	SHOW(SYS(linkat, AT_FDCWD, "f", fd, "f", 0));
	SHOW(SYS(symlinkat, "../f", fd, "up"));
	SHOW(SYS(readlink, "to_f", text, 64));
	SHOW(SYS(readlink, "dangling", text, 3));
	show_bytes("text", text, 3);
	SHOW(SYS(readlink, "f", text, 64));
	SHOW(SYS(readlink, "missing", text, 64));
	SHOW(SYS(readlink, "to_f", text, 0));
	SHOW(SYS(readlink, "to_f", text, -1));
	SHOW(SYS(readlink, "to_f", NOWHERE, 5));
	SHOW(SYS(readlinkat, fd, "up", text, 64));
	show_bytes("text", text, 4);
	SHOW(SYS(readlinkat, 99, "up", text, 64));
	fd = open("to_f", O_PATH | O_NOFOLLOW);
	SHOW(SYS(readlinkat, fd, "", text, 64));
	SHOW(SYS(readlinkat, AT_FDCWD, "", text, 64));
	show_tree();
}

/* The working directory without what is above the case's. */
static void show_cwd(void)
{
	char path[512];
	long bytes = SYS(getcwd, path, sizeof(path));
	char *at = bytes > 0 ? strstr(path, "names.") : NULL;

	say("in %s, %d", at ? at : "?", at ? (int)(bytes - (at - path)) : (int)bytes);
}

CASE(working_directory, getcwd, chdir, fchdir)
{
	char path[512];
	int fd;

	mkdir("d", 0755);
	mkdir("d/e", 0755);
	put_file("f", "");
	show_cwd();
	SHOW(SYS(chdir, "d/e"));
	show_cwd();
	SHOW(SYS(chdir, "../.."));
	SHOW(SYS(chdir, "f"));
	SHOW(SYS(chdir, "missing"));
	SHOW(SYS(chdir, ""));
	SHOW(SYS(chdir, NOWHERE));
	fd = open("d", O_RDONLY);
	SHOW(SYS(fchdir, fd));
	show_cwd();
	SHOW(SYS(fchdir, 0));
	SHOW(SYS(fchdir, 99));
	SHOW(SYS(getcwd, path, 3));
	SHOW(SYS(getcwd, NOWHERE, 500));
	SHOW(SYS(getcwd, path, 0));
	close(fd);
	fd = open("..", O_PATH);
	SHOW(SYS(fchdir, fd));
	show_cwd();
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

CASE(listing, getdents64)
{
	static char dents[16384], found[64][32];
	int fd = open(".", O_RDONLY);
	int count = 0, i;
	long got, at;

	put_file("f", "");
	mkdir("d", 0755);
	symlink("f", "link");
	for (i = 0; i < 40; i++) {
		char name[32];

		sprintf(name, "some_file_%02d", i);
		put_file(name, "");
	}
	while ((got = SYS(getdents64, fd, dents, 512)) > 0) {
		for (at = 0; at < got;) {
			unsigned short bytes;

			memcpy(&bytes, dents + at + 16, 2);
			snprintf(found[count++], 32, "%s %d", dents + at + 19, dents[at + 18]);
			at += bytes;
		}
	}
	SHOW(got);
	qsort(found, (size_t)count, 32, by_text);
	for (i = 0; i < count; i++)
		say("%s", found[i]);
	SHOW(SYS(getdents64, fd, dents, 512));
	SHOW(SYS(lseek, fd, 0, SEEK_SET));
	SHOW(SYS(getdents64, fd, dents, 10));
	SHOW(SYS(getdents64, fd, NOWHERE, 512));
	SHOW(SYS(getdents64, fd, dents, 512) > 0);
	SHOW(SYS(getdents64, 0, dents, 512));
	SHOW(SYS(getdents64, 99, dents, 512));
	SHOW(SYS(getdents64, open(".", O_PATH), dents, 512));
	rmdir("d");
	mkdir("gone", 0755);
	fd = open("gone", O_RDONLY);
	rmdir("gone");
	SHOW(SYS(getdents64, fd, dents, 512));
}
