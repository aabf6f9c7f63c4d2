/* SPDX-License-Identifier: MIT */
/* Sockets as descriptions: making them, what is shared with the image, waiting. */
#include "engine/linux/explain.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/listener.h"
#include "engine/linux/socket.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#define SOCKET_FLAGS  (SOCK_CLOEXEC | SOCK_NONBLOCK)
#define TYPE_MASK     0xfu
#define SOCK_TYPES    11 /* Linux' SOCK_MAX */
#define LOOK_AGAIN_NS 2000000ull

const struct mf_fd *mf_socket_get(const struct mf_process *process, uint64_t fd, int64_t *ret)
{
	const struct mf_fd *entry = mf_fd_get(process, fd);

	*ret = !entry || entry->flags & O_PATH ? -EBADF : !mf_fd_is_socket(entry) ? -ENOTSOCK : 0;
	return *ret ? NULL : entry;
}

struct mf_fd mf_socket_entry(int host, int domain, int type, uint32_t flags)
{
	return (struct mf_fd){
		.kind = MF_FD_SOCKET,
		.host = host,
		.flags = O_RDWR | (flags & SOCKET_FLAGS),
		.offset = (uint64_t)domain | (uint64_t)type << 8,
	};
}

int mf_socket_host(struct mf_process *process, const struct mf_fd *entry)
{
	int ret = 0;

	if (!(entry->offset & (MF_SOCKET_OWN | MF_SOCKET_LISTENS)) &&
	    mf_fd_of_image(process, entry->host))
		ret = mf_socket_own(process, entry);
	return ret ? ret : entry->host;
}

int mf_socket_changes(struct mf_process *process, const struct mf_fd *entry)
{
	int host = mf_socket_host(process, entry);

	return host < 0 ? host : mf_fd_of_image(process, host) ? -EPERM : 0;
}

/* The description's timeout in nanoseconds. */
static uint64_t timeout_of(int host, int option)
{
	struct timeval span = {0};
	socklen_t bytes = sizeof(span);

	if (getsockopt(host, SOL_SOCKET, option, &span, &bytes) || (!span.tv_sec && !span.tv_usec))
		return MF_FOREVER;
	return (uint64_t)span.tv_sec * 1000000000ull + (uint64_t)span.tv_usec * 1000ull;
}

int64_t mf_socket_block(struct mf_process *process, const struct mf_fd *entry, short events,
			int option, bool nonblock)
{
	uint64_t until;

	if (nonblock)
		return -EAGAIN;
	until = mf_wait_deadline(process, timeout_of(entry->host, option));
	if (mf_vm_now_ns(&process->vm) >= until)
		return -EAGAIN;
	mf_wait_host(process, entry->host, events);
	if (until != MF_FOREVER)
		MF_THREAD_DIRTY(process, wait.until_ns) = until;
	return MF_SYS_WAIT;
}

int64_t mf_socket_again(struct mf_process *process, const struct mf_fd *entry, int option,
			bool nonblock)
{
	uint64_t now = mf_vm_now_ns(&process->vm);
	uint64_t until;

	if (nonblock)
		return -EAGAIN;
	until = mf_wait_deadline(process, timeout_of(entry->host, option));
	if (now >= until)
		return -EAGAIN;
	return mf_wait_until(process, now + LOOK_AGAIN_NS < until ? now + LOOK_AGAIN_NS : until);
}

/* socket()'s protocols: a socket of any other would reach further than the rules go. */
static int check_protocol(int type, int protocol)
{
	if (type >= SOCK_TYPES)
		return -EINVAL;
	if (type == SOCK_RAW || type == SOCK_PACKET)
		return -EPERM;
	if (type != SOCK_STREAM && type != SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	if (!protocol || protocol == (type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP))
		return 0;
	return type == SOCK_DGRAM && protocol == IPPROTO_UDPLITE ? 0 : -EPROTONOSUPPORT;
}

static bool has_family(const struct mf_permit_net *net, int domain)
{
	return mf_permit_net_has(net, MF_NET_CONNECT, domain) ||
	       mf_permit_net_has(net, MF_NET_LISTEN, domain);
}

bool mf_socket_internet(const struct mf_process *process)
{
	return has_family(process->policy->net, AF_INET) ||
	       has_family(process->policy->net, AF_INET6);
}

int mf_socket_check(int domain, int type, int protocol)
{
	switch (domain) {
	case AF_UNIX:
		return protocol && protocol != AF_UNIX ? -EPROTONOSUPPORT : 0;
	case AF_INET:
	case AF_INET6:
		return check_protocol(type, protocol);
	case AF_NETLINK:
		if (type != SOCK_RAW && type != SOCK_DGRAM)
			return -ESOCKTNOSUPPORT;
		return protocol == NETLINK_ROUTE ? 0 : -EPROTONOSUPPORT;
	default:
		return -EAFNOSUPPORT;
	}
}

bool mf_socket_may_make(const struct mf_permit_net *net, int domain)
{
	if (domain == AF_NETLINK || domain == AF_INET6)
		return has_family(net, AF_INET) || has_family(net, AF_INET6);
	return has_family(net, domain);
}

static int check_family(const struct mf_process *process, int domain)
{
	if (mf_socket_may_make(process->policy->net, domain))
		return 0;
	mf_explain(process, domain == AF_UNIX ? "--allow-net=unix:*" : "--allow-net", "%s socket",
		   domain == AF_UNIX ? "Unix" : "Internet");
	return -EACCES;
}

int64_t mf_sys_socket(struct mf_process *process, const uint64_t arg[6])
{
	int domain = (int)arg[0];
	int type = (int)(arg[1] & TYPE_MASK);
	uint32_t flags = (uint32_t)arg[1] & ~TYPE_MASK;
	struct mf_fd entry;
	int64_t fd;
	int host;

	if (flags & ~(uint32_t)SOCKET_FLAGS)
		return -EINVAL;
	host = mf_socket_check(domain, type, (int)arg[2]);
	if (!host && mf_listener_wanted(process, domain, type))
		return mf_listener_make(process, domain, flags);
	if (!host)
		host = check_family(process, domain);
	if (host)
		return host;
	host = socket(domain, type | SOCKET_FLAGS, (int)arg[2]);
	if (host < 0)
		return -errno;
	/* As Linux: a raw Unix socket is one of datagrams. */
	entry = mf_socket_entry(host, domain, type == SOCK_RAW ? SOCK_DGRAM : type, flags);
	fd = mf_fd_install(process, &entry, 0);
	if (fd < 0)
		close(host);
	return fd;
}

/* Put both ends into the table and tell the guest. Owns hosts[] in any case. */
static int64_t install_pair(struct mf_process *process, const int hosts[2], int type,
			    uint32_t flags, uint64_t to)
{
	int32_t fds[2] = {-1, -1};
	int64_t fd = 0;
	int i;

	for (i = 0; i < 2 && fd >= 0; i++) {
		struct mf_fd entry = mf_socket_entry(hosts[i], AF_UNIX, type, flags);

		fd = mf_fd_install(process, &entry, 0);
		fds[i] = (int32_t)fd;
	}
	if (fd >= 0)
		fd = mf_guest_write(process, to, fds, sizeof(fds));
	for (i = 0; i < 2; i++) {
		const struct mf_fd *entry = mf_fd_get(process, (uint64_t)fds[i]);
		const struct mf_fd *other = mf_fd_get(process, (uint64_t)fds[!i]);

		if (fd >= 0)
			mf_fd_rw(process, entry)->object = mf_fd_index(process, other) + 1;
		else if (fds[i] < 0)
			close(hosts[i]);
		else
			mf_fd_close(process, (uint64_t)fds[i]);
	}
	return fd < 0 ? fd : 0;
}

int64_t mf_sys_socketpair(struct mf_process *process, const uint64_t arg[6])
{
	int domain = (int)arg[0];
	int type = (int)(arg[1] & TYPE_MASK);
	uint32_t flags = (uint32_t)arg[1] & ~TYPE_MASK;
	int hosts[2];

	if (flags & ~(uint32_t)SOCKET_FLAGS)
		return -EINVAL;
	if (domain == AF_INET || domain == AF_INET6)
		return -EOPNOTSUPP;
	if (domain != AF_UNIX)
		return -EAFNOSUPPORT;
	if (socketpair(AF_UNIX, type | SOCKET_FLAGS, (int)arg[2], hosts))
		return -errno;
	type = type == SOCK_RAW ? SOCK_DGRAM : type;
	return install_pair(process, hosts, type, flags, arg[3]);
}

static int64_t read_socket(struct mf_process *process, const struct mf_fd *entry,
			   struct mf_cursor *cursor, const struct mf_io *io)
{
	struct mf_socket_message message = {.flags = 0};

	if (!cursor->left)
		return 0;
	return mf_socket_receive(process, entry, cursor, &message,
				 io->flags & O_NONBLOCK ? MSG_DONTWAIT : 0);
}

static int64_t write_socket(struct mf_process *process, const struct mf_fd *entry,
			    struct mf_cursor *cursor, const struct mf_io *io)
{
	struct mf_socket_message message = {.flags = 0};

	return mf_socket_send(process, entry, cursor, &message,
			      io->flags & O_NONBLOCK ? MSG_DONTWAIT : 0);
}

/* poll and epoll wait for it: a pair has to be the fork's own by then. */
static int host_of(const struct mf_process *process, const struct mf_fd *entry)
{
	int host = mf_socket_host((struct mf_process *)process, entry);

	return host < 0 ? entry->host : host;
}

/* The other end sees the end of it, and stands alone from now on. */
static void close_socket(struct mf_process *process, const struct mf_fd *entry)
{
	mf_socket_host(process, entry);
	if (entry->object)
		mf_fd_rw(process, mf_fd_at(process, entry->object - 1))->object = 0;
}

const struct mf_fd_ops mf_socket_ops = {
	.name = "socket:[%llu]",
	.traits = MF_FD_HAS_HOST | MF_FD_POLLS,
	.read = read_socket,
	.write = write_socket,
	.host = host_of,
	.close = close_socket,
	.ioctl = mf_socket_ioctl,
	.freeze = mf_socket_freeze,
};
