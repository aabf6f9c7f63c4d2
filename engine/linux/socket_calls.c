/* SPDX-License-Identifier: MIT */
/* Connecting sockets: bind, listen, accept, connect, shutdown, and their names. */
#include "engine/linux/listener.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* The socket and the address of a call that binds or connects it; NULL: *ret is the answer. */
static const struct mf_fd *address_call(struct mf_process *process, const uint64_t arg[6],
					struct mf_address *given, int64_t *ret)
{
	const struct mf_fd *entry = mf_socket_get(process, arg[0], ret);

	if (!entry)
		return NULL;
	*ret = mf_address_get(process, arg[1], arg[2], given);
	if (!*ret && !mf_socket_is_within(entry))
		*ret = mf_socket_changes(process, entry);
	return *ret ? NULL : entry;
}

int64_t mf_sys_bind(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_address given, host;
	int64_t ret;
	const struct mf_fd *entry = address_call(process, arg, &given, &ret);
	int opened;

	if (!entry)
		return ret;
	if (mf_socket_is_within(entry))
		return mf_listener_bind(process, entry, &given);
	ret = mf_address_check(process, entry, MF_NET_LISTEN, &given, &host, &opened);
	/* The mode of the socket's file comes from the socket's own (Linux unix_bind_bsd). */
	if (!ret && opened >= 0)
		fchmod(entry->host, 0777 & ~(mode_t)mf_linux(process)->umask);
	if (!ret && bind(mf_socket_host(process, entry), &host.any, host.bytes))
		ret = -errno;
	if (opened >= 0)
		close(opened);
	if (!ret)
		mf_address_note(process, &given, &host);
	return ret;
}

/* A socket without an address gets one that any may reach: that needs a rule, too. */
static int check_unbound(struct mf_process *process, const struct mf_fd *entry)
{
	struct mf_address own = {.bytes = sizeof(own.storage)}, host;
	int opened;

	if (mf_socket_domain(entry) == AF_UNIX)
		return 0;
	if (getsockname(entry->host, &own.any, &own.bytes))
		return -errno;
	if (own.any.sa_family == AF_INET ? own.in.sin_port : own.in6.sin6_port)
		return 0;
	return mf_address_check(process, entry, MF_NET_LISTEN, &own, &host, &opened);
}

int64_t mf_sys_listen(struct mf_process *process, const uint64_t arg[6])
{
	int64_t ret;
	const struct mf_fd *entry = mf_socket_get(process, arg[0], &ret);

	if (!entry)
		return ret;
	if (mf_socket_is_within(entry))
		return mf_listener_listen(process, entry);
	/* An event loop does it again; the image's queue stays as it is. */
	if (entry->offset & MF_SOCKET_LISTENS && mf_socket_changes(process, entry))
		return 0;
	ret = mf_socket_changes(process, entry);
	if (!ret)
		ret = check_unbound(process, entry);
	if (ret)
		return ret;
	if (listen(mf_socket_host(process, entry), (int)arg[1]))
		return -errno;
	mf_fd_rw(process, entry)->offset |= MF_SOCKET_LISTENS;
	return 0;
}

/* What accept's flags and the listening socket make of a new connection. */
static int64_t install_accepted(struct mf_process *process, const struct mf_fd *listener, int host,
				uint32_t flags)
{
	struct mf_fd entry =
		mf_socket_entry(host, mf_socket_domain(listener), mf_socket_type(listener), flags);
	int64_t fd;

	entry.offset |= listener->offset & (MF_SOCKET_LINGERS | (uint64_t)MF_SOCKET_LINGER_MAX
									<< MF_SOCKET_LINGER_SHIFT);
	fd = mf_fd_install(process, &entry, 0);
	if (fd < 0)
		close(host);
	return fd;
}

/* The same of a listener within the VM. */
static int64_t accept_within(struct mf_process *process, const struct mf_fd *entry,
			     const uint64_t arg[6], uint32_t flags)
{
	int64_t number = mf_listener_next(process, entry);
	struct mf_address from;
	int64_t fd, ret = 0;

	if (number == -EAGAIN)
		return mf_listener_block(process, entry);
	if (number < 0)
		return number;
	mf_name_tell(&mf_linux(process)->connections[number].other, &from);
	fd = mf_listener_install(process, entry, flags);
	if (fd >= 0 && arg[1])
		ret = mf_address_put(process, &from, arg[1], arg[2]);
	if (ret)
		mf_fd_close(process, (uint64_t)fd);
	return ret ? ret : fd;
}

static int64_t accept_one(struct mf_process *process, const uint64_t arg[6], uint32_t flags)
{
	struct mf_address from = {.bytes = sizeof(from.storage)};
	int64_t ret;
	const struct mf_fd *entry = mf_socket_get(process, arg[0], &ret);
	int host;

	if (!entry)
		return ret;
	if (flags & ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	/* As Linux: without a number to give nothing is taken from the queue. */
	if (!mf_fd_has_room(process))
		return -EMFILE;
	if (mf_socket_is_within(entry))
		return accept_within(process, entry, arg, flags);
	host = accept4(mf_socket_host(process, entry), &from.any, &from.bytes,
		       SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (host < 0 && errno == EAGAIN)
		return mf_socket_block(process, entry, POLLIN, SO_RCVTIMEO,
				       entry->flags & O_NONBLOCK);
	if (host < 0)
		return -errno;
	mf_address_to_guest(process, &from);
	ret = arg[1] ? mf_address_put(process, &from, arg[1], arg[2]) : 0;
	if (!ret)
		return install_accepted(process, entry, host, flags);
	close(host);
	return ret;
}

int64_t mf_sys_accept(struct mf_process *process, const uint64_t arg[6])
{
	return accept_one(process, arg, 0);
}

int64_t mf_sys_accept4(struct mf_process *process, const uint64_t arg[6])
{
	return accept_one(process, arg, (uint32_t)arg[3]);
}

/*
 * The host's socket goes on connecting by itself, and the call is made again on it: EALREADY while
 * it does, and what came of it when it is over.
 */
static int64_t connect_host(struct mf_process *process, const struct mf_fd *entry,
			    const struct mf_address *host)
{
	bool nonblock = entry->flags & O_NONBLOCK;
	int64_t ret;
	int error;

	if (!connect(mf_socket_host(process, entry), &host->any, host->bytes))
		return 0;
	error = errno;
	/* A Unix socket whose peer's queue is full: nobody tells when it is not. */
	if (error == EAGAIN && mf_socket_domain(entry) == AF_UNIX)
		return mf_socket_again(process, entry, SO_SNDTIMEO, nonblock);
	if (nonblock || (error != EINPROGRESS && error != EALREADY))
		return -error;
	ret = mf_socket_block(process, entry, POLLOUT, SO_SNDTIMEO, false);
	return ret == -EAGAIN ? -error : ret;
}

int64_t mf_sys_connect(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_address given, host;
	int64_t ret;
	const struct mf_fd *entry = address_call(process, arg, &given, &ret);
	int opened = -1;

	if (!entry)
		return ret;
	if (mf_socket_is_within(entry)) {
		ret = mf_listener_connect(process, entry, &given);
		if (ret != 1)
			return ret;
	}
	host = given;
	/* To no family: the end of a connection. */
	if (given.bytes < sizeof(sa_family_t) || given.any.sa_family != AF_UNSPEC)
		ret = mf_address_check(process, entry, MF_NET_CONNECT, &given, &host, &opened);
	if (!ret)
		ret = connect_host(process, entry, &host);
	if (opened >= 0)
		close(opened);
	return ret;
}

int64_t mf_sys_shutdown(struct mf_process *process, const uint64_t arg[6])
{
	int64_t ret;
	const struct mf_fd *entry = mf_socket_get(process, arg[0], &ret);

	if (entry && mf_socket_is_within(entry))
		return mf_within_shutdown(process, entry, (int)arg[1]);
	if (entry)
		ret = mf_socket_changes(process, entry);
	if (ret)
		return ret;
	return shutdown(mf_socket_host(process, entry), (int)arg[1]) ? -errno : 0;
}

typedef int name_fn(int fd, struct sockaddr *address, socklen_t *bytes);

static int own_name(int fd, struct sockaddr *address, socklen_t *bytes)
{
	return getsockname(fd, address, bytes);
}

static int peer_name(int fd, struct sockaddr *address, socklen_t *bytes)
{
	return getpeername(fd, address, bytes);
}

static int64_t tell_name(struct mf_process *process, const uint64_t arg[6], name_fn *fn)
{
	struct mf_address address = {.bytes = sizeof(address.storage)};
	int64_t ret;
	const struct mf_fd *entry = mf_socket_get(process, arg[0], &ret);

	if (!entry)
		return ret;
	if (mf_socket_is_within(entry)) {
		ret = mf_within_name(process, entry, fn == peer_name, &address);
		return ret ? ret : mf_address_put(process, &address, arg[1], arg[2]);
	}
	if (fn(mf_socket_host(process, entry), &address.any, &address.bytes))
		return -errno;
	mf_address_to_guest(process, &address);
	return mf_address_put(process, &address, arg[1], arg[2]);
}

int64_t mf_sys_getsockname(struct mf_process *process, const uint64_t arg[6])
{
	return tell_name(process, arg, own_name);
}

int64_t mf_sys_getpeername(struct mf_process *process, const uint64_t arg[6])
{
	return tell_name(process, arg, peer_name);
}
