/* SPDX-License-Identifier: MIT */
/*
 * Sockets of an image. A pair with nothing in it and a socket that has no address are made anew by
 * each fork that uses them; one that is bound or listens is the host's one for all forks, and none
 * can change it. In an image file they are described, and made anew where it is loaded.
 */
#include "engine/linux/socket_image.h"
#include "engine/image/check.h"
#include "engine/linux/socket.h"
#include "engine/linux/socket_option.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define KEPT_FLAGS                                           \
	(0xffffull | MF_SOCKET_LISTENS | MF_SOCKET_LINGERS | \
	 (uint64_t)MF_SOCKET_LINGER_MAX << MF_SOCKET_LINGER_SHIFT)

static int protocol_of(int host)
{
	int protocol = 0;
	socklen_t bytes = sizeof(protocol);

	getsockopt(host, SOL_SOCKET, SO_PROTOCOL, &protocol, &bytes);
	return protocol;
}

/* Its own address: its bytes, 0: none. */
static socklen_t address_of(int host, struct sockaddr_storage *address)
{
	socklen_t bytes = sizeof(*address);

	memset(address, 0, sizeof(*address));
	if (getsockname(host, (struct sockaddr *)address, &bytes))
		return 0;
	switch (address->ss_family) {
	case AF_INET:
		return ((struct sockaddr_in *)address)->sin_port ? bytes : 0;
	case AF_INET6:
		return ((struct sockaddr_in6 *)address)->sin6_port ? bytes : 0;
	case AF_NETLINK:
		return ((struct sockaddr_nl *)address)->nl_pid ? bytes : 0;
	default:
		return bytes > sizeof(sa_family_t) ? bytes : 0;
	}
}

/* Has it a peer, or is it on the way to one, or was it? */
static bool is_connected(const struct mf_fd *entry)
{
	struct sockaddr_storage peer;
	socklen_t bytes = sizeof(peer);
	struct tcp_info info;

	if (mf_socket_domain(entry) == AF_NETLINK)
		return false;
	if (!getpeername(entry->host, (struct sockaddr *)&peer, &bytes) || errno != ENOTCONN)
		return true;
	bytes = sizeof(info);
	if (mf_socket_domain(entry) == AF_UNIX || mf_socket_type(entry) != SOCK_STREAM)
		return false;
	return getsockopt(entry->host, IPPROTO_TCP, TCP_INFO, &info, &bytes) ||
	       info.tcpi_state != TCP_CLOSE;
}

/* One option of a socket, as it would be set. False: it has none. */
static bool read_option(int host, const struct mf_socket_option *option,
			struct mf_socket_image_option *out)
{
	socklen_t bytes = sizeof(out->value);
	bool doubled = option->level == SOL_SOCKET &&
		       (option->name == SO_SNDBUF || option->name == SO_RCVBUF);
	int size;

	*out = (struct mf_socket_image_option){.level = option->level, .name = option->name};
	if (getsockopt(host, option->level, option->name, out->value, &bytes))
		return false;
	out->bytes = bytes;
	if (doubled) { /* socket(7): told doubled */
		memcpy(&size, out->value, sizeof(size));
		size /= 2;
		memcpy(out->value, &size, sizeof(size));
	}
	return true;
}

/* The options of `host` that are not as `fresh` has them. */
static uint32_t list_options(int host, int fresh,
			     struct mf_socket_image_option list[MF_SOCKET_IMAGE_OPTIONS])
{
	size_t all;
	const struct mf_socket_option *options = mf_socket_options(&all);
	struct mf_socket_image_option usual;
	uint32_t count = 0;
	size_t i;

	for (i = 0; i < all && count < MF_SOCKET_IMAGE_OPTIONS; i++) {
		if (!(options[i].use & MF_OPTION_GET) || !(options[i].use & MF_OPTION_SET) ||
		    !read_option(host, &options[i], &list[count]))
			continue;
		count += !read_option(fresh, &options[i], &usual) ||
			 memcmp(&usual, &list[count], sizeof(usual)) != 0;
	}
	return count;
}

static int set_options(int host, const struct mf_socket_image_option *list, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		if (setsockopt(host, list[i].level, list[i].name, list[i].value, list[i].bytes))
			return -errno;
	return 0;
}

static void copy_options(int from, int to)
{
	struct mf_socket_image_option list[MF_SOCKET_IMAGE_OPTIONS];

	set_options(to, list, list_options(from, to, list));
}

static bool within_budget(const struct mf_process *process, const int hosts[2])
{
	int end = process->policy->host_fd_end;

	return !end || (hosts[0] < end && hosts[1] < end);
}

static void close_both(const int hosts[2])
{
	int i;

	for (i = 0; i < 2; i++)
		if (hosts[i] >= 0)
			close(hosts[i]);
}

/* New ones as the description says; hosts[1] is -1 but for a pair. */
static int make(const struct mf_fd *entry, int protocol, int hosts[2])
{
	int type = mf_socket_type(entry) | SOCK_CLOEXEC | SOCK_NONBLOCK;

	hosts[0] = hosts[1] = -1;
	if (entry->object)
		return socketpair(AF_UNIX, type, 0, hosts) ? -errno : 0;
	hosts[0] = socket(mf_socket_domain(entry), type, protocol);
	return hosts[0] < 0 ? -errno : 0;
}

int mf_socket_own(struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_fd *ends[2] = {entry,
				       entry->object ? mf_fd_at(process, entry->object - 1) : NULL};
	struct sockaddr_storage address;
	int hosts[2];
	int ret;
	int i;

	if (!entry->object && address_of(entry->host, &address))
		return 0; /* shared */
	if (!entry->object && !mf_socket_may_make(process->policy->net, mf_socket_domain(entry)))
		return -EACCES;
	ret = make(entry, protocol_of(entry->host), hosts);
	if (ret)
		return ret;
	if (!within_budget(process, hosts)) {
		close_both(hosts);
		return -ENFILE;
	}
	for (i = 0; i < 2 && ends[i]; i++) {
		struct mf_fd *end = mf_fd_rw(process, ends[i]);

		copy_options(end->host, hosts[i]);
		end->host = hosts[i];
		end->offset |= MF_SOCKET_OWN;
	}
	return 0;
}

/* A pair in which nothing is, and whose ends are both open, can be had anew by each fork. */
static bool is_fresh_pair(const struct mf_process *process, const struct mf_fd *entry)
{
	struct pollfd ends[2] = {{.events = POLLIN | POLLRDHUP}, {.events = POLLIN | POLLRDHUP}};

	ends[0].fd = entry->host;
	ends[1].fd = mf_fd_at(process, entry->object - 1)->host;
	return poll(ends, 2, 0) == 0;
}

/* The number that the guest has for it. */
static unsigned int number_of(const struct mf_process *process, const struct mf_fd *entry)
{
	uint32_t fd = mf_fd_next(process, 0);

	while (fd < MF_FDS && mf_fd_get(process, fd) != entry)
		fd = mf_fd_next(process, fd + 1);
	return fd;
}

int mf_socket_freeze(const struct mf_process *process, const struct mf_fd *entry,
		     struct mf_error *err)
{
	const char *what = entry->object ? "a socket pair with something in it"
			   : mf_socket_domain(entry) == AF_UNIX
				   ? "a Unix socket that is connected or whose pair is closed"
				   : "a socket that is connected";

	if (entry->offset & MF_SOCKET_LISTENS ||
	    (entry->object ? is_fresh_pair(process, entry) : !is_connected(entry)))
		return 0;
	return mf_error_set(err, -EBUSY,
			    "the program holds %s (descriptor %u) at its ready point, and forks "
			    "cannot share it: close it before",
			    what, number_of(process, entry));
}

int mf_socket_image_save(const struct mf_fd *entry, struct mf_socket_image *socket,
			 struct mf_error *err)
{
	int hosts[2];
	int ret;

	memset(socket, 0, sizeof(*socket));
	socket->protocol = protocol_of(entry->host);
	if (!entry->object)
		socket->address_bytes = address_of(entry->host, &socket->address);
	if (socket->address.ss_family == AF_UNIX && socket->address_bytes &&
	    ((struct sockaddr_un *)&socket->address)->sun_path[0])
		return mf_error_set(err, -ENOTSUP,
				    "the program holds a Unix socket that is bound to a path at "
				    "its ready point, and its file is not part of an image file: "
				    "bind it in a request, or serve the program itself");
	if (socket->address_bytes && socket->address.ss_family == AF_NETLINK)
		socket->address_bytes = 0; /* the kernel chose it, and will again */
	ret = make(entry, socket->protocol, hosts);
	if (ret)
		return mf_error_set(err, ret, "cannot describe a socket of the program: %s",
				    strerror(-ret));
	socket->option_count = list_options(entry->host, hosts[0], socket->options);
	close_both(hosts);
	return 0;
}

/* Domain and type as socket() and socketpair() make them. */
static bool is_known(const struct mf_fd *entry)
{
	int domain = mf_socket_domain(entry);
	int type = mf_socket_type(entry);

	switch (domain) {
	case AF_UNIX:
		return type == SOCK_STREAM || type == SOCK_DGRAM || type == SOCK_SEQPACKET;
	case AF_INET:
	case AF_INET6:
		return type == SOCK_STREAM || type == SOCK_DGRAM;
	case AF_NETLINK:
		return type == SOCK_RAW || type == SOCK_DGRAM;
	default:
		return false;
	}
}

bool mf_socket_image_is_sane(const struct mf_linux *lx, const struct mf_fd *entry)
{
	const struct mf_fd *other;

	if (!is_known(entry) || entry->offset & ~KEPT_FLAGS)
		return false;
	if (!entry->object)
		return true;
	if (entry->object > MF_FDS || mf_socket_domain(entry) != AF_UNIX ||
	    entry->offset & MF_SOCKET_LISTENS)
		return false;
	other = mf_fd_of(lx, entry->object - 1);
	return other != entry && other->users && other->kind == MF_FD_SOCKET && other->object &&
	       other->object <= MF_FDS && mf_fd_of(lx, other->object - 1) == entry &&
	       (other->offset & 0xffff) == (entry->offset & 0xffff);
}

/* Options by the list, of a size that fits. */
static bool options_are_sane(const struct mf_socket_image *socket)
{
	size_t all;
	const struct mf_socket_option *options = mf_socket_options(&all);
	uint32_t i;
	size_t k;

	if (socket->option_count > MF_SOCKET_IMAGE_OPTIONS)
		return false;
	for (i = 0; i < socket->option_count; i++) {
		const struct mf_socket_image_option *option = &socket->options[i];

		for (k = 0; k < all &&
			    (options[k].level != option->level || options[k].name != option->name);
		     k++)
			;
		if (k == all || !(options[k].use & MF_OPTION_SET) ||
		    options[k].use & MF_OPTION_GROUP || option->bytes > sizeof(option->value))
			return false;
		/* A time to linger would hold the engine up; the guest's is in the description. */
		if (option->level == SOL_SOCKET && option->name == SO_LINGER &&
		    ((const struct linger *)option->value)->l_onoff &&
		    ((const struct linger *)option->value)->l_linger)
			return false;
	}
	return true;
}

int mf_socket_image_options(int host, const struct mf_socket_image *socket, struct mf_error *err)
{
	int ret = options_are_sane(socket) ? 0 : mf_image_damaged(err, "the options of a socket");

	if (ret)
		return ret;
	ret = set_options(host, socket->options, socket->option_count);
	return ret ? mf_error_set(err, ret,
				  "this host refuses an option that a socket of the image has: %s",
				  strerror(-ret))
		   : 0;
}

/* A rule for what a socket of that family is good for. */
static const char *allow_of(int domain)
{
	return domain == AF_UNIX ? "--allow-net=unix:*" : "--allow-net";
}

static int bind_again(int host, const struct mf_fd *entry, const struct mf_socket_image *socket,
		      const struct mf_permit_net *net, struct mf_error *err)
{
	const struct sockaddr *address = (const struct sockaddr *)&socket->address;
	char text[160];

	if (socket->address_bytes > sizeof(socket->address) ||
	    address->sa_family != mf_socket_domain(entry) || address->sa_family == AF_NETLINK ||
	    (address->sa_family == AF_UNIX && (socket->address_bytes > sizeof(struct sockaddr_un) ||
					       ((const struct sockaddr_un *)address)->sun_path[0])))
		return mf_image_damaged(err, "the address of a socket");
	mf_permit_net_print(address, socket->address_bytes, text, sizeof(text));
	if (!mf_permit_net_allows(net, MF_NET_LISTEN, address, socket->address_bytes))
		return mf_error_set(err, -EACCES,
				    "the image has a socket at %s; allow it with --allow-net=%s",
				    text, text);
	if (bind(host, address, socket->address_bytes) ||
	    (entry->offset & MF_SOCKET_LISTENS && listen(host, SOMAXCONN)))
		return mf_error_set(err, -errno,
				    "the image has a socket at %s, and it cannot be had here: %s",
				    text, strerror(errno));
	return 0;
}

int mf_socket_image_make(const struct mf_fd *entry, const struct mf_socket_image *socket,
			 const struct mf_permit_net *net, int hosts[2], struct mf_error *err)
{
	int domain = mf_socket_domain(entry);
	int ret;

	hosts[0] = hosts[1] = -1;
	if (mf_socket_check(domain, mf_socket_type(entry), entry->object ? 0 : socket->protocol))
		return mf_image_damaged(err, "the protocol of a socket");
	if (!entry->object && !mf_socket_may_make(net, domain))
		return mf_error_set(err, -EACCES,
				    "the image holds a socket, and sockets of its kind are not "
				    "allowed; allow them with %s",
				    allow_of(domain));
	ret = make(entry, socket->protocol, hosts);
	if (ret)
		return mf_error_set(err, ret, "cannot make a socket of the image: %s",
				    strerror(-ret));
	ret = mf_socket_image_options(hosts[0], socket, err);
	if (!ret && socket->address_bytes && !entry->object)
		ret = bind_again(hosts[0], entry, socket, net, err);
	else if (!ret && entry->offset & MF_SOCKET_LISTENS)
		ret = mf_image_damaged(err, "the address of a socket");
	if (ret)
		close_both(hosts);
	return ret;
}
