/* SPDX-License-Identifier: MIT */
#include "ipc/control/tenants.h"
#include "ipc/control/server.h"
#include "ipc/control/wire.h"
#include "ipc/socket/file.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* Connected at once; one more takes the place of the one that came first. */
#define FOLLOWERS_MAX 64u

#define BACKLOG 64

/* PUB is 0x20, SUB 0x21 (nng's protocol/pubsub0 headers: 2 * 16 + 0 and 1). */
static const uint8_t hello_pub[MF_WIRE_HELLO_BYTES] = {0, 'S', 'P', 0, 0, 0x20, 0, 0};

/*
 * The telling end speaks what nng's PUB speaks, without nng, as the control socket does for REP
 * (docs/decisions/0011): it only ever writes. What followers say, their hello, is left unread.
 */
struct mf_events {
	struct mf_socket_file file;
	int fd;
	int followers[FOLLOWERS_MAX]; /* the first is who came first */
	size_t count;
};

static int fail(int code, const char *path, struct mf_error *err)
{
	return mf_error_set(err, code, "cannot tell events at %s: %s", path, strerror(-code));
}

static int listen_privately(struct mf_events *events)
{
	int code;

	events->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (events->fd < 0)
		return -errno;
	code = mf_socket_file_bind(&events->file, events->fd);
	if (code)
		return code;
	return listen(events->fd, BACKLOG) ? -errno : 0;
}

int mf_events_open(struct mf_events **out, const char *path, struct mf_error *err)
{
	struct mf_events *events = calloc(1, sizeof(*events));
	int code;

	*out = NULL;
	if (!events)
		return fail(-ENOMEM, path, err);
	events->fd = -1;
	code = mf_socket_file_claim(&events->file, path, err);
	if (code) {
		free(events);
		return code;
	}
	code = listen_privately(events);
	mf_socket_file_unlock(&events->file);
	if (code) {
		mf_events_close(events);
		return fail(code, path, err);
	}
	*out = events;
	return 0;
}

int mf_events_fd(const struct mf_events *events)
{
	return events->fd;
}

static void drop(struct mf_events *events, size_t i)
{
	close(events->followers[i]);
	events->count--;
	memmove(&events->followers[i], &events->followers[i + 1],
		(events->count - i) * sizeof(events->followers[0]));
}

void mf_events_accept(struct mf_events *events)
{
	int fd = accept4(events->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (send(fd, hello_pub, sizeof(hello_pub), MSG_NOSIGNAL) != sizeof(hello_pub)) {
		close(fd);
		return;
	}
	if (events->count == FOLLOWERS_MAX)
		drop(events, 0);
	events->followers[events->count++] = fd;
}

/* All at once, or never again: who does not read is let go. */
static bool tell(int fd, const char *text)
{
	uint8_t head[MF_WIRE_LENGTH_BYTES];
	size_t bytes = strlen(text);
	struct iovec parts[] = {{head, sizeof(head)}, {(void *)(uintptr_t)text, bytes}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	mf_wire_put_length(head, bytes);
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) ==
	       (ssize_t)(sizeof(head) + bytes);
}

void mf_events_send(struct mf_events *events, const char *text)
{
	size_t i = 0;

	while (i < events->count)
		if (tell(events->followers[i], text))
			i++;
		else
			drop(events, i);
}

void mf_events_close(struct mf_events *events)
{
	if (!events)
		return;
	while (events->count)
		drop(events, 0);
	if (events->fd >= 0)
		close(events->fd);
	mf_socket_file_remove(&events->file);
	free(events);
}

static int follow(nng_socket socket, int (*take)(void *arg, const char *text, size_t bytes),
		  void *arg, const char *path)
{
	char url[sizeof(struct sockaddr_un) + 8];
	nng_msg *message;
	bool more = true;
	int code = nng_socket_set(socket, NNG_OPT_SUB_SUBSCRIBE, "", 0);

	snprintf(url, sizeof(url), "ipc://%s", path);
	if (!code)
		code = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, MF_CONTROL_MESSAGE_MAX);
	if (!code)
		code = nng_dial(socket, url, NULL, 0);
	while (!code && more) {
		code = nng_recvmsg(socket, &message, 0);
		if (code)
			break;
		more = take(arg, nng_msg_body(message), nng_msg_len(message));
		nng_msg_free(message);
	}
	return code;
}

int mf_events_follow(const char *path, int (*take)(void *arg, const char *text, size_t bytes),
		     void *arg, struct mf_error *err)
{
	struct sockaddr_un address;
	nng_socket socket;
	int code = mf_socket_address(&address, path, err);

	if (code)
		return code;
	code = mf_socket_listens(&address);
	if (code <= 0)
		return mf_error_set(err, code ? code : -ECONNREFUSED,
				    "nobody tells events at %s; is a mayflyd running there?", path);
	code = nng_sub0_open(&socket);
	if (!code) {
		code = follow(socket, take, arg, path);
		nng_close(socket);
	}
	return code ? mf_error_set(err, -EIO, "cannot follow the events at %s: %s", path,
				   nng_strerror(code))
		    : 0;
}
