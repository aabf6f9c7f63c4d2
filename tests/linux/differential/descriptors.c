/* SPDX-License-Identifier: MIT */
/* Reading and writing through descriptors, and what is kept about them. */
#include "case.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

static char text[8192];

CASE(read_and_write_move_the_offset, read, write, lseek, open, close)
{
	int fd;

	put_file("f", "hello world");
	fd = (int)SHOW(SYS(open, "f", O_RDWR));
	SHOW(SYS(read, fd, text, 5));
	show_bytes("text", text, 5);
	SHOW(SYS(lseek, fd, 0, SEEK_CUR));
	SHOW(SYS(write, fd, "X", 1));
	SHOW(SYS(read, fd, text, 100));
	SHOW(SYS(read, fd, text, 100));
	SHOW(SYS(read, fd, text, 0));
	SHOW(SYS(lseek, fd, 20, SEEK_SET));
	SHOW(SYS(read, fd, text, 100));
	SHOW(SYS(write, fd, "end", 3));
	SHOW(SYS(close, fd));
	SHOW(SYS(close, fd));
	SHOW(SYS(read, fd, text, 1));
	SHOW(SYS(write, fd, text, 1));
	SHOW(SYS(close, -1));
	SHOW(SYS(close, 1u << 31));
	show_tree();
}

CASE(access_modes, read, write, pread64, lseek)
{
	int fd;

	put_file("f", "text");
	fd = open("f", O_RDONLY);
	SHOW(SYS(write, fd, "x", 1));
	SHOW(SYS(write, fd, "x", 0));
	close(fd);
	fd = open("f", O_WRONLY);
	SHOW(SYS(read, fd, text, 1));
	SHOW(SYS(read, fd, text, 0));
	SHOW(SYS(pread64, fd, text, 1, 0));
	close(fd);
	fd = open(".", O_RDONLY);
	SHOW(SYS(read, fd, text, 1));
	SHOW(SYS(write, fd, text, 1));
	SHOW(SYS(pread64, fd, text, 1, 0));
	close(fd);
	fd = open("f", O_PATH);
	SHOW(SYS(read, fd, text, 1));
	SHOW(SYS(write, fd, text, 1));
	SHOW(SYS(lseek, fd, 0, SEEK_SET));
	close(fd);
	fd = open(".", O_PATH);
	SHOW(SYS(read, fd, text, 1));
	SHOW(SYS(lseek, fd, 0, SEEK_SET));
	close(fd);
}

CASE(bad_buffers, read, write, readv, writev, pread64, pwrite64)
{
	struct iovec iov[3] = {{"one", 3}, {NOWHERE, 3}, {"two", 3}};
	int fd;

	put_file("f", "hello world");
	fd = open("f", O_RDWR);
	SHOW(SYS(read, fd, NOWHERE, 3));
	SHOW(SYS(write, fd, NOWHERE, 3));
	SHOW(SYS(read, fd, NOWHERE, 0));
	SHOW(SYS(pread64, fd, NOWHERE, 3, 0));
	SHOW(SYS(pwrite64, fd, NOWHERE, 3, 0));
	SHOW(SYS(read, fd, text, -1l));
	SHOW(SYS(write, fd, text, -1l));
	SHOW(SYS(read, fd, (void *)-4096l, 3));
	SHOW(SYS(writev, fd, iov, 3));
	SHOW(SYS(writev, fd, iov + 1, 2));
	SHOW(SYS(readv, fd, NOWHERE, 2));
	SHOW(SYS(readv, fd, iov, -1));
	SHOW(SYS(readv, fd, iov, 1025));
	iov[0].iov_len = (size_t)-1;
	SHOW(SYS(readv, fd, iov, 1));
	SHOW(SYS(readv, fd, NULL, 0));
	SHOW(SYS(lseek, fd, 0, SEEK_CUR));
	close(fd);
	show_tree();
}

/* The second page is not the program's: what is before it is moved. */
CASE(half_a_buffer, read, write, pwrite64)
{
	char *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("f", O_RDWR | O_CREAT, 0600);

	munmap(two + 4096, 4096);
	memset(two, 'a', 4096);
	SHOW(SYS(write, fd, two, 4096));
	SHOW(SYS(write, fd, two + 4000, 200));
	SHOW(SYS(lseek, fd, 0, SEEK_CUR));
	SHOW(SYS(pwrite64, fd, two + 4096, 10, 0));
	SHOW(SYS(lseek, fd, 0, SEEK_SET));
	SHOW(SYS(read, fd, two + 4090, 4000));
	SHOW(SYS(lseek, fd, 0, SEEK_CUR));
	close(fd);
	munmap(two, 4096);
	show_tree();
}

CASE(vectors, readv, writev, preadv, pwritev)
{
	struct iovec iov[3] = {{"one", 3}, {"", 0}, {"three", 5}};
	char a[4] = "", b[8] = "";
	struct iovec in[2] = {{a, 3}, {b, 7}};
	int fd = open("f", O_RDWR | O_CREAT, 0600);

	SHOW(SYS(writev, fd, iov, 3));
	SHOW(SYS(pwritev, fd, iov, 3, 10, 0));
	SHOW(SYS(lseek, fd, 0, SEEK_CUR));
	SHOW(SYS(lseek, fd, 0, SEEK_SET));
	SHOW(SYS(readv, fd, in, 2));
	show_bytes("a", a, 3);
	show_bytes("b", b, 7);
	SHOW(SYS(preadv, fd, in, 2, 4, 0));
	show_bytes("a", a, 3);
	show_bytes("b", b, 7);
	SHOW(SYS(preadv, fd, in, 2, -1l, 0));
	SHOW(SYS(pwritev, fd, in, 2, -5l, 0));
	SHOW(SYS(preadv, fd, in, 2, 100, 0));
	SHOW(SYS(lseek, fd, 0, SEEK_CUR));
	close(fd);
	show_tree();
}

CASE(positions, pread64, pwrite64, lseek)
{
	int fd = open("f", O_RDWR | O_CREAT, 0600);

	SHOW(SYS(pwrite64, fd, "hello", 5, 3));
	SHOW(SYS(pread64, fd, text, 10, 1));
	show_bytes("text", text, 7);
	SHOW(SYS(pread64, fd, text, 10, -1l));
	SHOW(SYS(pwrite64, fd, text, 10, -1l));
	SHOW(SYS(pread64, fd, text, 10, 1l << 62));
	SHOW(SYS(lseek, fd, -1, SEEK_SET));
	SHOW(SYS(lseek, fd, -1, SEEK_END));
	SHOW(SYS(lseek, fd, -1, SEEK_CUR));
	SHOW(SYS(lseek, fd, LONG_MAX, SEEK_CUR));
	SHOW(SYS(lseek, fd, 5, 17));
	SHOW(SYS(lseek, fd, 0, SEEK_DATA));
	SHOW(SYS(lseek, fd, 0, SEEK_HOLE));
	SHOW(SYS(lseek, fd, 8, SEEK_HOLE));
	SHOW(SYS(lseek, fd, -1, SEEK_DATA));
	SHOW(SYS(lseek, 55, 0, SEEK_SET));
	close(fd);
	show_tree();
}

CASE(offsets_beyond_four_gib, pread64, pwrite64, lseek, ftruncate)
{
	int fd = open("f", O_RDWR | O_CREAT, 0600);

	SHOW(SYS(lseek, fd, 5l << 30, SEEK_SET));
	SHOW(SYS(write, fd, "far", 3));
	SHOW(SYS(lseek, fd, 0, SEEK_CUR));
	SHOW(SYS(lseek, fd, 0, SEEK_END));
	SHOW(SYS(pread64, fd, text, 10, (5l << 30) + 1));
	show_bytes("text", text, 2);
	SHOW(SYS(lseek, fd, 0, SEEK_DATA));
	SHOW(SYS(ftruncate, fd, 6l << 30));
	SHOW(SYS(lseek, fd, -3, SEEK_END));
	SHOW(SYS(pwrite64, fd, "x", 1, LONG_MAX));
	SHOW(SYS(pwrite64, fd, "x", 1, 1l << 60));
	SHOW(SYS(ftruncate, fd, LONG_MAX));
	SHOW(SYS(ftruncate, fd, 0));
	close(fd);
}

CASE(appending, write, pwrite64, lseek)
{
	int fd;

	put_file("f", "one");
	fd = open("f", O_RDWR | O_APPEND);
	SHOW(SYS(lseek, fd, 0, SEEK_CUR));
	SHOW(SYS(write, fd, "two", 3));
	SHOW(SYS(lseek, fd, 0, SEEK_CUR));
	SHOW(SYS(pwrite64, fd, "three", 5, 0));
	SHOW(SYS(lseek, fd, 0, SEEK_CUR));
	SHOW(SYS(lseek, fd, 0, SEEK_SET));
	SHOW(SYS(write, fd, "4", 1));
	SHOW(SYS(fcntl, fd, F_SETFL, 0));
	SHOW(SYS(pwrite64, fd, "ONE", 3, 0));
	close(fd);
	show_tree();
}

CASE(copies_of_a_descriptor_share_the_offset, dup, dup2, dup3, lseek, close)
{
	int fd, other;

	put_file("f", "0123456789");
	fd = open("f", O_RDONLY);
	other = (int)SHOW(SYS(dup, fd));
	SHOW(SYS(lseek, fd, 4, SEEK_SET));
	SHOW(SYS(read, other, text, 2));
	show_bytes("text", text, 2);
	SHOW(SYS(lseek, fd, 0, SEEK_CUR));
	SHOW(SYS(dup2, fd, 20));
	SHOW(SYS(dup2, fd, fd));
	SHOW(SYS(dup2, 99, fd));
	SHOW(SYS(dup2, 99, 99));
	SHOW(SYS(dup2, fd, -1));
	SHOW(SYS(dup2, fd, 1024));
	SHOW(SYS(dup2, fd, 1023));
	SHOW(SYS(dup3, fd, 21, O_CLOEXEC));
	SHOW(SYS(fcntl, 21, F_GETFD));
	SHOW(SYS(fcntl, 20, F_GETFD));
	SHOW(SYS(dup3, fd, fd, 0));
	SHOW(SYS(dup3, fd, 22, O_NONBLOCK));
	SHOW(SYS(dup3, 99, 22, 0));
	SHOW(SYS(dup3, fd, 1024, 0));
	SHOW(SYS(dup, 99));
	SHOW(SYS(close, fd));
	SHOW(SYS(read, 20, text, 2));
	show_bytes("text", text, 2);
	SHOW(SYS(dup2, 20, other));
}

CASE(ranges_of_descriptors, close_range)
{
	int i;

	for (i = 10; i < 20; i++)
		SYS(dup2, 0, i);
	SHOW(SYS(close_range, 12, 15, 0));
	SHOW(SYS(close_range, 16, 17, 1u << 2));
	for (i = 10; i < 20; i++)
		SHOW(SYS(fcntl, i, F_GETFD));
	SHOW(SYS(close_range, 15, 12, 0));
	SHOW(SYS(close_range, 10, 19, 1u << 5));
	SHOW(SYS(close_range, 18, 1000, 1u << 1));
	SHOW(SYS(fcntl, 19, F_GETFD));
	SHOW(SYS(close_range, 5000, 5001, 0));
}

CASE(flags_of_a_descriptor, fcntl)
{
	int fd;

	put_file("f", "x");
	fd = open("f", O_RDWR | O_CLOEXEC);
	SHOW(SYS(fcntl, fd, F_GETFD));
	SHOW(SYS(fcntl, fd, F_SETFD, 0));
	SHOW(SYS(fcntl, fd, F_GETFD));
	SHOW(SYS(fcntl, fd, F_SETFD, 0xff));
	SHOW(SYS(fcntl, fd, F_GETFD));
	SHOW(SYS(fcntl, fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
	SHOW(SYS(fcntl, fd, F_SETFL, O_APPEND | O_NONBLOCK | O_CREAT | O_TRUNC));
	SHOW(SYS(fcntl, fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_CREAT | O_TRUNC));
	SHOW(SYS(fcntl, fd, F_DUPFD, 30));
	SHOW(SYS(fcntl, fd, F_DUPFD_CLOEXEC, 30));
	SHOW(SYS(fcntl, 30, F_GETFD));
	SHOW(SYS(fcntl, 31, F_GETFD));
	SHOW(SYS(fcntl, fd, F_DUPFD, 1024));
	SHOW(SYS(fcntl, fd, F_DUPFD, -1));
	SHOW(SYS(fcntl, 99, F_GETFD));
	SHOW(SYS(fcntl, fd, 9999, 0));
	SHOW(SYS(fcntl, fd, F_GETPIPE_SZ));
}

CASE(pipes, pipe, pipe2, read, write)
{
	char in[8] = "";
	int p[2];

	SHOW(SYS(pipe, p));
	SHOW(p[0]);
	SHOW(p[1]);
	SHOW(SYS(write, p[1], "hello", 5));
	SHOW(SYS(read, p[0], in, 3));
	show_bytes("in", in, 3);
	SHOW(SYS(read, p[0], in, 8));
	show_bytes("in", in, 2);
	SHOW(SYS(read, p[1], in, 1));
	SHOW(SYS(write, p[0], in, 1));
	SHOW(SYS(lseek, p[0], 0, SEEK_SET));
	SHOW(SYS(pread64, p[0], in, 1, 0));
	SHOW(SYS(pwrite64, p[1], in, 1, 0));
	SHOW(SYS(close, p[1]));
	SHOW(SYS(read, p[0], in, 1));
	SHOW(SYS(close, p[0]));
	SHOW(SYS(pipe, NOWHERE));
	SHOW(SYS(pipe2, p, O_NONBLOCK | O_CLOEXEC));
	SHOW(SYS(fcntl, p[0], F_GETFD));
	SHOW(SYS(fcntl, p[0], F_GETFL));
	SHOW(SYS(fcntl, p[1], F_GETFL));
	SHOW(SYS(read, p[0], in, 1));
	SHOW(SYS(write, p[1], text, 4096));
	SHOW(SYS(close, p[0]));
	signal(SIGPIPE, SIG_IGN);
	SHOW(SYS(write, p[1], "x", 1));
	SHOW(SYS(pipe2, p, O_CREAT));
}

CASE(a_pipe_nobody_reads_ends_the_writer, write)
{
	int p[2];

	SYS(pipe, p);
	close(p[0]);
	say("writing");
	SHOW(SYS(write, p[1], "x", 1));
}

CASE(a_full_pipe, pipe2, write, poll)
{
	struct pollfd ready;
	long all = 0, got;
	int p[2];

	SYS(pipe2, p, O_NONBLOCK);
	while ((got = SYS(write, p[1], text, sizeof(text))) > 0)
		all += got;
	SHOW(all);
	SHOW(SYS(write, p[1], text, 1));
	ready = (struct pollfd){.fd = p[1], .events = POLLOUT};
	SHOW(SYS(poll, &ready, 1, 0));
	SHOW(SYS(read, p[0], text, 4096));
	SHOW(SYS(poll, &ready, 1, 0));
	SHOW(ready.revents);
}

CASE(sending_a_file, sendfile)
{
	long offset = 2;
	int in, out, p[2];

	put_file("in", "0123456789");
	in = open("in", O_RDONLY);
	out = open("out", O_RDWR | O_CREAT, 0600);
	SHOW(SYS(sendfile, out, in, NULL, 4));
	SHOW(SYS(lseek, in, 0, SEEK_CUR));
	SHOW(SYS(sendfile, out, in, &offset, 3));
	SHOW(offset);
	SHOW(SYS(lseek, in, 0, SEEK_CUR));
	SHOW(SYS(sendfile, out, in, NULL, 100));
	SHOW(SYS(sendfile, out, in, NULL, 100));
	offset = -1;
	SHOW(SYS(sendfile, out, in, &offset, 3));
	SHOW(SYS(sendfile, out, in, NOWHERE, 3));
	SHOW(SYS(sendfile, in, out, NULL, 3));
	SHOW(SYS(sendfile, 99, in, NULL, 3));
	SHOW(SYS(sendfile, out, 99, NULL, 3));
	SYS(pipe, p);
	offset = 0;
	SHOW(SYS(sendfile, p[1], in, &offset, 5));
	SHOW(SYS(read, p[0], text, 10));
	show_bytes("text", text, 5);
	SHOW(SYS(sendfile, out, p[0], NULL, 5));
	SHOW(SYS(fcntl, out, F_SETFL, O_APPEND));
	SHOW(SYS(sendfile, out, in, &offset, 3));
	show_tree();
}

CASE(standard_output_is_a_stream, write, writev, lseek, pwrite64, sendfile)
{
	struct iovec iov[2] = {{"from writev", 11}, {"\n", 1}};
	int fd;

	SHOW(SYS(write, 1, "from write\n", 11));
	SHOW(SYS(writev, 1, iov, 2));
	SHOW(SYS(write, 1, NOWHERE, 1));
	SHOW(SYS(lseek, 1, 0, SEEK_SET));
	SHOW(SYS(pwrite64, 1, "x", 1, 0));
	put_file("f", "from sendfile\n");
	fd = open("f", O_RDONLY);
	SHOW(SYS(sendfile, 1, fd, NULL, 14));
	SHOW(SYS(read, 0, text, 10));
}

CASE(devices, open, read, write, lseek)
{
	int fd = (int)SHOW(SYS(open, "/dev/null", O_RDWR));

	SHOW(SYS(read, fd, text, 10));
	SHOW(SYS(write, fd, text, 10));
	SHOW(SYS(write, fd, NOWHERE, 10));
	SHOW(SYS(lseek, fd, 10, SEEK_SET));
	SHOW(SYS(ftruncate, fd, 10));
	close(fd);
	fd = (int)SHOW(SYS(open, "/dev/zero", O_RDWR));
	text[3] = 'x';
	SHOW(SYS(read, fd, text, 10));
	SHOW(text[3]);
	SHOW(SYS(write, fd, text, 10));
	SHOW(SYS(read, fd, NOWHERE, 10));
	close(fd);
	fd = (int)SHOW(SYS(open, "/dev/urandom", O_RDONLY));
	SHOW(SYS(read, fd, text, 10));
	SHOW(SYS(read, fd, text, 1000));
	SHOW(SYS(write, fd, text, 10));
	close(fd);
	SHOW(SYS(open, "/dev/null", O_RDONLY | O_DIRECTORY));
	SHOW(SYS(open, "/dev/null", O_WRONLY | O_CREAT | O_EXCL, 0600));
	fd = (int)SHOW(SYS(open, "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0600));
	SHOW(SYS(read, fd, text, 10));
}
