// SPDX-License-Identifier: MIT
/* Addresses and listening sockets. Opens only loopback and unix sockets. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "request-vm/front/listen.h"

static char folder[] = "/tmp/mayfly-listen-XXXXXX";
static char address[128];

static void setup(void)
{
	cr_assert(mkdtemp(folder) != NULL);
	snprintf(address, sizeof(address), "unix:%s/s", folder);
}

static void teardown(void)
{
	unlink(address + 5);
	rmdir(folder);
}

TestSuite(listen, .init = setup, .fini = teardown, .timeout = 20);

static int parse(const char *text, int family, int port)
{
	struct mf_listen_address out;
	struct mf_error err = {""};
	int code = mf_listen_parse(&out, text, &err);

	cr_expect((code == 0) == (err.text[0] == '\0'), "%s: %d, \"%s\"", text, code, err.text);
	if (code)
		return code;
	cr_expect(out.sockaddr.ss_family == family, "%s", text);
	if (family == AF_INET)
		cr_expect(ntohs(((struct sockaddr_in *)&out.sockaddr)->sin_port) == port);
	if (family == AF_INET6)
		cr_expect(ntohs(((struct sockaddr_in6 *)&out.sockaddr)->sin6_port) == port);
	return 0;
}

Test(listen, addresses_are_read)
{
	cr_expect_eq(parse("127.0.0.1:80", AF_INET, 80), 0);
	cr_expect_eq(parse("0.0.0.0:0", AF_INET, 0), 0);
	cr_expect_eq(parse("localhost:65535", AF_INET, 65535), 0);
	cr_expect_eq(parse("[::1]:8080", AF_INET6, 8080), 0);
	cr_expect_eq(parse("unix:/tmp/a:b", AF_UNIX, 0), 0);
	cr_expect_eq(parse("unix:a", AF_UNIX, 0), 0);
}

Test(listen, what_is_no_address_is_refused_with_a_sentence)
{
	static const char *const bad[] = {
		"",       "80",    ":80",   "*:80",  "localhost", "localhost:",
		"a:b",    "a:-1",  "a:+1",  "a: 1",  "a:65536",   "a:99999999999999999999",
		"::1:80", "[::1]", "[]:80", "unix:", "/tmp/a",    "http://a:80",
		"a:80 ",  "a:80/", "a:8x",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(parse(bad[i], 0, 0), -EINVAL, "%s", bad[i]);
}

Test(listen, a_path_that_is_too_long_is_refused)
{
	char text[200] = "unix:/";

	memset(text + 6, 'a', 106);
	cr_expect_eq(parse(text, AF_UNIX, 0), 0);
	memset(text + 6, 'a', 107);
	cr_expect_eq(parse(text, AF_UNIX, 0), -ENAMETOOLONG);
}

static int dial(const struct mf_listener *listener)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int code = connect(fd, (const struct sockaddr *)&listener->file.address,
			   sizeof(listener->file.address));

	close(fd);
	return code < 0 ? -errno : 0;
}

Test(listen, a_unix_socket_listens_and_its_file_goes_with_it)
{
	struct mf_listener listener;

	cr_assert_eq(mf_listen_open(&listener, address, NULL), 0);
	cr_assert_str_eq(listener.name, address);
	cr_assert_eq(dial(&listener), 0);
	mf_listen_close(&listener);
	cr_assert(access(address + 5, F_OK) < 0);
	mf_listen_close(&listener);
}

Test(listen, a_stale_socket_is_replaced)
{
	struct mf_listener dead, listener;

	cr_assert_eq(mf_listen_open(&dead, address, NULL), 0);
	close(dead.fd); /* a killed server leaves its file */
	cr_assert(access(address + 5, F_OK) == 0);
	usleep(20000); /* a tick of the file system's clock */
	cr_assert_eq(mf_listen_open(&listener, address, NULL), 0);
	cr_assert_eq(dial(&listener), 0);
	/* the dead one's late clean-up takes nothing from its successor */
	dead.fd = -1;
	mf_listen_close(&dead);
	cr_assert_eq(dial(&listener), 0);
	mf_listen_close(&listener);
}

Test(listen, a_socket_in_use_is_left_alone)
{
	struct mf_listener first, second;
	struct mf_error err = {""};

	cr_assert_eq(mf_listen_open(&first, address, NULL), 0);
	cr_assert_eq(mf_listen_open(&second, address, &err), -EADDRINUSE);
	cr_assert(strstr(err.text, "Another server") != NULL, "%s", err.text);
	cr_assert_eq(second.fd, -1);
	cr_assert_eq(dial(&first), 0);
	mf_listen_close(&second);
	cr_assert_eq(dial(&first), 0);
	mf_listen_close(&first);
}

Test(listen, a_file_that_is_no_socket_is_left_alone)
{
	struct mf_listener listener;
	struct stat st;
	FILE *file = fopen(address + 5, "w");

	cr_assert(file != NULL);
	fclose(file);
	cr_assert_eq(mf_listen_open(&listener, address, NULL), -EEXIST);
	cr_assert(stat(address + 5, &st) == 0 && S_ISREG(st.st_mode));
}

Test(listen, a_missing_folder_is_an_error)
{
	struct mf_listener listener;
	struct mf_error err = {""};

	cr_assert_eq(mf_listen_open(&listener, "unix:/nonexistent/a/b", &err), -ENOENT);
	cr_assert(err.text[0] != '\0');
}

Test(listen, a_port_in_use_is_said_clearly)
{
	struct mf_listener first, second;
	struct mf_error err = {""};

	cr_assert_eq(mf_listen_open(&first, "127.0.0.1:0", &err), 0, "%s", err.text);
	cr_assert(strcmp(first.name, "127.0.0.1:0") != 0, "the real port is told");
	cr_assert_eq(mf_listen_open(&second, first.name, &err), -EADDRINUSE);
	cr_assert(strstr(err.text, first.name) && strstr(err.text, "another port"), "%s", err.text);
	mf_listen_close(&first);
}
