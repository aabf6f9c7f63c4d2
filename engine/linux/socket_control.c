/* SPDX-License-Identifier: MIT */
/*
 * Control messages. A descriptor that is sent out of the VM must have a counterpart at the host: a
 * regular file or a socket. What is received and is neither is closed, and told as cut off. A
 * file's position goes with it; it is not shared afterwards. Within the VM all kinds can be sent.
 */
#include "engine/linux/credentials.h"
#include "engine/linux/listener.h"

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

/* The host descriptor that stands for a guest's outside of this VM. */
static int host_of(struct mf_process *process, const struct mf_fd *entry)
{
	int host;

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

static int one_to_host(struct mf_process *process, const struct mf_fd *socket, int32_t fd)
{
	const struct mf_fd *entry = mf_fd_get(process, (uint32_t)fd);

	if (!entry)
		return -EBADF;
	return socket->object ? mf_token_make(process, entry) : host_of(process, entry);
}

static int rights_to_host(struct mf_process *process, const struct mf_fd *socket,
			  struct mf_socket_message *message, struct cmsghdr *head)
{
	size_t count = data_bytes(head) / sizeof(int);
	int fds[FDS_MAX];
	int ret = 0;
	size_t i;

	if (count > FDS_MAX) {
		memset(CMSG_DATA(head), -1, count * sizeof(int)); /* nothing to give back */
		return -EINVAL;
	}
	memcpy(fds, CMSG_DATA(head), count * sizeof(int));
	for (i = 0; i < count; i++) {
		fds[i] = ret < 0 ? -1 : one_to_host(process, socket, fds[i]);
		ret = ret < 0 ? ret : fds[i];
	}
	memcpy(CMSG_DATA(head), fds, count * sizeof(int));
	message->has_tokens |= count && socket->object;
	return ret < 0 ? ret : 0;
}

/* A program may say who it is, and nobody else. */
static int credentials_to_host(const struct mf_process *process, struct cmsghdr *message)
{
	struct ucred cred;

	if (data_bytes(message) != sizeof(cred))
		return -EINVAL;
	memcpy(&cred, CMSG_DATA(message), sizeof(cred));
	if (cred.pid != (pid_t)MF_GUEST_PID || !mf_ids_has_uid(process, cred.uid) ||
	    !mf_ids_has_gid(process, cred.gid))
		return -EPERM;
	cred.pid = getpid();
	memcpy(CMSG_DATA(message), &cred, sizeof(cred));
	return 0;
}

static int unix_to_host(struct mf_process *process, const struct mf_fd *socket,
			struct mf_socket_message *message, struct cmsghdr *head)
{
	if (head->cmsg_level != SOL_SOCKET)
		return 0; /* not looked at (Linux __scm_send) */
	switch (head->cmsg_type) {
	case SCM_RIGHTS:
		if (mf_socket_is_within(socket))
			return -EOPNOTSUPP; /* nobody at the other end could take them */
		return rights_to_host(process, socket, message, head);
	case SCM_CREDENTIALS:
		return credentials_to_host(process, head);
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

int mf_control_to_host(struct mf_process *process, const struct mf_fd *entry,
		       struct mf_socket_message *message)
{
	bool local = mf_socket_domain(entry) == AF_UNIX;
	struct cmsghdr *head;
	size_t at = 0;
	bool bad;
	int ret = 0;

	while (!ret && (head = next(message->control, message->control_bytes, &at, &bad)))
		ret = local ? unix_to_host(process, entry, message, head) : internet_to_host(head);
	message->control_bytes = ret ? at : message->control_bytes;
	return ret ? ret : bad ? -EINVAL : 0;
}

/* As far as they were translated: the one that failed ends with descriptors of -1. */
void mf_control_done(struct mf_process *process, struct mf_socket_message *message, bool sent)
{
	struct cmsghdr *head;
	size_t at = 0;
	size_t i;
	bool bad;
	int fd;

	while (message->has_tokens &&
	       (head = next(message->control, message->control_bytes, &at, &bad))) {
		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		for (i = 0; i < data_bytes(head) / sizeof(int); i++) {
			memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
			if (fd < 0)
				continue;
			if (!sent)
				mf_token_forget(process, fd);
			close(fd);
		}
	}
}

/* A descriptor that came from somewhere, as one of the guest's: its number, or -1. Owns `host`. */
static int take_host(struct mf_process *process, int host, bool cloexec)
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

static int take(struct mf_process *process, int host, int flags)
{
	const struct mf_fd *entry = mf_token_find(process, host);
	int64_t fd;

	if (!entry)
		return take_host(process, host, flags & MSG_CMSG_CLOEXEC);
	fd = mf_fd_share(process, entry, 0, flags & MSG_CMSG_CLOEXEC);
	if (!(flags & MSG_PEEK))
		mf_token_forget(process, host);
	close(host);
	return (int)fd;
}

/* As many as can be had, in order: the rest is closed. */
static void rights_to_guest(struct mf_process *process, struct mf_socket_message *message,
			    struct cmsghdr *head, int flags)
{
	size_t count = data_bytes(head) / sizeof(int);
	size_t taken = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
		fd = take(process, fd, flags);
		if (fd < 0) {
			message->flags |= MSG_CTRUNC;
			continue;
		}
		memcpy(CMSG_DATA(head) + taken++ * sizeof(int), &fd, sizeof(int));
	}
	head->cmsg_len = CMSG_LEN(taken * sizeof(int));
	memset(CMSG_DATA(head) + taken * sizeof(int), 0, (count - taken) * sizeof(int));
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

void mf_control_to_guest(struct mf_process *process, struct mf_socket_message *message, int flags)
{
	struct cmsghdr *head;
	size_t at = 0;
	bool bad;

	while ((head = next(message->control, message->control_bytes, &at, &bad))) {
		if (head->cmsg_level != SOL_SOCKET)
			continue;
		if (head->cmsg_type == SCM_RIGHTS)
			rights_to_guest(process, message, head, flags);
		else if (head->cmsg_type == SCM_CREDENTIALS)
			credentials_to_guest(head);
	}
}
