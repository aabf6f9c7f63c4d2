/* SPDX-License-Identifier: MIT */
/* socket(), bind(), listen(): names that are free, taken, shared, wrong. */
#include "connections.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static int make(void)
{
	return socket(domain, SOCK_STREAM, 0);
}

/* The listener's port at another address. */
static struct sockaddr_in in_of(const char *address)
{
	struct sockaddr_storage own;
	struct sockaddr_in name = {.sin_family = AF_INET};

	own_name(&own);
	name.sin_port = ((struct sockaddr_in *)&own)->sin_port; /* where IPv6 has it, too */
	inet_pton(AF_INET, address, &name.sin_addr);
	return name;
}

static struct sockaddr_in6 in6_of(const char *address)
{
	struct sockaddr_storage own;
	struct sockaddr_in6 name = {.sin6_family = AF_INET6};

	own_name(&own);
	name.sin6_port = ((struct sockaddr_in *)&own)->sin_port;
	inet_pton(AF_INET6, address, &name.sin6_addr);
	return name;
}

static void set(int fd, int level, int option)
{
	setsockopt(fd, level, option, &(int){1}, sizeof(int));
}

CASE(sockets_that_cannot_be)
{
	SHOW(socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	SHOW(socket(domain, SOCK_STREAM | 0x100, 0));
	SHOW(socket(domain, 77, 0));
	SHOW(socket(99, SOCK_STREAM, 0));
	SHOW(socket(domain, SOCK_STREAM, domain == AF_UNIX ? 9 : IPPROTO_UDP));
	SHOW(socket(domain, SOCK_STREAM, domain == AF_UNIX ? 0 : IPPROTO_TCP));
	SHOW(socket(AF_UNSPEC, SOCK_STREAM, 0));
}

CASE(a_name_that_is_taken)
{
	struct sockaddr_storage own;
	socklen_t bytes = own_name(&own);
	int a = make(), b = make();

	SHOW(bind(a, (struct sockaddr *)&own, bytes));
	set(a, SOL_SOCKET, SO_REUSEADDR);
	SHOW(bind(a, (struct sockaddr *)&own, bytes));
	set(listener, SOL_SOCKET, SO_REUSEADDR);
	SHOW(bind(a, (struct sockaddr *)&own, bytes));
	set(b, SOL_SOCKET, SO_REUSEPORT);
	SHOW(bind(b, (struct sockaddr *)&own, bytes));
	if (domain != AF_UNIX)
		SHOW(bind(listener, (struct sockaddr *)&own, bytes));
	SHOW(listen(listener, 3));
	SHOW(listen(listener, 0));
	SHOW(listen(listener, -1));
}

CASE(names_that_are_wrong)
{
	struct sockaddr_storage own;
	socklen_t bytes = own_name(&own);
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "other"};
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	int fd = make();

	SHOW(bind(fd, (struct sockaddr *)&own, 0));
	SHOW(bind(fd, (struct sockaddr *)&own, 1));
	SHOW(bind(fd, (struct sockaddr *)&own, 15));
	SHOW(bind(fd, (struct sockaddr *)&own, (socklen_t)-1));
	SHOW(bind(fd, (struct sockaddr *)&own, sizeof(own) + 1));
	SHOW(bind(fd, NULL, bytes));
	SHOW(bind(fd, NOWHERE, bytes));
	SHOW(bind(-1, (struct sockaddr *)&own, bytes));
	SHOW(bind(0, (struct sockaddr *)&own, bytes));
	if (domain != AF_UNIX)
		SHOW(bind(fd, (struct sockaddr *)&un, sizeof(un)));
	if (domain != AF_INET)
		SHOW(bind(fd, (struct sockaddr *)&in, sizeof(in)));
	if (domain != AF_INET6)
		SHOW(bind(fd, (struct sockaddr *)&in6, sizeof(in6)));
	if (domain == AF_UNIX)
		SHOW(listen(fd, 1));
}

CASE(any_port)
{
	struct sockaddr_storage name = {.ss_family = (sa_family_t)domain};
	socklen_t whole = domain == AF_INET    ? sizeof(struct sockaddr_in)
			  : domain == AF_INET6 ? sizeof(struct sockaddr_in6)
					       : sizeof(sa_family_t);
	socklen_t bytes = sizeof(name);
	int fd = make();

	SHOW(getsockname(fd, (struct sockaddr *)&name, &bytes));
	show_name("unbound", &name, bytes, sizeof(name));
	SHOW(bind(fd, (struct sockaddr *)&name, whole));
	SHOW(bind(fd, (struct sockaddr *)&name, whole));
	bytes = sizeof(name);
	SHOW(getsockname(fd, (struct sockaddr *)&name, &bytes));
	if (domain != AF_UNIX)
		show_name("bound", &name, bytes, sizeof(name));
	else
		say("%u bytes, NUL %d", bytes, !((struct sockaddr_un *)&name)->sun_path[0]);
	SHOW(listen(fd, 1));
	if (domain == AF_UNIX)
		return;
	fd = make();
	SHOW(listen(fd, 1));
	bytes = sizeof(name);
	SHOW(getsockname(fd, (struct sockaddr *)&name, &bytes));
	show_name("listens unbound", &name, bytes, sizeof(name));
}

/* Of the listener at all addresses, and of others at its port. */
CASE(addresses_of_one_port)
{
	struct sockaddr_in any = in_of("0.0.0.0"), loop = in_of("127.0.0.1");
	struct sockaddr_in6 six = in6_of("::"), mapped = in6_of("::ffff:127.0.0.1"),
			    loop6 = in6_of("::1");
	int four, other;

	if (domain == AF_UNIX)
		return;
	four = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(bind(four, (struct sockaddr *)&any, sizeof(any)));
	SHOW(bind(four, (struct sockaddr *)&loop, sizeof(loop)));
	other = socket(AF_INET6, SOCK_STREAM, 0);
	SHOW(bind(other, (struct sockaddr *)&mapped, sizeof(mapped)));
	SHOW(bind(other, (struct sockaddr *)&six, sizeof(six)));
	set(other, IPPROTO_IPV6, IPV6_V6ONLY);
	SHOW(bind(other, (struct sockaddr *)&mapped, sizeof(mapped)));
	SHOW(bind(other, (struct sockaddr *)&loop6, sizeof(loop6)));
}

/* Two that are bound, neither listens at first. */
static void two_of_one_name(int first_option, int second_option, bool first_listens)
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	socklen_t bytes = sizeof(name);
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0);

	say("options %d and %d, the first %s", first_option, second_option,
	    first_listens ? "listens" : "does not listen");
	if (first_option)
		set(a, SOL_SOCKET, first_option);
	if (second_option)
		set(b, SOL_SOCKET, second_option);
	SHOW(bind(a, (struct sockaddr *)&name, sizeof(name)));
	getsockname(a, (struct sockaddr *)&name, &bytes);
	if (first_listens)
		SHOW(listen(a, 1));
	SHOW(bind(b, (struct sockaddr *)&name, sizeof(name)));
	SHOW(listen(b, 1));
	SHOW(listen(a, 1));
	close(a);
	close(b);
}

CASE(reuse_of_names)
{
	static const int options[] = {0, SO_REUSEADDR, SO_REUSEPORT};
	int a, b;

	for (a = 0; a < 3 && domain == AF_INET; a++)
		for (b = 0; b < 3; b++) {
			two_of_one_name(options[a], options[b], false);
			two_of_one_name(options[a], options[b], true);
		}
}

CASE(a_name_is_free_again)
{
	struct sockaddr_storage name = {.ss_family = (sa_family_t)domain};
	socklen_t bytes = sizeof(name);
	int a = make(), b = make();

	if (domain == AF_UNIX) {
		bytes = sizeof(sa_family_t) + 6;
		memcpy((char *)&name + 3, "wxyz", 4);
	} else {
		listen(a, 1);
		getsockname(a, (struct sockaddr *)&name, &bytes);
		close(a);
		a = make();
	}
	SHOW(bind(a, (struct sockaddr *)&name, bytes));
	SHOW(listen(a, 1));
	SHOW(bind(b, (struct sockaddr *)&name, bytes));
	SHOW(close(a));
	SHOW(bind(b, (struct sockaddr *)&name, bytes));
	SHOW(listen(b, 1));
}

CASE(a_connection_is_neither_bound_nor_listens)
{
	struct sockaddr_storage own;
	socklen_t bytes = own_name(&own);

	ACCEPTED;
	if (domain != AF_UNIX) /* whose file is there already */
		SHOW(bind(fd, (struct sockaddr *)&own, bytes));
	SHOW(listen(fd, 1));
	SHOW(connect(fd, (struct sockaddr *)&own, bytes));
}

CASE(names_of_both_ends)
{
	struct sockaddr_storage name;
	socklen_t bytes = sizeof(name);
	static const socklen_t rooms[] = {0, 2, 8};
	unsigned int i;

	ACCEPTED;
	SHOW(getsockname(fd, (struct sockaddr *)&name, &bytes));
	show_name("own", &name, bytes, sizeof(name));
	bytes = sizeof(name);
	SHOW(getpeername(fd, (struct sockaddr *)&name, &bytes));
	show_name("peer", &name, bytes, sizeof(name));
	bytes = sizeof(name);
	SHOW(getsockname(listener, (struct sockaddr *)&name, &bytes));
	show_name("listener", &name, bytes, sizeof(name));
	SHOW(getpeername(listener, (struct sockaddr *)&name, &bytes));
	for (i = 0; i < 3; i++) {
		bytes = rooms[i];
		SHOW(getsockname(fd, (struct sockaddr *)&name, &bytes));
		say("room %u: %u bytes", rooms[i], bytes);
	}
	bytes = (socklen_t)-5;
	SHOW(getsockname(fd, (struct sockaddr *)&name, &bytes));
	SHOW(getsockname(fd, (struct sockaddr *)&name, NULL));
	SHOW(getsockname(fd, NULL, NULL));
	bytes = sizeof(name);
	SHOW(getsockname(fd, NULL, &bytes));
	SHOW(getpeername(fd, NOWHERE, &bytes));
	SHOW(getpeername(fd, (struct sockaddr *)&name, NOWHERE));
	SHOW(getsockname(0, (struct sockaddr *)&name, &bytes));
	SHOW(getsockname(999, (struct sockaddr *)&name, &bytes));
}
