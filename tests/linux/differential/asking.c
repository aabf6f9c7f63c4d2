/* SPDX-License-Identifier: MIT */
/* What is told about files, and what of that can be changed. */
#include "case.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

CASE(kinds_of_files, stat, lstat, fstat, newfstatat)
{
	struct stat st, other;
	int fd, p[2];

	put_file("f", "text");
	mkdir("d", 0755);
	symlink("f", "link");
	symlink("nowhere", "dangling");
	SHOW(SYS(stat, "f", &st));
	show_stat("f", &st);
	SHOW(st.st_uid == getuid());
	SHOW(st.st_blksize);
	fd = open("f", O_RDONLY);
	SHOW(SYS(fstat, fd, &other));
	SHOW(st.st_ino == other.st_ino && st.st_dev == other.st_dev);
	SHOW(SYS(stat, "link", &st));
	show_stat("link", &st);
	SHOW(SYS(lstat, "link", &st));
	show_stat("link itself", &st);
	SHOW(SYS(stat, "dangling", &st));
	SHOW(SYS(lstat, "dangling", &st));
	SHOW(SYS(stat, "d", &st));
	show_stat("d", &st);
	SHOW(SYS(stat, "missing", &st));
	SHOW(SYS(stat, "f/x", &st));
	SHOW(SYS(stat, "f/", &st));
	SHOW(SYS(stat, "", &st));
	SHOW(SYS(stat, "f", NOWHERE));
	SHOW(SYS(stat, NOWHERE, &st));
	SHOW(SYS(fstat, 99, &st));
	pipe(p);
	SHOW(SYS(fstat, p[0], &st));
	show_stat("pipe", &st);
	SHOW(SYS(fstat, 1, &st));
	show_stat("standard output", &st);
	SHOW(SYS(stat, "/dev/null", &st));
	show_stat("null", &st);
	SHOW(st.st_rdev);
	fd = open("d", O_PATH);
	SHOW(SYS(newfstatat, fd, "../f", &st, 0));
	SHOW(SYS(newfstatat, fd, "", &st, AT_EMPTY_PATH));
	show_stat("empty path", &st);
	SHOW(SYS(newfstatat, AT_FDCWD, "", &st, AT_EMPTY_PATH));
	show_stat("empty path of the working directory", &st);
	SHOW(SYS(newfstatat, fd, "", &st, 0));
	SHOW(SYS(newfstatat, AT_FDCWD, "link", &st, AT_SYMLINK_NOFOLLOW));
	show_stat("no follow", &st);
	SHOW(SYS(newfstatat, AT_FDCWD, "f", &st, 0x4000));
	SHOW(SYS(newfstatat, 99, "f", &st, 0));
	SHOW(SYS(newfstatat, 0, "f", &st, 0));
}

static void show_statx(const char *what, const struct statx *stx)
{
	say("%s: mode %o size %llu links %u", what, stx->stx_mode,
	    (unsigned long long)stx->stx_size, stx->stx_nlink);
}

CASE(extended_stat, statx)
{
	struct statx stx;
	struct stat st;
	int fd;

	put_file("f", "text");
	symlink("f", "link");
	SHOW(SYS(statx, AT_FDCWD, "f", 0, STATX_BASIC_STATS, &stx));
	show_statx("f", &stx);
	stat("f", &st);
	SHOW((stx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	SHOW(stx.stx_ino == st.st_ino);
	SHOW(stx.stx_mtime.tv_sec == st.st_mtim.tv_sec &&
	     stx.stx_mtime.tv_nsec == (unsigned int)st.st_mtim.tv_nsec);
	SHOW(SYS(statx, AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx));
	SHOW(stx.stx_mode);
	fd = open("f", O_RDONLY);
	SHOW(SYS(statx, fd, "", AT_EMPTY_PATH, STATX_SIZE, &stx));
	SHOW(stx.stx_size);
	SHOW(SYS(statx, fd, "", 0, STATX_SIZE, &stx));
	SHOW(SYS(statx, AT_FDCWD, "missing", 0, STATX_SIZE, &stx));
	SHOW(SYS(statx, AT_FDCWD, "f", 0x10000000, STATX_SIZE, &stx));
	SHOW(SYS(statx, AT_FDCWD, "f", AT_STATX_SYNC_TYPE, STATX_SIZE, &stx));
	SHOW(SYS(statx, AT_FDCWD, "f", AT_STATX_FORCE_SYNC, STATX_SIZE, &stx));
	SHOW(SYS(statx, AT_FDCWD, "f", 0, STATX__RESERVED, &stx));
	SHOW(SYS(statx, AT_FDCWD, "f", 0, STATX_SIZE, NOWHERE));
}

CASE(file_systems, statfs, fstatfs)
{
	struct statfs a, b;
	int fd;

	SHOW(SYS(statfs, ".", &a));
	fd = open(".", O_RDONLY);
	SHOW(SYS(fstatfs, fd, &b));
	SHOW(a.f_type == b.f_type && a.f_bsize == b.f_bsize && a.f_blocks == b.f_blocks);
	SHOW(a.f_namelen);
	SHOW(a.f_bsize);
	SHOW(SYS(statfs, "missing", &a));
	SHOW(SYS(statfs, ".", NOWHERE));
	SHOW(SYS(fstatfs, 99, &a));
	SHOW(SYS(statfs, "", &a));
}

CASE(modes, chmod, fchmod, fchmodat)
{
	int fd;

	put_file("f", "");
	mkdir("d", 0755);
	symlink("f", "link");
	SHOW(SYS(chmod, "f", 0640));
	show_tree();
	SHOW(SYS(chmod, "link", 0604));
	SHOW(SYS(chmod, "missing", 0604));
	SHOW(SYS(chmod, "d", 0700));
	SHOW(SYS(chmod, "", 0700));
	show_tree();
	fd = open("f", O_RDWR);
	SHOW(SYS(fchmod, fd, 0611));
	SHOW(SYS(fchmod, 99, 0611));
	close(fd);
	fd = open("d", O_RDONLY);
	SHOW(SYS(fchmod, fd, 0711));
	SHOW(SYS(fchmodat, AT_FDCWD, "f", 0444));
	SHOW(SYS(fchmodat, fd, "../f", 0666));
	SHOW(SYS(fchmodat, fd, "missing", 0666));
	SHOW(SYS(fchmodat, 99, "f", 0666));
	fd = open("f", O_PATH);
	SHOW(SYS(fchmod, fd, 0600));
	show_tree();
}

static void show_times(const char *name)
{
	struct stat st;

	if (!lstat(name, &st))
		say("%s: %lld.%09ld %lld.%09ld", name, (long long)st.st_atim.tv_sec,
		    st.st_atim.tv_nsec, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

CASE(times, utimensat)
{
	struct timespec times[2] = {{1000000000, 5}, {1100000000, 6}};
	struct stat st;
	int fd;

	put_file("f", "");
	symlink("f", "link");
	SHOW(SYS(utimensat, AT_FDCWD, "f", times, 0));
	show_times("f");
	times[0].tv_nsec = UTIME_OMIT;
	times[1].tv_sec = 5;
	SHOW(SYS(utimensat, AT_FDCWD, "link", times, 0));
	show_times("f");
	times[1].tv_nsec = UTIME_NOW;
	SHOW(SYS(utimensat, AT_FDCWD, "f", times, 0));
	stat("f", &st);
	SHOW(st.st_atim.tv_sec);
	SHOW(st.st_mtim.tv_sec > 1100000000);
	times[1].tv_nsec = 1000000000;
	SHOW(SYS(utimensat, AT_FDCWD, "f", times, 0));
	times[0].tv_nsec = times[1].tv_nsec = 7;
	SHOW(SYS(utimensat, AT_FDCWD, "missing", times, 0));
	SHOW(SYS(utimensat, AT_FDCWD, "f", times, 1));
	SHOW(SYS(utimensat, AT_FDCWD, "f", NOWHERE, 0));
	fd = open("f", O_RDWR);
	SHOW(SYS(utimensat, fd, NULL, times, 0));
	show_times("f");
	SHOW(SYS(utimensat, 99, NULL, times, 0));
	SHOW(SYS(utimensat, AT_FDCWD, NULL, times, 0));
	SHOW(SYS(utimensat, AT_FDCWD, "f", NULL, 0));
}
