/* SPDX-License-Identifier: MIT */
#include "ipc/control/tenants.h"
#include "ipc/control/server.h"
#include "ipc/socket/file.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/transport/ipc/ipc.h>
#include <stdlib.h>
#include <string.h>

struct mf_events {
	nng_socket socket;
	struct mf_socket_file file;
};

static int fail(int code, const char *path, struct mf_error *err)
{
	return mf_error_set(err, code == NNG_ENOMEM ? -ENOMEM : -EIO,
			    "cannot tell events at %s: %s", path, nng_strerror(code));
}

static int listen_privately(struct mf_events *events, const char *path)
{
	char url[sizeof(struct sockaddr_un) + 8];
	nng_listener listener;
	int code;

	snprintf(url, sizeof(url), "ipc://%s", path);
	code = nng_listener_create(&listener, events->socket, url);
	if (!code)
		code = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, 0600);
	return code ? code : nng_listener_start(listener, 0);
}

int mf_events_open(struct mf_events **out, const char *path, struct mf_error *err)
{
	struct mf_events *events = calloc(1, sizeof(*events));
	int code;

	*out = NULL;
	if (!events)
		return fail(NNG_ENOMEM, path, err);
	code = mf_socket_file_claim(&events->file, path, err);
	if (code) {
		free(events);
		return code;
	}
	code = nng_pub0_open(&events->socket);
	if (!code) {
		code = listen_privately(events, path);
		mf_socket_file_mark(&events->file);
	}
	mf_socket_file_unlock(&events->file);
	if (code) {
		mf_events_close(events);
		return fail(code, path, err);
	}
	*out = events;
	return 0;
}

void mf_events_send(struct mf_events *events, const char *text)
{
	nng_msg *message;

	if (!events || nng_msg_alloc(&message, 0))
		return;
	if (nng_msg_append(message, text, strlen(text)) ||
	    nng_sendmsg(events->socket, message, NNG_FLAG_NONBLOCK))
		nng_msg_free(message);
}

void mf_events_close(struct mf_events *events)
{
	if (!events)
		return;
	nng_close(events->socket);
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
	if (code)
		return fail(code, path, err);
	code = follow(socket, take, arg, path);
	nng_close(socket);
	return code ? fail(code, path, err) : 0;
}
