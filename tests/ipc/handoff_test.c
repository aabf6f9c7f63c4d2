/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/socket/handoff.h"
#include "ipc/socket/scope.h"

static int pair[2];
static char buffer[MF_HANDOFF_MAX];

static void open_pair(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
}

static size_t open_files(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

TestSuite(handoff, .init = open_pair);

Test(handoff, a_descriptor_comes_with_all_that_was_said_of_it)
{
	struct mf_handoff sent = {7, 5, 3, "scope", "abc"};
	struct mf_handoff got;
	struct stat a, b;
	int fd;

	cr_assert_eq(mf_handoff_send(pair[0], STDERR_FILENO, &sent), 0);
	fd = mf_handoff_receive(pair[1], buffer, &got);
	cr_assert_geq(fd, 0);
	cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(fstat(fd, &a) | fstat(STDERR_FILENO, &b), 0);
	cr_expect_eq(a.st_ino, b.st_ino);
	cr_expect_eq(got.origin, 7);
	cr_expect(got.scope_bytes == 5 && !memcmp(got.scope, "scope", 5));
	cr_expect(got.first_bytes == 3 && !memcmp(got.first, "abc", 3));
	cr_expect_eq(mf_handoff_receive(pair[1], buffer, &got), -EAGAIN);
	shutdown(pair[0], SHUT_WR);
	cr_expect_eq(mf_handoff_receive(pair[1], buffer, &got), -EPIPE);
}

Test(handoff, the_largest_one_passes_and_no_larger_one)
{
	static char much[MF_HANDOFF_FIRST_MAX + 1];
	struct mf_handoff sent = {1, MF_HANDOFF_SCOPE_MAX, MF_HANDOFF_FIRST_MAX, much, much};
	struct mf_handoff got;

	cr_assert_eq(mf_handoff_send(pair[0], 0, &sent), 0);
	cr_assert_geq(mf_handoff_receive(pair[1], buffer, &got), 0);
	cr_expect_eq(got.first_bytes, MF_HANDOFF_FIRST_MAX);
	sent.first_bytes++;
	cr_expect_eq(mf_handoff_send(pair[0], 0, &sent), -EMSGSIZE);
}

Test(handoff, who_reads_too_slowly_is_told_at_once)
{
	struct mf_handoff sent = {0};
	int code = 0;

	for (int i = 0; i < 100000 && !code; i++)
		code = mf_handoff_send(pair[0], 0, &sent);
	/* the second is the kernel's limit of descriptors on their way */
	cr_expect(code == -EAGAIN || code == -ETOOMANYREFS, "%d", code);
	close(pair[1]);
	cr_expect_eq(mf_handoff_send(pair[0], 0, &sent), -EPIPE);
}

static void send_raw(const void *bytes, size_t size, int fds)
{
	union {
		char bytes[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr aligned;
	} room = {{0}};
	struct iovec part = {(void *)(uintptr_t)bytes, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (fds) {
		struct cmsghdr *control = &room.aligned;

		message.msg_control = room.bytes;
		message.msg_controllen = CMSG_SPACE((size_t)fds * sizeof(int));
		*control = (struct cmsghdr){CMSG_LEN((size_t)fds * sizeof(int)), SOL_SOCKET,
					    SCM_RIGHTS};
		memset(CMSG_DATA(control), 0, (size_t)fds * sizeof(int));
	}
	cr_assert_geq(sendmsg(pair[0], &message, 0), 0);
}

Test(handoff, what_is_none_is_passed_over_and_its_descriptors_are_closed)
{
	uint32_t head[4] = {0x3146484d, 0, 0, 0};
	struct mf_handoff got;
	size_t before = open_files();

	send_raw("x", 1, 1);             /* too short */
	send_raw(head, sizeof(head), 0); /* without a descriptor */
	head[2] = 1;
	send_raw(head, sizeof(head), 1); /* more promised than there */
	head[2] = UINT32_MAX;
	head[3] = 1;
	send_raw(head, sizeof(head), 1); /* sums that wrap around */
	head[0] = 0;
	send_raw(head, sizeof(head), 1); /* another form */
	for (int i = 0; i < 5; i++)
		cr_expect_eq(mf_handoff_receive(pair[1], buffer, &got), -EPROTO, "%d", i);
	cr_expect_eq(open_files(), before);
	head[0] = 0x3146484d;
	head[2] = head[3] = 0;
	send_raw(head, sizeof(head), 8); /* more than one: all but one are closed */
	cr_expect_eq(mf_handoff_receive(pair[1], buffer, &got) >= 0 ? open_files() - 1
								    : open_files(),
		     before);
}

static bool allows(const char *scope, size_t bytes, const char *target, const char *host)
{
	struct mf_asked asked;

	mf_asked_read(&asked, target, strlen(target), host, host ? strlen(host) : 0);
	return mf_scope_allows(scope, bytes, &asked);
}

#define ALLOWS(scope, target, host) allows(scope, sizeof(scope), target, host)

Test(scope, a_path_is_the_first_beginnings_that_fits)
{
	cr_expect(ALLOWS("a.b\0-/x/y\0+/x\0-/", "/x", "a.b"));
	cr_expect(ALLOWS("a.b\0-/x/y\0+/x\0-/", "/x/z", "a.b"));
	cr_expect(ALLOWS("a.b\0-/x/y\0+/x\0-/", "/x?y", "a.b"));
	cr_expect_not(ALLOWS("a.b\0-/x/y\0+/x\0-/", "/x/y", "a.b"));
	cr_expect_not(ALLOWS("a.b\0-/x/y\0+/x\0-/", "/x/y/z", "a.b"));
	cr_expect_not(ALLOWS("a.b\0-/x/y\0+/x\0-/", "/xy", "a.b"));
	cr_expect_not(ALLOWS("a.b\0+/x", "/", "a.b"));
	cr_expect(ALLOWS("a.b\0+/", "*", "a.b"));
}

Test(scope, hosts_are_equal_whatever_their_case_port_and_final_dot)
{
	cr_expect(ALLOWS("a.b\0+/", "/", "A.b:80"));
	cr_expect(ALLOWS("a.b\0+/", "/", "a.b."));
	cr_expect(ALLOWS("[::1]\0+/", "/", "[::1]:80"));
	cr_expect(ALLOWS("[::1]\0+/", "/", "[::1]"));
	cr_expect(ALLOWS("\0+/", "/", NULL));
	cr_expect_not(ALLOWS("a.b\0+/", "/", "a.c"));
	cr_expect_not(ALLOWS("a.b\0+/", "/", NULL));
	cr_expect_not(ALLOWS("\0+/", "/", "a.b"));
}

Test(scope, an_absolute_target_counts_more_than_the_host)
{
	cr_expect(ALLOWS("a.b\0+/x", "http://a.b/x", "c.d"));
	cr_expect(ALLOWS("a.b\0+/x", "HTTP://A.B:81/x?y", "c.d"));
	cr_expect(ALLOWS("a.b\0+/", "http://a.b", NULL));
	cr_expect(ALLOWS("a.b\0+/", "http://a.b?q", NULL));
	cr_expect_not(ALLOWS("a.b\0+/", "http://c.d/", "a.b"));
}

Test(scope, none_allows_all_and_a_broken_one_nothing)
{
	cr_expect(allows("", 0, "/", "x"));
	cr_expect_not(allows("a", 1, "/", "a"));
	cr_expect_not(ALLOWS("a", "/", "a"));
	cr_expect_not(ALLOWS("a\0\0\0", "/", "a"));
	cr_expect_not(ALLOWS("a\0/", "/", "a"));
}

Test(scope, a_long_host_is_no_other_host)
{
	char host[2 * MF_HOST_MAX];
	char scope[MF_HOST_MAX + 3] = {0};

	memset(host, 'a', sizeof(host) - 1);
	host[sizeof(host) - 1] = 0;
	memset(scope, 'a', MF_HOST_MAX - 1);
	memcpy(scope + MF_HOST_MAX, "+/", 3);
	cr_expect_not(allows(scope, sizeof(scope), "/", host));
}
