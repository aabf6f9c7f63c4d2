/* SPDX-License-Identifier: MIT */
/*
 * Addresses of sockets: copied once, looked up in the rules, told to the host. The socket of a path
 * is looked up beneath a directory that is open, without following links, and the host is told a
 * path beneath /proc/self/fd: what was looked up is what is used, whatever is renamed meanwhile.
 */
#include "engine/linux/explain.h"
#include "engine/linux/files.h"
#include "engine/linux/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATH_OFFSET      offsetof(struct sockaddr_un, sun_path)
#define TRIES            8
#define SIN6_LEN_RFC2133 24u /* without the scope */

_Static_assert(sizeof(struct sockaddr_storage) == 128, "as the kernel's");
_Static_assert(sizeof(((struct mf_linux *)0)->socket_names[0].guest) ==
		       sizeof(((struct sockaddr_un *)0)->sun_path),
	       "a name has room for any path");

int mf_address_get(struct mf_process *process, uint64_t va, uint64_t bytes,
		   struct mf_address *address)
{
	*address = (struct mf_address){.bytes = (socklen_t)bytes};
	if ((int)bytes < 0 || (int)bytes > (int)sizeof(address->storage))
		return -EINVAL;
	return mf_guest_read(process, va, &address->storage, (socklen_t)bytes);
}

int mf_address_put(struct mf_process *process, const struct mf_address *address, uint64_t va,
		   uint64_t va_bytes)
{
	int32_t bytes = (int32_t)address->bytes;
	int32_t room;

	if (mf_guest_read(process, va_bytes, &room, sizeof(room)))
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	room = room < bytes ? room : bytes;
	if (room && mf_guest_write(process, va, &address->storage, (size_t)room))
		return -EFAULT;
	return mf_guest_write(process, va_bytes, &bytes, sizeof(bytes));
}

static bool has_path(const struct mf_address *address)
{
	return address->any.sa_family == AF_UNIX && address->bytes > PATH_OFFSET &&
	       address->un.sun_path[0];
}

void mf_address_note(struct mf_process *process, const struct mf_address *given,
		     const struct mf_address *host)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t place = lx->socket_names_made % MF_SOCKET_NAMES;
	struct mf_socket_name *name;

	if (!has_path(given))
		return;
	MF_DIRTY(process, socket_names_made) = lx->socket_names_made + 1;
	name = &MF_DIRTY(process, socket_names[place]);
	memcpy(name->guest, given->un.sun_path, sizeof(name->guest));
	memcpy(name->host, host->un.sun_path, sizeof(name->host));
}

/* As the kernel tells a path: with a NUL behind it (unix_getname). */
void mf_address_to_guest(const struct mf_process *process, struct mf_address *address)
{
	const struct mf_linux *lx = mf_linux(process);
	size_t size = sizeof(lx->socket_names[0].guest);
	uint32_t i;

	if (!has_path(address))
		return;
	for (i = lx->socket_names_made; i && lx->socket_names_made - i < MF_SOCKET_NAMES; i--) {
		const struct mf_socket_name *name = &lx->socket_names[(i - 1) % MF_SOCKET_NAMES];

		if (strncmp(name->host, address->un.sun_path, size))
			continue;
		memcpy(address->un.sun_path, name->guest, size);
		address->bytes = (socklen_t)(PATH_OFFSET + strnlen(address->un.sun_path, size) + 1);
		return;
	}
}

/* Open without following any link: a descriptor or -errno. */
static int open_plain(int dir, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(O_PATH | O_CLOEXEC | flags),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int tries;
	long fd = -1;

	/* Renames elsewhere make it try again (openat2(2)). */
	for (tries = 0; tries < TRIES && fd < 0; tries++) {
		fd = syscall(SYS_openat2, dir, *path ? path : ".", &how, sizeof(how));
		if (fd < 0 && errno != EAGAIN)
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

/* Reading and writing a name, and the rule for its use: the directory of the rule, and `rest`. */
static int permitted(const struct mf_process *process, enum mf_net_use use, const char *clean,
		     const char **rest)
{
	const struct mf_permit *permit = process->policy->permit;

	if (!permit || !mf_permit_allows(permit, clean, MF_PERMIT_READ) ||
	    !mf_permit_allows(permit, clean, MF_PERMIT_WRITE))
		return -EACCES;
	return mf_permit_net_unix(process->policy->net, use, clean, rest);
}

/*
 * The name in which all links are followed, of which each is permitted as a file; its last part may
 * be missing. 0 or -errno.
 */
static int follow(const struct mf_process *process, char clean[PATH_MAX], bool last_may_miss)
{
	char link[64], real[PATH_MAX];
	char *last = last_may_miss ? strrchr(clean, '/') : NULL;
	struct mf_name name;
	ssize_t got;
	int fd;

	snprintf(name.text, sizeof(name.text), "%.*s",
		 last ? (int)(last - clean) + (last == clean) : PATH_MAX - 1, clean);
	fd = mf_name_open(process, &name, MF_PERMIT_READ | MF_PERMIT_WRITE, O_PATH, 0);
	if (fd < 0)
		return fd;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	got = readlink(link, real, sizeof(real) - NAME_MAX - 2);
	close(fd);
	if (got <= 0)
		return got ? -errno : -ENOENT;
	real[got] = 0;
	snprintf(name.text, sizeof(name.text), "%s%s", strcmp(real, "/") || !last ? real : "",
		 last ? last : "");
	strcpy(clean, name.text);
	return 0;
}

/* Tell the host what is open as `fd`, or `name` in it. */
static int path_of(int fd, const char *name, struct mf_address *host)
{
	int bytes = snprintf(host->un.sun_path, sizeof(host->un.sun_path), "/proc/self/fd/%d%s%s",
			     fd, name ? "/" : "", name ? name : "");

	if (bytes >= (int)sizeof(host->un.sun_path))
		return -ENAMETOOLONG;
	host->bytes = (socklen_t)(PATH_OFFSET + (size_t)bytes + 1);
	return 0;
}

static bool is_engines(const struct mf_process *process, int fd)
{
	const struct mf_own_sockets *own = &process->policy->own_sockets;
	struct stat st;
	unsigned int i;

	if (own->count && fstat(fd, &st))
		return true;
	for (i = 0; i < own->count; i++) {
		if (own->files[i].device == st.st_dev && own->files[i].inode == st.st_ino)
			return true;
	}
	return false;
}

/* The socket itself, for connecting and sending. */
static int open_socket(const struct mf_process *process, int dir, const char *rest,
		       struct mf_address *host, int *opened)
{
	*opened = open_plain(dir, rest, 0);
	if (*opened < 0)
		return *opened;
	return is_engines(process, *opened) ? -EACCES : path_of(*opened, NULL, host);
}

/* Its directory, for binding. */
static int open_directory(int dir, const char *rest, struct mf_address *host, int *opened)
{
	const char *slash = strrchr(rest, '/');
	char path[PATH_MAX];

	if (!*rest || (slash && !slash[1]))
		return -EADDRINUSE; /* a directory */
	snprintf(path, sizeof(path), "%.*s", slash ? (int)(slash - rest) : 0, rest);
	*opened = open_plain(dir, path, O_DIRECTORY);
	return *opened < 0 ? *opened : path_of(*opened, slash ? slash + 1 : rest, host);
}

static int look_up(const struct mf_process *process, enum mf_net_use use, const char *clean,
		   struct mf_address *host, int *opened)
{
	const char *rest = "";
	int dir = permitted(process, use, clean, &rest);

	if (dir < 0)
		return dir;
	return use == MF_NET_LISTEN ? open_directory(dir, rest, host, opened)
				    : open_socket(process, dir, rest, host, opened);
}

/* A path: looked up as it is, or, where links are on the way, as what they name. */
static int check_path(struct mf_process *process, enum mf_net_use use,
		      const struct mf_address *given, struct mf_address *host, int *opened)
{
	char path[sizeof(given->un.sun_path) + 1] = {0};
	char clean[PATH_MAX];
	int ret;

	memcpy(path, given->un.sun_path, given->bytes - PATH_OFFSET);
	ret = mf_permit_clean(mf_linux(process)->cwd, path, clean);
	if (ret < 0)
		return ret;
	ret = look_up(process, use, clean, host, opened);
	if (ret != -ELOOP)
		return ret;
	ret = follow(process, clean, use == MF_NET_LISTEN);
	return ret ? ret : look_up(process, use, clean, host, opened);
}

/* An address with numbers, or an abstract name. */
static int check_plain(const struct mf_process *process, int domain, enum mf_net_use use,
		       const struct mf_address *address)
{
	struct mf_address seen = *address;

	/* As Linux: an IPv4 socket takes no family for its own where it needs an address. */
	if (domain == AF_INET && seen.any.sa_family == AF_UNSPEC)
		seen.any.sa_family = AF_INET;
	if (seen.any.sa_family != AF_INET && seen.any.sa_family != domain)
		return domain == AF_UNIX ? -EINVAL : -EAFNOSUPPORT;
	if (seen.any.sa_family == AF_INET && seen.bytes < sizeof(seen.in))
		return -EINVAL;
	if (seen.any.sa_family == AF_INET6 && seen.bytes < SIN6_LEN_RFC2133)
		return -EINVAL;
	return mf_permit_net_allows(process->policy->net, use, &seen.any, sizeof(seen.storage))
		       ? 0
		       : -EACCES;
}

static int check_address(struct mf_process *process, const struct mf_fd *entry, enum mf_net_use use,
			 const struct mf_address *address, struct mf_address *host, int *opened)
{
	int domain = mf_socket_domain(entry);

	*host = *address;
	*opened = -1;
	if (address->bytes < sizeof(sa_family_t))
		return -EINVAL;
	if (domain == AF_NETLINK)
		return mf_netlink_address(address);
	if (domain != AF_UNIX)
		return check_plain(process, domain, use, address);
	if (address->any.sa_family != AF_UNIX || address->bytes > sizeof(host->un))
		return -EINVAL;
	if (has_path(address))
		return check_path(process, use, address, host, opened);
	return mf_permit_net_allows(process->policy->net, use, &host->any, host->bytes) ? 0
											: -EACCES;
}

int mf_address_check(struct mf_process *process, const struct mf_fd *entry, enum mf_net_use use,
		     const struct mf_address *address, struct mf_address *host, int *opened)
{
	int ret = check_address(process, entry, use, address, host, opened);

	if (ret == -EACCES)
		mf_explain_address(process, use, &address->any, address->bytes);
	return ret;
}
