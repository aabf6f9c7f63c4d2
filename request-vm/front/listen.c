// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "request-vm/front/listen.h"

#define BACKLOG 511

static int parse_unix(struct mf_listen_address *out, const char *path, struct mf_error *err)
{
	out->sockaddr_bytes = sizeof(struct sockaddr_un);
	return mf_socket_address((struct sockaddr_un *)&out->sockaddr, path, err);
}

/* Splits HOST:PORT; brackets are taken off an IPv6 host. */
static int split(const char *text, char host[256], int *port, struct mf_error *err)
{
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	bool bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';
	char *end;
	long number;

	if (!colon || strpbrk(text, " \t/"))
		goto invalid;
	if (length == 0 || (length == 1 && text[0] == '*') || (bracketed && length == 2))
		return mf_error_set(
			err, -EINVAL,
			"\"%s\" names no host; write 127.0.0.1%s for this machine only or "
			"0.0.0.0%s for every interface.",
			text, colon, colon);
	if (colon[1] < '0' || colon[1] > '9')
		goto invalid;
	number = strtol(colon + 1, &end, 10);
	if (*end || number > 65535)
		return mf_error_set(err, -EINVAL,
				    "The port in \"%s\" is not a number from 0 to 65535.", text);
	if (bracketed) {
		text++;
		length -= 2;
	} else if (memchr(text, ':', length)) {
		return mf_error_set(err, -EINVAL,
				    "\"%s\" is ambiguous; put the IPv6 address in brackets, as in "
				    "[::1]:8080.",
				    text);
	}
	if (length >= 256)
		goto invalid;
	memcpy(host, text, length);
	host[length] = '\0';
	*port = (int)number;
	return 0;
invalid:
	return mf_error_set(err, -EINVAL,
			    "\"%s\" is not an address; write HOST:PORT, [IPV6]:PORT or unix:PATH.",
			    text);
}

static int look_up(struct mf_listen_address *out, const char *host, int port, int family)
{
	struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char service[8];
	int code;

	snprintf(service, sizeof(service), "%d", port);
	hints.ai_flags = AI_NUMERICSERV | AI_PASSIVE;
	code = getaddrinfo(host, service, &hints, &found);
	if (code)
		return code;
	memcpy(&out->sockaddr, found->ai_addr, found->ai_addrlen);
	out->sockaddr_bytes = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

int mf_listen_parse(struct mf_listen_address *out, const char *text, struct mf_error *err)
{
	char host[256];
	int port = 0, code;

	*out = (struct mf_listen_address){0};
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(out, text + 5, err);
	code = split(text, host, &port, err);
	if (code)
		return code;
	/* a name that has both gets IPv4: what people type is 127.0.0.1 */
	code = look_up(out, host, port, AF_INET);
	if (code)
		code = look_up(out, host, port, AF_INET6);
	if (code)
		return mf_error_set(err, -ENOENT, "Cannot find the host \"%s\": %s.", host,
				    gai_strerror(code));
	return 0;
}

static int bind_unix(struct mf_listener *listener, const char *path, struct mf_error *err)
{
	struct mf_socket_file *file = &listener->file;
	int code = mf_socket_file_claim(file, path, err);

	if (code)
		return code;
	if (bind(listener->fd, (const struct sockaddr *)&file->address, sizeof(file->address)) < 0)
		return mf_error_set(err, -errno, "Cannot make the socket %s: %m.", path);
	mf_socket_file_mark(file);
	if (listen(listener->fd, BACKLOG) < 0)
		return mf_error_set(err, -errno, "Cannot listen on %s: %m.", path);
	mf_socket_file_unlock(file);
	snprintf(listener->name, sizeof(listener->name), "unix:%s", path);
	return 0;
}

static int refuse_inet(int code, const char *text, struct mf_error *err)
{
	switch (code) {
	case -EADDRINUSE:
		return mf_error_set(
			err, code, "Another program listens on %s; stop it or choose another port.",
			text);
	case -EACCES:
		return mf_error_set(
			err, code,
			"Ports below 1024 need a privilege; choose a higher one than in %s.", text);
	case -EADDRNOTAVAIL:
		return mf_error_set(err, code,
				    "No interface of this machine has the address of %s.", text);
	default:
		return mf_error_set(err, code, "Cannot listen on %s: %s.", text, strerror(-code));
	}
}

static int bind_inet(struct mf_listener *listener, const struct mf_listen_address *address,
		     const char *text, struct mf_error *err)
{
	struct sockaddr_storage real;
	socklen_t bytes = sizeof(real);
	char host[64], port[8];
	const int on = 1;

	/* connections inherit TCP_NODELAY: set here it costs no call for each */
	(void)setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(listener->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (address->sockaddr.ss_family == AF_INET6)
		(void)setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(listener->fd, (const struct sockaddr *)&address->sockaddr,
		 address->sockaddr_bytes) < 0 ||
	    listen(listener->fd, BACKLOG) < 0 ||
	    getsockname(listener->fd, (struct sockaddr *)&real, &bytes) < 0)
		return refuse_inet(-errno, text, err);
	if (getnameinfo((struct sockaddr *)&real, bytes, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return mf_error_set(err, -EINVAL, "Cannot write down the address of %s.", text);
	snprintf(listener->name, sizeof(listener->name),
		 real.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	return 0;
}

int mf_listen_open(struct mf_listener *out, const char *text, struct mf_error *err)
{
	struct mf_listen_address address;
	int code;

	*out = (struct mf_listener){.fd = -1, .file = {.lock_fd = -1, .file_fd = -1}};
	code = mf_listen_parse(&address, text, err);
	if (code)
		return code;
	out->fd = socket(address.sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (out->fd < 0)
		return mf_error_set(err, -errno, "Cannot make a socket for %s: %m.", text);
	out->is_unix = address.sockaddr.ss_family == AF_UNIX;
	if (out->is_unix)
		code = bind_unix(out, ((struct sockaddr_un *)&address.sockaddr)->sun_path, err);
	else
		code = bind_inet(out, &address, text, err);
	if (code)
		mf_listen_close(out);
	return code;
}

void mf_listen_close(struct mf_listener *listener)
{
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
	if (listener->is_unix)
		mf_socket_file_remove(&listener->file);
}
