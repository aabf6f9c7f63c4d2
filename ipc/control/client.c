/* SPDX-License-Identifier: MIT */
#include "ipc/control/client.h"
#include "ipc/control/message.h"
#include "ipc/control/server.h"
#include "ipc/socket/file.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/util/platform.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* nng tells much alike; this tells who is there before nng is asked. */
static int check_path(const struct sockaddr_un *address, struct mf_error *err)
{
	const char *path = address->sun_path;
	struct stat st;
	int code = lstat(path, &st) ? -errno : 0;

	if (!code && !S_ISSOCK(st.st_mode))
		return mf_error_set(err, -ENOTSOCK, "%s is not a socket", path);
	/* A confined process may look at no file: connect() tells. */
	if (!code || code == -EPERM)
		code = mf_socket_listens(address);
	if (code == 1)
		return 0;
	if (code == 0)
		code = -ECONNREFUSED;
	if (code == -EACCES)
		return mf_error_set(err, code,
				    "%s may be opened by the user who started the engine alone",
				    path);
	return mf_error_set(err, code,
			    "no engine listens on %s: %s; is one running with --control unix:%s?",
			    path, strerror(-code), path);
}

static int set_options(nng_socket socket, nng_duration timeout)
{
	int code = nng_socket_set_ms(socket, NNG_OPT_SENDTIMEO, timeout);

	if (!code)
		code = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, MF_CONTROL_MESSAGE_MAX);
	/* One attempt: a command is never given twice. */
	if (!code)
		code = nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, timeout + 1000);
	return code;
}

static int send_request(nng_socket socket, const char *text)
{
	nng_msg *message = NULL;
	int code = nng_msg_alloc(&message, 0);

	if (!code)
		code = nng_msg_append(message, text, strlen(text));
	if (!code)
		code = nng_sendmsg(socket, message, 0);
	if (code)
		nng_msg_free(message);
	return code;
}

/* Without waiting: a listener that never answers must not hold this up. */
static int exchange(nng_socket socket, const char *path, const char *text, nng_duration timeout,
		    nng_msg **message)
{
	nng_time until = nng_clock() + (nng_time)timeout;
	char url[sizeof(struct sockaddr_un) + 8];
	nng_time now;
	int code;

	snprintf(url, sizeof(url), "ipc://%s", path);
	code = nng_dial(socket, url, NULL, NNG_FLAG_NONBLOCK);
	if (!code)
		code = send_request(socket, text);
	now = nng_clock();
	if (!code)
		code = nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO,
					 now < until ? (nng_duration)(until - now) : 1);
	if (!code)
		code = nng_recvmsg(socket, message, 0);
	return code;
}

static int fail(int code, const char *path, unsigned int timeout_ms, struct mf_error *err)
{
	if (code == NNG_ETIMEDOUT)
		return mf_error_set(err, -ETIMEDOUT,
				    "no answer from %s within %u ms; the engine is stuck, or it is "
				    "none",
				    path, timeout_ms);
	return mf_error_set(err, code == NNG_ENOMEM ? -ENOMEM : -EIO, "cannot ask at %s: %s", path,
			    nng_strerror(code));
}

static int ask(const char *path, const char *text, unsigned int timeout_ms,
	       struct mf_control_reply *reply, struct mf_error *err)
{
	nng_msg *message = NULL;
	nng_socket socket;
	int code = nng_req0_open(&socket);

	if (code)
		return fail(code, path, timeout_ms, err);
	code = set_options(socket, (nng_duration)timeout_ms);
	if (!code)
		code = exchange(socket, path, text, (nng_duration)timeout_ms, &message);
	if (code)
		code = fail(code, path, timeout_ms, err);
	else
		code = mf_control_understand(nng_msg_body(message), nng_msg_len(message), reply,
					     err);
	nng_msg_free(message);
	nng_close(socket);
	return code;
}

int mf_control_ask_more(const char *path, const char *command, const char *tenant, const char *text,
			unsigned int timeout_ms, struct mf_control_reply *reply,
			struct mf_error *err)
{
	struct sockaddr_un address;
	char *request;
	int code = mf_socket_address(&address, path, err);

	if (!code)
		code = check_path(&address, err);
	if (code)
		return code;
	request = mf_control_request_text(command, tenant, text);
	if (!request)
		return mf_error_set(err, -ENOMEM, "the request is no text, or there is no memory");
	if (strlen(request) > MF_CONTROL_MESSAGE_MAX)
		code = mf_error_set(err, -EMSGSIZE, "the request is larger than %u bytes",
				    MF_CONTROL_MESSAGE_MAX);
	else
		code = ask(path, request, timeout_ms, reply, err);
	free(request);
	return code;
}

int mf_control_ask(const char *path, const char *command, unsigned int timeout_ms,
		   struct mf_control_reply *reply, struct mf_error *err)
{
	return mf_control_ask_more(path, command, NULL, NULL, timeout_ms, reply, err);
}
