/* SPDX-License-Identifier: MIT */
#include "tenant/store_socket.h"

#include "ipc/socket/file.h"
#include "ipc/store/wire.h"

#include <mayfly/abi/store_admin.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

/* For a message from its first byte to its last, either way. */
#define SLOW_MS 5000u

/* Before accepting again when there was no descriptor. */
#define BREATH_MS 100

struct client {
	int fd; /* -1: none */
	struct mf_store_frame head;
	uint8_t *payload;  /* owned; once the head is known */
	size_t have;       /* of the head, then of the payload */
	uint64_t since_ns; /* the message's first byte */
};

struct mf_store_socket {
	int folder_fd; /* the caller's */
	int fd;
	int wake_fd; /* eventfd: the thread is to end */
	bool bound;
	bool started;
	bool breathes; /* there was no descriptor */
	pthread_t thread;
	struct mf_store_admin *admin;
	uint8_t *reply;
	struct client clients[MF_STORE_SOCKET_CLIENTS];
};

/* ---- clients ---- */

static void next_message(struct client *client)
{
	free(client->payload);
	client->payload = NULL;
	client->have = 0;
}

static void drop(struct client *client)
{
	next_message(client);
	close(client->fd);
	client->fd = -1;
}

/* All of it within the time, or the client is let go. */
static bool send_all(struct mf_store_socket *socket, int fd, const void *from, size_t bytes)
{
	uint64_t until = mf_now_ns() + SLOW_MS * 1000000ull;
	size_t done = 0;

	while (done < bytes) {
		struct pollfd fds[2] = {{.fd = fd, .events = POLLOUT},
					{.fd = socket->wake_fd, .events = POLLIN}};
		ssize_t put = send(fd, (const char *)from + done, bytes - done,
				   MSG_DONTWAIT | MSG_NOSIGNAL);

		if (put > 0) {
			done += (size_t)put;
			continue;
		}
		if ((errno != EAGAIN && errno != EINTR) || mf_now_ns() >= until)
			return false;
		poll(fds, 2, (int)SLOW_MS);
		if (fds[1].revents)
			return false;
	}
	return true;
}

static bool answer(struct mf_store_socket *socket, struct client *client)
{
	size_t bytes = MF_STORE_SOCKET_MAX;
	struct mf_store_frame head = {
		.status = mf_store_admin_call(socket->admin, client->head.function, client->payload,
					      client->head.bytes, socket->reply, &bytes)};

	head.bytes = (uint32_t)bytes;
	return send_all(socket, client->fd, &head, sizeof(head)) &&
	       send_all(socket, client->fd, socket->reply, bytes);
}

/* Where the next bytes go, and how many are wanted; none: the message is whole. */
static uint8_t *room_of(struct client *client, size_t *bytes)
{
	if (!client->payload) {
		*bytes = sizeof(client->head) - client->have;
		return (uint8_t *)&client->head + client->have;
	}
	*bytes = client->head.bytes - client->have;
	return client->payload + client->have;
}

/* The head is whole. False: it cannot be. */
static bool take_head(struct client *client)
{
	if (client->head.bytes > MF_STORE_SOCKET_MAX)
		return false;
	client->payload = malloc(client->head.bytes + 1u);
	client->have = 0;
	return client->payload != NULL;
}

/* False: this client is to be dropped. */
static bool take(struct mf_store_socket *socket, struct client *client, size_t bytes)
{
	bool good = true;

	if (!client->payload && !client->have)
		client->since_ns = mf_now_ns();
	client->have += bytes;
	if (!client->payload && client->have == sizeof(client->head))
		good = take_head(client);
	if (good && client->payload && client->have == client->head.bytes) {
		good = answer(socket, client);
		next_message(client);
	}
	return good;
}

static void hear(struct mf_store_socket *socket, struct client *client)
{
	size_t room;
	uint8_t *to = room_of(client, &room);
	ssize_t got = recv(client->fd, to, room, MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0 || !take(socket, client, (size_t)got))
		drop(client);
}

static struct client *free_place(struct mf_store_socket *socket)
{
	for (unsigned int i = 0; i < MF_STORE_SOCKET_CLIENTS; i++)
		if (socket->clients[i].fd < 0)
			return &socket->clients[i];
	return NULL;
}

static void greet(struct mf_store_socket *socket)
{
	const struct mf_store_hello hello = {MF_STORE_SOCKET_MAGIC, MF_STORE_SOCKET_VERSION};
	struct client *client = free_place(socket);
	int fd = accept4(socket->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	/* No descriptors: the next attempt would say so at once, too. */
	socket->breathes = fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED;
	if (fd < 0)
		return;
	*client = (struct client){.fd = fd};
	if (!send_all(socket, fd, &hello, sizeof(hello)))
		drop(client);
}

/* Drops who is too slow; returns when to look again, in ms, or -1. */
static int expire(struct mf_store_socket *socket)
{
	int timeout_ms = socket->breathes ? BREATH_MS : -1;
	uint64_t now = mf_now_ns();

	for (unsigned int i = 0; i < MF_STORE_SOCKET_CLIENTS; i++) {
		struct client *client = &socket->clients[i];

		if (client->fd < 0 || (!client->have && !client->payload))
			continue;
		if (now - client->since_ns > SLOW_MS * 1000000ull)
			drop(client);
		else if (timeout_ms < 0)
			timeout_ms = (int)SLOW_MS / 4;
	}
	return timeout_ms;
}

static void *serve(void *arg)
{
	struct mf_store_socket *socket = arg;
	struct pollfd fds[MF_STORE_SOCKET_CLIENTS + 2];
	unsigned int i;

	pthread_setname_np(pthread_self(), "store-admin");
	for (;;) {
		int timeout_ms = expire(socket);
		bool accepts = free_place(socket) && !socket->breathes;

		for (i = 0; i < MF_STORE_SOCKET_CLIENTS; i++)
			fds[i] = (struct pollfd){.fd = socket->clients[i].fd, .events = POLLIN};
		fds[i] = (struct pollfd){.fd = accepts ? socket->fd : -1, .events = POLLIN};
		fds[i + 1] = (struct pollfd){.fd = socket->wake_fd, .events = POLLIN};
		socket->breathes = false;
		if (poll(fds, MF_STORE_SOCKET_CLIENTS + 2, timeout_ms) < 0)
			continue;
		if (fds[i + 1].revents)
			return NULL;
		for (i = 0; i < MF_STORE_SOCKET_CLIENTS; i++)
			if (fds[i].revents)
				hear(socket, &socket->clients[i]);
		if (fds[i].revents)
			greet(socket);
	}
}

/* ---- life ---- */

/* A long folder's socket is reached over its descriptor. */
static int bind_it(const struct mf_store_socket *socket, const char *folder)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int put = snprintf(address.sun_path, sizeof(address.sun_path), "%s/" MF_STORE_SOCKET_NAME,
			   folder);

	if (put >= (int)sizeof(address.sun_path))
		snprintf(address.sun_path, sizeof(address.sun_path),
			 "/proc/self/fd/%d/" MF_STORE_SOCKET_NAME, socket->folder_fd);
	return mf_socket_bind(socket->fd, &address);
}

static int make(struct mf_store_socket *made, const char *folder)
{
	int code;

	made->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	made->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (made->wake_fd < 0 || made->fd < 0)
		return -errno;
	if (unlinkat(made->folder_fd, MF_STORE_SOCKET_NAME, 0) && errno != ENOENT)
		return -errno;
	code = bind_it(made, folder);
	made->bound = !code;
	if (!code && listen(made->fd, BACKLOG))
		code = -errno;
	return code;
}

int mf_store_socket_open(struct mf_store_socket **out, int folder_fd, const char *folder,
			 struct mf_error *err)
{
	struct mf_store_socket *made = calloc(1, sizeof(*made));
	int code = -ENOMEM;

	*out = NULL;
	if (made) {
		*made = (struct mf_store_socket){.folder_fd = folder_fd, .fd = -1, .wake_fd = -1};
		for (unsigned int i = 0; i < MF_STORE_SOCKET_CLIENTS; i++)
			made->clients[i].fd = -1;
		code = make(made, folder);
	}
	if (code) {
		mf_store_socket_close(made);
		return mf_error_set(err, code, "cannot make %s/" MF_STORE_SOCKET_NAME ": %s",
				    folder, strerror(-code));
	}
	*out = made;
	return 0;
}

/* The thread takes no signal that is meant for the engine. SIGSYS is how the seccomp filter speaks
 * up in the thread that it stops. */
static int start_thread(struct mf_store_socket *socket)
{
	sigset_t most, before;
	int code;

	sigfillset(&most);
	sigdelset(&most, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &most, &before);
	code = pthread_create(&socket->thread, NULL, serve, socket);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	socket->started = !code;
	return -code;
}

int mf_store_socket_start(struct mf_store_socket *socket, struct mf_store *store,
			  struct mf_error *err)
{
	int code = mf_store_admin_create(&socket->admin, store);

	socket->reply = malloc(MF_STORE_SOCKET_MAX);
	if (!code && !socket->reply)
		code = -ENOMEM;
	if (!code)
		code = start_thread(socket);
	return code ? mf_error_set(err, code, "cannot start the store's administration: %s",
				   strerror(-code))
		    : 0;
}

void mf_store_socket_stop(struct mf_store_socket *socket)
{
	uint64_t one = 1;

	if (!socket || !socket->started)
		return;
	mf_store_admin_stop(socket->admin);
	/* an eventfd takes it always: nothing else was ever added */
	if (write(socket->wake_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(socket->thread, NULL);
	socket->started = false;
}

void mf_store_socket_close(struct mf_store_socket *socket)
{
	if (!socket)
		return;
	mf_store_socket_stop(socket);
	for (unsigned int i = 0; i < MF_STORE_SOCKET_CLIENTS; i++)
		if (socket->clients[i].fd >= 0)
			drop(&socket->clients[i]);
	if (socket->bound)
		unlinkat(socket->folder_fd, MF_STORE_SOCKET_NAME, 0);
	if (socket->fd >= 0)
		close(socket->fd);
	if (socket->wake_fd >= 0)
		close(socket->wake_fd);
	mf_store_admin_destroy(socket->admin);
	free(socket->reply);
	free(socket);
}
