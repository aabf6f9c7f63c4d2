/* SPDX-License-Identifier: MIT */
/* The control socket without an engine: files, clients of every kind, and nng itself as a client.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ipc/control/client.h"
#include "ipc/control/server.h"
#include "ipc/control/wire.h"
#include "ipc/socket/file.h"

/* More than anything takes that waits for nothing. */
#define SOON_MS 20000
#define TAKE_MS 30000

static char folder[64], path[96];
static struct mf_control *control;
static unsigned int asked, drains, stops;

static void on_status(void *arg, struct mf_control_status *status, struct mf_control_times *times)
{
	if (times)
		mf_hist_note(&times->of[MF_CONTROL_TIME_REQUEST], 1234567);
	status->pid = ++asked;
	snprintf(status->version, sizeof(status->version), "test");
}

static void on_drain(void *arg)
{
	__atomic_add_fetch(&drains, 1, __ATOMIC_SEQ_CST);
}

static void on_stop(void *arg)
{
	__atomic_add_fetch(&stops, 1, __ATOMIC_SEQ_CST);
}

static const struct mf_control_ops ops = {on_status, on_drain, on_stop, NULL};

static void make_folder(void)
{
	strcpy(folder, "/tmp/mayfly-ipc-XXXXXX");
	cr_assert(mkdtemp(folder) != NULL);
	snprintf(path, sizeof(path), "%s/c", folder);
	signal(SIGPIPE, SIG_IGN);
}

static void remove_folder(void)
{
	unlink(path);
	rmdir(folder);
}

static void open_control(void)
{
	struct mf_error err = {""};

	make_folder();
	cr_assert_eq(mf_control_open(&control, path, &ops, NULL, &err), 0, "%s", err.text);
	cr_assert_eq(mf_control_start(control, &err), 0, "%s", err.text);
}

static void close_control(void)
{
	mf_control_close(control);
	cr_assert(access(path, F_OK) < 0, "the file is left");
	remove_folder();
}

TestSuite(server, .init = open_control, .fini = close_control);
TestSuite(server_files, .init = make_folder, .fini = remove_folder);

static int dial(void)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	mf_socket_address(&address, path, NULL);
	cr_assert_geq(fd, 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Bytes until so many are there, the other end closes, or the time is over. */
static size_t take(int fd, void *to, size_t bytes)
{
	size_t have = 0;

	while (have < bytes) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		ssize_t got = poll(&ready, 1, TAKE_MS) == 1
				      ? read(fd, (char *)to + have, bytes - have)
				      : -1;

		if (got <= 0)
			break;
		have += (size_t)got;
	}
	return have;
}

static int dial_and_greet(void)
{
	uint8_t hello[MF_WIRE_HELLO_BYTES];
	int fd = dial();

	cr_assert_eq(write(fd, mf_wire_hello_req, MF_WIRE_HELLO_BYTES), MF_WIRE_HELLO_BYTES);
	cr_assert_eq(take(fd, hello, sizeof(hello)), sizeof(hello));
	cr_assert_arr_eq(hello, mf_wire_hello_rep, sizeof(hello));
	return fd;
}

static bool is_closed(int fd)
{
	char byte;

	return take(fd, &byte, 1) == 0;
}

static bool put(int fd, const void *body, size_t bytes)
{
	uint8_t head[MF_WIRE_LENGTH_BYTES + 4] = {[MF_WIRE_LENGTH_BYTES] = 0x80, 0, 0, 7};

	mf_wire_put_length(head, bytes + 4);
	return write(fd, head, sizeof(head)) == sizeof(head) &&
	       write(fd, body, bytes) == (ssize_t)bytes;
}

/* The reply's text, or empty. */
static const char *get(int fd)
{
	static char text[8192];
	uint8_t head[MF_WIRE_LENGTH_BYTES + 4];
	size_t bytes;

	text[0] = '\0';
	if (take(fd, head, sizeof(head)) != sizeof(head))
		return text;
	cr_assert(head[MF_WIRE_LENGTH_BYTES] == 0x80 && head[MF_WIRE_LENGTH_BYTES + 3] == 7);
	bytes = (size_t)(head[7] * 256 + head[8]) - 4;
	cr_assert_lt(bytes, sizeof(text));
	cr_assert_eq(take(fd, text, bytes), bytes);
	text[bytes] = '\0';
	return text;
}

/* By nng, as mayfly ctl does. */
static void still_serves(void)
{
	struct mf_control_reply reply;
	struct mf_error err = {""};

	cr_assert_eq(mf_control_ask(path, "status", SOON_MS, &reply, &err), 0, "%s", err.text);
	cr_assert(reply.ok && reply.has_status);
	cr_assert_str_eq(reply.status.version, "test");
	mf_control_reply_finish(&reply);
}

static unsigned int count_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

Test(server, nng_is_answered)
{
	for (int i = 0; i < 20; i++)
		still_serves();
	cr_assert_eq(asked, 20);
}

Test(server, commands_are_obeyed_after_their_answer)
{
	struct mf_control_reply reply;

	cr_assert_eq(mf_control_ask(path, "drain", SOON_MS, &reply, NULL), 0);
	cr_assert(reply.ok && !reply.has_status);
	mf_control_reply_finish(&reply);
	cr_assert_eq(mf_control_ask(path, "stop", SOON_MS, &reply, NULL), 0);
	cr_assert(reply.ok);
	mf_control_reply_finish(&reply);
	for (int i = 0; i < 3000 && !__atomic_load_n(&stops, __ATOMIC_SEQ_CST); i++)
		usleep(10000);
	cr_assert(drains == 1 && stops == 1);
}

Test(server, an_unknown_command_is_refused_with_a_sentence)
{
	struct mf_control_reply reply;

	cr_assert_eq(mf_control_ask(path, "fly", SOON_MS, &reply, NULL), 0);
	cr_assert(!reply.ok && strstr(reply.error.text, "status, drain and stop"));
	mf_control_reply_finish(&reply);
}

Test(server, a_bad_request_is_answered_and_the_client_goes_on)
{
	static const char good[] = "{\"version\":1,\"command\":\"status\"}";
	static const char *const bad[] = {"", "x", "{}", "{\"version\":9,\"command\":\"stop\"}"};
	int fd = dial_and_greet();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert(put(fd, bad[i], strlen(bad[i])));
		cr_expect(strstr(get(fd), "\"ok\":false,\"error\":\""), "%s", bad[i]);
	}
	cr_assert(put(fd, good, strlen(good)));
	cr_assert(strstr(get(fd), "\"ok\":true"));
	close(fd);
	cr_assert_eq(stops, 0);
}

Test(server, the_largest_request_is_answered_and_one_byte_more_is_not)
{
	char *body = malloc(MF_CONTROL_MESSAGE_MAX + 64);
	int fd = dial_and_greet();

	memset(body, ' ', MF_CONTROL_MESSAGE_MAX + 64);
	cr_assert(put(fd, body, MF_CONTROL_MESSAGE_MAX));
	cr_assert(strstr(get(fd), "\"ok\":false"));
	put(fd, body, MF_CONTROL_MESSAGE_MAX + MF_WIRE_ROUTE_MAX - 3);
	cr_assert_str_empty(get(fd));
	close(fd);
	free(body);
	still_serves();
}

Test(server, garbage_ends_the_connection_and_nothing_else)
{
	uint8_t bytes[300];

	srand(3);
	for (int round = 0; round < 300; round++) {
		int fd = round % 2 ? dial_and_greet() : dial();

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)rand();
		bytes[0] = (uint8_t)(bytes[0] % 3);
		memset(bytes + 1, 0, round % 7);
		if (write(fd, bytes, (size_t)rand() % sizeof(bytes)) > 0 && round % 3 == 0)
			shutdown(fd, SHUT_WR);
		close(fd);
	}
	still_serves();
}

/* One that comes and goes at once ends the listener of nng 1.5 for good. */
Test(server, a_client_that_goes_before_the_hello_hurts_nobody)
{
	for (int i = 0; i < 500; i++)
		close(dial());
	still_serves();
}

Test(server, a_client_that_goes_before_its_answer_hurts_nobody)
{
	static const char good[] = "{\"version\":1,\"command\":\"status\"}";

	for (int i = 0; i < 200; i++) {
		int fd = dial_and_greet();

		put(fd, good, strlen(good));
		close(fd);
	}
	still_serves();
}

Test(server, half_a_hello_and_half_a_message_are_let_go_in_time, .timeout = 100)
{
	int silent = dial(), half = dial(), message = dial_and_greet();
	uint8_t rest[MF_WIRE_HELLO_BYTES];

	cr_assert_eq(write(half, mf_wire_hello_req, 3), 3);
	cr_assert_eq(write(message, "\1\0\0\0", 4), 4);
	cr_assert_eq(take(silent, rest, sizeof(rest)), sizeof(rest));
	cr_assert_eq(take(half, rest, sizeof(rest)), sizeof(rest));
	still_serves();
	cr_assert(is_closed(silent) && is_closed(half) && is_closed(message));
	close(silent);
	close(half);
	close(message);
}

Test(server, a_thousand_connections_that_are_left_open_lock_nobody_out, .timeout = 60)
{
	unsigned int files = count_files();
	int fds[1000];
	struct rlimit limit = {4096, 4096};

	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < 1000; i++)
		fds[i] = i % 2 ? dial() : dial_and_greet();
	still_serves();
	cr_assert_lt(count_files(), files + 1000 + MF_CONTROL_FILES);
	for (int i = 0; i < 1000; i++)
		close(fds[i]);
	for (int i = 0; i < 3000 && count_files() > files + 4; i++)
		usleep(10000);
	cr_assert_lt(count_files(), files + 12, "descriptors are left"); /* nng's few */
}

Test(server, who_leaves_answers_unread_is_let_go, .timeout = 60)
{
	static const char good[] = "{\"version\":1,\"command\":\"status\"}";
	int fd = dial_and_greet();

	for (int i = 0; i < 20000; i++)
		if (!put(fd, good, strlen(good)))
			break;
	still_serves();
	close(fd);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

Test(server_files, a_listener_that_never_answers_holds_ctl_no_longer_than_its_time)
{
	struct mf_control_reply reply;
	struct mf_error err = {""};
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	uint64_t began;

	mf_socket_address(&address, path, NULL);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	listen(fd, 8);
	began = now_ms();
	cr_assert_eq(mf_control_ask(path, "status", 700, &reply, &err), -ETIMEDOUT);
	cr_assert_lt(now_ms() - began, SOON_MS);
	cr_assert(strstr(err.text, "no answer"));
	close(fd);
}

Test(server_files, asking_nobody_is_told_at_once)
{
	struct mf_control_reply reply;
	struct mf_error err = {""};

	cr_assert_eq(mf_control_ask(path, "status", SOON_MS, &reply, &err), -ENOENT);
	cr_assert(strstr(err.text, "--control"), "%s", err.text);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	cr_assert_eq(mf_control_ask(path, "status", SOON_MS, &reply, &err), -ENOTSOCK);
	cr_assert_eq(mf_control_ask("", "status", SOON_MS, &reply, &err), -EINVAL);
}

Test(server_files, the_file_is_its_owners_alone_whatever_the_umask)
{
	struct stat st;

	umask(0);
	cr_assert_eq(mf_control_open(&control, path, &ops, NULL, NULL), 0);
	cr_assert(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
	cr_assert_eq(umask(0), 0);
	mf_control_close(control);
}

Test(server_files, a_path_that_cannot_be_had_is_told_and_left_alone)
{
	struct mf_error err = {""};
	struct mf_control *other = NULL;
	char longer[200];
	struct stat st;

	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	cr_expect_eq(mf_control_open(&control, longer, &ops, NULL, &err), -ENAMETOOLONG);
	cr_expect_eq(mf_control_open(&control, "/not/there/c", &ops, NULL, &err), -ENOENT);
	cr_expect(strstr(err.text, "/not/there/c"));
	close(open(path, O_CREAT | O_WRONLY, 0644));
	cr_expect_eq(mf_control_open(&control, path, &ops, NULL, &err), -EEXIST);
	cr_expect(stat(path, &st) == 0 && S_ISREG(st.st_mode));
	unlink(path);
	cr_assert_eq(mf_control_open(&control, path, &ops, NULL, &err), 0);
	cr_expect_eq(mf_control_open(&other, path, &ops, NULL, &err), -EADDRINUSE);
	cr_expect_null(other);
	cr_expect(stat(path, &st) == 0 && S_ISSOCK(st.st_mode));
	mf_control_close(control);
}

Test(server_files, a_stale_file_is_replaced_and_another_ones_is_not_removed)
{
	struct mf_control *second;

	cr_assert_eq(mf_control_open(&control, path, &ops, NULL, NULL), 0);
	cr_assert_eq(unlink(path), 0);
	usleep(20000); /* a tick of the file system's clock */
	cr_assert_eq(mf_control_open(&second, path, &ops, NULL, NULL), 0);
	mf_control_close(control);
	cr_assert_eq(access(path, F_OK), 0, "the second one's file is gone");
	mf_control_close(second);
	cr_assert(access(path, F_OK) < 0);
}
