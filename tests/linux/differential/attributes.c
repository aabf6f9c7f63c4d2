/* SPDX-License-Identifier: MIT */
/* Owners, times, extended attributes; parts of files. */
#include "case.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

static void show_seconds(const char *name)
{
	struct stat st;

	if (!stat(name, &st))
		say("%s: %lld.%ld %lld.%ld", name, (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
		    (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

CASE(older_ways_to_set_times, utime, utimes, futimesat)
{
	struct utimbuf seconds = {1000000000, 1000000001};
	struct timeval both[2] = {{1000000002, 3}, {1000000004, 5}};
	int fd;

	put_file("f", "");
	SHOW(SYS(utime, "f", &seconds));
	show_seconds("f");
	SHOW(SYS(utime, "missing", &seconds));
	SHOW(SYS(utime, "f", NOWHERE));
	SHOW(SYS(utime, NULL, &seconds));
	SHOW(SYS(utimes, "f", both));
	show_seconds("f");
	both[1].tv_usec = 1000000;
	SHOW(SYS(utimes, "f", both));
	both[1].tv_usec = 7;
	mkdir("d", 0755);
	fd = open("d", O_RDONLY);
	SHOW(SYS(futimesat, fd, "../f", both));
	show_seconds("f");
	SHOW(SYS(futimesat, fd, NULL, both));
	show_seconds("d");
	SHOW(SYS(futimesat, 99, "f", both));
	SHOW(SYS(utimes, "f", NULL));
	SHOW(SYS(utime, "f", NULL));
}

CASE(owners, chown, fchown, lchown, fchownat)
{
	int uid = (int)getuid(), gid = (int)getgid(), fd;

	put_file("f", "");
	symlink("f", "link");
	symlink("nowhere", "dangling");
	fd = open("f", O_RDWR);
	SHOW(SYS(chown, "f", -1, -1));
	SHOW(SYS(chown, "f", uid, gid));
	SHOW(SYS(chown, "f", 5, -1));
	SHOW(SYS(chown, "f", -1, 5));
	SHOW(SYS(chown, "missing", uid, gid));
	SHOW(SYS(chown, "dangling", uid, gid));
	SHOW(SYS(lchown, "dangling", uid, gid));
	SHOW(SYS(lchown, "link", 5, gid));
	SHOW(SYS(fchown, fd, uid, -1));
	SHOW(SYS(fchown, fd, 5, -1));
	SHOW(SYS(fchown, 99, uid, -1));
	SHOW(SYS(fchown, open("f", O_PATH), uid, -1));
	SHOW(SYS(fchownat, AT_FDCWD, "dangling", uid, gid, AT_SYMLINK_NOFOLLOW));
	SHOW(SYS(fchownat, fd, "", uid, gid, AT_EMPTY_PATH));
	SHOW(SYS(fchownat, AT_FDCWD, "f", uid, gid, 1));
	SHOW(SYS(fchownat, AT_FDCWD, "", uid, gid, 0));
}

CASE(extended_attributes, setxattr, getxattr, listxattr, removexattr, lsetxattr, lgetxattr,
     llistxattr, lremovexattr, fsetxattr, fgetxattr, flistxattr, fremovexattr)
{
	char value[64] = "";
	int fd;

	put_file("f", "");
	symlink("f", "link");
	fd = open("f", O_RDWR);
	SHOW(SYS(setxattr, "f", "user.one", "1234", 4, 0));
	SHOW(SYS(getxattr, "link", "user.one", value, 64));
	show_bytes("value", value, 4);
	SHOW(SYS(getxattr, "f", "user.one", value, 0));
	SHOW(SYS(getxattr, "f", "user.one", value, 2));
	SHOW(SYS(getxattr, "f", "user.none", value, 64));
	SHOW(SYS(getxattr, "missing", "user.one", value, 64));
	SHOW(SYS(getxattr, "f", "user.one", NOWHERE, 64));
	SHOW(SYS(getxattr, "f", "", value, 64));
	SHOW(SYS(getxattr, "f", "strange.one", value, 64));
	SHOW(SYS(setxattr, "f", "user.one", "5", 1, XATTR_CREATE));
	SHOW(SYS(setxattr, "f", "user.two", "5", 1, XATTR_REPLACE));
	SHOW(SYS(setxattr, "f", "user.one", "5", 1, 77));
	SHOW(SYS(setxattr, "f", "trusted.one", "5", 1, 0));
	SHOW(SYS(setxattr, "f", "user.big", value, 65537, 0));
	SHOW(SYS(fsetxattr, fd, "user.empty", "", 0, 0));
	SHOW(SYS(fgetxattr, fd, "user.empty", value, 64));
	SHOW(SYS(fgetxattr, 99, "user.empty", value, 64));
	memset(value, 0, 64);
	SHOW(SYS(listxattr, "f", value, 64));
	SHOW(SYS(listxattr, "f", NULL, 0));
	SHOW(SYS(listxattr, "f", value, 3));
	SHOW(SYS(flistxattr, fd, value, 64));
	SHOW(SYS(llistxattr, "link", value, 64));
	SHOW(SYS(lgetxattr, "link", "user.one", value, 64));
	SHOW(SYS(lsetxattr, "link", "user.one", "1", 1, 0));
	SHOW(SYS(lsetxattr, "f", "user.three", "1", 1, 0));
	SHOW(SYS(lremovexattr, "f", "user.three"));
	SHOW(SYS(lremovexattr, "link", "user.three"));
	SHOW(SYS(removexattr, "f", "user.one"));
	SHOW(SYS(removexattr, "f", "user.one"));
	SHOW(SYS(fremovexattr, fd, "user.empty"));
	SHOW(SYS(llistxattr, "f", value, 64));
}

CASE(from_file_to_file, copy_file_range)
{
	long from = 2, to = 1;
	int in, out;

	put_file("in", "0123456789");
	in = open("in", O_RDONLY);
	out = open("out", O_RDWR | O_CREAT, 0600);
	SHOW(SYS(copy_file_range, in, NULL, out, NULL, 4, 0));
	SHOW(SYS(lseek, in, 0, SEEK_CUR));
	SHOW(SYS(lseek, out, 0, SEEK_CUR));
	SHOW(SYS(copy_file_range, in, &from, out, &to, 3, 0));
	SHOW(from);
	SHOW(to);
	SHOW(SYS(copy_file_range, in, NULL, out, NULL, 100, 0));
	SHOW(SYS(copy_file_range, in, NULL, out, NULL, 100, 0));
	SHOW(SYS(copy_file_range, in, NULL, out, NULL, 1, 1));
	SHOW(SYS(copy_file_range, in, NOWHERE, out, NULL, 1, 0));
	SHOW(SYS(copy_file_range, out, NULL, in, NULL, 1, 0));
	SHOW(SYS(copy_file_range, 99, NULL, out, NULL, 1, 0));
	SHOW(SYS(copy_file_range, open(".", O_RDONLY), NULL, out, NULL, 1, 0));
	show_tree();
}

CASE(parts_to_and_from_the_disk, sync_file_range, readahead, sync, syncfs)
{
	int fd, p[2];

	put_file("f", "0123456789");
	fd = open("f", O_RDONLY);
	pipe(p);
	SHOW(SYS(sync_file_range, fd, 0, 0, 7));
	SHOW(SYS(sync_file_range, fd, -1l, 0, 7));
	SHOW(SYS(sync_file_range, fd, 0, 0, 8));
	SHOW(SYS(sync_file_range, p[0], 0, 0, 7));
	SHOW(SYS(sync_file_range, 99, 0, 0, 7));
	SHOW(SYS(readahead, fd, 0, 100));
	SHOW(SYS(readahead, p[0], 0, 100));
	SHOW(SYS(readahead, open("f", O_WRONLY), 0, 100));
	SHOW(SYS(syncfs, fd));
	SHOW(SYS(syncfs, 99));
	SHOW(SYS(sync));
}

CASE(older_listing, getdents)
{
	char dents[4096];
	int fd = open(".", O_RDONLY);
	long got, at;

	put_file("only_one", "");
	got = SYS(getdents, fd, dents, sizeof(dents));
	for (at = 0; at < got;) {
		unsigned short bytes;

		memcpy(&bytes, dents + at + 16, 2);
		if (dents[at + 18] != '.')
			say("%s, %d bytes, type %d", dents + at + 18, bytes, dents[at + bytes - 1]);
		at += bytes;
	}
	SHOW(SYS(getdents, fd, dents, sizeof(dents)));
	SHOW(SYS(getdents, 0, dents, sizeof(dents)));
	SHOW(SYS(getdents, 99, dents, sizeof(dents)));
}

CASE(nodes, mknod, mknodat)
{
	SYS(umask, 027);
	SHOW(SYS(mknod, "f", S_IFREG | 0666, 0));
	SHOW(SYS(mknod, "f", S_IFREG | 0666, 0));
	SHOW(SYS(mknod, "g", 0644, 0));
	SHOW(SYS(mknodat, AT_FDCWD, "h", S_IFREG | 0600, 0));
	SHOW(SYS(mknodat, 99, "h", S_IFREG | 0600, 0));
	SHOW(SYS(mknod, "dev", S_IFCHR | 0666, 0x103));
	SHOW(SYS(mknod, "dev", S_IFBLK | 0666, 0x103));
	SHOW(SYS(mknod, "dir", S_IFDIR | 0666, 0));
	SHOW(SYS(mknod, "bad", 0xe000 | 0666, 0));
	SHOW(SYS(mknod, "missing/f", S_IFREG | 0666, 0));
	show_tree();
}
