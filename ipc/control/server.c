/* SPDX-License-Identifier: MIT */
#include "ipc/control/server.h"
#include "ipc/control/message.h"
#include "ipc/control/wire.h"
#include "ipc/socket/file.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 128

/* For a hello, and for a message from its first byte to its last. */
#define SLOW_MS 5000u

/* Before accepting again when there was no descriptor. */
#define BREATH_MS 100u

struct client {
	int fd; /* -1: none */
	struct mf_wire wire;
	uint64_t heard_ms; /* when it connected, or ended a message */
};

struct mf_control {
	const struct mf_control_ops *ops;
	void *arg;
	struct mf_socket_file file;
	int listen_fd;
	int wake_fd; /* eventfd: the thread is to end */
	bool started;
	pthread_t thread;
	uint64_t accept_after_ms;
	struct client clients[MF_CONTROL_CLIENTS_MAX];
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void drop(struct client *client)
{
	close(client->fd);
	client->fd = -1;
	mf_wire_next(&client->wire);
	client->wire.greeted = false;
}

/* All at once: who leaves so many answers unread that one does not fit is let go. */
static bool send_all(int fd, struct iovec *parts, size_t count)
{
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
	size_t bytes = 0;
	size_t i;

	for (i = 0; i < count; i++)
		bytes += parts[i].iov_len;
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)bytes;
}

static char *tell_times(struct mf_control *control)
{
	struct mf_control_status status = {0};
	struct mf_control_times *times = calloc(1, sizeof(*times));
	char *text = NULL;

	if (times) {
		control->ops->status(control->arg, &status, times);
		text = mf_control_accept_times(&status, times);
	}
	free(times);
	return text;
}

static char *make_answer(struct mf_control *control, enum mf_control_command command,
			 const struct mf_error *why)
{
	struct mf_control_status status = {0};

	if (command == MF_CONTROL_NONE)
		return mf_control_refuse(why->text);
	if (command == MF_CONTROL_TIMES)
		return tell_times(control);
	if (command != MF_CONTROL_STATUS)
		return mf_control_accept(NULL);
	control->ops->status(control->arg, &status, NULL);
	return mf_control_accept(&status);
}

static void obey(struct mf_control *control, enum mf_control_command command)
{
	if (command == MF_CONTROL_DRAIN)
		control->ops->drain(control->arg);
	else if (command == MF_CONTROL_STOP)
		control->ops->stop(control->arg);
}

/* By whoever understands tenants. */
static enum mf_control_command answer_more(struct mf_control *control, const char *body,
					   size_t bytes, char **text)
{
	struct mf_control_request request;
	struct mf_error why = {0};
	enum mf_control_command command = mf_control_parse_all(body, bytes, &request, &why);

	*text = NULL;
	if (command == MF_CONTROL_STOP)
		*text = mf_control_accept(NULL);
	else if (command != MF_CONTROL_NONE)
		*text = control->ops->ask(control->arg, &request, &why);
	if (!*text)
		*text = mf_control_refuse(why.text);
	mf_control_request_finish(&request);
	return command == MF_CONTROL_STOP ? command : MF_CONTROL_NONE;
}

static enum mf_control_command answer_own(struct mf_control *control, const char *body,
					  size_t bytes, char **text)
{
	struct mf_error why = {0};
	enum mf_control_command command = mf_control_parse(body, bytes, &why);

	*text = make_answer(control, command, &why);
	return command;
}

/* False: this client is to be dropped. */
static bool answer(struct mf_control *control, struct client *client)
{
	uint8_t head[MF_WIRE_LENGTH_BYTES];
	size_t route, bytes;
	const uint8_t *body = mf_wire_body(&client->wire, &route, &bytes);
	enum mf_control_command command;
	char *text;
	bool sent;

	if (!body)
		return false;
	command = control->ops->ask ? answer_more(control, (const char *)body, bytes, &text)
				    : answer_own(control, (const char *)body, bytes, &text);
	if (!text)
		return false;
	mf_wire_put_length(head, route + strlen(text));
	sent = send_all(client->fd,
			(struct iovec[]){{head, sizeof(head)},
					 {client->wire.message, route},
					 {text, strlen(text)}},
			3);
	free(text);
	obey(control, command);
	return sent;
}

static void hear(struct mf_control *control, struct client *client)
{
	size_t room;
	uint8_t *to = mf_wire_room(&client->wire, &room);
	ssize_t got = recv(client->fd, to, room, MSG_DONTWAIT);
	int state;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		drop(client);
		return;
	}
	/* A message's time begins with its first byte. */
	if (!mf_wire_is_open(&client->wire))
		client->heard_ms = now_ms();
	state = mf_wire_add(&client->wire, (size_t)got);
	if (state < 0 || (state == 1 && !answer(control, client))) {
		drop(client);
	} else if (state == 1) {
		mf_wire_next(&client->wire);
		client->heard_ms = now_ms();
	}
}

/* A place for a client: a free one, or that of the one that was silent for longest. */
static struct client *make_room(struct mf_control *control)
{
	struct client *oldest = control->clients;
	size_t i;

	for (i = 0; i < MF_CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &control->clients[i];

		if (client->fd < 0)
			return client;
		if (client->heard_ms < oldest->heard_ms)
			oldest = client;
	}
	drop(oldest);
	return oldest;
}

static void greet(struct mf_control *control)
{
	int fd = accept4(control->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct iovec hello = {(void *)(uintptr_t)mf_wire_hello_rep, MF_WIRE_HELLO_BYTES};
	struct client *client;

	if (fd < 0) {
		/* no descriptors: the next attempt would say so at once, too */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			control->accept_after_ms = now_ms() + BREATH_MS;
		return;
	}
	client = make_room(control);
	client->fd = fd;
	client->heard_ms = now_ms();
	if (!send_all(fd, &hello, 1))
		drop(client);
}

/* Drops who is too slow; returns when to look again, in milliseconds from now, or -1. */
static int expire(struct mf_control *control)
{
	uint64_t now = now_ms();
	uint64_t next = UINT64_MAX;
	size_t i;

	for (i = 0; i < MF_CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &control->clients[i];

		if (client->fd < 0 || !mf_wire_is_open(&client->wire))
			continue;
		if (now >= client->heard_ms + SLOW_MS)
			drop(client);
		else if (client->heard_ms + SLOW_MS < next)
			next = client->heard_ms + SLOW_MS;
	}
	if (now < control->accept_after_ms && control->accept_after_ms < next)
		next = control->accept_after_ms;
	return next == UINT64_MAX ? -1 : (int)(next - now);
}

static void *serve(void *arg)
{
	struct mf_control *control = arg;
	struct pollfd fds[MF_CONTROL_CLIENTS_MAX + 2];
	size_t i;

	pthread_setname_np(pthread_self(), "control");
	for (;;) {
		int timeout_ms = expire(control);
		bool waits = now_ms() < control->accept_after_ms;

		for (i = 0; i < MF_CONTROL_CLIENTS_MAX; i++)
			fds[i] = (struct pollfd){.fd = control->clients[i].fd, .events = POLLIN};
		fds[i] = (struct pollfd){.fd = waits ? -1 : control->listen_fd, .events = POLLIN};
		fds[i + 1] = (struct pollfd){.fd = control->wake_fd, .events = POLLIN};
		if (poll(fds, MF_CONTROL_CLIENTS_MAX + 2, timeout_ms) < 0)
			continue;
		if (fds[i + 1].revents)
			return NULL;
		for (i = 0; i < MF_CONTROL_CLIENTS_MAX; i++)
			if (fds[i].revents)
				hear(control, &control->clients[i]);
		if (fds[i].revents)
			greet(control);
	}
}

static int fail(int code, const char *path, struct mf_error *err)
{
	return mf_error_set(err, code, "Cannot make the control socket %s: %s.", path,
			    strerror(-code));
}

static int open_socket(struct mf_control *control)
{
	int code;

	control->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	control->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->wake_fd < 0 || control->listen_fd < 0)
		return -errno;
	code = mf_socket_file_bind(&control->file, control->listen_fd);
	if (code)
		return code;
	code = listen(control->listen_fd, BACKLOG) ? -errno : 0;
	mf_socket_file_unlock(&control->file);
	return code;
}

/* jansson would look for a seed in /dev/urandom, at its first object: then there are no files. */
static void seed_tables(void)
{
	size_t seed = 0;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (size_t)&seed;
	json_object_seed(seed);
}

int mf_control_open(struct mf_control **out, const char *path, const struct mf_control_ops *ops,
		    void *arg, struct mf_error *err)
{
	struct mf_control *control = calloc(1, sizeof(*control));
	size_t i;
	int code;

	*out = NULL;
	if (!control)
		return fail(-ENOMEM, path, err);
	*control = (struct mf_control){.ops = ops, .arg = arg, .listen_fd = -1, .wake_fd = -1};
	for (i = 0; i < MF_CONTROL_CLIENTS_MAX; i++)
		control->clients[i].fd = -1;
	seed_tables();
	code = mf_socket_file_claim(&control->file, path, err);
	if (!code) {
		code = open_socket(control);
		if (code)
			fail(code, path, err);
	}
	if (code)
		mf_control_close(control);
	else
		*out = control;
	return code;
}

/* The thread takes no signal that is meant for the engine. SIGSYS is how the seccomp filter speaks
 * up in the thread that it stops. */
int mf_control_start(struct mf_control *control, struct mf_error *err)
{
	sigset_t most, before;
	int code;

	sigfillset(&most);
	sigdelset(&most, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &most, &before);
	code = pthread_create(&control->thread, NULL, serve, control);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	control->started = code == 0;
	return code ? mf_error_set(err, -code,
				   "cannot start the control thread: %s; raise `ulimit -u`",
				   strerror(code))
		    : 0;
}

static void end_thread(struct mf_control *control)
{
	uint64_t one = 1;

	if (!control->started)
		return;
	/* an eventfd takes it always: nothing else was ever added */
	if (write(control->wake_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(control->thread, NULL);
}

void mf_control_close(struct mf_control *control)
{
	size_t i;

	if (!control)
		return;
	end_thread(control);
	for (i = 0; i < MF_CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd >= 0)
			drop(&control->clients[i]);
	if (control->listen_fd >= 0)
		close(control->listen_fd);
	if (control->wake_fd >= 0)
		close(control->wake_fd);
	mf_socket_file_remove(&control->file);
	free(control);
}
