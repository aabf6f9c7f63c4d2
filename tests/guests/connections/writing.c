/* SPDX-License-Identifier: MIT */
/* write(), send(), sendfile(), splice() and their kin on an accepted connection. */
#include "connections.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

static char text[4096];
static char much[1 << 20];

CASE(write_in_parts)
{
	ACCEPTED;
	SHOW(write(fd, "abc", 3));
	SHOW(write(fd, "abc", 0));
	SHOW(write(fd, NULL, 0));
	SHOW(send(fd, "defg", 4, 0));
	SHOW(send(fd, "defg", 0, 0));
	SHOW(send(fd, "hi", 2, MSG_MORE));
	SHOW(send(fd, "jk", 2, MSG_DONTWAIT | MSG_NOSIGNAL));
	SHOW(sendto(fd, "lm", 2, MSG_EOR, NULL, 0));
	client("0 take 13");
	SHOW(close(fd));
	client("0 end");
}

CASE(write_from_bad_addresses)
{
	ACCEPTED;
	SHOW(write(fd, NULL, 5));
	SHOW(write(fd, NOWHERE, 5));
	SHOW(write(fd, (void *)-4096, 5));
	SHOW(send(fd, NOWHERE, 5, MSG_NOSIGNAL));
	SHOW(write(fd, "good", 4));
	SHOW(write(-1, "x", 1));
	SHOW(write(fd + 50, "x", 1));
	client("0 take 4");
	SHOW(close(fd));
	client("0 end");
}

CASE(write_lists)
{
	struct iovec list[3] = {{"ab", 2}, {NULL, 0}, {"cdef", 4}};
	struct iovec huge[2] = {{text, (size_t)-1}, {text, 1}};

	ACCEPTED;
	SHOW(writev(fd, list, 3));
	SHOW(writev(fd, list, 0));
	SHOW(writev(fd, list, -1));
	SHOW(writev(fd, list, 1025));
	SHOW(writev(fd, huge, 2));
	SHOW(writev(fd, NOWHERE, 1));
	SHOW(writev(fd, list + 1, 1));
	SHOW(pwritev(fd, list, 3, 0));
	SHOW(pwrite(fd, "x", 1, 0));
	SHOW(SYS(pwritev2, fd, list, 3, -1, -1, 0));
	SHOW(lseek(fd, 0, SEEK_CUR));
	client("0 take 6");
}

CASE(send_messages)
{
	struct iovec list[2] = {{"abc", 3}, {"defg", 4}};
	struct msghdr message = {.msg_iov = list, .msg_iovlen = 2, .msg_flags = 0x77};
	struct mmsghdr messages[2] = {0};
	char control[64] = {0};
	struct sockaddr_storage name;

	ACCEPTED;
	SHOW(sendmsg(fd, &message, 0));
	SHOW(sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE));
	message.msg_iovlen = 0;
	SHOW(sendmsg(fd, &message, 0));
	message.msg_iovlen = 1025;
	SHOW(sendmsg(fd, &message, 0));
	message.msg_iovlen = 1;
	message.msg_control = control;
	message.msg_controllen = 5;
	SHOW(sendmsg(fd, &message, 0));
	message.msg_control = NOWHERE;
	message.msg_controllen = 24;
	SHOW(sendmsg(fd, &message, 0));
	message.msg_controllen = 0;
	SHOW(sendmsg(fd, &message, 0));
	message.msg_name = &name;
	message.msg_namelen = own_name(&name);
	if (domain == AF_UNIX)
		SHOW(sendmsg(fd, &message, 0));
	message.msg_name = NULL;
	SHOW(sendmsg(fd, NOWHERE, 0));
	message.msg_iov = NOWHERE;
	SHOW(sendmsg(fd, &message, 0));
	message = (struct msghdr){.msg_iov = list, .msg_iovlen = 1};
	messages[0].msg_hdr = messages[1].msg_hdr = message;
	SHOW(sendmmsg(fd, messages, 2, 0));
	say("%u %u", messages[0].msg_len, messages[1].msg_len);
	SHOW(close(fd));
	client("0 end");
}

CASE(send_to_names)
{
	struct sockaddr_storage name;
	socklen_t bytes = own_name(&name);

	ACCEPTED;
	SHOW(sendto(fd, "ab", 2, 0, (struct sockaddr *)&name, bytes));
	SHOW(sendto(fd, "cd", 2, 0, NOWHERE, bytes));
	SHOW(sendto(fd, "ef", 2, 0, (struct sockaddr *)&name, (socklen_t)-1));
	SHOW(sendto(fd, "gh", 2, 0, (struct sockaddr *)&name, 0));
	SHOW(close(fd));
	client("0 end");
}

CASE(a_write_behind_shut_wr_is_fatal)
{
	ACCEPTED;
	SHOW(shutdown(fd, SHUT_WR));
	SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
	SHOW(write(fd, "x", 1));
	say("not reached");
}

static void on_pipe(int signo)
{
	say("signal %d", signo);
}

CASE(a_signal_of_a_broken_pipe)
{
	struct iovec piece = {"x", 1};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

	ACCEPTED;
	signal(SIGPIPE, on_pipe);
	SHOW(shutdown(fd, SHUT_RDWR));
	SHOW(write(fd, "x", 1));
	SHOW(write(fd, "x", 0));
	SHOW(send(fd, "x", 1, 0));
	SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
	SHOW(writev(fd, &piece, 1));
	SHOW(sendmsg(fd, &message, 0));
	SHOW(sendmsg(fd, &message, MSG_NOSIGNAL));
	SHOW(write(fd, NOWHERE, 1));
}

CASE(a_client_that_reset_is_fatal)
{
	INTERNET_ONLY;
	ACCEPTED;
	client("0 reset");
	await(fd, POLLHUP);
	SHOW(read(fd, text, 10));
	SHOW(write(fd, "x", 1));
}

CASE(a_full_buffer)
{
	ACCEPTED;
	SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
	fill(fd, much, sizeof(much));
	show_poll("full", fd);
	SHOW(fcntl(fd, F_SETFL, 0));
	while (send(fd, much, 10, MSG_DONTWAIT) > 0)
		;
	say("at last: %s", strerrorname_np(errno));
	client("0 drain");
	await(fd, POLLOUT);
	show_poll("room", fd);
	SHOW(write(fd, much, 10));
	_exit(0);
}

/* One call of more than fits waits until all of it was taken. */
CASE(much_goes_out)
{
	struct iovec list[2] = {{much, sizeof(much)}, {much, 7}};

	ACCEPTED;
	client("0 swallow");
	SHOW(write(fd, much, sizeof(much)));
	SHOW(send(fd, much, sizeof(much), MSG_NOSIGNAL));
	SHOW(writev(fd, list, 2));
	SHOW(shutdown(fd, SHUT_WR));
	SHOW(close(fd));
}

CASE(write_waits_a_time)
{
	struct timeval span = {0, 20000};
	ssize_t put;

	ACCEPTED;
	SHOW(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &span, sizeof(span)));
	while ((put = write(fd, much, sizeof(much))) > 0)
		;
	say("at last: %s", strerrorname_np(errno));
}

CASE(files_are_sent)
{
	int file = memfd_create("f", 0);
	off_t at = 2;
	int p[2];

	ACCEPTED;
	SHOW(write(file, "0123456789", 10));
	SHOW(sendfile(fd, file, &at, 5));
	say("%ld", (long)at);
	SHOW(sendfile(fd, file, NULL, 5));
	SHOW(lseek(file, 0, SEEK_SET));
	SHOW(sendfile(fd, file, NULL, 100));
	SHOW(sendfile(fd, file, NULL, 0));
	SHOW(sendfile(fd, fd, NULL, 5));
	SHOW(sendfile(fd, listener, NULL, 5));
	SHOW(sendfile(listener, file, NULL, 5));
	SHOW(pipe(p));
	SHOW(write(p[1], "from a pipe", 11));
	SHOW(splice(p[0], NULL, fd, NULL, 100, 0));
	SHOW(splice(p[0], &at, fd, NULL, 100, 0));
	SHOW(splice(p[0], NULL, fd, &at, 100, 0));
	client("0 send to a pipe");
	await_bytes(fd, 9);
	SHOW(splice(fd, NULL, p[1], NULL, 4, 0));
	SHOW(splice(fd, NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
	SHOW(read(p[0], text, 100));
	show_bytes("through the pipe", text, 9);
	SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
	SHOW(splice(fd, NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
	SHOW(fcntl(fd, F_SETFL, 0));
	SHOW(splice(fd, NULL, file, NULL, 100, 0));
	SHOW(copy_file_range(file, NULL, fd, NULL, 5, 0));
	client("0 shut");
	await(fd, POLLRDHUP);
	SHOW(splice(fd, NULL, p[1], NULL, 100, 0));
	SHOW(close(fd));
	client("0 end");
}

CASE(sendfile_to_nobody)
{
	int file = memfd_create("f", 0);

	ACCEPTED;
	SHOW(write(file, "0123456789", 10));
	SHOW(lseek(file, 0, SEEK_SET));
	signal(SIGPIPE, on_pipe);
	SHOW(shutdown(fd, SHUT_WR));
	SHOW(sendfile(fd, file, NULL, 5));
	SHOW(lseek(file, 0, SEEK_CUR));
}

CASE(calls_that_no_connection_takes)
{
	struct stat st;

	ACCEPTED;
	SHOW(ftruncate(fd, 0));
	SHOW(fsync(fd));
	SHOW(fdatasync(fd));
	SHOW(fallocate(fd, 0, 0, 10));
	SHOW(fchdir(fd));
	SHOW(isatty(fd));
	SHOW(posix_fadvise(fd, 0, 0, 0));
	SHOW(readahead(fd, 0, 10));
	SHOW(SYS(getdents64, fd, text, 100));
	SHOW(SYS(fstat, fd, &st));
	say("type %o, size %ld", st.st_mode & S_IFMT, (long)st.st_size);
	SHOW(SYS(fstat, listener, &st));
	say("type %o", st.st_mode & S_IFMT);
}
