/* SPDX-License-Identifier: MIT */
/* Unix sockets with names: in the file system, abstract, and none. */
#include "case.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

OPTIONS("--allow-net=unix:*");

static struct sockaddr_un named(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	strncpy(name.sun_path, path, sizeof(name.sun_path));
	return name;
}

static socklen_t length(const char *path)
{
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
}

static void show_name(const char *what, const struct sockaddr_un *name, socklen_t bytes)
{
	say("%s: family %d, %u bytes", what, name->sun_family, (unsigned int)bytes);
	if (bytes > 2)
		show_bytes("path", name->sun_path, bytes - 2);
}

CASE(a_socket_in_the_file_system, socket, bind, listen, connect, accept, getsockname, getpeername,
     unlink)
{
	struct sockaddr_un name = named("a.sock"), got;
	socklen_t bytes = sizeof(got);
	struct stat st;
	char text[16];
	int listener = (int)SHOW(SYS(socket, AF_UNIX, SOCK_STREAM, 0));
	int a, b;

	umask(027);
	SHOW(SYS(bind, listener, &name, length("a.sock")));
	SHOW(stat("a.sock", &st));
	say("mode %o", (unsigned int)st.st_mode);
	SHOW(SYS(getsockname, listener, &got, &bytes));
	show_name("listener", &got, bytes);
	a = (int)SYS(socket, AF_UNIX, SOCK_STREAM, 0);
	SHOW(SYS(connect, a, &name, length("a.sock")));
	SHOW(SYS(listen, listener, 1));
	SHOW(SYS(connect, a, &name, sizeof(name)));
	bytes = sizeof(got);
	b = (int)SHOW(SYS(accept, listener, &got, &bytes));
	show_name("from", &got, bytes);
	bytes = sizeof(got);
	SHOW(SYS(getpeername, a, &got, &bytes));
	show_name("peer", &got, bytes);
	bytes = sizeof(got);
	SHOW(SYS(getsockname, b, &got, &bytes));
	show_name("accepted", &got, bytes);
	SHOW(SYS(sendto, a, "hello", 5, 0, NULL, 0));
	SHOW(SYS(recvfrom, b, text, 16, 0, NULL, NULL));
	SHOW(SYS(sendto, a, "hello", 5, 0, &name, sizeof(name)));
	SHOW(SYS(bind, a, &name, sizeof(name)));
	SHOW(SYS(bind, listener, &name, sizeof(name)));
	SHOW(SYS(unlink, "a.sock"));
	a = (int)SYS(socket, AF_UNIX, SOCK_STREAM, 0);
	SHOW(SYS(connect, a, &name, sizeof(name)));
}

CASE(names_that_do_not_lead_to_a_socket, socket, bind, connect)
{
	static const char *const names[] = {"file",      "dir",    "none",   "dir/none",
					    "none/none", "file/x", "loop",   "link",
					    "dir/",      ".",      "./file", "dangling"};
	size_t i;

	put_file("file", "text");
	mkdir("dir", 0755);
	symlink("loop", "loop");
	symlink("file", "link");
	symlink("nowhere", "dangling");
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct sockaddr_un name = named(names[i]);
		int fd = (int)SYS(socket, AF_UNIX, SOCK_STREAM, 0);

		say("%s", names[i]);
		SHOW(SYS(connect, fd, &name, length(names[i])));
		SHOW(SYS(bind, fd, &name, length(names[i])));
		unlink("none");
		unlink("dir/none");
	}
	show_tree();
}

CASE(a_socket_behind_links, socket, bind, listen, connect)
{
	struct sockaddr_un name = named("dir/s"), behind = named("link/s"), last = named("end");
	int listener = (int)SYS(socket, AF_UNIX, SOCK_STREAM, 0);
	int a = (int)SYS(socket, AF_UNIX, SOCK_STREAM, 0);

	mkdir("dir", 0755);
	symlink("dir", "link");
	symlink("dir/s", "end");
	SHOW(SYS(bind, listener, &name, sizeof(name)));
	SHOW(SYS(listen, listener, 4));
	SHOW(SYS(connect, a, &behind, sizeof(behind)));
	a = (int)SYS(socket, AF_UNIX, SOCK_STREAM, 0);
	SHOW(SYS(connect, a, &last, sizeof(last)));
	behind = named("link/t");
	a = (int)SYS(socket, AF_UNIX, SOCK_STREAM, 0);
	SHOW(SYS(bind, a, &behind, sizeof(behind)));
	show_tree();
}

CASE(datagrams_with_names, socket, bind, connect, sendto, recvfrom)
{
	struct sockaddr_un a_name = named("a"), b_name = named("b"), from;
	socklen_t bytes = sizeof(from);
	char text[16];
	int a = (int)SYS(socket, AF_UNIX, SOCK_DGRAM, 0),
	    b = (int)SYS(socket, AF_UNIX, SOCK_DGRAM, 0);

	SHOW(SYS(bind, a, &a_name, sizeof(a_name)));
	SHOW(SYS(bind, b, &b_name, length("b")));
	SHOW(SYS(sendto, a, "to b", 4, 0, &b_name, sizeof(b_name)));
	SHOW(SYS(recvfrom, b, text, 16, 0, &from, &bytes));
	show_name("from", &from, bytes);
	SHOW(SYS(sendto, b, "back", 4, 0, &from, bytes));
	bytes = sizeof(from);
	SHOW(SYS(recvfrom, a, text, 16, 0, &from, &bytes));
	show_name("from", &from, bytes);
	SHOW(SYS(connect, a, &b_name, sizeof(b_name)));
	SHOW(SYS(sendto, a, "connected", 9, 0, NULL, 0));
	SHOW(SYS(recvfrom, b, text, 16, 0, NULL, NULL));
	SHOW(SYS(connect, b, &a_name, sizeof(a_name)));
	close(a);
	SHOW(SYS(sendto, b, "x", 1, 0, &a_name, sizeof(a_name)));
	SHOW(SYS(sendto, b, "x", 1, 0, NULL, 0));
	a_name = named("none");
	SHOW(SYS(sendto, b, "x", 1, 0, &a_name, sizeof(a_name)));
}

CASE(abstract_names, socket, bind, listen, connect, getsockname, getpeername)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX}, got;
	socklen_t bytes = sizeof(got), size;
	struct timespec now;
	int listener = (int)SYS(socket, AF_UNIX, SOCK_SEQPACKET, 0);
	int a = (int)SYS(socket, AF_UNIX, SOCK_SEQPACKET, 0);
	int b = (int)SYS(socket, AF_UNIX, SOCK_STREAM, 0);

	/* a name of one's own: its bytes differ from run to run */
	clock_gettime(CLOCK_REALTIME, &now);
	memcpy(name.sun_path + 1, &(long){now.tv_nsec ^ (long)getpid() << 32}, sizeof(long));
	size = 2 + 1 + sizeof(long);
	SHOW(SYS(bind, listener, &name, size));
	SHOW(SYS(getsockname, listener, &got, &bytes));
	say("the same: %d, %u bytes", !memcmp(&got, &name, size), (unsigned int)bytes);
	SHOW(SYS(listen, listener, 4));
	SHOW(SYS(connect, b, &name, size));
	SHOW(SYS(connect, a, &name, size - 1));
	SHOW(SYS(connect, a, &name, size));
	SHOW(SYS(getpeername, a, &got, &bytes));
	say("the same: %d, %u bytes", !memcmp(&got, &name, size), (unsigned int)bytes);
	SHOW(SYS(bind, b, &name, sizeof(sa_family_t)));
	bytes = sizeof(got);
	SHOW(SYS(getsockname, b, &got, &bytes));
	say("given a name: %d bytes, first %d", (int)bytes, got.sun_path[0]);
}

CASE(lengths_of_names, socket, bind, getsockname)
{
	struct sockaddr_un name = named(""), got;
	static const int lengths[] = {0, 1, 3, 10, 109, 110, 111, 128, 129, -1};
	socklen_t bytes;
	size_t i;
	int fd;

	memset(name.sun_path, 'n', sizeof(name.sun_path));
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		say("length %d", lengths[i]);
		fd = (int)SYS(socket, AF_UNIX, SOCK_STREAM, 0);
		if (lengths[i] < 60 || lengths[i] > 110)
			SHOW(SYS(bind, fd, &name, lengths[i]));
		bytes = sizeof(got);
		SHOW(SYS(getsockname, fd, &got, &bytes));
		show_name("name", &got, bytes);
		name.sun_family = AF_INET;
		SHOW(SYS(bind, fd, &name, 10));
		SHOW(SYS(connect, fd, &name, 10));
		name.sun_family = AF_UNIX;
	}
	show_tree();
}
