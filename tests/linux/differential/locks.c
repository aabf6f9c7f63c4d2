/* SPDX-License-Identifier: MIT */
/* Locks on files. The locks of the process and those of a description are strangers to each other.
 */
#include "case.h"

#include <fcntl.h>
#include <sys/file.h>

static struct flock range(short type, short whence, long start, long bytes)
{
	return (struct flock){.l_type = type, .l_whence = whence, .l_start = start, .l_len = bytes};
}

static void show_range(const struct flock *r)
{
	say("type %d whence %d start %ld bytes %ld", r->l_type, r->l_whence, (long)r->l_start,
	    (long)r->l_len);
}

CASE(record_locks_of_the_process, fcntl)
{
	struct flock r;
	int a, b;

	put_file("f", "0123456789");
	a = open("f", O_RDWR);
	b = open("f", O_RDWR);
	r = range(F_WRLCK, SEEK_SET, 2, 3);
	SHOW(SYS(fcntl, a, F_SETLK, &r));
	SHOW(SYS(fcntl, b, F_SETLK, &r));
	SHOW(SYS(fcntl, b, F_SETLKW, &r));
	SHOW(SYS(fcntl, b, F_GETLK, &r));
	show_range(&r);
	r = range(F_RDLCK, SEEK_END, -4, 0);
	SHOW(SYS(fcntl, a, F_SETLK, &r));
	lseek(a, 5, SEEK_SET);
	r = range(F_WRLCK, SEEK_CUR, -5, 1);
	SHOW(SYS(fcntl, a, F_SETLK, &r));
	r = range(F_WRLCK, SEEK_CUR, -6, 1);
	SHOW(SYS(fcntl, a, F_SETLK, &r));
	r = range(F_WRLCK, 7, 0, 1);
	SHOW(SYS(fcntl, a, F_SETLK, &r));
	r = range(9, SEEK_SET, 0, 1);
	SHOW(SYS(fcntl, a, F_SETLK, &r));
	r = range(F_UNLCK, SEEK_SET, 0, 1);
	SHOW(SYS(fcntl, a, F_GETLK, &r));
	SHOW(SYS(fcntl, a, F_SETLK, NOWHERE));
	SHOW(SYS(fcntl, 99, F_SETLK, &r));
	close(a);
	a = open("f", O_RDONLY);
	r = range(F_WRLCK, SEEK_SET, 0, 1);
	SHOW(SYS(fcntl, a, F_SETLK, &r));
	r.l_type = F_RDLCK;
	SHOW(SYS(fcntl, a, F_SETLK, &r));
	close(a);
	a = open("f", O_WRONLY);
	SHOW(SYS(fcntl, a, F_SETLK, &r));
	r = range(F_UNLCK, SEEK_SET, 0, 0);
	SHOW(SYS(fcntl, a, F_SETLK, &r));
	close(a);
	a = open("f", O_PATH);
	SHOW(SYS(fcntl, a, F_SETLK, &r));
}

CASE(record_locks_of_descriptions, fcntl)
{
	struct flock r;
	int a, b;

	put_file("f", "0123456789");
	a = open("f", O_RDWR);
	b = open("f", O_RDWR);
	r = range(F_WRLCK, SEEK_SET, 2, 3);
	SHOW(SYS(fcntl, a, F_OFD_SETLK, &r));
	SHOW(SYS(fcntl, b, F_OFD_SETLK, &r));
	r = range(F_WRLCK, SEEK_SET, 0, 0);
	SHOW(SYS(fcntl, b, F_OFD_GETLK, &r));
	show_range(&r);
	SHOW(r.l_pid);
	r = range(F_RDLCK, SEEK_SET, 5, 5);
	SHOW(SYS(fcntl, b, F_OFD_SETLK, &r));
	SHOW(SYS(fcntl, a, F_OFD_SETLK, &r));
	r.l_pid = 5;
	SHOW(SYS(fcntl, a, F_OFD_SETLK, &r));
	close(a);
	r = range(F_WRLCK, SEEK_SET, 2, 3);
	SHOW(SYS(fcntl, b, F_OFD_SETLK, &r));
	SHOW(SYS(fcntl, dup(b), F_OFD_SETLK, &r));
}

/* What POSIX asks of those of the process: any close of the file ends them. */
CASE(closing_any_descriptor_ends_the_locks, fcntl, close, dup2)
{
	struct flock r = range(F_WRLCK, SEEK_SET, 0, 0);
	int a, b, c;

	put_file("f", "0123456789");
	put_file("g", "0123456789");
	a = open("f", O_RDWR);
	b = open("f", O_RDWR);
	c = open("f", O_RDWR);
	SHOW(SYS(fcntl, a, F_SETLK, &r));
	SHOW(SYS(fcntl, b, F_OFD_SETLK, &r));
	SHOW(SYS(fcntl, b, F_OFD_GETLK, &r));
	show_range(&r);
	SHOW(SYS(close, c));
	r = range(F_WRLCK, SEEK_SET, 0, 0);
	SHOW(SYS(fcntl, b, F_OFD_SETLK, &r));
	SHOW(SYS(fcntl, a, F_SETLK, &r));
	SHOW(SYS(fcntl, a, F_GETLK, &r));
	show_range(&r);
	SHOW(r.l_pid);
	r.l_type = F_UNLCK;
	SHOW(SYS(fcntl, b, F_OFD_SETLK, &r));
	r.l_type = F_WRLCK;
	SHOW(SYS(fcntl, a, F_SETLK, &r));
	SYS(dup2, open("g", O_RDONLY), dup(a));
	SHOW(SYS(fcntl, b, F_OFD_SETLK, &r));
	SYS(dup2, open("g", O_RDONLY), a);
	SHOW(SYS(fcntl, b, F_OFD_SETLK, &r));
}

CASE(whole_files, flock)
{
	int a, b;

	put_file("f", "");
	a = open("f", O_RDONLY);
	b = open("f", O_RDONLY);
	SHOW(SYS(flock, a, LOCK_SH));
	SHOW(SYS(flock, b, LOCK_SH | LOCK_NB));
	SHOW(SYS(flock, b, LOCK_EX | LOCK_NB));
	SHOW(SYS(flock, a, LOCK_UN));
	SHOW(SYS(flock, b, LOCK_EX | LOCK_NB));
	SHOW(SYS(flock, a, LOCK_SH | LOCK_NB));
	SHOW(SYS(flock, dup(b), LOCK_EX | LOCK_NB));
	SHOW(SYS(flock, a, 0));
	SHOW(SYS(flock, a, LOCK_SH | LOCK_EX));
	SHOW(SYS(flock, 99, LOCK_SH));
	SHOW(SYS(flock, open("f", O_PATH), LOCK_SH));
	SHOW(SYS(flock, open(".", O_RDONLY), LOCK_EX));
}
