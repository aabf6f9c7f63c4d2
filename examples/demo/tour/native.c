/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../control.h"
#include "native.h"
#include "request-vm/front/http.h"
#include "server.h"

#define ROOM (1u << 20)

static char json[ROOM];
static char head[256];

static void write_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t put = write(fd, data, length);

		if (put <= 0)
			return;
		data += put;
		length -= (size_t)put;
	}
}

static bool is_usage(const struct mf_abi_request *request)
{
	const char *target = (const char *)request + request->target.offset;

	return strcmp(target, NATIVE_USAGE_TARGET) == 0;
}

/* Pages that only this process has. */
static long private_kib(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[256];
	long sum = 0, kib;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Private_Clean: %ld", &kib) == 1 ||
		    sscanf(line, "Private_Dirty: %ld", &kib) == 1)
			sum += kib;
	if (f)
		fclose(f);
	return sum;
}

static long faults(void)
{
	struct rusage self, children;

	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &children);
	return self.ru_minflt + children.ru_minflt;
}

/* `before`: faults when the request came, read where forks do not start from zero. */
static void respond(int fd, const struct mf_abi_request *request, long before)
{
	struct control_span text = {(const char *)request + request->body.offset,
				    request->body.length};
	struct control_error error;
	long length = control_to_json(text, json, sizeof(json), &error);
	int head_length;

	if (is_usage(request))
		length = snprintf(json, sizeof(json), "%ld %ld\n", before, private_kib());
	head_length = snprintf(
		head, sizeof(head),
		"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %ld\r\n\r\n",
		length < 0 ? 400 : 200, length < 0 ? 0 : length);
	if (length > 0 && (size_t)head_length + (size_t)length <= sizeof(json)) {
		memmove(json + head_length, json, (size_t)length);
		memcpy(json, head, (size_t)head_length);
		write_all(fd, json, (size_t)(head_length + length));
	} else {
		write_all(fd, head, (size_t)head_length);
	}
}

static void respond_forked(int fd, const struct mf_abi_request *request)
{
	long before = faults();
	pid_t pid = fork();

	if (pid == 0) {
		respond(fd, request, before);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void serve_connection(int fd, bool fork_per_request)
{
	static char in[65536];
	struct mf_http_parser parser;
	ssize_t got;

	mf_http_parser_init(&parser, NULL);
	while ((got = read(fd, in, sizeof(in))) > 0) {
		struct mf_http_message message;
		size_t used;

		if (mf_http_parser_feed(&parser, in, (size_t)got, &used) != MF_HTTP_READY)
			continue;
		mf_http_parser_take(&parser, &message);
		if (fork_per_request)
			respond_forked(fd, message.request);
		else
			respond(fd, message.request, faults());
		mf_http_message_finish(&message);
	}
	mf_http_parser_finish(&parser);
	close(fd);
}

__attribute__((noreturn)) static void serve(int listener, bool fork_per_request)
{
	int on = 1;

	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		serve_connection(fd, fork_per_request);
	}
}

int native_start(struct native *native, bool fork_per_request)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t bytes = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = listener < 0 ? -errno : 0;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (rc == 0 &&
	    (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 8) < 0 ||
	     getsockname(listener, (struct sockaddr *)&at, &bytes) < 0))
		rc = -errno;
	native->port = ntohs(at.sin_port);
	native->pid = rc == 0 ? fork_bound() : -1;
	if (native->pid == 0)
		serve(listener, fork_per_request);
	if (rc == 0 && native->pid < 0)
		rc = -errno;
	if (listener >= 0)
		close(listener);
	return rc;
}

void native_stop(struct native *native)
{
	kill(native->pid, SIGKILL);
	waitpid(native->pid, NULL, 0);
}
