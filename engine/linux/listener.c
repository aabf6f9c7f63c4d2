/* SPDX-License-Identifier: MIT */
/* Sockets within the VM that are not connected: made, bound, listening. */
#include "engine/linux/listener.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/connection.h"
#include "engine/linux/wait.h"
#include "engine/linux/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCKET_FLAGS (SOCK_CLOEXEC | SOCK_NONBLOCK)
#define FIRST_PORT   32768u
#define LAST_PORT    60999u
#define FIRST_INODE  0x20000u
#define PATH_OFFSET  offsetof(struct sockaddr_un, sun_path)

static struct mf_guest_listener *listener_rw(struct mf_process *process,
					     const struct mf_guest_listener *listener)
{
	mf_mem_mark(&process->vm.mem, listener, sizeof(*listener));
	return (struct mf_guest_listener *)listener;
}

static uint32_t number_of(const struct mf_process *process,
			  const struct mf_guest_listener *listener)
{
	return (uint32_t)(listener - mf_linux(process)->listeners);
}

static bool listens(const struct mf_guest_listener *listener)
{
	return listener->state == MF_LISTENER_LISTENS;
}

bool mf_listener_wanted(const struct mf_process *process, int domain, int type)
{
	return process->policy->listens_within && type == SOCK_STREAM &&
	       (domain == AF_INET || domain == AF_INET6 || domain == AF_UNIX);
}

int64_t mf_listener_make(struct mf_process *process, int domain, uint32_t flags)
{
	const struct mf_linux *lx = mf_linux(process);
	struct mf_fd entry = {.kind = MF_FD_LISTENER,
			      .host = -1,
			      .flags = O_RDWR | (flags & SOCKET_FLAGS),
			      .offset = (uint64_t)domain | (uint64_t)SOCK_STREAM << 8};
	struct mf_guest_listener *listener;
	int64_t fd;
	uint32_t i = 0;

	while (i < MF_LISTENERS && lx->listeners[i].state)
		i++;
	if (i == MF_LISTENERS)
		return -ENFILE;
	entry.object = i;
	fd = mf_fd_install(process, &entry, 0);
	if (fd < 0)
		return fd;
	listener = listener_rw(process, &lx->listeners[i]);
	*listener = (struct mf_guest_listener){.state = MF_LISTENER_NEW};
	listener->description = mf_fd_index(process, mf_fd_get(process, (uint64_t)fd)) + 1;
	return fd;
}

static bool shares(const struct mf_guest_listener *a, const struct mf_guest_listener *b, int option)
{
	return mf_settings_number(&a->settings, SOL_SOCKET, option) &&
	       mf_settings_number(&b->settings, SOL_SOCKET, option);
}

static int family_of(const struct mf_listener_name *name)
{
	sa_family_t family;

	memcpy(&family, name->address, sizeof(family));
	return family;
}

/* Of IPv4 and IPv6, and the one of IPv6 is for that alone (IPV6_V6ONLY)? */
static bool is_apart(const struct mf_guest_listener *a, int a_family,
		     const struct mf_guest_listener *b, int b_family)
{
	const struct mf_guest_listener *six = a_family == AF_INET6 ? a : b;

	return a_family != b_family &&
	       mf_settings_number(&six->settings, IPPROTO_IPV6, IPV6_V6ONLY);
}

/* Has another socket this name for itself? */
static bool is_taken(const struct mf_process *process, const struct mf_guest_listener *listener,
		     const struct mf_listener_name *name)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < MF_LISTENERS; i++) {
		const struct mf_guest_listener *other = &lx->listeners[i];

		if (other == listener || !other->state || !other->name.bytes ||
		    !mf_names_meet(&other->name, name) ||
		    is_apart(other, family_of(&other->name), listener, family_of(name)) ||
		    shares(other, listener, SO_REUSEPORT))
			continue;
		if (listens(other) || !shares(other, listener, SO_REUSEADDR))
			return true;
	}
	return false;
}

/* One that nobody has: the numbers go round. False: all are taken. */
static bool choose_port(struct mf_process *process, const struct mf_guest_listener *listener,
			struct mf_listener_name *name)
{
	uint32_t tries;

	for (tries = 0; tries <= MF_LISTENERS; tries++) {
		uint32_t port = MF_DIRTY(process, ports_given)++ % (LAST_PORT - FIRST_PORT + 1);

		mf_name_set_port(name, (uint16_t)(FIRST_PORT + port));
		if (!is_taken(process, listener, name))
			return true;
	}
	return false;
}

static bool is_internet(const struct mf_listener_name *name)
{
	return family_of(name) != AF_UNIX;
}

static int take_name(struct mf_process *process, const struct mf_guest_listener *listener,
		     struct mf_listener_name *name)
{
	bool taken = is_internet(name) && !mf_name_port(name)
			     ? !choose_port(process, listener, name)
			     : is_taken(process, listener, name);

	if (taken)
		return -EADDRINUSE;
	listener_rw(process, listener)->name = *name;
	return 0;
}

/* A Unix socket that asks for any name: five digits behind a NUL (unix_autobind). */
static void any_name(struct mf_process *process, struct mf_listener_name *name)
{
	char text[8];

	snprintf(text, sizeof(text), "%05x", MF_DIRTY(process, ports_given)++ & 0xfffffu);
	memcpy(name->address + PATH_OFFSET + 1, text, 5);
	name->bytes = PATH_OFFSET + 6;
}

int64_t mf_listener_bind(struct mf_process *process, const struct mf_fd *entry,
			 const struct mf_address *given)
{
	const struct mf_guest_listener *listener = mf_listener_of(process, entry);
	struct mf_listener_name name;
	int ret = mf_name_check(mf_socket_domain(entry), given);

	if (ret)
		return ret;
	mf_name_store(&name, given);
	/* As unix_autobind: one that has a name keeps it. */
	if (name.bytes == PATH_OFFSET && entry->kind == MF_FD_LISTENER && listener->name.bytes)
		return 0;
	if (entry->kind != MF_FD_LISTENER || listener->name.bytes)
		return -EINVAL;
	if (mf_settings_number(&listener->settings, IPPROTO_IPV6, IPV6_V6ONLY) &&
	    mf_name_is_mapped(&name))
		return -EINVAL;
	if (name.bytes == PATH_OFFSET)
		any_name(process, &name);
	return take_name(process, listener, &name);
}

/* Is it where the role's connections shall arrive? */
static bool may_be_door(const struct mf_process *process, const struct mf_guest_listener *listener)
{
	const char *at = process->policy->listens_at;

	return listens(listener) && (!at || mf_name_is(&listener->name, at));
}

/* The door is the first that listened, as long as it does. */
static void choose_door(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	if (lx->door && may_be_door(process, &lx->listeners[lx->door - 1]))
		return;
	for (i = 0; i < MF_LISTENERS && !may_be_door(process, &lx->listeners[i]); i++)
		;
	MF_DIRTY(process, door) = i < MF_LISTENERS ? i + 1 : 0;
}

int64_t mf_listener_listen(struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_guest_listener *listener = mf_listener_of(process, entry);
	struct mf_listener_name name;
	int ret = 0;

	if (entry->kind != MF_FD_LISTENER)
		return -EINVAL;
	if (listens(listener))
		return 0;
	if (!listener->name.bytes) {
		if (mf_socket_domain(entry) == AF_UNIX)
			return -EINVAL;
		mf_name_of_any(mf_socket_domain(entry), &name);
		ret = take_name(process, listener, &name);
	} else if (is_taken(process, listener, &listener->name)) {
		ret = -EADDRINUSE;
	}
	if (ret)
		return ret;
	listener_rw(process, listener)->state = MF_LISTENER_LISTENS;
	choose_door(process);
	return 0;
}

const struct mf_guest_listener *mf_listener_find(const struct mf_process *process, int domain,
						 const struct mf_address *address)
{
	const struct mf_linux *lx = mf_linux(process);
	struct mf_listener_name to;
	uint32_t i;

	if (mf_name_check(domain, address))
		return NULL;
	mf_name_store(&to, address);
	for (i = 0; i < MF_LISTENERS; i++)
		if (listens(&lx->listeners[i]) && mf_name_reaches(&lx->listeners[i].name, &to))
			return &lx->listeners[i];
	return NULL;
}

void mf_listener_append(struct mf_process *process, const struct mf_guest_listener *listener,
			uint32_t number)
{
	struct mf_guest_listener *to = listener_rw(process, listener);

	if (to->last)
		MF_DIRTY(process, connections[to->last - 1].next) = number + 1;
	else
		to->first = number + 1;
	to->last = number + 1;
	mf_fd_notify(process, mf_fd_at(process, to->description - 1), POLLIN | POLLRDNORM);
}

/* The first in line leaves it. */
static uint32_t take_first(struct mf_process *process, const struct mf_guest_listener *listener)
{
	struct mf_guest_listener *to = listener_rw(process, listener);
	uint32_t number = to->first - 1;

	to->first = mf_linux(process)->connections[number].next;
	if (!to->first)
		to->last = 0;
	MF_DIRTY(process, connections[number].next) = 0;
	return number;
}

int64_t mf_listener_next(const struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_guest_listener *listener = mf_listener_of(process, entry);

	if (entry->kind != MF_FD_LISTENER || !listens(listener))
		return -EINVAL;
	return listener->first ? (int64_t)listener->first - 1 : -EAGAIN;
}

int64_t mf_listener_install(struct mf_process *process, const struct mf_fd *entry, uint32_t flags)
{
	uint32_t number = take_first(process, mf_listener_of(process, entry));
	const struct mf_connection *connection = &mf_linux(process)->connections[number];
	struct mf_fd end = {.kind = MF_FD_CONNECTION,
			    .host = -1,
			    .flags = O_RDWR | (flags & SOCKET_FLAGS),
			    .offset = entry->offset,
			    .object = number};
	int64_t fd = mf_fd_install(process, &end, 0);
	struct mf_connection *to;

	if (fd < 0) {
		mf_connection_leave(process, connection);
		return fd;
	}
	to = mf_connection_rw(process, connection);
	to->description = mf_fd_index(process, mf_fd_get(process, (uint64_t)fd)) + 1;
	to->marks |= MF_CONNECTION_ACCEPTED;
	return fd;
}

int64_t mf_listener_block(struct mf_process *process, const struct mf_fd *entry)
{
	uint64_t until;

	if (entry->flags & O_NONBLOCK)
		return -EAGAIN;
	until = mf_wait_deadline(
		process, mf_settings_span(&mf_listener_of(process, entry)->settings, SO_RCVTIMEO));
	if (mf_vm_now_ns(&process->vm) >= until)
		return -EAGAIN;
	return mf_wait_object(process, mf_fd_object(process, entry, POLLIN), until);
}

/* It listens no more: those who wait in line are turned away. */
static void stop(struct mf_process *process, const struct mf_guest_listener *listener)
{
	while (listener->first) {
		const struct mf_connection *connection =
			&mf_linux(process)->connections[take_first(process, listener)];

		mf_connection_rw(process, connection)->marks |= MF_CONNECTION_ABORT;
		mf_connection_leave(process, connection);
	}
	listener_rw(process, listener)->state = MF_LISTENER_NEW;
	if (mf_linux(process)->door == number_of(process, listener) + 1)
		choose_door(process);
}

static void close_listener(struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_guest_listener *listener = mf_listener_of(process, entry);

	if (listens(listener))
		stop(process, listener);
	*listener_rw(process, listener) = (struct mf_guest_listener){0};
}

/* As tcp_poll: one that is not connected has hung up, and takes bytes. */
static short poll_listener(struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_guest_listener *listener = mf_listener_of(process, entry);

	if (!listens(listener))
		return POLLHUP | POLLOUT | POLLWRNORM;
	return listener->first ? POLLIN | POLLRDNORM : 0;
}

static int64_t read_listener(struct mf_process *process, const struct mf_fd *entry,
			     struct mf_cursor *cursor, const struct mf_io *io)
{
	(void)process;
	(void)io;
	if (!cursor->left)
		return 0;
	return mf_socket_domain(entry) == AF_UNIX ? -EINVAL : -ENOTCONN;
}

static int64_t write_listener(struct mf_process *process, const struct mf_fd *entry,
			      struct mf_cursor *cursor, const struct mf_io *io)
{
	(void)cursor;
	(void)io;
	return mf_socket_domain(entry) == AF_UNIX ? -ENOTCONN : mf_fd_broken_pipe(process);
}

static int stat_listener(struct mf_process *process, const struct mf_fd *entry, struct stat *st)
{
	mf_fd_stat_anon(process, st);
	st->st_mode = S_IFSOCK | 0777;
	st->st_ino = FIRST_INODE + entry->object;
	return 0;
}

const struct mf_fd_ops mf_listener_ops = {
	.name = "socket:[%llu]",
	.traits = MF_FD_POLLS,
	.read = read_listener,
	.write = write_listener,
	.poll = poll_listener,
	.close = close_listener,
	.stat = stat_listener,
	.ioctl = mf_within_ioctl,
};

static int64_t shut_listener(struct mf_process *process, const struct mf_fd *entry, int how)
{
	const struct mf_guest_listener *listener = mf_listener_of(process, entry);

	if (!listens(listener))
		return -ENOTCONN;
	if (how == SHUT_WR)
		return 0;
	stop(process, listener);
	mf_fd_notify(process, entry, POLLIN | POLLHUP);
	return 0;
}

static int64_t shut_connection(struct mf_process *process, const struct mf_fd *entry, int how)
{
	struct mf_connection *connection =
		mf_connection_rw(process, mf_connection_of(process, entry));

	if (connection->marks & MF_CONNECTION_RESET)
		return -ENOTCONN;
	if (how != SHUT_WR)
		connection->marks |= MF_CONNECTION_SHUT_READ;
	if (how != SHUT_RD)
		connection->marks |= MF_CONNECTION_SHUT_WRITE;
	if (how != SHUT_RD && connection->peer)
		mf_connection_end(process, connection->peer - 1);
	if (connection->of_role && how != SHUT_RD)
		mf_connection_news(process, connection);
	mf_fd_notify(process, entry, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	return 0;
}

int64_t mf_within_shutdown(struct mf_process *process, const struct mf_fd *entry, int how)
{
	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	return entry->kind == MF_FD_LISTENER ? shut_listener(process, entry, how)
					     : shut_connection(process, entry, how);
}

int64_t mf_within_name(const struct mf_process *process, const struct mf_fd *entry, bool other,
		       struct mf_address *address)
{
	struct mf_listener_name name;

	if (entry->kind == MF_FD_CONNECTION) {
		const struct mf_connection *connection = mf_connection_of(process, entry);

		if (other && connection->marks & MF_CONNECTION_RESET)
			return -ENOTCONN;
		mf_name_tell(other ? &connection->other : &connection->own, address);
		return 0;
	}
	if (other)
		return -ENOTCONN;
	name = mf_listener_of(process, entry)->name;
	if (!name.bytes)
		mf_name_of_any(mf_socket_domain(entry), &name);
	mf_name_tell(&name, address);
	return 0;
}

bool mf_listener_is_there(const struct mf_process *process)
{
	return mf_linux(process)->door;
}

/* Does that epoll, or one within it, watch the door? `seen`: epolls that were looked at. */
static bool watches_door(const struct mf_process *process, uint32_t epoll, uint64_t *seen)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t door = lx->listeners[lx->door - 1].description - 1;
	uint32_t at = lx->epolls[epoll].items;
	bool found = false;

	if (seen[epoll / 64] >> (epoll % 64) & 1)
		return false;
	seen[epoll / 64] |= 1ull << (epoll % 64);
	for (; at && !found; at = mf_watch_item(process, at - 1)->of_epoll.next) {
		const struct mf_epoll_item *item = mf_watch_item(process, at - 1);

		if (item->target == door)
			found = item->events & (POLLIN | POLLRDNORM);
		else if (mf_fd_at(process, item->target)->kind == MF_FD_EPOLL)
			found = watches_door(process, item->target, seen);
	}
	return found;
}

bool mf_listener_is_behind(const struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t seen[MF_FDS / 64] = {0};

	if (!lx->door)
		return false;
	if (entry->kind == MF_FD_EPOLL)
		return watches_door(process, mf_fd_index(process, entry), seen);
	return entry->kind == MF_FD_LISTENER && entry->object == lx->door - 1;
}

/* In accept or epoll_wait: the object that it waits for says where. */
static bool thread_waits(const struct mf_process *process, const struct mf_wait *wait)
{
	uint64_t index = (wait->object & ((1ull << 61) - 1)) >> 1;

	if (wait->listens)
		return true;
	return wait->object >> 61 == MF_WAIT_FD(0, false) >> 61 && index < MF_FDS &&
	       mf_listener_is_behind(process, mf_fd_at(process, (uint32_t)index));
}

bool mf_listener_waits(const struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; lx->door && i < lx->threads_high; i++)
		if (lx->threads[i].state == MF_THREAD_PARKED &&
		    thread_waits(process, &lx->threads[i].wait))
			return true;
	return false;
}
