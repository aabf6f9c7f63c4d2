/* SPDX-License-Identifier: MIT */
/* connect() of a socket within the VM: to a listener beside it, to the store, or to somebody
 * outside. */
#include "engine/linux/listener.h"
#include "engine/linux/connection.h"
#include "engine/linux/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

/* The description is none of a listener any more; what was set goes with it. */
static void leave_listener(struct mf_process *process, const struct mf_guest_listener *listener)
{
	mf_mem_mark(&process->vm.mem, listener, sizeof(*listener));
	*(struct mf_guest_listener *)listener = (struct mf_guest_listener){0};
}

/* Who connects, if he has no name: at the loopback address of the kind that he connects to. */
static void name_client(struct mf_process *process, const struct mf_fd *entry,
			const struct mf_address *given, struct mf_listener_name *name)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	bool is_six =
		mf_socket_domain(entry) == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&given->in6.sin6_addr);

	mf_name_of_client(mf_socket_domain(entry), is_six ? (struct sockaddr *)&six : NULL,
			  is_six ? sizeof(six) : 0, MF_DIRTY(process, ports_given)++, name);
}

/* The name that the program's end has: what it has bound, or any. */
static void own_name(struct mf_process *process, const struct mf_fd *entry,
		     const struct mf_address *given, struct mf_listener_name *name)
{
	*name = mf_listener_of(process, entry)->name;
	if (!name->bytes)
		name_client(process, entry, given, name);
}

/* The description is that connection's from now on. */
static void become_connection(struct mf_process *process, const struct mf_fd *entry,
			      uint32_t number)
{
	struct mf_connection *here =
		mf_connection_rw(process, &mf_linux(process)->connections[number]);
	struct mf_fd *end = mf_fd_rw(process, entry);

	here->description = mf_fd_index(process, entry) + 1;
	leave_listener(process, mf_listener_of(process, entry));
	end->kind = MF_FD_CONNECTION;
	end->object = number;
	mf_fd_notify(process, entry, POLLOUT | POLLWRNORM);
}

/* What its connect() returns: as over the network, it is on its way for who does not wait. */
static int64_t connected(struct mf_process *process, const struct mf_fd *entry)
{
	if (mf_socket_domain(entry) == AF_UNIX || !(entry->flags & O_NONBLOCK))
		return 0;
	mf_connection_rw(process, mf_connection_of(process, entry))->marks |= MF_CONNECTION_BEGUN;
	return -EINPROGRESS;
}

static int64_t connect_within(struct mf_process *process, const struct mf_fd *entry,
			      const struct mf_guest_listener *to, const struct mf_address *given)
{
	const struct mf_linux *lx = mf_linux(process);
	struct mf_connection *here, *there;
	struct mf_listener_name name;
	uint32_t far, near;

	own_name(process, entry, given, &name);
	far = mf_connection_make(process, to, &name);
	near = far < MF_CONNECTIONS
		       ? mf_connection_make(process, mf_listener_of(process, entry), &name)
		       : far;
	if (near == MF_CONNECTIONS) {
		if (far < MF_CONNECTIONS)
			mf_connection_leave(process, &lx->connections[far]);
		return -ECONNREFUSED;
	}
	there = mf_connection_rw(process, &lx->connections[far]);
	here = mf_connection_rw(process, &lx->connections[near]);
	there->peer = near + 1;
	here->peer = far + 1;
	here->own = there->other;
	here->other = there->own;
	here->settings = mf_listener_of(process, entry)->settings;
	become_connection(process, entry, near);
	mf_listener_append(process, to, far);
	return connected(process, entry);
}

/* connect() of one that is connected: the first one behind EINPROGRESS is told that it worked. */
static int64_t connect_again(struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_connection *connection = mf_connection_of(process, entry);

	if (!(connection->marks & MF_CONNECTION_BEGUN))
		return -EISCONN;
	mf_connection_rw(process, connection)->marks &= ~(uint32_t)MF_CONNECTION_BEGUN;
	return 0;
}

/* The role has the other end, and brings what comes to the store. */
static int64_t connect_store(struct mf_process *process, const struct mf_fd *entry,
			     const struct mf_address *given, const struct mf_listener_name *to)
{
	struct mf_listener_name name;
	struct mf_connection *here;
	uint32_t number;

	own_name(process, entry, given, &name);
	number = mf_connection_make(process, mf_listener_of(process, entry), &name);
	if (number == MF_CONNECTIONS)
		return -ECONNREFUSED;
	here = mf_connection_rw(process, &mf_linux(process)->connections[number]);
	here->of_role = 1;
	here->marks |= MF_CONNECTION_STORE;
	here->own = name;
	mf_name_of_end(to, &name, &here->other);
	become_connection(process, entry, number);
	return connected(process, entry);
}

/* Is it the store's address, and is there one? */
static bool is_store(const struct mf_process *process, const struct mf_fd *entry,
		     const struct mf_address *given, struct mf_listener_name *to)
{
	if (!process->policy->has_store)
		return false;
	mf_name_store(to, given);
	return mf_name_is_store(to);
}

/* A host's socket that is bound as the program has bound this one. */
static int make_host(struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_guest_listener *own = mf_listener_of(process, entry);
	struct mf_address given, host;
	int opened = -1;
	int fd = socket(mf_socket_domain(entry), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret = 0;

	if (fd < 0)
		return -errno;
	mf_settings_replay(&own->settings, fd);
	if (own->name.bytes) {
		mf_name_tell(&own->name, &given);
		ret = mf_address_check(process, entry, MF_NET_LISTEN, &given, &host, &opened);
		if (!ret && bind(fd, &host.any, host.bytes))
			ret = -errno;
	}
	if (opened >= 0)
		close(opened);
	if (!ret && process->policy->host_fd_end && fd >= process->policy->host_fd_end)
		ret = -ENFILE;
	if (ret)
		close(fd);
	return ret ? ret : fd;
}

static int64_t become_host(struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_guest_listener *own = mf_listener_of(process, entry);
	struct linger linger = mf_settings_linger(&own->settings);
	int host = make_host(process, entry);
	uint64_t seconds = (uint32_t)linger.l_linger;
	struct mf_fd *to;

	if (host < 0)
		return host;
	leave_listener(process, own);
	to = mf_fd_rw(process, entry);
	seconds = seconds < MF_SOCKET_LINGER_MAX ? seconds : MF_SOCKET_LINGER_MAX;
	if (linger.l_onoff && seconds)
		to->offset |= MF_SOCKET_LINGERS | seconds << MF_SOCKET_LINGER_SHIFT;
	to->kind = MF_FD_SOCKET;
	to->host = host;
	to->object = 0;
	mf_watch_rehost(process, entry);
	return 1;
}

int64_t mf_listener_connect(struct mf_process *process, const struct mf_fd *entry,
			    const struct mf_address *given)
{
	const struct mf_guest_listener *to;
	struct mf_listener_name store;
	struct mf_address host;
	int opened = -1;
	int ret;

	if (entry->kind == MF_FD_CONNECTION)
		return connect_again(process, entry);
	if (mf_listener_of(process, entry)->state == MF_LISTENER_LISTENS)
		return mf_socket_domain(entry) == AF_UNIX ? -EINVAL : -EISCONN;
	/* To no family: the end of a connection that there is not. */
	if (given->bytes >= sizeof(sa_family_t) && given->any.sa_family == AF_UNSPEC)
		return 0;
	ret = mf_name_check(mf_socket_domain(entry), given);
	if (ret)
		return ret;
	to = mf_listener_find(process, mf_socket_domain(entry), given);
	if (to)
		return connect_within(process, entry, to, given);
	if (is_store(process, entry, given, &store))
		return connect_store(process, entry, given, &store);
	ret = mf_address_check(process, entry, MF_NET_CONNECT, given, &host, &opened);
	if (opened >= 0)
		close(opened);
	return ret ? ret : become_host(process, entry);
}
