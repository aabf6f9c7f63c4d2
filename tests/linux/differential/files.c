/* SPDX-License-Identifier: MIT */
/* Opening files, their size and their way to the disk. */
#include "case.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

CASE(open_flags, open, openat, creat)
{
	int dir;

	put_file("f", "text");
	mkdir("d", 0755);
	symlink("f", "to_f");
	symlink("nowhere", "dangling");
	symlink("loop", "loop");
	SHOW(SYS(open, "missing", O_RDONLY));
	SHOW(SYS(open, "f", O_RDONLY | O_DIRECTORY));
	SHOW(SYS(open, "d", O_RDONLY | O_DIRECTORY));
	SHOW(SYS(open, "d", O_WRONLY));
	SHOW(SYS(open, "d", O_RDWR));
	SHOW(SYS(open, "d", O_RDONLY | O_CREAT, 0600));
	SHOW(SYS(open, "f", O_RDONLY | O_CREAT | O_EXCL, 0600));
	SHOW(SYS(open, "to_f", O_RDONLY | O_CREAT | O_EXCL, 0600));
	SHOW(SYS(open, "dangling", O_RDONLY | O_CREAT | O_EXCL, 0600));
	SHOW(SYS(open, "dangling", O_RDONLY));
	SHOW(SYS(open, "to_f", O_RDONLY | O_NOFOLLOW));
	SHOW(SYS(open, "to_f", O_PATH | O_NOFOLLOW));
	SHOW(SYS(open, "loop", O_RDONLY));
	SHOW(SYS(open, "f/x", O_RDONLY));
	SHOW(SYS(open, "f/", O_RDONLY));
	SHOW(SYS(open, "", O_RDONLY));
	SHOW(SYS(open, NOWHERE, O_RDONLY));
	SHOW(SYS(open, NULL, O_RDONLY));
	SHOW(SYS(open, "new/", O_RDWR | O_CREAT, 0600));
	SHOW(SYS(open, "missing/new", O_RDWR | O_CREAT, 0600));
	SHOW(SYS(open, "dangling", O_RDWR | O_CREAT, 0640));
	SHOW(SYS(open, "f", O_WRONLY | O_TRUNC));
	SHOW(SYS(creat, "made", 0666));
	SHOW(SYS(creat, "d", 0666));
	dir = open("d", O_RDONLY | O_DIRECTORY);
	SHOW(SYS(openat, dir, "inside", O_RDWR | O_CREAT, 0604));
	SHOW(SYS(openat, dir, "../f", O_RDONLY));
	SHOW(SYS(openat, 99, "f", O_RDONLY));
	SHOW(SYS(openat, 0, "f", O_RDONLY));
	SHOW(SYS(openat, AT_FDCWD, "made", O_RDONLY | O_DIRECTORY | O_CREAT, 0600));
	show_tree();
}

CASE(long_names, open, mkdir)
{
	static char name[5000];

	memset(name, 'a', sizeof(name) - 1);
	SHOW(SYS(open, name, O_RDONLY));
	name[256] = 0;
	SHOW(SYS(open, name, O_RDONLY));
	SHOW(SYS(mkdir, name, 0700));
	name[255] = 0;
	SHOW(SYS(open, name, O_RDONLY));
	SHOW(SYS(mkdir, name, 0700));
	SHOW(SYS(rmdir, name));
}

CASE(permission_bits, open, access, faccessat, faccessat2, chmod)
{
	static const int modes[] = {0, 0400, 0200, 0100, 0600, 0777};
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		put_file("f", "text");
		chmod("f", (mode_t)modes[i]);
		say("mode %o", modes[i]);
		SHOW(close((int)SYS(open, "f", O_RDONLY)));
		SHOW(close((int)SYS(open, "f", O_WRONLY)));
		SHOW(SYS(access, "f", F_OK));
		SHOW(SYS(access, "f", R_OK));
		SHOW(SYS(access, "f", W_OK));
		SHOW(SYS(access, "f", X_OK));
		SHOW(SYS(faccessat, AT_FDCWD, "f", R_OK | W_OK));
		SHOW(SYS(faccessat2, AT_FDCWD, "f", R_OK | W_OK, AT_EACCESS));
		unlink("f");
	}
	SHOW(SYS(access, "missing", F_OK));
	SHOW(SYS(access, ".", R_OK | W_OK | X_OK));
	SHOW(SYS(access, ".", 8));
	SHOW(SYS(faccessat, 99, "f", F_OK));
	SHOW(SYS(faccessat2, AT_FDCWD, "f", F_OK, 1));
	symlink("nowhere", "dangling");
	SHOW(SYS(faccessat2, AT_FDCWD, "dangling", F_OK, 0));
	SHOW(SYS(faccessat2, AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
	put_file("g", "");
	SHOW(SYS(faccessat2, open("g", O_RDONLY), "", R_OK, AT_EMPTY_PATH));
	SHOW(SYS(faccessat2, AT_FDCWD, "", R_OK, AT_EMPTY_PATH));
	SHOW(SYS(access, "", R_OK));
	SHOW(SYS(access, NOWHERE, R_OK));
}

CASE(umask_is_taken_off, umask, open, mkdir)
{
	SHOW(SYS(umask, 077));
	SHOW(SYS(umask, 01027));
	SHOW(SYS(umask, 0));
	close((int)SYS(open, "a", O_CREAT | O_WRONLY, 0666));
	SYS(umask, 027);
	close((int)SYS(open, "b", O_CREAT | O_WRONLY, 0666));
	SYS(mkdir, "d", 0777);
	show_tree();
}

CASE(sizes, truncate, ftruncate, lseek)
{
	char text[8];
	int fd;

	put_file("f", "0123456789");
	SHOW(SYS(truncate, "f", 4));
	SHOW(SYS(truncate, "f", 6));
	SHOW(SYS(truncate, "f", -1l));
	SHOW(SYS(truncate, "missing", 0));
	SHOW(SYS(truncate, ".", 0));
	SHOW(SYS(truncate, "", 0));
	fd = open("f", O_RDWR);
	SHOW(SYS(lseek, fd, 0, SEEK_END));
	SHOW(SYS(read, fd, text, 8));
	SHOW(SYS(ftruncate, fd, 2));
	SHOW(SYS(lseek, fd, 0, SEEK_CUR));
	SHOW(SYS(write, fd, "x", 1));
	SHOW(SYS(ftruncate, fd, -1l));
	close(fd);
	fd = open("f", O_RDONLY);
	SHOW(SYS(ftruncate, fd, 0));
	close(fd);
	fd = open(".", O_RDONLY);
	SHOW(SYS(ftruncate, fd, 0));
	SHOW(SYS(ftruncate, 99, 0));
	show_tree();
}

CASE(to_the_disk, fsync, fdatasync)
{
	int p[2];
	int fd;

	put_file("f", "x");
	fd = open("f", O_RDONLY);
	SHOW(SYS(fsync, fd));
	SHOW(SYS(fdatasync, fd));
	close(fd);
	fd = open(".", O_RDONLY);
	SHOW(SYS(fsync, fd));
	close(fd);
	pipe(p);
	SHOW(SYS(fsync, p[0]));
	SHOW(SYS(fdatasync, p[1]));
	SHOW(SYS(fsync, 99));
	fd = open("f", O_PATH);
	SHOW(SYS(fsync, fd));
}

CASE(space, fallocate)
{
	struct stat st;
	int fd = open("f", O_RDWR | O_CREAT, 0600);
	int p[2];

	SHOW(SYS(fallocate, fd, 0, 0, 10000));
	fstat(fd, &st);
	SHOW(st.st_size);
	SHOW(st.st_blocks * 512 >= 10000);
	SHOW(SYS(fallocate, fd, FALLOC_FL_KEEP_SIZE, 20000, 10000));
	fstat(fd, &st);
	SHOW(st.st_size);
	SHOW(SYS(pwrite64, fd, "hello", 5, 4094));
	SHOW(SYS(fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
	SHOW(SYS(fallocate, fd, FALLOC_FL_PUNCH_HOLE, 4096, 4096));
	SHOW(SYS(fallocate, fd, 0, 0, 0));
	SHOW(SYS(fallocate, fd, 0, -1l, 10));
	SHOW(SYS(fallocate, fd, 0, 10, -1l));
	SHOW(SYS(fallocate, fd, 0, LONG_MAX, 10));
	SHOW(SYS(fallocate, fd, 0x4000, 0, 10));
	close(fd);
	fd = open("f", O_RDONLY);
	SHOW(SYS(fallocate, fd, 0, 0, 10));
	pipe(p);
	SHOW(SYS(fallocate, p[1], 0, 0, 10));
	SHOW(SYS(fallocate, open(".", O_RDONLY), 0, 0, 10));
	SHOW(SYS(fallocate, 99, 0, 0, 10));
	show_tree();
}

CASE(advice, fadvise64)
{
	int fd, p[2];

	put_file("f", "x");
	fd = open("f", O_RDONLY);
	SHOW(SYS(fadvise64, fd, 0, 0, POSIX_FADV_WILLNEED));
	SHOW(SYS(fadvise64, fd, 0, 0, POSIX_FADV_DONTNEED));
	SHOW(SYS(fadvise64, fd, 0, 0, 77));
	SHOW(SYS(fadvise64, fd, 0, -1l, POSIX_FADV_NORMAL));
	SHOW(SYS(fadvise64, 99, 0, 0, POSIX_FADV_NORMAL));
	pipe(p);
	SHOW(SYS(fadvise64, p[0], 0, 0, POSIX_FADV_NORMAL));
}
