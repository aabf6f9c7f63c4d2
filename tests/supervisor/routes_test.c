/* SPDX-License-Identifier: MIT */
/* The router's pure half: heads, routes, scopes; and messages that no mayflyd sends. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/link.h"
#include "supervisor/routes.h"

static struct mf_routes routes;
static char table[4096];
static size_t table_bytes;
static size_t table_count;

static void add(uint32_t tenant, const char *host, const char *path)
{
	struct mf_link_route route = {tenant, (uint16_t)(strlen(host) + 1),
				      (uint16_t)(strlen(path) + 1)};

	memcpy(table + table_bytes, &route, sizeof(route));
	table_bytes += sizeof(route);
	memcpy(table + table_bytes, host, route.host_bytes);
	table_bytes += route.host_bytes;
	memcpy(table + table_bytes, path, route.path_bytes);
	table_bytes += route.path_bytes;
	table_count++;
}

static uint32_t find(const char *host, const char *path)
{
	struct mf_asked asked = {.path = path, .path_bytes = strlen(path)};

	snprintf(asked.host, sizeof(asked.host), "%s", host);
	return mf_routes_find(&routes, &asked);
}

static void make_table(void)
{
	add(1, "a", "/");
	add(2, "a", "/x");
	add(3, "a", "/x/y");
	add(4, "", "/");
	add(5, "", "/x");
	add(6, "b", "/only");
	cr_assert_eq(mf_routes_read(&routes, table, table_bytes, table_count), 0);
}

TestSuite(routes, .init = make_table);

Test(routes, the_host_counts_more_than_the_path_and_the_longest_path_most)
{
	cr_expect_eq(find("a", "/"), 1);
	cr_expect_eq(find("a", "/x"), 2);
	cr_expect_eq(find("a", "/x/z"), 2);
	cr_expect_eq(find("a", "/x/y/z"), 3);
	cr_expect_eq(find("a", "/xy"), 1);
	cr_expect_eq(find("c", "/"), 4);
	cr_expect_eq(find("c", "/x/y"), 5);
	cr_expect_eq(find("b", "/only"), 6);
	cr_expect_eq(find("b", "/x"), 5);
}

Test(routes, a_scope_says_what_the_table_says)
{
	static const char *const hosts[] = {"a", "b", "c", ""};
	static const char *const paths[] = {"/",   "/x",    "/x/y",    "/x/y/z",
					    "/xy", "/only", "/only/x", "/o"};
	char scope[256];

	for (size_t h = 0; h < 4; h++)
		for (uint32_t tenant = 1; tenant <= 6; tenant++) {
			size_t bytes =
				mf_routes_scope(&routes, hosts[h], tenant, scope, sizeof(scope));

			for (size_t p = 0; p < 8; p++) {
				struct mf_asked asked = {.path = paths[p],
							 .path_bytes = strlen(paths[p])};

				snprintf(asked.host, sizeof(asked.host), "%s", hosts[h]);
				cr_expect_eq(mf_scope_allows(scope, bytes, &asked),
					     find(hosts[h], paths[p]) == tenant,
					     "tenant %u, host %s, path %s", tenant, hosts[h],
					     paths[p]);
			}
		}
	cr_expect_eq(mf_routes_scope(&routes, "a", 1, scope, 5), 0);
}

Test(routes, a_broken_table_changes_nothing)
{
	char bad[sizeof(table)];

	for (size_t cut = 1; cut < table_bytes; cut++)
		cr_expect_eq(mf_routes_read(&routes, table, table_bytes - cut, table_count),
			     -EPROTO);
	memcpy(bad, table, table_bytes);
	bad[sizeof(struct mf_link_route) + 1] = 'x'; /* a host without its end */
	cr_expect_eq(mf_routes_read(&routes, bad, table_bytes, table_count), -EPROTO);
	cr_expect_eq(find("a", "/x"), 2);
}

static const char *asked_for(const char *head, struct mf_asked *asked)
{
	static char text[600];
	size_t bytes = mf_head_read(head, strlen(head), asked);

	if (!bytes)
		return "incomplete";
	snprintf(text, sizeof(text), "%s %.*s", asked->host, (int)asked->path_bytes, asked->path);
	return text;
}

Test(heads, say_which_host_and_path)
{
	struct mf_asked asked;

#define ASKS(head, wanted) cr_expect_str_eq(asked_for(head, &asked), wanted)
	ASKS("GET /a HTTP/1.1\r\nHost: X.y:80\r\n\r\n", "x.y /a");
	ASKS("GET /a?b HTTP/1.1\nhost:x\n\n", "x /a?b");
	ASKS("\r\nGET /a HTTP/1.1\r\nA: b\r\nHOST: \t x \t\r\n\r\nbody", "x /a");
	ASKS("GET /a HTTP/1.0\r\n\r\n", " /a");
	ASKS("GET http://h/p HTTP/1.1\r\nHost: x\r\n\r\n", "h /p");
	ASKS("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "x /");
	ASKS("GET /a HTTP/1.1\r\nHost: first\r\nHost: second\r\n\r\n", "first /a");
	ASKS("GET /a HTTP/1.1\r\nX-Host: no\r\nHost : no\r\n\r\n", " /a");
	ASKS("nonsense\r\n\r\n", " /");
	ASKS("GET /a HTTP/1.1\r\nHost: x\r\n", "incomplete");
	ASKS("GET /a HTTP/1.1\r\n", "incomplete");
	ASKS("\r\n\r\n", "incomplete");
	ASKS("", "incomplete");
}

Test(heads, any_bytes_are_read_within_their_bounds)
{
	unsigned int seed = (unsigned int)time(NULL);
	static const char letters[] = "GET /a HTTP/1.1\r\n\nHost: x\r\n:\0\xff";

	cr_log_info("seed %u", seed);
	srand(seed);
	for (int round = 0; round < 20000; round++) {
		size_t size = (size_t)(rand() % 200);
		char *bytes = malloc(size ? size : 1); /* its end is the sanitizer's to watch */
		struct mf_asked asked;
		size_t used;

		for (size_t i = 0; i < size; i++)
			bytes[i] = letters[(size_t)rand() % sizeof(letters)];
		used = mf_head_read(bytes, size, &asked);
		cr_assert_leq(used, size, "seed %u", seed);
		if (used)
			cr_assert(asked.path_bytes >= 1 && strlen(asked.host) < MF_HOST_MAX,
				  "seed %u", seed);
		free(bytes);
	}
}

Test(links, what_is_no_message_is_refused_and_its_descriptor_closed)
{
	static char buffer[MF_LINK_MAX];
	struct mf_router_link link = {.kind = MF_LINK_ROUTES, .bytes = 4};
	int pair[2];
	int fd;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	cr_assert_eq(mf_link_send(pair[0], &link, "text", STDERR_FILENO), 0);
	cr_assert_eq(mf_link_receive(pair[1], buffer, &fd), 0);
	cr_expect(fd > 2 && !memcmp(buffer + sizeof(link), "text", 4));
	close(fd);
	cr_assert_eq(send(pair[0], "x", 1, 0), 1);
	cr_expect_eq(mf_link_receive(pair[1], buffer, &fd), -EPROTO);
	link.bytes = 5;
	cr_assert_eq(send(pair[0], &link, sizeof(link), 0), (ssize_t)sizeof(link));
	cr_expect_eq(mf_link_receive(pair[1], buffer, &fd), -EPROTO);
	cr_expect_eq(mf_link_receive(pair[1], buffer, &fd), -EAGAIN);
	close(pair[0]);
	cr_expect_eq(mf_link_receive(pair[1], buffer, &fd), -EPIPE);
}
