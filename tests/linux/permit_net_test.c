/* SPDX-License-Identifier: MIT */
/*
 * Rules of addresses: what each kind of rule lets through and, more important, what it does not;
 * and rules that are none. MAYFLY_TEST_SEED=N repeats the run of random bytes.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "engine/linux/permit_net.h"

static struct mf_permit_net *permit;

static int make(const char *const *rules, size_t count, struct mf_error *err)
{
	struct mf_net_rules connect = {.rules = rules, .count = count};

	return mf_permit_net_create(&permit, NULL, &connect, NULL, err);
}

/* A permit to connect by one rule. */
static void permit_rule(const char *rule)
{
	struct mf_error err = {0};

	cr_assert_eq(make(&rule, 1, &err), 0, "%s: %s", rule, err.text);
}

static bool inet(enum mf_net_use use, const char *host, unsigned int port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

	if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
		return mf_permit_net_allows(permit, use, (struct sockaddr *)&v4, sizeof(v4));
	cr_assert_eq(inet_pton(AF_INET6, host, &v6.sin6_addr), 1, "%s", host);
	return mf_permit_net_allows(permit, use, (struct sockaddr *)&v6, sizeof(v6));
}

static bool connects(const char *host, unsigned int port)
{
	return inet(MF_NET_CONNECT, host, port);
}

static bool abstract(const char *name, size_t bytes)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	memcpy(at.sun_path + 1, name, bytes);
	return mf_permit_net_allows(
		permit, MF_NET_CONNECT, (struct sockaddr *)&at,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + bytes));
}

static void finish(void)
{
	mf_permit_net_destroy(permit);
	permit = NULL;
}

TestSuite(net, .fini = finish);

Test(net, without_rules_nothing_is_allowed)
{
	const char *rest;

	cr_expect_not(connects("127.0.0.1", 80));
	cr_assert_eq(make(NULL, 0, NULL), 0);
	cr_expect_not(connects("127.0.0.1", 80));
	cr_expect_not(connects("::1", 80));
	cr_expect_not(abstract("name", 4));
	cr_expect_not(abstract("", 0));
	cr_expect_eq(mf_permit_net_unix(permit, MF_NET_CONNECT, "/a", &rest), -EACCES);
	cr_expect_eq(mf_permit_net_unix(NULL, MF_NET_CONNECT, "/a", &rest), -EACCES);
	cr_expect_not(mf_permit_net_has(permit, MF_NET_CONNECT, AF_INET));
}

Test(net, an_address_with_a_port_is_that_and_nothing_beside)
{
	permit_rule("127.0.0.1:80");
	cr_expect(connects("127.0.0.1", 80));
	cr_expect_not(connects("127.0.0.1", 81));
	cr_expect_not(connects("127.0.0.1", 79));
	cr_expect_not(connects("127.0.0.2", 80));
	cr_expect_not(connects("::1", 80));
	cr_expect_not(inet(MF_NET_LISTEN, "127.0.0.1", 80), "to connect is not to listen");
}

Test(net, without_a_port_every_port_is_meant)
{
	permit_rule("127.0.0.1");
	cr_expect(connects("127.0.0.1", 0) && connects("127.0.0.1", 65535));
	finish();
	permit_rule("127.0.0.1:*");
	cr_expect(connects("127.0.0.1", 0) && connects("127.0.0.1", 65535));
}

Test(net, a_range_of_ports_has_its_ends)
{
	permit_rule("127.0.0.1:100-200");
	cr_expect(connects("127.0.0.1", 100) && connects("127.0.0.1", 200));
	cr_expect_not(connects("127.0.0.1", 99) || connects("127.0.0.1", 201));
}

Test(net, a_star_is_every_address_of_both_families_and_no_unix_socket)
{
	permit_rule("*:443");
	cr_expect(connects("8.8.8.8", 443) && connects("2001:db8::1", 443));
	cr_expect_not(connects("8.8.8.8", 80));
	cr_expect_not(abstract("name", 4));
	finish();
	permit_rule(":443");
	cr_expect(connects("8.8.8.8", 443) && connects("2001:db8::1", 443));
}

Test(net, a_network_is_its_prefix)
{
	permit_rule("10.32.0.0/11");
	cr_expect(connects("10.32.0.0", 1) && connects("10.63.255.255", 1));
	cr_expect_not(connects("10.64.0.0", 1) || connects("10.31.255.255", 1));
	finish();
	permit_rule("[2001:db8::]/33:5");
	cr_expect(connects("2001:db8::1", 5) && connects("2001:db8:7fff::1", 5));
	cr_expect_not(connects("2001:db8:8000::", 5) || connects("2001:db8::1", 6));
	finish();
	permit_rule("0.0.0.0/0");
	cr_expect(connects("1.2.3.4", 5) && !connects("::1", 5));
}

Test(net, an_address_in_the_clothes_of_ipv6_is_the_same_address)
{
	permit_rule("10.0.0.0/8");
	cr_expect(connects("::ffff:10.1.2.3", 80));
	cr_expect_not(connects("::ffff:11.1.2.3", 80));
	finish();
	permit_rule("[::]/0");
	cr_expect(connects("2001:db8::1", 80));
	cr_expect_not(connects("::ffff:127.0.0.1", 80), "that is an address of IPv4");
	finish();
	permit_rule("[::ffff:10.0.0.0]/104");
	cr_expect(connects("10.255.0.1", 80) && !connects("11.0.0.1", 80));
}

Test(net, the_unspecified_address_is_the_loopback_to_connect_to)
{
	permit_rule("127.0.0.1:80");
	cr_expect(connects("0.0.0.0", 80));
	cr_expect_not(connects("::", 80));
	finish();
	permit_rule("0.0.0.0");
	cr_expect_not(connects("0.0.0.0", 80), "it would reach the loopback, which no rule allows");
	finish();
	permit_rule("10.0.0.0/8");
	cr_expect_not(connects("0.0.0.0", 80) || connects("::", 80) ||
		      connects("::ffff:0.0.0.0", 80));
	finish();
	permit_rule("[::1]:80");
	cr_expect(connects("::", 80) && !connects("0.0.0.0", 80));
}

Test(net, to_listen_everywhere_needs_to_be_said)
{
	const char *text[] = {"127.0.0.1:80", "[::1]:80"};
	struct mf_net_rules listen = {.rules = text, .count = 2};

	cr_assert_eq(mf_permit_net_create(&permit, NULL, NULL, &listen, NULL), 0);
	cr_expect(inet(MF_NET_LISTEN, "127.0.0.1", 80) && inet(MF_NET_LISTEN, "::1", 80));
	cr_expect_not(inet(MF_NET_LISTEN, "0.0.0.0", 80) || inet(MF_NET_LISTEN, "::", 80));
	cr_expect_not(inet(MF_NET_LISTEN, "127.0.0.1", 0), "any free port");
	cr_expect_not(connects("127.0.0.1", 80), "to listen is not to connect");
	finish();
	text[0] = "0.0.0.0:80";
	cr_assert_eq(mf_permit_net_create(&permit, NULL, NULL, &listen, NULL), 0);
	cr_expect(inet(MF_NET_LISTEN, "0.0.0.0", 80) && !inet(MF_NET_LISTEN, "::", 80));
	cr_expect_not(inet(MF_NET_LISTEN, "10.0.0.1", 80));
}

Test(net, rules_for_both_are_for_both)
{
	const char *text[] = {"127.0.0.1"};
	struct mf_net_rules both = {.rules = text, .count = 1};
	struct mf_net_rules all = {.all = true};

	cr_assert_eq(mf_permit_net_create(&permit, &both, NULL, NULL, NULL), 0);
	cr_expect(inet(MF_NET_LISTEN, "127.0.0.1", 0) && connects("127.0.0.1", 1));
	finish();
	cr_assert_eq(mf_permit_net_create(&permit, NULL, &all, NULL, NULL), 0);
	cr_expect(connects("1.2.3.4", 1) && connects("2001::", 1) && !abstract("x", 1));
	cr_expect_not(inet(MF_NET_LISTEN, "127.0.0.1", 1));
	cr_expect_not(mf_permit_net_has(permit, MF_NET_LISTEN, AF_INET));
	cr_expect(mf_permit_net_has(permit, MF_NET_CONNECT, AF_INET6));
	cr_expect_not(mf_permit_net_has(permit, MF_NET_CONNECT, AF_UNIX));
}

Test(net, a_name_is_all_its_addresses)
{
	permit_rule("localhost:80");
	cr_expect(connects("127.0.0.1", 80));
	cr_expect_not(connects("127.0.0.1", 81) || connects("127.0.0.2", 80));
}

static size_t lookup(const char *name, unsigned int port, size_t room)
{
	char found[4][INET6_ADDRSTRLEN];
	size_t count = mf_permit_net_lookup(permit, MF_NET_CONNECT, name, port, found, room);
	size_t i;

	for (i = 0; i < count; i++)
		cr_expect(!strcmp(found[i], "127.0.0.1") || !strcmp(found[i], "::1"), "%s",
			  found[i]);
	return count;
}

Test(net, only_names_of_rules_are_looked_up)
{
	permit_rule("localhost:80-82");
	cr_expect(lookup("localhost", 80, 4) >= 1 && lookup("LOCALHOST", 82, 4) >= 1);
	cr_expect_eq(lookup("localhost", 82, 1), 1);
	cr_expect_eq(lookup("localhost", 79, 4) + lookup("localhost", 83, 4), 0);
	cr_expect_eq(lookup("localhos", 80, 4) + lookup("", 80, 4) + lookup("127.0.0.1", 80, 4), 0);
	mf_permit_net_destroy(permit);
	permit_rule("127.0.0.1");
	cr_expect_eq(lookup("localhost", 80, 4) + lookup("127.0.0.1", 80, 4), 0);
	mf_permit_net_destroy(permit);
	permit = NULL;
	cr_expect_eq(lookup("localhost", 80, 4), 0);
}

Test(net, abstract_sockets_are_compared_with_every_byte)
{
	permit_rule("unix:@name");
	cr_expect(abstract("name", 4));
	cr_expect_not(abstract("name", 3) || abstract("name\0", 5) || abstract("names", 5) ||
		      abstract("\0name", 5) || abstract("", 0));
	cr_expect_not(connects("127.0.0.1", 80));
	finish();
	permit_rule("unix:@na*");
	cr_expect(abstract("name", 4) && abstract("na", 2) && abstract("na\0x", 4));
	cr_expect_not(abstract("n", 1) || abstract("\0na", 3));
}

static int unix_path(const char *clean, const char **rest)
{
	return mf_permit_net_unix(permit, MF_NET_CONNECT, clean, rest);
}

Test(net, a_unix_socket_is_that_name)
{
	const char *rest;

	permit_rule("unix:/tmp/some.socket");
	cr_assert_geq(unix_path("/tmp/some.socket", &rest), 0);
	cr_expect_str_eq(rest, "some.socket");
	cr_expect_eq(unix_path("/tmp/some.socket/", &rest), -EACCES);
	cr_expect_eq(unix_path("/tmp/some.socke", &rest), -EACCES);
	cr_expect_eq(unix_path("/tmp/some.socket2", &rest), -EACCES);
	cr_expect_eq(unix_path("/tmp", &rest), -EACCES);
	cr_expect_eq(mf_permit_net_unix(permit, MF_NET_LISTEN, "/tmp/some.socket", &rest), -EACCES);
	cr_expect_not(abstract("/tmp/some.socket", 16));
}

Test(net, a_directory_is_all_beneath_it)
{
	struct stat a, b;
	const char *rest;
	int fd;

	permit_rule("unix:/tmp/");
	fd = unix_path("/tmp/a/b", &rest);
	cr_assert(fd >= 0 && !strcmp(rest, "a/b"));
	cr_assert(!fstat(fd, &a) && !stat("/tmp", &b));
	cr_expect(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	cr_expect_eq(unix_path("/tmp/", &rest), -EACCES);
	cr_expect_eq(unix_path("/tmp", &rest), -EACCES);
	cr_expect_eq(unix_path("/tmpfoo/a", &rest), -EACCES);
	cr_expect_eq(unix_path("/var/a", &rest), -EACCES);
	finish();
	permit_rule("unix:*");
	cr_assert(unix_path("/tmp/a/b", &rest) >= 0 && !strcmp(rest, "tmp/a/b"));
	cr_expect(abstract("anything", 8));
	cr_expect_not(connects("127.0.0.1", 80));
}

Test(net, what_confinement_is_told)
{
	const char *text[] = {"127.0.0.1:80", "*:1000-2000", "unix:/tmp/x", "unix:@y"};
	const unsigned int(*ports)[2];
	size_t count;

	cr_assert_eq(make(text, 4, NULL), 0);
	ports = mf_permit_net_ports(permit, MF_NET_CONNECT, &count);
	cr_assert_eq(count, 3);
	cr_expect(ports[0][0] == 80 && ports[0][1] == 80);
	cr_expect(ports[1][0] == 1000 && ports[1][1] == 2000 && ports[2][1] == 2000);
}

Test(net, addresses_that_are_too_short_or_of_no_family_are_refused)
{
	struct sockaddr_storage at = {.ss_family = AF_INET};
	socklen_t bytes;

	permit_rule("*");
	for (bytes = 0; bytes < sizeof(struct sockaddr_in); bytes++)
		cr_expect_not(mf_permit_net_allows(permit, MF_NET_CONNECT, (struct sockaddr *)&at,
						   bytes));
	at.ss_family = AF_INET6;
	for (bytes = 0; bytes < 24; bytes++)
		cr_expect_not(mf_permit_net_allows(permit, MF_NET_CONNECT, (struct sockaddr *)&at,
						   bytes));
	cr_expect(mf_permit_net_allows(permit, MF_NET_CONNECT, (struct sockaddr *)&at, 24));
	for (at.ss_family = 0; at.ss_family < 100; at.ss_family++)
		if (at.ss_family != AF_INET && at.ss_family != AF_INET6)
			cr_expect_not(mf_permit_net_allows(permit, MF_NET_CONNECT,
							   (struct sockaddr *)&at, sizeof(at)));
}

Test(net, rules_that_are_none_are_told)
{
	static const char *const bad[] = {
		"",
		":",
		"1.2.3.4:",
		"1.2.3.4:x",
		"1.2.3.4:-1",
		"1.2.3.4:65536",
		"1.2.3.4:2-1",
		"1.2.3.4:1-",
		"1.2.3.4/33",
		"1.2.3.4/8",
		"1.2.3.4/",
		"1.2.3.4/x",
		"*/8",
		"[::1",
		"::1",
		"[::1]x",
		"[nonsense]",
		"[1.2.3.4]",
		"[::1]/129",
		"[::1]/64",
		"[]:80",
		"a:b:c",
		"1.2.3.4:1:2",
		"1.2",
		"16909060",
		"1..2",
		"name of:80",
		"name/8",
		"unix:",
		"unix:@",
		"1.2.3.4:99999999999999999999",
		"1.2.3.4:0x50",
		"1.2.3.4: 80",
		" 1.2.3.4",
		"no host of that name",
		"//",
		"/",
		"unix:/nowhere/at/all",
		"unix:/nowhere/",
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct mf_error err = {0};

		cr_expect_lt(make(&bad[i], 1, &err), 0, "%s", bad[i]);
		cr_expect_neq(err.text[0], 0, "%s: no sentence", bad[i]);
		cr_expect_null(permit);
	}
}

Test(net, random_rules_and_addresses_do_no_harm)
{
	static const char letters[] = "0123456789.:/[]*@-";
	const char *seed = getenv("MAYFLY_TEST_SEED");
	unsigned int state = seed ? (unsigned int)atoi(seed) : (unsigned int)time(NULL);
	struct sockaddr_storage at;
	int round;

	fprintf(stderr, "permit-net: MAYFLY_TEST_SEED=%u\n", state);
	for (round = 0; round < 3000; round++) {
		char text[40] = "[";
		const char *rule = text;
		size_t i;
		size_t length = (size_t)rand_r(&state) % 30;

		/* Without letters it is never a name, which would be asked of the network. */
		for (i = round % 2; i < length; i++)
			text[i] = letters[(size_t)rand_r(&state) % 18];
		text[i] = 0;
		if (make(&rule, 1, NULL))
			continue;
		for (i = 0; i < sizeof(at); i++)
			((char *)&at)[i] = (char)rand_r(&state);
		at.ss_family = (sa_family_t)(rand_r(&state) % 12);
		mf_permit_net_allows(permit, MF_NET_CONNECT, (struct sockaddr *)&at,
				     (socklen_t)(rand_r(&state) % (sizeof(at) + 1)));
		finish();
	}
}

static void prints(const struct sockaddr *address, size_t bytes, const char *wanted)
{
	char text[200];

	mf_permit_net_print(address, (socklen_t)bytes, text, sizeof(text));
	cr_expect_str_eq(text, wanted);
}

Test(net, an_address_is_printed_as_the_rule_that_would_allow_it)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(80)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(8080)};
	struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "/tmp/x"};
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0hidden"};
	struct sockaddr other = {.sa_family = AF_NETLINK};

	inet_pton(AF_INET, "10.0.0.1", &v4.sin_addr);
	inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr);
	prints((struct sockaddr *)&v4, sizeof(v4), "10.0.0.1:80");
	prints((struct sockaddr *)&v6, sizeof(v6), "[2001:db8::1]:8080");
	prints((struct sockaddr *)&path, sizeof(path), "unix:/tmp/x");
	prints((struct sockaddr *)&name, offsetof(struct sockaddr_un, sun_path) + 7,
	       "unix:@hidden");
	prints(&other, sizeof(other), "an address of family 16");
	prints(&other, 0, "an address of family 0");
}
