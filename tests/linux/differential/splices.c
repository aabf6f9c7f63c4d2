/* SPDX-License-Identifier: MIT */
/* Bytes between descriptors without a buffer of the program's, and files without a name. */
#include "case.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

static char big[1 << 20];

static int file_of(const char *name, const char *text, int flags)
{
	int fd = (int)SYS(open, name, O_RDWR | O_CREAT, 0644);

	SYS(write, fd, text, strlen(text));
	SYS(close, fd);
	return (int)SYS(open, name, flags);
}

CASE(files_and_pipes, splice)
{
	int p[2], in = file_of("in", "some words of a file", O_RDONLY),
		  out = file_of("out", "", O_RDWR);
	loff_t offset = 5;

	SYS(pipe2, p, O_NONBLOCK);
	SHOW(SYS(splice, p[0], NULL, out, NULL, 100, 0));
	SHOW(SYS(splice, in, NULL, p[1], NULL, 4, 0));
	SHOW(SYS(lseek, in, 0, SEEK_CUR));
	SHOW(SYS(splice, in, &offset, p[1], NULL, 5, SPLICE_F_MOVE));
	SHOW(offset);
	SHOW(SYS(lseek, in, 0, SEEK_CUR));
	SHOW(SYS(splice, p[0], NULL, out, NULL, 3, SPLICE_F_MORE));
	offset = 10;
	SHOW(SYS(splice, p[0], NULL, out, &offset, 100, 0));
	SHOW(offset);
	SHOW(SYS(pread64, out, big, 100, 0));
	show_bytes("out", big, 16);
	SHOW(SYS(splice, in, NULL, p[1], NULL, 100, 0));
	SHOW(SYS(splice, in, NULL, p[1], NULL, 100, 0));
	SHOW(SYS(splice, in, NULL, p[1], NULL, 0, 0));
}

CASE(what_splice_refuses, splice, tee, vmsplice, sendfile)
{
	int p[2], q[2], in = file_of("in", "words", O_RDONLY), out = file_of("out", "", O_WRONLY);
	int append = file_of("log", "", O_WRONLY | O_APPEND);
	struct iovec iov = {NOWHERE, 10};
	loff_t offset = 0, negative = -1;

	signal(SIGPIPE, SIG_IGN);
	SYS(pipe2, p, O_NONBLOCK);
	SYS(pipe2, q, O_NONBLOCK);
	SYS(write, p[1], "abc", 3);
	SHOW(SYS(splice, in, NULL, out, NULL, 10, 0));
	SHOW(SYS(splice, p[0], NULL, p[1], NULL, 10, 0));
	SHOW(SYS(splice, p[0], &offset, out, NULL, 10, 0));
	SHOW(SYS(splice, in, NULL, p[1], &offset, 10, 0));
	SHOW(SYS(splice, p[1], NULL, out, NULL, 10, 0));
	SHOW(SYS(splice, p[0], NULL, in, NULL, 10, 0));
	SHOW(SYS(splice, p[0], NULL, append, NULL, 10, 0));
	SHOW(SYS(splice, p[0], NULL, out, NULL, 10, 64));
	SHOW(SYS(splice, 1000, NULL, out, NULL, 10, 0));
	SHOW(SYS(splice, in, NOWHERE, p[1], NULL, 10, 0));
	SHOW(SYS(splice, in, &negative, p[1], NULL, 10, 0));
	SHOW(SYS(tee, p[0], p[1], 10, 0));
	SHOW(SYS(tee, p[0], out, 10, 0));
	SHOW(SYS(tee, in, q[1], 10, 0));
	SHOW(SYS(tee, p[0], q[1], 10, 64));
	SHOW(SYS(tee, p[0], q[1], 0, 0));
	SHOW(SYS(tee, q[0], p[1], 10, 0));
	SHOW(SYS(vmsplice, in, &iov, 1, 0));
	SHOW(SYS(vmsplice, 1000, &iov, 1, 0));
	SHOW(SYS(vmsplice, p[1], &iov, 1, 64));
	SHOW(SYS(vmsplice, p[1], &iov, 2000, 0));
	SHOW(SYS(vmsplice, p[1], &iov, 1, 0));
	SHOW(SYS(sendfile, out, p[0], NULL, 10));
	SHOW(SYS(sendfile, append, in, NULL, 10));
	SHOW(SYS(sendfile, out, out, NULL, 10));
	SHOW(SYS(close, q[0]));
	SHOW(SYS(splice, p[0], NULL, q[1], NULL, 10, 0));
	SHOW(SYS(tee, p[0], q[1], 10, 0));
	SHOW(SYS(read, p[0], big, 10));
}

CASE(pipes_to_pipes, splice, tee, vmsplice)
{
	int p[2], q[2];
	struct iovec iov[2] = {{"abc", 3}, {"defg", 4}};
	struct iovec to[2] = {{big, 2}, {big + 2, 100}};

	SYS(pipe2, p, O_NONBLOCK);
	SYS(pipe2, q, O_NONBLOCK);
	SHOW(SYS(vmsplice, p[1], iov, 2, 0));
	SHOW(SYS(tee, p[0], q[1], 5, 0));
	SHOW(SYS(read, q[0], big, 100));
	show_bytes("copied", big, 5);
	SHOW(SYS(splice, p[0], NULL, q[1], NULL, 2, 0));
	SHOW(SYS(splice, p[0], NULL, q[1], NULL, 100, SPLICE_F_NONBLOCK));
	SHOW(SYS(vmsplice, q[0], to, 2, 0));
	show_bytes("moved", big, 7);
	SHOW(SYS(splice, p[0], NULL, q[1], NULL, 100, SPLICE_F_NONBLOCK));
	SYS(close, p[1]);
	SHOW(SYS(splice, p[0], NULL, q[1], NULL, 100, 0));
	SHOW(SYS(tee, p[0], q[1], 100, 0));
}

CASE(sending_into_a_pipe, sendfile)
{
	int p[2], in = file_of("in", "", O_RDWR);
	long total = 0, got;

	SYS(write, in, big, 200000);
	SYS(lseek, in, 0, SEEK_SET);
	SYS(pipe2, p, O_NONBLOCK);
	SHOW(SYS(sendfile, p[1], in, NULL, 200000));
	SHOW(SYS(lseek, in, 0, SEEK_CUR));
	SHOW(SYS(sendfile, p[1], in, NULL, 200000));
	while ((got = SYS(read, p[0], big, 10000)) > 0)
		total += got;
	SHOW(total);
	SHOW(SYS(sendfile, p[1], in, NULL, 10));
	SHOW(SYS(sendfile, p[1], in, NULL, 0));
}

CASE(files_without_a_name, memfd_create, ftruncate, fcntl)
{
	static char name[251];
	char text[8] = "";
	struct stat st;
	int fd;

	memset(name, 'n', 250);
	SHOW(SYS(memfd_create, name, 0));
	name[249] = 0;
	WORKS(SYS(memfd_create, name, 0));
	SHOW(SYS(memfd_create, NOWHERE, 0));
	SHOW(SYS(memfd_create, "x", 0x1000));
	fd = (int)WORKS(SYS(memfd_create, "x", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	SHOW(SYS(fcntl, fd, F_GETFD));
	SHOW(SYS(fcntl, fd, F_GETFL) & O_ACCMODE);
	SHOW(SYS(write, fd, "content", 7));
	SHOW(SYS(pread64, fd, text, 8, 0));
	show_bytes("text", text, 7);
	SHOW(SYS(ftruncate, fd, 10000));
	SHOW(SYS(fstat, fd, &st));
	SHOW(st.st_size);
	say("%o", st.st_mode);
	SHOW(SYS(lseek, fd, 0, SEEK_END));
	SHOW(SYS(fcntl, fd, F_GET_SEALS));
	SHOW(SYS(fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
	SHOW(SYS(ftruncate, fd, 5000));
	SHOW(SYS(ftruncate, fd, 20000));
	SHOW(SYS(fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE));
	SHOW(SYS(write, fd, "x", 1));
	SHOW(SYS(fcntl, fd, F_ADD_SEALS, F_SEAL_SEAL));
	SHOW(SYS(fcntl, fd, F_ADD_SEALS, F_SEAL_GROW));
	SHOW(SYS(fcntl, fd, F_GET_SEALS));
	fd = (int)WORKS(SYS(memfd_create, "y", 0));
	SHOW(SYS(fcntl, fd, F_GET_SEALS));
	SHOW(SYS(fcntl, fd, F_ADD_SEALS, F_SEAL_GROW));
	fd = file_of("file", "", O_RDWR);
	SHOW(SYS(fcntl, fd, F_GET_SEALS));
	SHOW(SYS(fcntl, fd, F_ADD_SEALS, F_SEAL_GROW));
}
