/* SPDX-License-Identifier: MIT */
/*
 * Control messages. A descriptor that is sent must have a counterpart at the host: a regular file
 * or a socket. What is received and is neither is closed, and told as cut off. A file's position
 * goes with it; it is not shared afterwards.
 */
#include "engine/linux/socket.h"

#include "engine/image/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS_MAX 253 /* SCM_MAX_FD */

/* Control messages that a program may send with an Internet datagram, and their sizes. */
static const struct {
	int level, type;
	size_t bytes;
} sendable[] = {
	{IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo)},
	{IPPROTO_IP, IP_TTL, sizeof(int)},
	{IPPROTO_IP, IP_TOS, sizeof(int)},
	{IPPROTO_IP, IP_TOS, 1},
	{IPPROTO_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo)},
	{IPPROTO_IPV6, IPV6_HOPLIMIT, sizeof(int)},
	{IPPROTO_IPV6, IPV6_TCLASS, sizeof(int)},
	{IPPROTO_IPV6, IPV6_DONTFRAG, sizeof(int)},
};

/* The next message at *at: NULL at the end, with *bad when what is there is none. */
static struct cmsghdr *next(uint8_t *control, size_t bytes, size_t *at, bool *bad)
{
	struct cmsghdr *message = (struct cmsghdr *)(control + *at);

	*bad = false;
	if (*at > bytes || bytes - *at < sizeof(*message))
		return NULL;
	if (message->cmsg_len < sizeof(*message) || message->cmsg_len > bytes - *at) {
		*bad = true;
		return NULL;
	}
	*at += CMSG_ALIGN(message->cmsg_len);
	return message;
}

static size_t data_bytes(const struct cmsghdr *message)
{
	return message->cmsg_len - CMSG_LEN(0);
}

/* The host descriptor that stands for a guest's. */
static int host_of(struct mf_process *process, int32_t fd)
{
	const struct mf_fd *entry = mf_fd_get(process, (uint32_t)fd);
	int host;

	if (!entry)
		return -EBADF;
	if (entry->kind == MF_FD_FILE && !(entry->flags & O_PATH)) {
		/* Whoever gets it goes on from here. */
		lseek(entry->host, (off_t)entry->offset, SEEK_SET);
		return entry->host;
	}
	if (entry->kind != MF_FD_SOCKET)
		return -EOPNOTSUPP;
	host = mf_socket_host(process, entry);
	if (host >= 0 && entry->object) {
		/* Others have it, too: no fork can have the pair anew. */
		mf_fd_rw(process, mf_fd_at(process, entry->object - 1))->object = 0;
		mf_fd_rw(process, entry)->object = 0;
	}
	return host;
}

static int rights_to_host(struct mf_process *process, struct cmsghdr *message)
{
	size_t count = data_bytes(message) / sizeof(int);
	int fds[FDS_MAX];
	size_t i;

	if (count > FDS_MAX)
		return -EINVAL;
	memcpy(fds, CMSG_DATA(message), count * sizeof(int));
	for (i = 0; i < count; i++) {
		fds[i] = host_of(process, fds[i]);
		if (fds[i] < 0)
			return fds[i];
	}
	memcpy(CMSG_DATA(message), fds, count * sizeof(int));
	return 0;
}

/* A program may say who it is, and nobody else. */
static int credentials_to_host(struct cmsghdr *message)
{
	struct ucred cred;

	if (data_bytes(message) != sizeof(cred))
		return -EINVAL;
	memcpy(&cred, CMSG_DATA(message), sizeof(cred));
	if (cred.pid != (pid_t)MF_GUEST_PID || cred.uid != getuid() || cred.gid != getgid())
		return -EPERM;
	cred.pid = getpid();
	memcpy(CMSG_DATA(message), &cred, sizeof(cred));
	return 0;
}

static int unix_to_host(struct mf_process *process, struct cmsghdr *message)
{
	if (message->cmsg_level != SOL_SOCKET)
		return 0; /* not looked at (Linux __scm_send) */
	switch (message->cmsg_type) {
	case SCM_RIGHTS:
		return rights_to_host(process, message);
	case SCM_CREDENTIALS:
		return credentials_to_host(message);
	default:
		return -EINVAL;
	}
}

static int internet_to_host(const struct cmsghdr *message)
{
	size_t i;

	for (i = 0; i < sizeof(sendable) / sizeof(sendable[0]); i++) {
		if (message->cmsg_level == sendable[i].level &&
		    message->cmsg_type == sendable[i].type &&
		    data_bytes(message) == sendable[i].bytes)
			return 0;
	}
	return -EINVAL;
}

int mf_control_to_host(struct mf_process *process, const struct mf_fd *entry, uint8_t *control,
		       size_t bytes)
{
	bool local = mf_socket_domain(entry) == AF_UNIX;
	struct cmsghdr *message;
	size_t at = 0;
	bool bad;
	int ret = 0;

	while (!ret && (message = next(control, bytes, &at, &bad)))
		ret = local ? unix_to_host(process, message) : internet_to_host(message);
	return ret ? ret : bad ? -EINVAL : 0;
}

/* A descriptor that came from somewhere, as one of the guest's: its number, or -1. Owns `host`. */
static int take(struct mf_process *process, int host, bool cloexec)
{
	struct mf_fd entry = {.kind = MF_FD_FILE, .host = host};
	int domain = 0, type = 0;
	socklen_t bytes = sizeof(int);
	struct stat st = {0};
	int64_t fd = -1;

	if (!fstat(host, &st) && S_ISREG(st.st_mode)) {
		entry.flags = (uint32_t)fcntl(host, F_GETFL);
		entry.offset = (uint64_t)lseek(host, 0, SEEK_CUR);
	} else if (S_ISSOCK(st.st_mode) &&
		   !getsockopt(host, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) &&
		   !getsockopt(host, SOL_SOCKET, SO_TYPE, &type, &bytes) && type != SOCK_RAW &&
		   (domain == AF_UNIX || domain == AF_INET || domain == AF_INET6)) {
		entry = mf_socket_entry(host, domain, type, 0);
		fcntl(host, F_SETFL, fcntl(host, F_GETFL) | O_NONBLOCK);
	} else {
		entry.kind = MF_FD_FREE;
	}
	entry.flags |= cloexec ? O_CLOEXEC : 0;
	if (entry.kind != MF_FD_FREE)
		fd = mf_fd_install(process, &entry, 0);
	if (fd < 0)
		close(host);
	return (int)fd;
}

/* As many as can be had, in order: the rest is closed. */
static void rights_to_guest(struct mf_process *process, struct cmsghdr *message, bool cloexec,
			    int *flags)
{
	size_t count = data_bytes(message) / sizeof(int);
	size_t taken = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(message) + i * sizeof(int), sizeof(int));
		fd = take(process, fd, cloexec);
		if (fd < 0) {
			*flags |= MSG_CTRUNC;
			continue;
		}
		memcpy(CMSG_DATA(message) + taken++ * sizeof(int), &fd, sizeof(int));
	}
	message->cmsg_len = CMSG_LEN(taken * sizeof(int));
	memset(CMSG_DATA(message) + taken * sizeof(int), 0, (count - taken) * sizeof(int));
}

/* Processes of the host have no number in here but the engine's own, which stands for the guest. */
void mf_ucred_to_guest(struct ucred *cred)
{
	cred->pid = cred->pid == getpid() ? (pid_t)MF_GUEST_PID : 0;
}

static void credentials_to_guest(struct cmsghdr *message)
{
	struct ucred cred;

	if (data_bytes(message) < sizeof(cred))
		return;
	memcpy(&cred, CMSG_DATA(message), sizeof(cred));
	mf_ucred_to_guest(&cred);
	memcpy(CMSG_DATA(message), &cred, sizeof(cred));
}

void mf_control_to_guest(struct mf_process *process, uint8_t *control, size_t bytes, bool cloexec,
			 int *flags)
{
	struct cmsghdr *message;
	size_t at = 0;
	bool bad;

	while ((message = next(control, bytes, &at, &bad))) {
		if (message->cmsg_level != SOL_SOCKET)
			continue;
		if (message->cmsg_type == SCM_RIGHTS)
			rights_to_guest(process, message, cloexec, flags);
		else if (message->cmsg_type == SCM_CREDENTIALS)
			credentials_to_guest(message);
	}
}
