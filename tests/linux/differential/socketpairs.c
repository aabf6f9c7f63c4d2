/* SPDX-License-Identifier: MIT */
/* Pairs of Unix sockets: what they carry, how they end, what goes with a message. */
#include "case.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

static char big[1 << 20];

static void ready(const char *what, int fd)
{
	struct pollfd pollfd = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
	long count = SYS(poll, &pollfd, 1, 0);

	say("%s: %ld, %x", what, count, (unsigned int)pollfd.revents);
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

CASE(pairs_of_all_types, socketpair, newfstatat, fcntl)
{
	static const int types[] = {SOCK_STREAM,
				    SOCK_DGRAM,
				    SOCK_SEQPACKET,
				    SOCK_RAW,
				    SOCK_STREAM | SOCK_NONBLOCK,
				    SOCK_STREAM | SOCK_CLOEXEC};
	struct stat st;
	size_t i;
	int p[2];

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		SHOW(SYS(socketpair, AF_UNIX, types[i], 0, p));
		say("%d %d", p[0], p[1]);
		SHOW(SYS(fcntl, p[0], F_GETFL));
		SHOW(SYS(fcntl, p[1], F_GETFD));
		fstat(p[0], &st);
		say("mode %o", (unsigned int)st.st_mode);
		SHOW(SYS(lseek, p[0], 0, SEEK_SET));
		SHOW(SYS(pread64, p[0], big, 1, 0));
		close(p[0]);
		close(p[1]);
	}
	SHOW(SYS(socketpair, AF_UNIX, 7, 0, p));
	SHOW(SYS(socketpair, AF_UNIX, SOCK_STREAM, 6, p));
	SHOW(SYS(socketpair, AF_UNIX, SOCK_STREAM | 0x100, 0, p));
	SHOW(SYS(socketpair, AF_INET, SOCK_STREAM, 0, p));
	SHOW(SYS(socketpair, 99, SOCK_STREAM, 0, p));
	SHOW(SYS(socketpair, AF_UNIX, SOCK_STREAM, 0, NOWHERE));
	SHOW(SYS(dup, 0));
}

CASE(a_stream_and_its_end, socketpair, write, read, sendto, recvfrom, shutdown, poll)
{
	char text[64] = "";
	int p[2];

	SYS(socketpair, AF_UNIX, SOCK_STREAM, 0, p);
	ready("fresh", p[0]);
	SHOW(SYS(write, p[0], "hello world", 11));
	ready("with bytes", p[1]);
	SHOW(SYS(recvfrom, p[1], text, 5, MSG_PEEK, NULL, NULL));
	SHOW(SYS(read, p[1], text, 5));
	show_bytes("read", text, 5);
	SHOW(SYS(recvfrom, p[1], text, 64, MSG_DONTWAIT, NULL, NULL));
	show_bytes("read", text, 6);
	SHOW(SYS(recvfrom, p[1], text, 64, MSG_DONTWAIT, NULL, NULL));
	SHOW(SYS(recvfrom, p[1], text, 64, MSG_DONTWAIT | MSG_PEEK, NULL, NULL));
	SHOW(SYS(write, p[1], "", 0));
	SHOW(SYS(sendto, p[1], "", 0, 0, NULL, 0));
	SHOW(SYS(read, p[0], text, 0));
	SHOW(SYS(shutdown, p[0], SHUT_WR));
	ready("after shutdown, here", p[0]);
	ready("after shutdown, there", p[1]);
	SHOW(SYS(read, p[1], text, 64));
	SHOW(SYS(sendto, p[0], "x", 1, MSG_NOSIGNAL, NULL, 0));
	SHOW(SYS(write, p[1], "back", 4));
	SHOW(SYS(read, p[0], text, 64));
	SHOW(SYS(shutdown, p[0], 7));
	SHOW(SYS(close, p[1]));
	ready("closed", p[0]);
	SHOW(SYS(read, p[0], text, 64));
}

static volatile int pipes;

static void on_sigpipe(int signo)
{
	pipes += signo == SIGPIPE;
}

CASE(sigpipe_comes_of_streams_alone, socketpair, sendto, write)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
	struct sigaction action = {.sa_handler = on_sigpipe};
	size_t i;
	int p[2];

	sigaction(SIGPIPE, &action, NULL);
	for (i = 0; i < 3; i++) {
		SYS(socketpair, AF_UNIX, types[i], 0, p);
		close(p[1]);
		SHOW(SYS(write, p[0], "x", 1));
		SHOW(SYS(sendto, p[0], "x", 1, 0, NULL, 0));
		SHOW(SYS(sendto, p[0], "x", 1, MSG_NOSIGNAL, NULL, 0));
		say("signals: %d", pipes);
	}
	signal(SIGPIPE, SIG_DFL);
	SYS(socketpair, AF_UNIX, SOCK_STREAM, 0, p);
	close(p[1]);
	SYS(write, p[0], "x", 1);
}

CASE(messages_keep_their_ends, socketpair, sendto, recvfrom)
{
	static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};
	char text[64];
	size_t i;
	int p[2];

	for (i = 0; i < 2; i++) {
		SYS(socketpair, AF_UNIX, types[i], 0, p);
		SHOW(SYS(sendto, p[0], "first", 5, 0, NULL, 0));
		SHOW(SYS(sendto, p[0], "", 0, 0, NULL, 0));
		SHOW(SYS(sendto, p[0], "second", 6, MSG_EOR, NULL, 0));
		SHOW(SYS(recvfrom, p[1], text, 3, MSG_TRUNC | MSG_PEEK, NULL, NULL));
		SHOW(SYS(recvfrom, p[1], text, 3, 0, NULL, NULL));
		SHOW(SYS(recvfrom, p[1], text, 64, 0, NULL, NULL));
		SHOW(SYS(recvfrom, p[1], text, 0, MSG_TRUNC, NULL, NULL));
		SHOW(SYS(recvfrom, p[1], text, 64, MSG_DONTWAIT, NULL, NULL));
		SHOW(SYS(sendto, p[0], big, sizeof(big), 0, NULL, 0));
		SHOW(SYS(sendto, p[0], NOWHERE, 5, 0, NULL, 0));
		SHOW(SYS(sendto, p[0], "lost", 4, 0, NULL, 0));
		SHOW(SYS(recvfrom, p[1], NOWHERE, 64, 0, NULL, NULL));
		SHOW(SYS(recvfrom, p[1], text, 64, MSG_DONTWAIT, NULL, NULL));
		close(p[0]);
		SHOW(SYS(recvfrom, p[1], text, 64, MSG_DONTWAIT, NULL, NULL));
		close(p[1]);
	}
}

CASE(times_that_end_a_call, socketpair, setsockopt, getsockopt, recvfrom, sendto)
{
	struct timeval span = {0, 60000}, got;
	socklen_t bytes = sizeof(got);
	long long began;
	char text[8];
	int p[2];

	SYS(socketpair, AF_UNIX, SOCK_STREAM, 0, p);
	SHOW(SYS(setsockopt, p[0], SOL_SOCKET, SO_RCVTIMEO, &span, sizeof(span)));
	SHOW(SYS(setsockopt, p[0], SOL_SOCKET, SO_SNDTIMEO, &span, sizeof(span)));
	SHOW(SYS(getsockopt, p[0], SOL_SOCKET, SO_RCVTIMEO, &got, &bytes));
	say("%ld %ld, %u bytes", (long)got.tv_sec, (long)got.tv_usec, (unsigned int)bytes);
	began = now_ms();
	SHOW(SYS(recvfrom, p[0], text, 8, 0, NULL, NULL));
	say("waited: %d", now_ms() - began >= 55);
	SHOW(SYS(write, p[1], "abc", 3));
	began = now_ms();
	SHOW(SYS(recvfrom, p[0], text, 8, MSG_WAITALL, NULL, NULL));
	say("waited: %d", now_ms() - began >= 55);
	began = now_ms();
	say("sent a part: %d", SYS(sendto, p[0], big, sizeof(big), 0, NULL, 0) > 1000);
	say("waited: %d", now_ms() - began >= 55);
	SHOW(SYS(sendto, p[0], big, sizeof(big), 0, NULL, 0));
	SHOW(SYS(sendto, p[0], big, sizeof(big), MSG_DONTWAIT, NULL, 0));
	span.tv_usec = 1000000;
	SHOW(SYS(setsockopt, p[0], SOL_SOCKET, SO_RCVTIMEO, &span, sizeof(span)));
	SHOW(SYS(setsockopt, p[0], SOL_SOCKET, SO_RCVTIMEO, &span, 8));
}

static void fill_control(struct msghdr *message, char *control, size_t bytes, int level, int type,
			 const void *data, size_t data_bytes)
{
	struct cmsghdr *head = (struct cmsghdr *)control;

	memset(control, 0, bytes);
	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(data_bytes);
	head->cmsg_level = level;
	head->cmsg_type = type;
	head->cmsg_len = CMSG_LEN(data_bytes);
	memcpy(CMSG_DATA(head), data, data_bytes);
}

CASE(descriptors_travel, socketpair, sendmsg, recvmsg, dup, openat)
{
	char control[256], text[64], byte = 'd';
	struct iovec piece = {&byte, 1};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	int p[2], fds[3], got[3];
	size_t i;

	SYS(socketpair, AF_UNIX, SOCK_STREAM, 0, p);
	put_file("a", "content of a");
	fds[0] = open("a", O_RDONLY);
	fds[1] = p[1];
	fds[2] = fds[0];
	lseek(fds[0], 8, SEEK_SET);
	fill_control(&message, control, sizeof(control), SOL_SOCKET, SCM_RIGHTS, fds, sizeof(fds));
	SHOW(SYS(sendmsg, p[0], &message, 0));
	memset(control, 0, sizeof(control));
	message.msg_controllen = sizeof(control);
	SHOW(SYS(recvmsg, p[1], &message, MSG_CMSG_CLOEXEC));
	say("flags %x, %zu", (unsigned int)message.msg_flags, (size_t)message.msg_controllen);
	memcpy(got, CMSG_DATA((struct cmsghdr *)control), sizeof(got));
	for (i = 0; i < 3; i++) {
		say("number %d", got[i]);
		SHOW(SYS(fcntl, got[i], F_GETFD));
	}
	SHOW(SYS(read, got[0], text, sizeof(text)));
	show_bytes("file", text, 4);
	SHOW(SYS(write, p[0], "to the copy", 11));
	SHOW(SYS(read, got[1], text, sizeof(text)));
	/* cut off: room for one, and for none */
	for (i = 0; i < 2; i++) {
		fill_control(&message, control, sizeof(control), SOL_SOCKET, SCM_RIGHTS, fds,
			     2 * sizeof(int));
		SHOW(SYS(sendmsg, p[0], &message, 0));
		message.msg_controllen = i ? sizeof(struct cmsghdr) - 1 : CMSG_LEN(sizeof(int));
		SHOW(SYS(recvmsg, p[1], &message, 0));
		say("flags %x, %zu", (unsigned int)message.msg_flags,
		    (size_t)message.msg_controllen);
	}
	SHOW(SYS(dup, 0));
}

CASE(descriptors_of_all_kinds_travel, socketpair, sendmsg, recvmsg, pipe2, eventfd2, close)
{
	char control[256], text[64], byte = 'd';
	struct iovec piece = {&byte, 1};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	int p[2], ends[2], fds[4], got[4], round;
	uint64_t count = 0;

	SYS(socketpair, AF_UNIX, SOCK_SEQPACKET, 0, p);
	SYS(pipe2, ends, O_NONBLOCK);
	put_file("a", "content of a");
	fds[0] = ends[0];
	fds[1] = (int)SYS(eventfd2, 5, 0);
	fds[2] = (int)SYS(openat, AT_FDCWD, "a", O_RDONLY);
	fds[3] = (int)SYS(openat, AT_FDCWD, ".", O_RDONLY | O_DIRECTORY);
	for (round = 0; round < 2; round++) {
		fill_control(&message, control, sizeof(control), SOL_SOCKET, SCM_RIGHTS, fds,
			     sizeof(fds));
		SHOW(SYS(sendmsg, p[0], &message, 0));
		message.msg_controllen = sizeof(control);
		SHOW(SYS(recvmsg, p[1], &message, round ? MSG_PEEK : 0));
		memcpy(got, CMSG_DATA((struct cmsghdr *)control), sizeof(got));
		say("%d %d %d %d", got[0], got[1], got[2], got[3]);
		SHOW(SYS(write, ends[1], "through the pipe", 16));
		SHOW(SYS(read, got[0], text, 64));
		SHOW(SYS(read, got[1], &count, 8));
		say("count %d", (int)count);
		SHOW(SYS(write, fds[1], &count, 8));
		SHOW(SYS(read, fds[2], text, 3));
		SHOW(SYS(read, got[2], text, 3));
		SHOW(SYS(fchdir, got[3]));
	}
	/* what is on its way holds the pipe open; what was looked at only, too */
	close(fds[0]);
	close(got[0]);
	SHOW(SYS(write, ends[1], "x", 1));
	SHOW(SYS(recvmsg, p[1], &message, 0));
	fill_control(&message, control, sizeof(control), SOL_SOCKET, SCM_RIGHTS, fds + 1, 8);
	SHOW(SYS(sendmsg, p[0], &message, 0));
	SHOW(SYS(shutdown, p[1], SHUT_RD));
	SHOW(SYS(sendmsg, p[0], &message, MSG_NOSIGNAL));
	SHOW(SYS(dup, 0));
}

CASE(hostile_control_messages, socketpair, sendmsg)
{
	char control[256], byte = 'd';
	struct iovec piece = {&byte, 1};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	struct cmsghdr *head = (struct cmsghdr *)control;
	int p[2], fd = 99, many[300];
	char large[CMSG_SPACE(sizeof(many))];

	SYS(socketpair, AF_UNIX, SOCK_STREAM, 0, p);
	fill_control(&message, control, sizeof(control), SOL_SOCKET, SCM_RIGHTS, &fd, 4);
	SHOW(SYS(sendmsg, p[0], &message, 0));
	fd = p[1];
	fill_control(&message, control, sizeof(control), SOL_SOCKET, 77, &fd, 4);
	SHOW(SYS(sendmsg, p[0], &message, 0));
	fill_control(&message, control, sizeof(control), 77, 77, &fd, 4);
	SHOW(SYS(sendmsg, p[0], &message, 0));
	fill_control(&message, control, sizeof(control), SOL_SOCKET, SCM_RIGHTS, &fd, 4);
	head->cmsg_len = 3;
	SHOW(SYS(sendmsg, p[0], &message, 0));
	head->cmsg_len = 1ul << 40;
	SHOW(SYS(sendmsg, p[0], &message, 0));
	head->cmsg_len = (size_t)-1;
	SHOW(SYS(sendmsg, p[0], &message, 0));
	message.msg_controllen = (size_t)-1;
	SHOW(SYS(sendmsg, p[0], &message, 0));
	message.msg_controllen = 8;
	SHOW(SYS(sendmsg, p[0], &message, 0));
	message.msg_control = NOWHERE;
	message.msg_controllen = 64;
	SHOW(SYS(sendmsg, p[0], &message, 0));
	memset(many, 0, sizeof(many));
	for (fd = 0; fd < 300; fd++)
		many[fd] = p[1];
	fill_control(&message, large, sizeof(large), SOL_SOCKET, SCM_RIGHTS, many, sizeof(many));
	SHOW(SYS(sendmsg, p[0], &message, 0));
	message.msg_control = NULL;
	message.msg_controllen = 0;
	message.msg_iovlen = 1025;
	SHOW(SYS(sendmsg, p[0], &message, 0));
	message.msg_iovlen = (size_t)-1;
	SHOW(SYS(sendmsg, p[0], &message, 0));
	message.msg_iovlen = 1;
	message.msg_iov = NOWHERE;
	SHOW(SYS(sendmsg, p[0], &message, 0));
	piece.iov_len = (size_t)-1;
	message.msg_iov = &piece;
	SHOW(SYS(sendmsg, p[0], &message, 0));
	SHOW(SYS(sendmsg, p[0], NOWHERE, 0));
	SHOW(SYS(recvmsg, p[0], NOWHERE, 0));
	SHOW(SYS(sendmsg, 0, &message, 0));
	SHOW(SYS(sendmsg, 77, &message, 0));
}

CASE(who_sent_it, socketpair, setsockopt, getsockopt, sendmsg, recvmsg)
{
	char control[256], byte = 'd';
	struct iovec piece = {&byte, 1};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	struct ucred cred = {0};
	socklen_t bytes = sizeof(cred);
	int p[2], on = 1;

	SYS(socketpair, AF_UNIX, SOCK_STREAM, 0, p);
	SHOW(SYS(getsockopt, p[0], SOL_SOCKET, SO_PEERCRED, &cred, &bytes));
	say("me: %d %d %d", cred.pid == getpid(), cred.uid == getuid(), cred.gid == getgid());
	SHOW(SYS(setsockopt, p[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	SHOW(SYS(write, p[0], "x", 1));
	message.msg_control = control;
	message.msg_controllen = sizeof(control);
	SHOW(SYS(recvmsg, p[1], &message, 0));
	memcpy(&cred, CMSG_DATA((struct cmsghdr *)control), sizeof(cred));
	say("%zu; me: %d %d %d", (size_t)message.msg_controllen, cred.pid == getpid(),
	    cred.uid == getuid(), cred.gid == getgid());
	fill_control(&message, control, sizeof(control), SOL_SOCKET, SCM_CREDENTIALS, &cred,
		     sizeof(cred));
	SHOW(SYS(sendmsg, p[0], &message, 0));
	message.msg_controllen = sizeof(control);
	SHOW(SYS(recvmsg, p[1], &message, 0));
	cred.pid = 1;
	fill_control(&message, control, sizeof(control), SOL_SOCKET, SCM_CREDENTIALS, &cred,
		     sizeof(cred));
	SHOW(SYS(sendmsg, p[0], &message, 0));
	cred.pid = getpid();
	cred.uid++;
	fill_control(&message, control, sizeof(control), SOL_SOCKET, SCM_CREDENTIALS, &cred,
		     sizeof(cred));
	SHOW(SYS(sendmsg, p[0], &message, 0));
}

CASE(many_pieces, socketpair, sendmsg, recvmsg, writev, readv)
{
	static char from[200000], to[200000];
	static struct iovec out[1024], in[1024];
	struct msghdr message = {.msg_iov = out, .msg_iovlen = 1024};
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
	size_t i;
	int p[2], type;

	for (i = 0; i < sizeof(from); i++)
		from[i] = (char)(i * 7 + i / 251);
	for (i = 0; i < 1024; i++) {
		out[i] = (struct iovec){from + i * 100, i % 3 ? 100 : 37};
		in[i] = (struct iovec){to + i * 101, i % 2 ? 90 : 75};
	}
	for (type = 0; type < 3; type++) {
		SYS(socketpair, AF_UNIX, types[type], 0, p);
		memset(to, 0, sizeof(to));
		message.msg_iov = out;
		SHOW(SYS(sendmsg, p[0], &message, 0));
		message.msg_iov = in;
		SHOW(SYS(recvmsg, p[1], &message, 0));
		say("flags %x", (unsigned int)message.msg_flags);
		SHOW(SYS(writev, p[1], out, 1024));
		SHOW(SYS(readv, p[0], in, 1024));
		for (i = 0; i < sizeof(to); i += 9999)
			show_bytes("sample", to + i, 20);
		/* what overlaps is written in order */
		in[1].iov_base = in[0].iov_base;
		SHOW(SYS(write, p[0], from, 300));
		SHOW(SYS(readv, p[1], in, 4));
		show_bytes("overlap", in[0].iov_base, 90);
		in[1].iov_base = to + 101;
		/* a hole in the middle */
		out[5].iov_base = NOWHERE;
		SHOW(SYS(writev, p[0], out, 10));
		out[5].iov_base = from + 500;
		in[3].iov_base = NOWHERE;
		SHOW(SYS(write, p[0], from, 400));
		SHOW(SYS(recvfrom, p[1], to, 1, MSG_DONTWAIT | MSG_PEEK, NULL, NULL));
		SHOW(SYS(readv, p[1], in, 6));
		in[3].iov_base = to + 303;
		close(p[0]);
		close(p[1]);
	}
}

CASE(requests_about_a_pair, socketpair, ioctl, fcntl)
{
	int p[2], value = -1;

	SYS(socketpair, AF_UNIX, SOCK_STREAM, 0, p);
	SYS(write, p[0], "12345", 5);
	SHOW(SYS(ioctl, p[1], FIONREAD, &value));
	say("%d", value);
	SHOW(SYS(ioctl, p[1], TCGETS, big));
	SHOW(SYS(ioctl, p[1], TIOCGWINSZ, big));
	SHOW(SYS(ioctl, p[1], 0x5499, big));
	SHOW(SYS(ioctl, p[1], FIONREAD, NOWHERE));
	value = 1;
	SHOW(SYS(ioctl, p[1], FIONBIO, &value));
	SHOW(SYS(fcntl, p[1], F_GETFL));
	SHOW(SYS(read, p[1], big, 10));
	SHOW(SYS(read, p[1], big, 10));
	SHOW(SYS(fcntl, p[1], F_SETFL, O_RDWR));
	SHOW(SYS(fcntl, p[1], F_GETFL));
	SHOW(SYS(recvfrom, p[1], big, 10, MSG_OOB, NULL, NULL));
}

CASE(calls_for_sockets_on_other_descriptors, socketpair, getsockname, getpeername, bind, listen,
     accept, accept4, connect, shutdown, sendto, recvfrom, getsockopt, setsockopt)
{
	struct sockaddr name = {.sa_family = AF_UNIX};
	socklen_t bytes = sizeof(name);
	int p[2], value = 0;
	int fds[2] = {0, 77};
	size_t i;

	for (i = 0; i < 2; i++) {
		SHOW(SYS(getsockname, fds[i], &name, &bytes));
		SHOW(SYS(getpeername, fds[i], &name, &bytes));
		SHOW(SYS(bind, fds[i], &name, 2));
		SHOW(SYS(listen, fds[i], 2));
		SHOW(SYS(accept, fds[i], NULL, NULL));
		SHOW(SYS(accept4, fds[i], NULL, NULL, 0));
		SHOW(SYS(connect, fds[i], &name, 2));
		SHOW(SYS(shutdown, fds[i], 0));
		SHOW(SYS(sendto, fds[i], big, 1, 0, NULL, 0));
		SHOW(SYS(recvfrom, fds[i], big, 1, 0, NULL, NULL));
		SHOW(SYS(getsockopt, fds[i], SOL_SOCKET, SO_TYPE, &value, &bytes));
		SHOW(SYS(setsockopt, fds[i], SOL_SOCKET, SO_REUSEADDR, &value, 4));
	}
	SYS(socketpair, AF_UNIX, SOCK_STREAM, 0, p);
	bytes = sizeof(name);
	SHOW(SYS(getsockname, p[0], &name, &bytes));
	say("%u %d", (unsigned int)bytes, name.sa_family);
	SHOW(SYS(getpeername, p[0], &name, &bytes));
	bytes = (socklen_t)-1;
	SHOW(SYS(getsockname, p[0], &name, &bytes));
	SHOW(SYS(getsockname, p[0], &name, NOWHERE));
	bytes = sizeof(name);
	SHOW(SYS(getsockname, p[0], NOWHERE, &bytes));
	bytes = 0;
	SHOW(SYS(getsockname, p[0], NOWHERE, &bytes));
	SHOW(SYS(accept4, p[0], NULL, NULL, 0));
	SHOW(SYS(accept4, p[0], NULL, NULL, 0x70000));
	SHOW(SYS(listen, p[0], 1));
	SHOW(SYS(bind, p[0], NOWHERE, 10));
	SHOW(SYS(bind, p[0], &name, 1000));
	SHOW(SYS(bind, p[0], &name, -1));
	SHOW(SYS(sendto, p[0], big, 1, 0, NOWHERE, 10));
	SHOW(SYS(sendto, p[0], big, 1, 0, &name, 1000));
	SHOW(SYS(sendto, p[0], big, 1, 0, &name, 2));
}

CASE(several_messages_at_once, socketpair, sendmmsg, recvmmsg)
{
	char texts[4][8] = {"one", "two", "three", "four"};
	struct iovec pieces[4];
	struct mmsghdr messages[4];
	struct timespec span = {0, 50000000};
	size_t i;
	int p[2];

	SYS(socketpair, AF_UNIX, SOCK_DGRAM, 0, p);
	memset(messages, 0, sizeof(messages));
	for (i = 0; i < 4; i++) {
		pieces[i] = (struct iovec){texts[i], strlen(texts[i])};
		messages[i].msg_hdr.msg_iov = &pieces[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	SHOW(SYS(sendmmsg, p[0], messages, 4, 0));
	for (i = 0; i < 4; i++)
		pieces[i].iov_len = 8;
	SHOW(SYS(recvmmsg, p[1], messages, 3, 0, NULL));
	for (i = 0; i < 3; i++)
		show_bytes("got", texts[i], messages[i].msg_len);
	SHOW(SYS(recvmmsg, p[1], messages, 4, MSG_WAITFORONE, NULL));
	SHOW(SYS(recvmmsg, p[1], messages, 4, MSG_DONTWAIT, NULL));
	messages[1].msg_hdr.msg_iov = NOWHERE;
	SHOW(SYS(sendmmsg, p[0], messages, 4, 0));
	SHOW(SYS(sendmmsg, p[0], NOWHERE, 4, 0));
	SHOW(SYS(sendmmsg, p[0], messages, 0, 0));
	SHOW(SYS(recvmmsg, p[1], messages, 1, 0, &span));
	span.tv_nsec = -1;
	SHOW(SYS(recvmmsg, p[1], messages, 1, 0, &span));
	SHOW(SYS(recvmmsg, p[1], messages, 1, 0, NOWHERE));
	SHOW(SYS(recvmmsg, 0, messages, 1, 0, NULL));
	SHOW(SYS(sendmmsg, 0, messages, 1, 0));
}

CASE(options_of_a_pair, socketpair, getsockopt, setsockopt)
{
	static const int names[] = {SO_TYPE,       SO_DOMAIN,    SO_PROTOCOL,  SO_ERROR,
				    SO_ACCEPTCONN, SO_REUSEADDR, SO_KEEPALIVE, SO_OOBINLINE,
				    SO_SNDBUF,     SO_RCVBUF,    SO_RCVLOWAT,  SO_SNDLOWAT,
				    SO_PASSCRED,   SO_BROADCAST, SO_DONTROUTE, 99};
	int p[2], value, bytes;
	struct linger linger = {1, 5};
	size_t i;

	SYS(socketpair, AF_UNIX, SOCK_STREAM, 0, p);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		value = -1;
		bytes = 4;
		say("option %d", names[i]);
		SHOW(SYS(getsockopt, p[0], SOL_SOCKET, names[i], &value, &bytes));
		if (names[i] != SO_SNDBUF && names[i] != SO_RCVBUF)
			say("%d, %d bytes", value, bytes);
		value = 1;
		SHOW(SYS(setsockopt, p[0], SOL_SOCKET, names[i], &value, 4));
		SHOW(SYS(getsockopt, p[0], SOL_SOCKET, names[i], &value, &bytes));
		if (names[i] != SO_SNDBUF && names[i] != SO_RCVBUF)
			say("%d", value);
		SHOW(SYS(setsockopt, p[0], SOL_SOCKET, names[i], &value, 3));
	}
	bytes = -1;
	SHOW(SYS(getsockopt, p[0], SOL_SOCKET, SO_TYPE, &value, &bytes));
	bytes = 2;
	SHOW(SYS(getsockopt, p[0], SOL_SOCKET, SO_TYPE, &value, &bytes));
	say("%d bytes", bytes);
	bytes = 1000;
	SHOW(SYS(getsockopt, p[0], SOL_SOCKET, SO_TYPE, big, &bytes));
	say("%d bytes", bytes);
	bytes = 4;
	SHOW(SYS(getsockopt, p[0], SOL_SOCKET, SO_TYPE, NOWHERE, &bytes));
	SHOW(SYS(getsockopt, p[0], SOL_SOCKET, SO_TYPE, &value, NOWHERE));
	SHOW(SYS(setsockopt, p[0], SOL_SOCKET, SO_REUSEADDR, NOWHERE, 4));
	SHOW(SYS(setsockopt, p[0], SOL_SOCKET, SO_REUSEADDR, &value, -1));
	SHOW(SYS(setsockopt, p[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	linger = (struct linger){0};
	bytes = sizeof(linger);
	SHOW(SYS(getsockopt, p[0], SOL_SOCKET, SO_LINGER, &linger, &bytes));
	say("%d %d", linger.l_onoff, linger.l_linger);
}

CASE(sendfile_into_a_pair, socketpair, sendfile)
{
	char text[64] = "";
	off_t at = 3;
	int p[2], fd;

	put_file("a", "0123456789");
	fd = open("a", O_RDONLY);
	SYS(socketpair, AF_UNIX, SOCK_STREAM, 0, p);
	SHOW(SYS(sendfile, p[0], fd, &at, 4));
	SHOW(SYS(sendfile, p[0], fd, NULL, 100));
	SHOW(SYS(read, p[1], text, sizeof(text)));
	show_bytes("sent", text, 14);
	SHOW(SYS(sendfile, fd, p[0], NULL, 100));
}

static void edges(const char *what, int epoll, int timeout_ms)
{
	struct epoll_event event = {0};
	long count = SYS(epoll_wait, epoll, &event, 1, timeout_ms);

	say("%s: %ld, %x", what, count, count ? (unsigned int)event.events : 0);
}

CASE(edges_of_a_pair, socketpair, epoll_create1, epoll_ctl, epoll_wait, write, read)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	int epoll = (int)SYS(epoll_create1, 0);
	int p[2];

	SYS(socketpair, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p);
	SHOW(SYS(epoll_ctl, epoll, EPOLL_CTL_ADD, p[0], &event));
	edges("fresh", epoll, 0);
	edges("told already", epoll, 0);
	SHOW(SYS(write, p[1], "hello", 5));
	edges("bytes", epoll, 1000);
	edges("told already", epoll, 0);
	SHOW(SYS(write, p[1], "more", 4));
	edges("more bytes", epoll, 1000);
	SHOW(SYS(read, p[0], big, 3));
	edges("a part read", epoll, 0);
	SHOW(SYS(read, p[0], big, 100));
	SHOW(SYS(write, p[1], "again", 5));
	edges("read empty, and bytes", epoll, 1000);
	SHOW(SYS(read, p[0], big, 100));
	while (SYS(write, p[0], big, 60000) > 0)
		;
	edges("full", epoll, 0);
	while (SYS(read, p[1], big, sizeof(big)) > 0)
		;
	edges("room", epoll, 1000);
	close(p[1]);
	edges("closed", epoll, 1000);
	edges("told already", epoll, 0);
}
